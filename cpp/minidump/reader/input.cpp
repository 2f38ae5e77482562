// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/input.h"

namespace snapcore::minidump {

std::span<const std::byte> Pieces::view(std::uint64_t offset, std::size_t size) {
    size = static_cast<std::size_t>(input_.available(offset, size));
    if (size == 0) return {};
    const std::uint64_t number = offset / kBlock;
    if ((offset + size - 1) / kBlock != number) {
        joined_.resize(size);
        joined_.resize(input_.read(offset, joined_));
        return joined_;
    }
    Block& block = blocks_[number % kBlocks];
    if (block.number != number) {
        block.number = number;
        block.bytes = input_.block(number * kBlock, kBlock);
    }
    const auto inside = static_cast<std::size_t>(offset % kBlock);
    if (inside >= block.bytes.size()) return {};
    return std::span(block.bytes).subspan(inside, std::min(size, block.bytes.size() - inside));
}

}  // namespace snapcore::minidump
