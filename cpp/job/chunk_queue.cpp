// SPDX-License-Identifier: Apache-2.0
#include "job/chunk_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace snapcore {

void ChunkQueue::write(std::span<const std::byte> bytes, const std::function<void()>& check) {
    constexpr std::chrono::milliseconds kCheck{50};
    while (!bytes.empty()) {
        next_.reserve(kChunk);
        const std::size_t n = std::min(bytes.size(), kChunk - next_.size());
        next_.insert(next_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
        bytes = bytes.subspan(n);
        if (next_.size() < kChunk) return;
        std::unique_lock lock(mutex_);
        while (!changed_.wait_for(lock, kCheck, [&] { return chunks_.size() < kMostWaiting; })) {
            lock.unlock();
            check();
            lock.lock();
        }
        chunks_.push_back(std::exchange(next_, {}));
        lock.unlock();
        changed_.notify_all();
    }
}

void ChunkQueue::finish() {
    if (next_.empty()) return;
    {
        const std::lock_guard lock(mutex_);
        chunks_.push_back(std::exchange(next_, {}));
    }
    changed_.notify_all();
}

std::optional<ChunkQueue::Chunk> ChunkQueue::take(double seconds) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(
            lock, std::chrono::duration<double>(seconds), [&] { return !chunks_.empty(); })) {
        return std::nullopt;
    }
    Chunk out = std::move(chunks_.front());
    chunks_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return out;
}

}  // namespace snapcore
