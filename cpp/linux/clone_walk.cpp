// SPDX-License-Identifier: Apache-2.0
#include "linux/clone_walk.h"

#include <system_error>
#include <utility>

#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

// On a thread of its own; at the limit of threads by the one that asks for what comes out.
template <class Work>
auto begin(Work work) {
    try {
        return std::async(std::launch::async, work);
    } catch (const std::system_error&) {
        return std::async(std::launch::deferred, std::move(work));
    }
}

ScannedPages scan(int directory, int pagemap) {
    ScannedPages pages;
    for (const Mapping& m : parse_maps(try_read_text(directory, "maps"))) {
        if (m.shared || m.inode != 0) continue;
        pages.add({m.start, m.end - m.start}, populated_runs(pagemap, m.start, m.end, true));
    }
    return pages;
}

}  // namespace

CloneWalk::CloneWalk(int directory, int pagemap, std::uint32_t pid)
    : smaps_(begin([=] { return read_text(directory, "smaps", pid); })),
      pages_(begin([=] { return scan(directory, pagemap); })) {}

}  // namespace snapcore::linux_os
