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
#include <vector>

#include "linux/procfs.h"

namespace snapcore::linux_os {

// The mappings that hold addresses. `maps` is an open /proc/PID/maps at its beginning; where the
// kernel cannot be asked (before Linux 6.11), it is read once.
class MappingQuery {
public:
    explicit MappingQuery(int maps) : maps_(maps) {}
    std::optional<Mapping> find(std::uint64_t address);

private:
    std::optional<Mapping> find_in_text(std::uint64_t address);

    int maps_;
    std::optional<std::vector<Mapping>> text_;
};
std::optional<Mapping> find_mapping(int process_directory, std::uint64_t address);

// Whether this kernel knows PROCMAP_QUERY.
bool can_query_mappings();

}  // namespace snapcore::linux_os
