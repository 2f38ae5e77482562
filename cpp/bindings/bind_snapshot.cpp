// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "snapshot/snapshot.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

template <class T>
py::object to_object(const std::optional<T>& value) {
    if (!value) return py::none();
    if constexpr (std::is_same_v<T, std::string>) {
        return py::bytes(*value);
    } else {
        return py::cast(*value);
    }
}

py::dict process(const ProcessView& view) {
    py::dict out;
    view.process().for_each_field(
        [&](const char* name, const auto& value) { out[name] = to_object(value); });
    return out;
}

template <class Get>
auto without_gil(Get&& get) {
    const py::gil_scoped_release release;
    return get();
}

py::bytes read(ProcessView& view, std::uint64_t address, std::size_t size) {
    PyObject* const raw = PyBytes_FromStringAndSize(nullptr, static_cast<py::ssize_t>(size));
    if (raw == nullptr) throw py::error_already_set();
    auto bytes = py::reinterpret_steal<py::bytes>(raw);
    const std::span<std::byte> out(reinterpret_cast<std::byte*>(PyBytes_AS_STRING(raw)), size);
    const std::size_t n = without_gil([&] { return view.read(address, out); });
    if (n == size) return bytes;
    return {reinterpret_cast<const char*>(out.data()), n};
}

std::size_t read_into(ProcessView& view, std::uint64_t address, const py::buffer& buffer) {
    const py::buffer_info info = buffer.request(true);
    if (PyBuffer_IsContiguous(info.view(), 'C') == 0) {
        throw py::value_error("the buffer must be contiguous");
    }
    const std::span<std::byte> out(static_cast<std::byte*>(info.ptr),
                                   static_cast<std::size_t>(info.size * info.itemsize));
    return without_gil([&] { return view.read(address, out); });
}

}  // namespace

void bind_snapshot(py::module_& module) {
    // What a live snapshot and a dump file both answer.
    py::class_<ProcessView, std::shared_ptr<ProcessView>>(
        module, "ProcessView", py::release_gil_before_calling_cpp_dtor())
        .def("process", &process)
        .def("threads",
             [](ProcessView& v) { return columns_of(without_gil([&] { return v.threads(); })); })
        .def("handles",
             [](ProcessView& v) { return columns_of(without_gil([&] { return v.handles(); })); })
        .def("regions",
             [](ProcessView& v) { return columns_of(without_gil([&] { return v.regions(); })); })
        .def("modules",
             [](ProcessView& v) { return columns_of(without_gil([&] { return v.modules(); })); })
        .def("contexts",
             [](ProcessView& v) { return contexts_of(without_gil([&] { return v.contexts(); })); })
        .def("read", &read, py::arg("address"), py::arg("size"))
        .def("read_into", &read_into, py::arg("address"), py::arg("buffer"));
    py::class_<Snapshot, ProcessView, std::shared_ptr<Snapshot>>(
        module, "Snapshot", py::release_gil_before_calling_cpp_dtor())
        .def_property_readonly("pid", &Snapshot::pid)
        .def_property_readonly("flags", &Snapshot::flags)
        .def_property_readonly("captured_at_ns", &Snapshot::captured_at_ns)
        .def_property_readonly("pause_ns", &Snapshot::pause_ns)
        .def_property_readonly(
            "memory_source", [](const Snapshot& s) { return static_cast<int>(s.memory_source()); })
        .def("diagnostics", [](const Snapshot& s) { return to_python(s.diagnostics()); })
        .def("performance", &Snapshot::performance)
        .def("auxiliary_pages",
             [](Snapshot& s) {
                 return columns_of(without_gil([&] { return s.auxiliary_pages(); }));
             })
        .def("handle_trace",
             [](Snapshot& s) { return py::bytes(without_gil([&] { return s.handle_trace(); })); })
        .def("close", &Snapshot::close, py::call_guard<py::gil_scoped_release>());
}

}  // namespace snapcore::bindings
