// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>

#include "bindings/bindings.h"
#include "minidump/reader/base_reference.h"
#include "minidump/reader/dump_file.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

using minidump::DumpFile;

py::bytes to_bytes(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Texts of a file may be anything: they are bytes until Python has decoded them.
template <class T>
py::object to_object(const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
        return py::bytes(value);
    } else {
        return py::cast(value);
    }
}
template <class T>
py::object to_object(const std::optional<T>& value) {
    return value ? to_object(*value) : py::none();
}

template <class Get>
auto without_gil(Get&& get) {
    const py::gil_scoped_release release;
    return get();
}

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

// (name, identity, size, whether it was found); None where the file needs none.
py::object base(const DumpFile& file) {
    const auto& reference = file.base_reference();
    if (!reference) return py::none();
    return py::make_tuple(py::bytes(reference->name),
                          to_bytes(reference->identity),
                          reference->size,
                          file.base() != nullptr);
}

// Addresses, sizes, offsets in the file, bytes that are there, and whether the file is the base.
py::array_t<std::uint64_t> memory_ranges(DumpFile& file) {
    const auto* const ranges = without_gil([&] { return &file.memory_ranges(); });
    static_assert(sizeof(minidump::FileRange) == 5 * sizeof(std::uint64_t));
    py::array_t<std::uint64_t> out({ranges->size(), std::size_t{5}});
    const std::span<const std::byte> bytes = std::as_bytes(std::span(*ranges));
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(out.mutable_data()));
    return out;
}

// Records as they lie in the file; Python has their dtype.
py::array_t<std::uint8_t> handle_operations(DumpFile& file) {
    const auto operations = without_gil([&] { return file.handle_operations(); });
    const std::size_t size = sizeof(minidump::raw::AVRF_HANDLE_OPERATION);
    py::array_t<std::uint8_t> out({operations.size(), size});
    const std::span<const std::byte> bytes = std::as_bytes(std::span(operations));
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(out.mutable_data()));
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
    for (const auto& module : without_gil([&] { return file.unloaded_modules(); })) {
        out.append(py::make_tuple(
            module.base, module.size, module.checksum, module.timestamp, py::bytes(module.path)));
    }
    return out;
}

py::list handle_information(DumpFile& file) {
    py::list out;
    for (const auto& info : without_gil([&] { return file.handle_information(); })) {
        out.append(py::make_tuple(info.handle, info.type, to_bytes(info.bytes)));
    }
    return out;
}

py::list tokens(DumpFile& file) {
    py::list out;
    for (const minidump::Token& token : without_gil([&] { return file.tokens(); })) {
        out.append(py::make_tuple(token.id, token.handle, to_bytes(token.bytes)));
    }
    return out;
}

py::object misc(DumpFile& file) {
    const auto info = file.misc();
    if (!info) return py::none();
    py::dict out;
    out["size"] = info->size;
    out["flags"] = info->flags;
    out["process_id"] = to_object(info->process_id);
    out["create_time"] = to_object(info->create_time);
    out["user_time"] = to_object(info->user_time);
    out["kernel_time"] = to_object(info->kernel_time);
    out["max_mhz"] = to_object(info->max_mhz);
    out["current_mhz"] = to_object(info->current_mhz);
    out["mhz_limit"] = to_object(info->mhz_limit);
    out["max_idle_state"] = to_object(info->max_idle_state);
    out["current_idle_state"] = to_object(info->current_idle_state);
    out["integrity_level"] = to_object(info->integrity_level);
    out["execute_flags"] = to_object(info->execute_flags);
    out["protected_process"] = to_object(info->protected_process);
    out["time_zone_id"] = to_object(info->time_zone_id);
    out["time_zone_bias"] = to_object(info->time_zone_bias);
    out["standard_name"] = to_object(info->standard_name);
    out["standard_bias"] = to_object(info->standard_bias);
    out["daylight_name"] = to_object(info->daylight_name);
    out["daylight_bias"] = to_object(info->daylight_bias);
    out["build_string"] = to_object(info->build_string);
    out["debug_build_string"] = to_object(info->debug_build_string);
    out["xstate_features"] = to_object(info->xstate_features);
    out["xstate_size"] = to_object(info->xstate_size);
    py::list layout;
    for (const auto& feature : info->xstate) {
        layout.append(py::make_tuple(feature.index, feature.offset, feature.size));
    }
    out["xstate_layout"] = py::tuple(layout);
    out["process_cookie"] = to_object(info->process_cookie);
    return out;
}

