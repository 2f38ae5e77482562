// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>

#include <mutex>
#include <vector>

#include "bindings/bindings.h"
#include "generated/context_checks.h"  // the record that contexts_of() hands out

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

// A capsule that shares the table: what NumPy holds outlives the snapshot.
py::capsule owner_of(const std::shared_ptr<const void>& table) {
    return {new std::shared_ptr<const void>(table),
            [](void* held) { delete static_cast<std::shared_ptr<const void>*>(held); }};
}

py::array view(const py::dtype& type,
               std::vector<py::ssize_t> shape,
               const void* data,
               const py::capsule& owner) {
    py::array array(type, std::move(shape), {}, data, owner);
    array.attr("setflags")(py::arg("write") = false);
    return array;
}

py::ssize_t length(std::size_t size) {
    return static_cast<py::ssize_t>(size);
}

template <class T>
py::dtype type_of() {
    return py::dtype::of<T>();
}
template <>
py::dtype type_of<Boolean>() {
    return py::dtype::of<bool>();
}

// One block of zeros for all columns of which nothing is known; grows with the longest table.
std::shared_ptr<const std::vector<std::uint64_t>> zeros(std::size_t rows) {
    static std::mutex mutex;
    static std::shared_ptr<const std::vector<std::uint64_t>> block;
    const std::lock_guard lock(mutex);
    if (!block || block->size() < rows) {
        block = std::make_shared<const std::vector<std::uint64_t>>(rows);
    }
    return block;
}

template <class T>
py::tuple column(const char* name, const Column<T>& values, const py::capsule& owner) {
    if (values.is_unknown()) {
        const auto block = zeros(values.size());
        const py::capsule shared = owner_of(block);
        return py::make_tuple(
            name,
            view(type_of<T>(), {length(values.size())}, block->data(), shared),
            view(type_of<Boolean>(), {length(values.size())}, block->data(), shared));
    }
    py::object valid = py::none();
    if (!values.valid().empty()) {
        valid = view(type_of<Boolean>(), {length(values.size())}, values.valid().data(), owner);
    }
    return py::make_tuple(
        name, view(type_of<T>(), {length(values.size())}, values.values().data(), owner), valid);
}

py::tuple column(const char* name, const StringColumn& values, const py::capsule& owner) {
    py::list categories;
    for (const std::string& category : values.categories()) categories.append(py::bytes(category));
    return py::make_tuple(
        name,
        view(type_of<std::int32_t>(), {length(values.size())}, values.codes().data(), owner),
        categories);
}

}  // namespace

template <class Table>
py::list columns_of(const std::shared_ptr<const Table>& table) {
    const py::capsule owner = owner_of(table);
    py::list out;
    table->for_each_column(
        [&](const char* name, const auto& values) { out.append(column(name, values, owner)); });
    return out;
}
template py::list columns_of(const std::shared_ptr<const ThreadTable>&);
template py::list columns_of(const std::shared_ptr<const HandleTable>&);
template py::list columns_of(const std::shared_ptr<const RegionTable>&);
template py::list columns_of(const std::shared_ptr<const ModuleTable>&);
template py::list columns_of(const std::shared_ptr<const AuxiliaryPageTable>&);
template py::list columns_of(const std::shared_ptr<const SystemHandleTable>&);

py::dict contexts_of(const std::shared_ptr<const ContextTable>& table) {
    const py::capsule owner = owner_of(table);
    const py::dtype byte = py::dtype::of<std::uint8_t>();
    py::dict out;
    out["architecture"] = static_cast<int>(table->architecture);
    out["records"] =
        view(byte, {length(table->rows()), length(table->stride())}, table->records.data(), owner);
    out["xsave"] = view(
        byte, {length(table->rows()), length(table->xsave_stride)}, table->xsave.data(), owner);
    return out;
}

}  // namespace snapcore::bindings
