// SPDX-License-Identifier: Apache-2.0
//
// The four tables and the process facts. Their columns are declared once, in
// src/snapcore/dtypes.py; cpp/generate.py turns that file into the header included here:
//   ThreadRow / ThreadTable, HandleRow / HandleTable, RegionRow / RegionTable, ModuleRow /
//   ModuleTable:
//     a Row is a struct of std::optional<T>, one member a column; a Table has one Column<T> or
//     StringColumn a column, append(const Row&), row(i) -> Row, rows(), reserve(n), pad(n) after
//     columns were set one by one, and for_each_column(f) which calls f(name, column) in order;
//   ProcessInfo: a struct of std::optional<T>, with for_each_field(f) which calls f(name,
//   optional).
#pragma once

#include "generated/tables.h"  // IWYU pragma: export
