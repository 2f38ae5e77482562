// SPDX-License-Identifier: Apache-2.0
//
// The two walks over all page tables of a clone that a dump of all memory waits for, each of 15 to
// 20 ms a GiB: on threads of their own, while the tables are made.
//
// call               | purpose                         | can block on
// read smaps         | mappings with their VmFlags     | nothing: the clone is frozen
// ioctl PAGEMAP_SCAN | what is populated (pagemap.h)   | the same
#pragma once

#include <cstdint>
#include <future>
#include <string>

#include "linux/pagemap.h"

namespace snapcore::linux_os {

class CloneWalk {
public:
    // Descriptors of the clone, which must stay open; `pid` is the target's.
    CloneWalk(int directory, int pagemap, std::uint32_t pid);

    const std::string& smaps() { return smaps_.get(); }
    // Of the private anonymous mappings.
    const ScannedPages& pages() { return pages_.get(); }

private:
    std::shared_future<std::string> smaps_;
    std::shared_future<ScannedPages> pages_;
};

}  // namespace snapcore::linux_os
