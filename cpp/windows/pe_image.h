// SPDX-License-Identifier: Apache-2.0
//
// What a PE image says of itself, read from where it is mapped. Every offset in it is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "windows/memory.h"

namespace snapcore::windows_os {

struct PeFacts {
    std::uint32_t timestamp = 0;
    std::uint32_t checksum = 0;
    std::uint32_t size = 0;
    std::optional<std::string> version;   // "10.0.19041.1"
    std::optional<std::string> debug_id;  // GUID and age, as symbol servers write it
};

// Nothing where there is no PE header.
std::optional<PeFacts> read_pe(ProcessMemory& memory, std::uint64_t base);

}  // namespace snapcore::windows_os
