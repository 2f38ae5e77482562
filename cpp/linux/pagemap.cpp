// SPDX-License-Identifier: Apache-2.0
#include "linux/pagemap.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "base/owners.h"

namespace snapcore::linux_os {
namespace {

// struct pm_scan_arg and struct page_region of <linux/fs.h>, newer than some headers.
struct ScanArgument {
    std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    std::uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
static_assert(sizeof(ScanArgument) == 96);
struct ScanRegion {
    std::uint64_t start, end, categories;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArgument);
constexpr std::uint64_t kFile = 1 << 2, kPresent = 1 << 3, kSwapped = 1 << 4, kZeroPage = 1 << 5;

// Bits of an entry of /proc/PID/pagemap.
constexpr std::uint64_t kEntryPresent = 1ull << 63, kEntrySwapped = 1ull << 62,
                        kEntryFile = 1ull << 61;

void append(std::vector<Range>& runs, std::uint64_t start, std::uint64_t end) {
    if (!runs.empty() && runs.back().end() == start) {
        runs.back().size += end - start;
    } else {
        runs.push_back({start, end - start});
    }
}

// nullopt: this kernel can't.
std::optional<std::vector<Range>> scan(int pagemap,
                                       std::uint64_t start,
                                       std::uint64_t end,
                                       bool anonymous_only) {
    std::vector<Range> runs;
    std::array<ScanRegion, 512> found;
    while (start < end) {
        ScanArgument argument{};
        argument.size = sizeof argument;
        argument.start = start;
        argument.end = end;
        argument.vec = reinterpret_cast<std::uint64_t>(found.data());
        argument.vec_len = found.size();
        const std::uint64_t excluded = anonymous_only ? kFile | kZeroPage : 0;
        argument.category_inverted = excluded;
        argument.category_mask = excluded;
        argument.category_anyof_mask = kPresent | kSwapped;
        argument.return_mask = kPresent;
        const int n = ::ioctl(pagemap, kPagemapScan, &argument);
        if (n < 0) {
            if (errno == EINTR) continue;
            return std::nullopt;
        }
        for (int i = 0; i < n; ++i) {
            const ScanRegion& region = found[static_cast<std::size_t>(i)];
            append(runs, region.start, region.end);
        }
        if (argument.walk_end <= start) break;
        start = argument.walk_end;
    }
    return runs;
}

std::vector<Range> read_entries(int pagemap,
                                std::uint64_t start,
                                std::uint64_t end,
                                bool anonymous_only) {
    std::vector<Range> runs;
    std::array<std::uint64_t, 8192> entries;
    for (std::uint64_t at = start; at < end;) {
        const std::size_t want = std::min<std::uint64_t>(entries.size(), (end - at) / kPageSize);
        const ssize_t n = ::pread(pagemap,
                                  entries.data(),
                                  want * sizeof entries[0],
                                  static_cast<off_t>(at / kPageSize * 8));
        if (n < 0 && errno == EINTR) continue;
        const std::size_t got = n > 0 ? static_cast<std::size_t>(n) / sizeof entries[0] : 0;
        if (got == 0) break;
        for (std::size_t i = 0; i < got; ++i) {
            const bool there = (entries[i] & (kEntryPresent | kEntrySwapped)) != 0;
            if (there && (!anonymous_only || (entries[i] & kEntryFile) == 0)) {
                append(runs, at + i * kPageSize, at + (i + 1) * kPageSize);
            }
        }
        at += got * kPageSize;
    }
    return runs;
}

}  // namespace

bool can_scan_pagemap() {
    const UniqueDescriptor pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    return pagemap && scan(pagemap.get(), kPageSize, 2 * kPageSize, false).has_value();
}

std::vector<Range> populated_runs(int pagemap,
                                  std::uint64_t start,
                                  std::uint64_t end,
                                  bool anonymous_only) {
    if (auto runs = scan(pagemap, start, end, anonymous_only)) return std::move(*runs);
    return read_entries(pagemap, start, end, anonymous_only);
}

}  // namespace snapcore::linux_os
