// SPDX-License-Identifier: Apache-2.0
//
// statx(2) by its number: musl has no statx() before 1.2.5, and one name that a C library lacks is
// enough for a module not to be loaded.
//
// clang-format off
// call  | purpose              | can block on
// statx | a file in a folder   | what is said where it is asked: descriptors.h, peers.h
// clang-format on
#pragma once

#include <cstdint>

namespace snapcore::linux_os {

struct FileStatus {
    std::uint32_t mode = 0;
    std::uint64_t inode = 0, size = 0, device = 0;
};

// What is cached of the file that a name of a folder stands for: the server of a network file
// system may not answer. False, and errno, where it has gone.
bool read_file_status(int folder, const char* name, FileStatus& out);

}  // namespace snapcore::linux_os
