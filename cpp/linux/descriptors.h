// SPDX-License-Identifier: Apache-2.0
//
// The descriptor table of a process as the handle table.
//
// clang-format off
// call                      | purpose                      | can block on
// getdents64 /proc/PID/fd   | descriptor numbers           | nothing
// readlinkat /proc/PID/fd/N | name and kind                | a mutex of the file's dentry tree, not on I/O
// newfstatat /proc/PID/fd/N | mode, inode, device          | a network file system's server (so: only where the link is a path, AT_STATX_DONT_SYNC)
// read /proc/PID/fdinfo/N   | position, open flags, counts | the io_uring lock of a ring
// clang-format on
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tables/tables.h"

namespace snapcore::linux_os {

struct DescriptorLink {
    int number = 0;
    std::string link;  // as readlink gives it; empty when it went away
    std::int64_t captured_at_ns = 0;
};

// Up to `limit` numbers and links; `*complete` says whether that was all. Cheap enough for the
// stop: one getdents64 a few hundred entries, one readlinkat each.
std::vector<DescriptorLink> list_descriptors(int process_directory,
                                             std::size_t limit,
                                             bool* complete);

// What the capture flags ask for, beyond number and link.
struct DescriptorDetail {
    bool names = true;  // HANDLE_NAME_INFORMATION
    bool basic = true;  // HANDLE_BASIC_INFORMATION: mode, inode, device, position, open flags
    bool type_specific =
        true;  // HANDLE_TYPE_SPECIFIC_INFORMATION: eventfd count, pidfd target, memfd size
};

// Links -> rows. Details are read now; a descriptor whose link has changed since keeps its link and
// no details.
std::shared_ptr<const HandleTable> handle_table(int process_directory,
                                                const std::vector<DescriptorLink>& links,
                                                const DescriptorDetail& detail);

}  // namespace snapcore::linux_os
