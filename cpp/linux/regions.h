// SPDX-License-Identifier: Apache-2.0
//
// Mappings -> regions, and which of their bytes a full dump holds.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/diagnostics.h"
#include "base/range.h"
#include "linux/pagemap.h"
#include "linux/procfs.h"
#include "minidump/contents.h"
#include "tables/tables.h"

namespace snapcore::linux_os {

using minidump::image_mappings;
using minidump::mapping_at;

// MADV_DONTFORK, MADV_WIPEONFORK: not in a clone, or zeros there.
bool is_kept_from_clone(const Mapping& mapping);

// `details`: names, inodes and flags of the files (VA_SPACE_SECTION_INFORMATION). `has_clone`:
// in_clone is known. `copied`: shared mappings that were copied in the stop.
std::shared_ptr<const RegionTable> region_table(std::span<const Mapping> mappings,
                                                bool details,
                                                bool has_clone,
                                                std::span<const Range> copied = {});

// VM_IO, VM_PFNMAP: reading them may have effects, or fail.
bool is_device(const Mapping& mapping);

// Pages of a private anonymous mapping: those that are populated, gaps below 1 MiB swallowed, and
// those known to be zero.
struct AnonymousPages {
    std::vector<Range> populated, zero;
};
AnonymousPages anonymous_pages(const Mapping& mapping, int pagemap);
// The same from what populated_runs() found.
AnonymousPages anonymous_pages(const Mapping& mapping, std::span<const Range> runs);

struct MemoryPlan {
    std::vector<minidump::MemoryRange>
        ranges;  // ascending, not overlapping, none spans two mappings
    std::vector<Range> known_zero;
    Diagnostics diagnostics;
};

// What a full-memory dump holds:
//   private anonymous memory: the populated pages. Unpopulated runs of 1 MiB and more are known
//   zero, shorter ones lie inside a range; private mappings of a file that are writable or belong
//   to an ELF image: all of it; other mappings of files, and shared memory: the pages that the
//   target has mapped; the rest is left out and counted; never: [vvar], [vsyscall], devices (VM_IO,
//   VM_PFNMAP), MADV_DONTDUMP, and PROT_NONE where nothing is populated.
// `clone_pagemap` is -1 where there is no clone; `target_pagemap` then serves for both. `scanned`:
// what is known of the clone's pages already.
MemoryPlan plan_full_memory(std::span<const Mapping> mappings,
                            int clone_pagemap,
                            int target_pagemap,
                            const ScannedPages& scanned = {});

}  // namespace snapcore::linux_os
