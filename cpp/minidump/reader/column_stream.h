// SPDX-License-Identifier: Apache-2.0
//
// SnapcoreColumns: what our own files know beyond the other streams. Rows are found by their key
// (thread id, handle, base), wherever the list that it belongs to has them.
#pragma once

#include "minidump/reader/source.h"
#include "tables/tables.h"

namespace snapcore::minidump {

void add_unfiled(Source& source, ProcessInfo& process);
void add_unfiled(Source& source, ThreadTable& table);
void add_unfiled(Source& source, HandleTable& table);
void add_unfiled(Source& source, RegionTable& table);

}  // namespace snapcore::minidump
