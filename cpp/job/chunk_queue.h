// SPDX-License-Identifier: Apache-2.0
//
// What a job writes, for an owner who takes it when it likes: nothing calls back.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "base/file.h"

namespace snapcore {

class ChunkQueue final : public OutputStream {
public:
    using Chunk = std::vector<std::byte>;

    // Waits while as much as may wait does.
    void write(std::span<const std::byte> bytes, const std::function<void()>& check) override;
    // What is left is the last chunk, which alone may be shorter than kChunk.
    void finish() override;
    // The next chunk; nullopt where none came in time.
    std::optional<Chunk> take(double seconds);

    static constexpr std::size_t kChunk = 1 << 20;

private:
    static constexpr std::size_t kMostWaiting = 8;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Chunk> chunks_;
    Chunk next_;  // the writer's
};

}  // namespace snapcore
