// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/memory_layout.h"

#include <algorithm>

#include "snapshot/policy.h"

namespace snapcore::minidump {
namespace {

// Some readers refuse larger ones in a MemoryList.
constexpr std::uint64_t kMostInMemoryList = 64 * 1024 * 1024;
constexpr std::uint64_t kListAlignment = 16;

const PlacedRange* range_with(const std::vector<PlacedRange>& ranges, std::uint64_t address) {
    const auto next = std::upper_bound(
        ranges.begin(), ranges.end(), address, [](std::uint64_t a, const PlacedRange& placed) {
            return a < placed.range.address;
        });
    if (next == ranges.begin() || !(next - 1)->range.contains(address)) return nullptr;
    return &*(next - 1);
}

// Ranges with stacks come first: a thread's stack is pointed to by a 32-bit offset. The least one
// comes last: some readers miss the last of several ranges.
std::vector<Range> order_of_wide_dump(const Contents& contents) {
    std::vector<PlacedRange> all;
    for (const MemoryRange& memory : contents.memory) all.push_back({memory.range, 0});
    std::vector<bool> has_stack(all.size());
    for (const ThreadStack& stack : contents.stacks) {
        const PlacedRange* const range = range_with(all, stack.range.address);
        if (range != nullptr) has_stack[static_cast<std::size_t>(range - all.data())] = true;
    }
    std::vector<Range> out;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (has_stack[i]) out.push_back(all[i].range);
    }
    const auto others = static_cast<std::ptrdiff_t>(out.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!has_stack[i]) out.push_back(all[i].range);
    }
    const auto least =
        std::min_element(out.begin() + others, out.end(), [](const Range& a, const Range& b) {
            return a.size < b.size;
        });
    if (least != out.end()) std::rotate(least, least + 1, out.end());
    return out;
}

}  // namespace

MemoryLayout::MemoryLayout(const Contents& contents)
    // Such a dump may be larger than the 4 GiB that a MemoryList reaches.
    : wide_(holds_whole_mappings(contents.flags)) {
    if (wide_) {
        // Memory64List has one offset for all: ranges follow each other without a gap.
        for (const Range& range : order_of_wide_dump(contents)) place(range, 1);
    } else {
        for (const MemoryRange& memory : contents.memory) {
            for (std::uint64_t done = 0; done < memory.range.size; done += kMostInMemoryList) {
                const std::uint64_t size = std::min(kMostInMemoryList, memory.range.size - done);
                place({memory.range.address + done, size}, kListAlignment);
            }
        }
    }
    by_address_ = ranges_;
    std::sort(
        by_address_.begin(), by_address_.end(), [](const PlacedRange& a, const PlacedRange& b) {
            return a.range.address < b.range.address;
        });
}

void MemoryLayout::place(const Range& range, std::uint64_t alignment) {
    size_ = align_up(size_, alignment);
    ranges_.push_back({range, size_});
    size_ += range.size;
    bytes_ += range.size;
}

std::optional<std::uint64_t> MemoryLayout::find(Range wanted) const {
    const PlacedRange* const placed = range_with(by_address_, wanted.address);
    if (placed == nullptr || wanted.end() > placed->range.end()) return std::nullopt;
    return placed->offset + (wanted.address - placed->range.address);
}

}  // namespace snapcore::minidump