py::object system_memory(DumpFile& file) {
    const auto info = file.system_memory();
    if (!info) return py::none();
    py::dict out;
    out["revision"] = info->revision;
    out["flags"] = info->flags;
    out["page_size"] = info->page_size;
    out["allocation_granularity"] = info->allocation_granularity;
    out["processors"] = info->processors;
    out["physical_pages"] = info->physical_pages;
    out["minimum_address"] = info->minimum_address;
    out["maximum_address"] = info->maximum_address;
    out["affinity"] = info->affinity;
    out["file_cache"] = info->file_cache;
    out["peak_file_cache"] = info->peak_file_cache;
    out["available_pages"] = to_object(info->available);
    out["committed_pages"] = to_object(info->committed);
    out["commit_limit_pages"] = to_object(info->commit_limit);
    out["peak_commitment_pages"] = to_object(info->peak_commitment);
    return out;
}

py::object breakpad(DumpFile& file) {
    const auto info = file.breakpad();
    if (!info) return py::none();
    py::object assertion = py::none();
    if (const auto& a = info->assertion) {
        assertion = py::make_tuple(
            py::bytes(a->expression), py::bytes(a->function), py::bytes(a->file), a->line, a->type);
    }
    return py::make_tuple(
        to_object(info->dump_thread_id), to_object(info->requesting_thread_id), assertion);
}

py::list pairs(const minidump::CrashpadFacts::Dictionary& dictionary) {
    py::list out;
    for (const auto& [key, value] : dictionary) {
        out.append(py::make_tuple(py::bytes(key), py::bytes(value)));
    }
    return out;
}

// (version, report id, client id, annotations, modules), a module being (index, list, annotations,
// objects).
py::object crashpad(DumpFile& file) {
    const auto info = without_gil([&] { return file.crashpad(); });
    if (!info) return py::none();
    py::list modules;
    for (const auto& module : info->modules) {
        py::list list, annotations;
        for (const std::string& text : module.list) list.append(py::bytes(text));
        for (const auto& a : module.annotations) {
            annotations.append(py::make_tuple(py::bytes(a.name), a.type, py::bytes(a.value)));
        }
        modules.append(py::make_tuple(module.index, list, pairs(module.simple), annotations));
    }
    return py::make_tuple(
        info->version, info->report_id, info->client_id, pairs(info->simple), modules);
}

py::list mac_crash_info(DumpFile& file) {
    py::list out;
    for (const auto& info : without_gil([&] { return file.mac_crash_info(); })) {
        py::list texts;
        for (const std::string& text : info.texts) texts.append(py::bytes(text));
        out.append(py::make_tuple(info.version,
                                  to_object(info.thread),
                                  to_object(info.dialog_mode),
                                  to_object(info.abort_cause),
                                  texts));
    }
    return out;
}

py::object dso_debug(DumpFile& file) {
    const auto info = file.dso_debug();
    if (!info) return py::none();
    py::list link_map;
    for (const auto& entry : info->link_map) {
        link_map.append(py::make_tuple(entry.address, entry.dynamic, py::bytes(entry.name)));
    }
    return py::make_tuple(
        info->version, info->breakpoint, info->loader_base, info->dynamic, link_map);
}

}  // namespace

void bind_dump_file(py::module_& module) {
    py::class_<DumpFile, ProcessView, std::shared_ptr<DumpFile>>(
        module, "DumpFile", py::release_gil_before_calling_cpp_dtor())
        .def(py::init([](const std::string& path, bool strict) {
                 const py::gil_scoped_release release;
                 return minidump::open_dump(path, strict);
             }),
             py::arg("path"),
             py::arg("strict"))
        .def_property_readonly("is_packed", &DumpFile::is_packed)
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
                return to_bytes(*bytes);
            },
            py::arg("type"))
        .def("base", &base)
        .def("identity",
             [](const DumpFile& file) -> py::object {
                 const auto& identity = file.identity();
                 return identity ? py::object(to_bytes(*identity)) : py::none();
             })
        .def("memory_ranges", &memory_ranges)
        .def("system", &system)
        .def("exceptions", &exceptions)
        .def("exception_contexts",
             [](DumpFile& file) { return contexts_of(file.exception_contexts()); })
        .def("unloaded_modules", &unloaded_modules)
        .def("handle_information", &handle_information)
        .def("handle_operations", &handle_operations)
        .def("misc", &misc)
        .def("system_memory", &system_memory)
        .def("tokens", &tokens)
        .def("breakpad", &breakpad)
        .def("crashpad", &crashpad)
        .def("mac_crash_info", &mac_crash_info)
        .def("mac_boot_arguments",
             [](DumpFile& file) { return to_object(file.mac_boot_arguments()); })
        .def("auxiliary_vector", &DumpFile::auxiliary_vector)
        .def("dso_debug", &dso_debug)
        .def("comment",
             [](const DumpFile& file) -> py::object {
                 const auto text = file.comment();
                 return text ? py::object(py::bytes(*text)) : py::none();
             })
        .def("diagnostics", [](const DumpFile& file) { return to_python(file.diagnostics()); });
}

}  // namespace snapcore::bindings
