// SPDX-License-Identifier: Apache-2.0
//
// One mapping by address.
//
// clang-format off
// call                | purpose                  | can block on
// ioctl PROCMAP_QUERY | the mapping (Linux 6.11) | mmap_lock of the target, or only its RCU section
// read /proc/PID/maps | the same before          | mmap_lock of the target
// clang-format on
#pragma once

#include <cstdint>
#include <optional>

#include "linux/procfs.h"

namespace snapcore::linux_os {

// The mapping that holds `address`. `maps` is an open /proc/PID/maps.
std::optional<Mapping> query_mapping(int maps, std::uint64_t address);
std::optional<Mapping> find_mapping(int process_directory, std::uint64_t address);

// Whether this kernel knows PROCMAP_QUERY.
bool can_query_mappings();

}  // namespace snapcore::linux_os
