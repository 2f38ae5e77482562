// SPDX-License-Identifier: Apache-2.0
//
// Which pages of a snapshot differ from an earlier dump of the same process.
//
// Two clones that have the same page frame at an address have the same bytes there, since neither
// of them ever writes. Whoever may not see frames, and where frames differ or belong to a file, the
// bytes are compared with those in the earlier dump's file.
//
// clang-format off
// call                    | purpose                                | can block on
// pread /proc/PID/pagemap | frames of both clones                  | mmap_lock of the clone, which nobody takes
// read /proc/vmstat       | whether the kernel moved pages just now | nothing
// (memory and the file come through the readers that it is given)
// clang-format on
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/range.h"
#include "minidump/contents.h"
#include "snapshot/control.h"
#include "snapshot/snapshot.h"

namespace snapcore::linux_os {

struct CompareSource {
    std::span<const minidump::MemoryRange> memory;  // of the snapshot; ascending
    minidump::MemoryReader& reader;
    std::span<const Range> base_memory;  // where the earlier dump holds bytes; ascending
    ProcessView& base_file;
    // Of this clone, and of the one that the earlier dump was made of; -1 where it is gone.
    int pagemap = -1, base_pagemap = -1;
    // Private and anonymous in both: a page that was never touched is zero. Ascending.
    std::span<const Range> anonymous;
    // Counts as changed anyhow: stacks.
    std::span<const Range> always;
};

struct Compared {
    std::vector<minidump::MemoryRange> changed;  // as `memory`: none spans two of its ranges
    std::uint64_t held_bytes = 0;      // frames that the earlier clone has and this one has not
    std::uint64_t compared_bytes = 0;  // whose content was read
};

// Two workers; throws what one of them threw, after both have ended.
Compared compare_memory(const CompareSource& source, Control& control);

// Whether this process is told page frames (CAP_SYS_ADMIN in the first user namespace).
bool sees_page_frames();

// Ascending ranges in both.
std::vector<Range> intersection(std::span<const Range> a, std::span<const Range> b);

}  // namespace snapcore::linux_os
