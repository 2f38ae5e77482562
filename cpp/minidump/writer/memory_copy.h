// SPDX-License-Identifier: Apache-2.0
//
// Memory from its reader straight to its place in the file, by two workers, or into a stream.
#pragma once

#include <vector>

#include "base/file.h"
#include "minidump/contents.h"
#include "minidump/writer/memory_layout.h"
#include "snapshot/control.h"

namespace snapcore::minidump {

// Pages of zeros become holes, pages that cannot be read as well; the latter are returned,
// ascending. `base` is the file offset of the first byte of memory. Throws what a worker threw,
// after both have ended.
std::vector<Range> copy_memory(const MemoryLayout& layout,
                               std::uint64_t base,
                               MemoryReader& memory,
                               OutputFile& file,
                               Control& control);

// The same memory, gaps of alignment as zeros, from first to last.
std::vector<Range> stream_memory(const MemoryLayout& layout,
                                 MemoryReader& memory,
                                 OutputStream& stream,
                                 Control& control);

}  // namespace snapcore::minidump
