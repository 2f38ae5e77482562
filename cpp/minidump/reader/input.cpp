// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/input.h"

#include "base/error.h"

namespace snapcore::minidump {

std::span<const std::byte> Pieces::rest_of_block(std::uint64_t offset) {
    const std::uint64_t number = offset / kBlock;
    Block& block = blocks_[number % kBlocks];
    if (block.number != number) {
        const auto size = static_cast<std::size_t>(input_.available(number * kBlock, kBlock));
        if (size == 0) return {};
        if (!block.bytes) block.bytes = std::make_unique_for_overwrite<std::byte[]>(kBlock);
        block.number = number;
        block.size = 0;
        try {
            block.size = input_.read(number * kBlock, {block.bytes.get(), size});
        } catch (const Error& error) {
            // A broken frame of a compressed file, of which maybe nobody asks for anything.
            if (error.kind() != ErrorKind::kFormat) throw;
        }
    }
    const auto inside = static_cast<std::size_t>(offset % kBlock);
    if (inside >= block.size) return {};
    return {block.bytes.get() + inside, block.size - inside};
}

std::span<const std::byte> Pieces::view(std::uint64_t offset, std::size_t size) {
    const auto rest = rest_of_block(offset);
    if (size <= rest.size()) return rest.first(size);
    const auto available = static_cast<std::size_t>(input_.available(offset, size));
    if (available <= rest.size()) return rest.first(available);
    joined_.resize(available);
    joined_.resize(input_.read(offset, joined_));
    return joined_;
}

}  // namespace snapcore::minidump
