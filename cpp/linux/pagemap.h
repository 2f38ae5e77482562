// SPDX-License-Identifier: Apache-2.0
//
// Which pages of a mapping are there.
//
// clang-format off
// call                    | purpose                   | can block on
// ioctl PAGEMAP_SCAN      | populated runs            | mmap_lock of the process that the descriptor names
// pread /proc/PID/pagemap | the same before Linux 6.7 | the same
// clang-format on
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/range.h"

namespace snapcore::linux_os {

inline constexpr std::uint64_t kPageSize = 4096;

// Runs of pages of [start, end) that are present or swapped, ascending. `anonymous_only` leaves out
// pages of files and the shared zero page. `pagemap` is an open /proc/PID/pagemap.
std::vector<Range> populated_runs(int pagemap,
                                  std::uint64_t start,
                                  std::uint64_t end,
                                  bool anonymous_only);

// What populated_runs() found of some mappings.
class ScannedPages {
public:
    void add(Range mapping, std::vector<Range> runs) {
        found_.insert_or_assign(std::pair(mapping.address, mapping.size), std::move(runs));
    }
    // Null where exactly this was not scanned.
    const std::vector<Range>* find(Range mapping) const {
        const auto it = found_.find({mapping.address, mapping.size});
        return it == found_.end() ? nullptr : &it->second;
    }

private:
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<Range>> found_;
};

// Whether this kernel knows PAGEMAP_SCAN.
bool can_scan_pagemap();

}  // namespace snapcore::linux_os
