// SPDX-License-Identifier: Apache-2.0
//
// FILTER_MEMORY: of a stack only what a stack walk needs, pointers into code and into stacks.
#pragma once

#include <span>

#include "minidump/contents.h"

namespace snapcore::minidump {

class StackFilter final : public MemoryReader {
public:
    // Words within `filtered` that point into none of `pointed_to` are read as zero; both ascend
    // and do not overlap.
    StackFilter(MemoryReader& memory,
                std::span<const Range> filtered,
                std::span<const Range> pointed_to)
        : memory_(memory), filtered_(filtered), pointed_to_(pointed_to) {}

    std::size_t read(std::uint64_t address, std::span<std::byte> out) override;

private:
    MemoryReader& memory_;
    std::span<const Range> filtered_, pointed_to_;
};

}  // namespace snapcore::minidump
