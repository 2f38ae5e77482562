// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/stack_filter.h"

#include <algorithm>
#include <cstring>

namespace snapcore::minidump {
namespace {

// The first range that ends behind `address`.
auto first_behind(std::span<const Range> ranges, std::uint64_t address) {
    return std::upper_bound(
        ranges.begin(), ranges.end(), address, [](std::uint64_t a, const Range& range) {
            return a < range.end();
        });
}

bool points_into(std::span<const Range> ranges, std::uint64_t address) {
    const auto range = first_behind(ranges, address);
    return range != ranges.end() && range->contains(address);
}

}  // namespace

std::size_t StackFilter::read(std::uint64_t address, std::span<std::byte> out) {
    constexpr std::uint64_t kWord = sizeof(std::uint64_t);
    const std::size_t n = memory_.read(address, out);
    const std::uint64_t end = address + n;
    for (auto range = first_behind(filtered_, address);
         range != filtered_.end() && range->address < end;
         ++range) {
        std::uint64_t at = std::max(range->address, address);
        const std::uint64_t last = std::min(range->end(), end);
        while (at < last) {
            // A word that is only partly here is no pointer.
            const std::uint64_t next = std::min(align_down(at, kWord) + kWord, last);
            std::byte* const bytes = out.data() + (at - address);
            std::uint64_t word = 0;
            if (next - at == kWord) std::memcpy(&word, bytes, sizeof word);
            if (next - at < kWord || !points_into(pointed_to_, word)) {
                std::memset(bytes, 0, next - at);
            }
            at = next;
        }
    }
    return n;
}

}  // namespace snapcore::minidump
