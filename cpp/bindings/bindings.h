// SPDX-License-Identifier: Apache-2.0
//
// The only folder with pybind11. Thin: convert, release the GIL, call one thing, wrap.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>

#include "base/diagnostics.h"
#include "bindings/arrow.h"
#include "snapshot/context.h"
#include "tables/tables.h"

namespace snapcore::bindings {

void bind_arrow(pybind11::module_& module);  // before what gives arrow::Column
void bind_columns(pybind11::module_& module);
void bind_errors(pybind11::module_& module);
void bind_snapshot(pybind11::module_& module);
void bind_dump_file(pybind11::module_& module);
void bind_file(pybind11::module_& module);
void bind_jobs(pybind11::module_& module);
void bind_scan(pybind11::module_& module);
void bind_system(pybind11::module_& module);

// (severity, code, message, call, domain, error, subject) each.
pybind11::list to_python(const Diagnostics& diagnostics);

// What Python's Table makes its columns of, one when it is asked for. The arrays are read-only
// views of the vectors and keep the table alive.
class Columns {
public:
    virtual ~Columns() = default;
    virtual std::size_t rows() const = 0;
    // (values, valid or None), or (codes, Strings). Throws KeyError.
    virtual pybind11::tuple column(std::string_view name) const = 0;
    // The same for other libraries; needs no GIL. Throws KeyError.
    virtual arrow::Column arrow(std::string_view name) const = 0;
};
template <class Table>
std::unique_ptr<Columns> columns_of(std::shared_ptr<const Table> table);
extern template std::unique_ptr<Columns> columns_of(std::shared_ptr<const ThreadTable>);
extern template std::unique_ptr<Columns> columns_of(std::shared_ptr<const HandleTable>);
extern template std::unique_ptr<Columns> columns_of(std::shared_ptr<const RegionTable>);
extern template std::unique_ptr<Columns> columns_of(std::shared_ptr<const ModuleTable>);
extern template std::unique_ptr<Columns> columns_of(std::shared_ptr<const AuxiliaryPageTable>);
extern template std::unique_ptr<Columns> columns_of(std::shared_ptr<const SystemHandleTable>);
extern template std::unique_ptr<Columns> columns_of(std::shared_ptr<const SystemThreadTable>);

pybind11::dict contexts_of(const std::shared_ptr<const ContextTable>& table);

}  // namespace snapcore::bindings
