// SPDX-License-Identifier: Apache-2.0
//
// A few bytes of a thread's memory. A clone's is never read so: process_vm_readv un-shares its
// pages.
//
// clang-format off
// call                                | purpose                                           | can block on
// process_vm_readv, process_vm_writev | the bytes                                         | page faults, mmap_lock
// open, pread, pwrite /proc/TID/mem   | the same where a seccomp filter here refuses them | the same
// clang-format on
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace snapcore::linux_os {

// How many bytes were read or written: fewer where a page is missing.
std::size_t read_remote(pid_t tid, std::uint64_t address, std::span<std::byte> out);
std::size_t write_remote(pid_t tid, std::uint64_t address, std::span<const std::byte> bytes);

}  // namespace snapcore::linux_os
