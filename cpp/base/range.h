// SPDX-License-Identifier: Apache-2.0
//
// Address ranges that cannot wrap.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace snapcore {

inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
    if (a > std::numeric_limits<std::uint64_t>::max() - b) return std::nullopt;
    return a + b;
}

struct Range {
    std::uint64_t address = 0;
    std::uint64_t size = 0;

    // Exclusive; saturates, so that a hostile size cannot make a range look empty.
    std::uint64_t end() const {
        return checked_add(address, size).value_or(std::numeric_limits<std::uint64_t>::max());
    }
    bool contains(std::uint64_t a) const { return a >= address && a < end(); }
    bool operator==(const Range&) const = default;
};

constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) {
    return value / alignment * alignment;
}
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

}  // namespace snapcore
