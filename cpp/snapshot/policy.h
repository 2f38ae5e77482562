// SPDX-License-Identifier: Apache-2.0
//
// Which flag implies which: the OS-free rules, the same on every system.
#pragma once

#include <cstdint>

#include "snapshot/options.h"

namespace snapcore {

// The capture flags that a dump with these MiniDumpType flags needs.
std::uint32_t capture_flags_for_dump(std::uint64_t dump_flags);

// Whether such a dump holds whole mappings, and so as much as the process is large.
bool holds_whole_mappings(std::uint64_t dump_flags);

// The least memory that such a dump needs: kParts or kClone.
MemorySource memory_for_dump(std::uint64_t dump_flags);

// Throws Error kInvalidArgument for streams that the format reserves or that stand twice.
void validate_user_streams(const std::vector<UserStream>& streams);

// Throws Error kInvalidArgument that names each missing capture flag.
void require_captured(std::uint64_t dump_flags, std::uint32_t captured_flags, MemorySource memory);

// Throws Error kInvalidArgument for combinations that the documentation refuses (a detail flag
// without its base).
void validate_capture_flags(std::uint32_t flags);

}  // namespace snapcore
