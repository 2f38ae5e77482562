// SPDX-License-Identifier: Apache-2.0
//
// What file_posix.cpp asks of a system beyond POSIX: file_system_linux.cpp, and
// file_system_plain.cpp for a system that is not known.
#pragma once

#include <cstdint>
#include <string>

#include "base/owners.h"

namespace snapcore::file_system {

// A file without a name in `folder`, owner-only. Invalid where there are none, with EOPNOTSUPP,
// EISDIR or EINVAL, or where it fails otherwise.
UniqueDescriptor open_unnamed(const std::string& folder);
// Gives a file of open_unnamed() its name; never replaces. False, with errno, where it fails.
bool name_unnamed(int file, const std::string& name);
// Moves a file; never replaces. False, with errno, where it fails.
bool rename_new(const std::string& from, const std::string& to);

// Whether the file takes memory instead of a disk.
bool is_in_memory(int file);
// Best effort: space for what will be written, and space given back.
void allocate(int file, std::uint64_t offset, std::uint64_t size);
void release(int file, std::uint64_t offset, std::uint64_t size);

// Takes one that is pending, of a signal that this thread blocks; does not wait for one.
void take_pending(int signal);
// Whether a descriptor with these flags of F_GETFL is a mere path.
bool is_path_only(int flags);
// The same pipe by a description of its own that does not block; invalid where that is refused.
UniqueDescriptor reopen_pipe(int pipe);

}  // namespace snapcore::file_system
