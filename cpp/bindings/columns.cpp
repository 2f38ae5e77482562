// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/blocks.h"
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
    // What setflags(write=False) does, without the call.
    py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
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

// The unique strings of a column; they become Python's when they are asked for.
struct Strings {
    std::shared_ptr<const void> owner;
    const StringHeap* heap = nullptr;
};

py::list to_list(const Strings& strings) {
    py::list out(strings.heap->size());
    for (std::size_t i = 0; i < strings.heap->size(); ++i) {
        const std::string_view text = (*strings.heap)[i];
        out[i] = py::bytes(text.data(), text.size());
    }
    return out;
}

template <class T>
py::tuple column(const Column<T>& values, const std::shared_ptr<const void>& owner) {
    const auto rows = length(values.size());
    if (values.is_unknown()) {
        const auto block = block_of<0>(values.size() * sizeof(T));
        const py::capsule shared = owner_of(block);
        return py::make_tuple(view(type_of<T>(), {rows}, block->data(), shared),
                              view(type_of<Boolean>(), {rows}, block->data(), shared));
    }
    const py::capsule capsule = owner_of(owner);
    py::object valid = py::none();
    if (!values.valid().empty()) {
        valid = view(type_of<Boolean>(), {rows}, values.valid().data(), capsule);
    }
    return py::make_tuple(view(type_of<T>(), {rows}, values.values().data(), capsule), valid);
}

py::tuple column(const StringColumn& values, const std::shared_ptr<const void>& owner) {
    const Strings strings{owner, &values.categories()};
    const py::dtype code = type_of<std::int32_t>();
    const auto rows = length(values.size());
    if (values.is_unknown()) {
        const auto block = block_of<0xff>(values.size() * sizeof(std::int32_t));
        return py::make_tuple(view(code, {rows}, block->data(), owner_of(block)), strings);
    }
    return py::make_tuple(view(code, {rows}, values.codes().data(), owner_of(owner)), strings);
}

template <class Table>
class ColumnsOf final : public Columns {
public:
    explicit ColumnsOf(std::shared_ptr<const Table> table) : table_(std::move(table)) {}
    std::size_t rows() const override { return table_->rows(); }
    py::tuple column(std::string_view name) const override {
        py::object out;
        table_->for_each_column([&](std::string_view candidate, const auto& values) {
            if (candidate == name) out = bindings::column(values, table_);
        });
        if (!out) throw py::key_error(std::string(name));
        return out;
    }
    arrow::Column arrow(std::string_view name) const override {
        std::optional<arrow::Column> out;
        table_->for_each_column([&](std::string_view candidate, const auto& values) {
            if (candidate == name) out = arrow::column_of(values, table_);
        });
        if (!out) throw py::key_error(std::string(name));
        return *std::move(out);
    }

private:
    std::shared_ptr<const Table> table_;
};

}  // namespace

template <class Table>
std::unique_ptr<Columns> columns_of(std::shared_ptr<const Table> table) {
    return std::make_unique<ColumnsOf<Table>>(std::move(table));
}
template std::unique_ptr<Columns> columns_of(std::shared_ptr<const ThreadTable>);
template std::unique_ptr<Columns> columns_of(std::shared_ptr<const HandleTable>);
template std::unique_ptr<Columns> columns_of(std::shared_ptr<const RegionTable>);
template std::unique_ptr<Columns> columns_of(std::shared_ptr<const ModuleTable>);
template std::unique_ptr<Columns> columns_of(std::shared_ptr<const AuxiliaryPageTable>);
template std::unique_ptr<Columns> columns_of(std::shared_ptr<const SystemHandleTable>);
template std::unique_ptr<Columns> columns_of(std::shared_ptr<const SystemThreadTable>);

void bind_columns(py::module_& module) {
    py::class_<Strings>(module, "Strings")
        .def("__len__", [](const Strings& s) { return s.heap->size(); })
        .def("to_list", &to_list);
    py::class_<Columns>(module, "Columns")
        .def_property_readonly("rows", &Columns::rows)
        .def("column", &Columns::column, py::arg("name"))
        .def(
            "arrow",
            [](const Columns& columns, const std::string& name) {
                const py::gil_scoped_release release;
                return std::make_shared<arrow::Column>(columns.arrow(name));
            },
            py::arg("name"));
}

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
