// SPDX-License-Identifier: Apache-2.0
#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "minidump/reader/scan.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

template <class Table>
py::tuple scan(const std::vector<std::string>& paths, std::size_t most_rows) {
    std::vector<minidump::ScannedFile> files;
    const auto table = [&] {
        const py::gil_scoped_release release;
        return minidump::scan<Table>(paths, most_rows, files);
    }();
    py::list out;
    for (const minidump::ScannedFile& file : files) {
        py::object name = py::none();
        if (file.process_name) name = py::bytes(*file.process_name);
        out.append(py::make_tuple(file.is_read,
                                  file.rows,
                                  file.captured_at_ns,
                                  file.pid,
                                  name,
                                  to_python(file.diagnostics)));
    }
    return py::make_tuple(columns_of(table), out);
}

}  // namespace

void bind_scan(py::module_& module) {
    const auto add = [&](const char* name, auto&& function) {
        module.def(name, function, py::arg("paths"), py::arg("most_rows"));
    };
    add("scan_threads", &scan<ThreadTable>);
    add("scan_handles", &scan<HandleTable>);
    add("scan_regions", &scan<RegionTable>);
    add("scan_modules", &scan<ModuleTable>);
}

}  // namespace snapcore::bindings
