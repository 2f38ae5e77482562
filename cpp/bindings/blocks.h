// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace snapcore::bindings {

// One block of equal bytes for all columns of which nothing is known; grows with the longest table.
template <std::uint8_t kByte>
std::shared_ptr<const std::vector<std::uint8_t>> block_of(std::size_t size) {
    static std::mutex mutex;
    static std::shared_ptr<const std::vector<std::uint8_t>> block;
    const std::lock_guard lock(mutex);
    if (!block || block->size() < size) {
        block = std::make_shared<const std::vector<std::uint8_t>>(size, kByte);
    }
    return block;
}

}  // namespace snapcore::bindings
