// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrow.h"
#include "bindings/bindings.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

using arrow::Batch;

// The capsule releases what nobody took.
template <class Structure>
py::capsule capsule_of(std::unique_ptr<Structure> structure, const char* name) {
    py::capsule out(structure.get(), name, [](PyObject* capsule) {
        auto* const held =
            static_cast<Structure*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
        if (held->release != nullptr) held->release(held);
        delete held;
    });
    static_cast<void>(structure.release());
    return out;
}

py::capsule schema_of(const Batch& batch) {
    auto out = std::make_unique<ArrowSchema>();
    export_schema(batch, out.get());
    return capsule_of(std::move(out), "arrow_schema");
}

py::capsule array_of(const Batch& batch) {
    auto out = std::make_unique<ArrowArray>();
    export_array(batch, out.get());
    return capsule_of(std::move(out), "arrow_array");
}

py::capsule stream_of(const std::shared_ptr<Batch>& batch) {
    auto out = std::make_unique<ArrowArrayStream>();
    export_stream(batch, out.get());
    return capsule_of(std::move(out), "arrow_array_stream");
}

// What a consumer asks for in a capsule "arrow_schema": its number of columns.
std::int64_t children_of(const py::capsule& schema) {
    const auto* const asked =
        static_cast<const ArrowSchema*>(PyCapsule_GetPointer(schema.ptr(), "arrow_schema"));
    if (asked == nullptr) throw py::error_already_set();
    if (asked->release == nullptr) throw py::value_error("the requested schema was released");
    return asked->n_children;
}

template <class T>
using Contiguous = py::array_t<T, py::array::c_style | py::array::forcecast>;

// NumPy's memory is Python's, so that it is copied.
template <class T>
std::vector<T> copied(const py::array& values) {
    if (values.ndim() != 1) throw py::value_error("a column has one dimension");
    const auto* const begin = static_cast<const T*>(values.data());
    return {begin, begin + values.size()};
}

template <class... Types>
arrow::Column numbers_of(const py::array& values, const std::optional<Contiguous<bool>>& valid) {
    std::vector<std::uint8_t> mask;
    if (valid) {
        mask = copied<std::uint8_t>(*valid);
        if (valid->size() != values.size()) {
            throw py::value_error("a mask has as many rows as its column");
        }
    }
    arrow::Column out;
    const auto try_type = [&]<class T>(const py::dtype& type) {
        if (!out.format.empty() || !type.equal(values.dtype())) return;
        const auto held = std::make_shared<const std::vector<T>>(copied<T>(values));
        out = arrow::column_of(
            held->data(), mask.empty() ? nullptr : mask.data(), held->size(), held);
    };
    try_type.template operator()<Boolean>(py::dtype::of<bool>());
    (try_type.template operator()<Types>(py::dtype::of<Types>()), ...);
    if (out.format.empty()) {
        throw py::type_error("no Arrow type for " + py::str(values.dtype()).cast<std::string>());
    }
    return out;
}

arrow::Column numbers(const py::array& values, const std::optional<Contiguous<bool>>& valid) {
    return numbers_of<std::uint8_t,
                      std::uint16_t,
                      std::uint32_t,
                      std::uint64_t,
                      std::int8_t,
                      std::int16_t,
                      std::int32_t,
                      std::int64_t,
                      float,
                      double>(py::array::ensure(values, py::array::c_style), valid);
}

arrow::Column strings(const Contiguous<std::int32_t>& codes,
                      const std::vector<py::bytes>& categories) {
    const auto held = std::make_shared<StringColumn>();
    // Equal categories become one.
    std::vector<std::int32_t> code_of;
    for (const py::bytes& text : categories) {
        code_of.push_back(held->code_of(std::string_view(text)));
    }
    const auto given = copied<std::int32_t>(codes);
    for (std::size_t row = 0; row < given.size(); ++row) {
        if (given[row] < 0) continue;
        const auto code = static_cast<std::size_t>(given[row]);
        if (code >= code_of.size()) throw py::index_error("a code without a category");
        held->set(row, code_of[code]);
    }
    held->pad(given.size());
    return arrow::column_of(*held, held);
}

using FieldArguments = std::tuple<std::string, std::string, arrow::Metadata>;

std::shared_ptr<Batch> batch_of(std::int64_t rows,
                                const std::vector<FieldArguments>& fields,
                                const arrow::Metadata& metadata,
                                const std::vector<std::shared_ptr<arrow::Column>>& columns) {
    auto out = std::make_shared<Batch>();
    out->rows = rows;
    out->metadata = arrow::encode(metadata);
    if (fields.size() != columns.size()) throw py::value_error("a field for each column");
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const auto& [name, format, facts] = fields[i];
        const arrow::Column& column = *columns[i];
        if (column.length != rows) throw py::value_error("columns have equal lengths");
        // Times and durations are 64-bit integers, days are 32-bit ones.
        const bool is_other = !format.empty() && format != column.format;
        const bool is_known = (column.format == "l" && (format == "tsn:UTC" || format == "tDn")) ||
                              (column.format == "i" && !column.dictionary && format == "tdD");
        if (is_other && !is_known) {
            throw py::value_error("a column of " + column.format + " is none of " + format);
        }
        out->fields.push_back({name,
                               is_other ? format : column.format,
                               column.dictionary != nullptr,
                               arrow::encode(facts)});
        out->columns.push_back(columns[i]);
    }
    return out;
}

}  // namespace

void bind_arrow(py::module_& module) {
    py::class_<arrow::Column, std::shared_ptr<arrow::Column>>(module, "ArrowColumn")
        .def_static("numbers", &numbers, py::arg("values"), py::arg("valid"))
        .def_static("strings", &strings, py::arg("codes"), py::arg("categories"));
    py::class_<Batch, std::shared_ptr<Batch>>(module, "ArrowTable")
        .def(py::init(&batch_of),
             py::arg("rows"),
             py::arg("fields"),
             py::arg("metadata"),
             py::arg("columns"))
        .def("schema", &schema_of)
        .def("array", &array_of)
        .def("stream", &stream_of);
    module.def("arrow_children", &children_of, py::arg("schema"));
}

}  // namespace snapcore::bindings
