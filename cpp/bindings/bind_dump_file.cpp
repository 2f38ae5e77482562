// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>

#include "bindings/bindings.h"
#include "minidump/reader/dump_file.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

using minidump::DumpFile;

py::dict system(const DumpFile& file) {
    const minidump::SystemInfo& info = file.system();
    py::dict out;
    out["architecture"] = info.architecture_number;
    out["processors"] = info.processors;
    out["processor_level"] = info.processor_level;
    out["processor_revision"] = info.processor_revision;
    out["platform_id"] = info.platform_id;
    out["version"] = py::make_tuple(info.major, info.minor, info.build);
    out["os_text"] = py::bytes(info.os_text);
    out["cpu_vendor"] = py::bytes(info.cpu_vendor);
    out["cpu_version"] = info.cpu_version;
    out["cpu_features"] = info.cpu_features;
    return out;
}

// Addresses, sizes, offsets in the file, and bytes that are there.
py::array_t<std::uint64_t> memory_ranges(DumpFile& file) {
    const std::vector<minidump::FileRange>* ranges = nullptr;
    {
        const py::gil_scoped_release release;
        ranges = &file.memory_ranges();
    }
    static_assert(sizeof(minidump::FileRange) == 4 * sizeof(std::uint64_t));
    py::array_t<std::uint64_t> out({ranges->size(), std::size_t{4}});
    std::memcpy(out.mutable_data(), ranges->data(), ranges->size() * sizeof(minidump::FileRange));
    return out;
}

py::list exceptions(DumpFile& file) {
    py::list out;
    for (const minidump::ExceptionInfo& info : file.exceptions()) {
        out.append(py::make_tuple(
            info.tid, info.code, info.flags, info.record, info.address, info.parameters));
    }
    return out;
}

py::list unloaded_modules(DumpFile& file) {
    py::list out;
    for (const minidump::UnloadedModule& module : file.unloaded_modules()) {
        out.append(py::make_tuple(
            module.base, module.size, module.checksum, module.timestamp, py::bytes(module.path)));
    }
    return out;
}

}  // namespace

void bind_dump_file(py::module_& module) {
    py::class_<DumpFile, ProcessView, std::shared_ptr<DumpFile>>(
        module, "DumpFile", py::release_gil_before_calling_cpp_dtor())
        .def(py::init([](const std::string& path, bool strict) {
                 const py::gil_scoped_release release;
                 return std::make_shared<DumpFile>(open_input_file(path), strict);
             }),
             py::arg("path"),
             py::arg("strict"))
        .def_property_readonly("flags", &DumpFile::flags)
        .def_property_readonly("captured_at_ns", &DumpFile::captured_at_ns)
        .def("streams",
             [](const DumpFile& file) {
                 py::list out;
                 for (const minidump::StreamEntry& s : file.streams()) {
                     out.append(py::make_tuple(s.type, s.offset, s.size, s.present));
                 }
                 return out;
             })
        .def(
            "stream",
            [](const DumpFile& file, std::uint32_t type) -> py::object {
                const auto bytes = file.stream(type);
                if (!bytes) return py::none();
                return py::bytes(reinterpret_cast<const char*>(bytes->data()), bytes->size());
            },
            py::arg("type"))
        .def("memory_ranges", &memory_ranges)
        .def("system", &system)
        .def("exceptions", &exceptions)
        .def("unloaded_modules", &unloaded_modules)
        .def("comment",
             [](const DumpFile& file) -> py::object {
                 const auto text = file.comment();
                 return text ? py::object(py::bytes(*text)) : py::none();
             })
        .def("diagnostics", [](const DumpFile& file) { return to_python(file.diagnostics()); });
}

}  // namespace snapcore::bindings
