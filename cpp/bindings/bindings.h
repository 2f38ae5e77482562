// SPDX-License-Identifier: Apache-2.0
//
// The only folder with pybind11. Thin: convert, release the GIL, call one thing, wrap.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "base/diagnostics.h"
#include "snapshot/context.h"
#include "tables/tables.h"

namespace snapcore::bindings {

void bind_errors(pybind11::module_& module);
void bind_snapshot(pybind11::module_& module);
void bind_dump_file(pybind11::module_& module);
void bind_jobs(pybind11::module_& module);
void bind_system(pybind11::module_& module);

// (severity, code, message, call, domain, error, subject) each.
pybind11::list to_python(const Diagnostics& diagnostics);

// (name, values, valid or None) or (name, codes, categories) each. The arrays are read-only views
// of the vectors and keep the table alive.
template <class Table>
pybind11::list columns_of(const std::shared_ptr<const Table>& table);
extern template pybind11::list columns_of(const std::shared_ptr<const ThreadTable>&);
extern template pybind11::list columns_of(const std::shared_ptr<const HandleTable>&);
extern template pybind11::list columns_of(const std::shared_ptr<const RegionTable>&);
extern template pybind11::list columns_of(const std::shared_ptr<const ModuleTable>&);
extern template pybind11::list columns_of(const std::shared_ptr<const AuxiliaryPageTable>&);
extern template pybind11::list columns_of(const std::shared_ptr<const SystemHandleTable>&);

pybind11::dict contexts_of(const std::shared_ptr<const ContextTable>& table);

}  // namespace snapcore::bindings
