// SPDX-License-Identifier: Apache-2.0
//
// How a long native job is watched and stopped from outside: atomics only, so that nothing calls
// back.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/error.h"

namespace snapcore {

enum class Phase : std::uint8_t { kStarting, kCapturing, kWriting, kFinishing, kDone };

class Control {
public:
    std::atomic<Phase> phase{Phase::kStarting};
    std::atomic<std::uint64_t> done_bytes{0};
    std::atomic<std::uint64_t> total_bytes{0};
    std::atomic<bool> cancelled{false};
    std::atomic<std::int64_t> deadline_ns{0};  // monotonic_ns(); 0: none

    // Called between pieces of work of at most a few milliseconds.
    void check() const {
        if (cancelled.load(std::memory_order_relaxed)) {
            throw Error(ErrorKind::kCancelled, ErrorDomain::kNone, 0, "", "cancelled");
        }
        const std::int64_t deadline = deadline_ns.load(std::memory_order_relaxed);
        if (deadline != 0 && monotonic_ns() > deadline) {
            throw Error(ErrorKind::kTimedOut,
                        ErrorDomain::kNone,
                        0,
                        "",
                        "timeout passed before the dump was complete");
        }
    }
};

}  // namespace snapcore
