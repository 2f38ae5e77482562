// SPDX-License-Identifier: Apache-2.0
#include "bindings/bindings.h"
#include "snapshot/snapshot.h"

namespace py = pybind11;

namespace snapcore::bindings {

void bind_system(py::module_& module) {
    module.def(
        "list_processes",
        [] {
            const std::vector<ProcessEntry> processes = [] {
                const py::gil_scoped_release release;
                return list_processes();
            }();
            py::list out;
            for (const ProcessEntry& process : processes) {
                out.append(py::make_tuple(
                    process.pid, py::bytes(process.name), py::bytes(process.short_name)));
            }
            return out;
        },
        "(pid, name of the executable, the system's short name) of every process.");
    module.def(
        "system_handles",
        [](bool peers) {
            Diagnostics diagnostics;
            const auto table = [&] {
                const py::gil_scoped_release release;
                return read_system_handles(peers, diagnostics);
            }();
            return py::make_tuple(columns_of(table), to_python(diagnostics));
        },
        py::arg("peers"),
        "Columns and diagnostics.");
    module.def(
        "system_threads",
        [] {
            Diagnostics diagnostics;
            const auto table = [&] {
                const py::gil_scoped_release release;
                return read_system_threads(diagnostics);
            }();
            return py::make_tuple(columns_of(table), to_python(diagnostics));
        },
        "Columns and diagnostics.");
}

}  // namespace snapcore::bindings
