// SPDX-License-Identifier: Apache-2.0
//
// What is in a minidump by its own counts, and whether it holds together: its directory and every
// stream lie inside it, and those that every reader needs are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "snapshot/options.h"

namespace snapcore::minidump {

// Returns how many bytes there were from the offset on.
using ReadAt = std::function<std::size_t(std::uint64_t offset, std::span<std::byte> out)>;

// Throws ErrorKind::kFormat that says what is wrong.
DumpStats summarize(const ReadAt& read, std::uint64_t file_size);

// Where a stream lies in a file that summarize() found good.
std::optional<std::uint64_t> stream_offset(const ReadAt& read,
                                           std::uint64_t file_size,
                                           std::uint32_t type);

}  // namespace snapcore::minidump
