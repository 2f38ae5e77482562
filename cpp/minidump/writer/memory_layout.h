// SPDX-License-Identifier: Apache-2.0
//
// Where each range of memory lies in the file.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "minidump/contents.h"

namespace snapcore::minidump {

struct PlacedRange {
    Range range;
    std::uint64_t offset = 0;  // from the first byte of memory in the file
};

class MemoryLayout {
public:
    explicit MemoryLayout(const Contents& contents);

    // Memory64List, which has 64-bit sizes, rather than MemoryList.
    bool wide() const { return wide_; }
    // In the order of the file.
    const std::vector<PlacedRange>& ranges() const { return ranges_; }
    std::uint64_t size() const { return size_; }  // of the file's memory, alignment included
    std::uint64_t bytes() const { return bytes_; }
    // Offset of an address, where all `size` bytes from it lie in one range.
    std::optional<std::uint64_t> find(Range wanted) const;
    // Ascending by address.
    const std::vector<PlacedRange>& by_address() const { return by_address_; }

private:
    void place(const Range& range, std::uint64_t alignment);

    bool wide_;
    std::vector<PlacedRange> ranges_;
    std::vector<PlacedRange> by_address_;
    std::uint64_t size_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace snapcore::minidump
