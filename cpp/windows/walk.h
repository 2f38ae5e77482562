// SPDX-License-Identifier: Apache-2.0
//
// From the entries of a snapshot to the tables: every field of every entry, copied before the walk
// marker that owns the strings is freed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "snapshot/context.h"
#include "tables/tables.h"
#include "windows/memory.h"
#include "windows/pss_snapshot.h"

namespace snapcore::windows_os {

struct Threads {
    std::shared_ptr<ThreadTable> table;
    std::shared_ptr<ContextTable> contexts;
    std::uint64_t ended = 0;    // rows of threads that have ended, kept by a handle
    std::int64_t names_ns = 0;  // how long it took to ask for the names
};

// Each throws ErrorKind::kOther and its kin; null (or an empty table pointer) where the class was
// not captured. `memory` serves the stacks' limits and may be null.
Threads walk_threads(const PssSnapshot& snapshot, ProcessMemory* memory);
std::shared_ptr<HandleTable> walk_handles(const PssSnapshot& snapshot);
std::shared_ptr<AuxiliaryPageTable> walk_auxiliary_pages(const PssSnapshot& snapshot);

struct Regions {
    std::shared_ptr<RegionTable> table;
    std::vector<Range> missing;  // committed in the target, not in the clone
};
Regions walk_regions(const PssSnapshot& snapshot);

ProcessInfo process_info(const PssSnapshot& snapshot, ProcessMemory* memory);

}  // namespace snapcore::windows_os
