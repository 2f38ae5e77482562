// SPDX-License-Identifier: Apache-2.0
//
// What the tables know and the format has no place for, as a stream of our own (SnapcoreColumns).
#pragma once

#include <cstdint>
#include <string>

#include "tables/tables.h"

namespace snapcore::minidump {

// Tables that a file holds; null for those that it does not.
struct KeptTables {
    const ProcessInfo* process = nullptr;
    const ThreadTable* threads = nullptr;
    const HandleTable* handles = nullptr;
    const RegionTable* regions = nullptr;
};

// What MiniDumpType asks for. A table counts where the dump has the list that belongs to it.
KeptTables kept_tables(std::uint64_t dump_flags,
                       const ProcessInfo* process,
                       const ThreadTable* threads,
                       const HandleTable* handles,
                       const RegionTable* regions);

// The stream's bytes, empty where there is nothing to say. Texts name paths, peers and locks: a
// dump that filters these goes without.
std::string column_stream(const KeptTables& tables, std::uint64_t dump_flags);

}  // namespace snapcore::minidump
