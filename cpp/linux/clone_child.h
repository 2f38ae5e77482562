// SPDX-License-Identifier: Apache-2.0
//
// The copy-on-write clone, from its birth to the last trace of it in the target.
#pragma once

#include <cstdint>

#include "base/diagnostics.h"
#include "base/range.h"
#include "linux/injection.h"

namespace snapcore::linux_os {

class CloneChild {
public:
    CloneChild() = default;
    ~CloneChild() { kill(); }
    CloneChild(const CloneChild&) = delete;
    CloneChild& operator=(const CloneChild&) = delete;

    // Makes it in the stop and brings the injecting thread back. Throws Unsupported with the reason
    // where it can't be had.
    void make(const StoppedThreads& target,
              Injection& injection,
              const std::function<void()>& meanwhile,
              const std::function<void()>& overdue,
              bool seccomp_suspended);
    // After the target was let go: bytes that the way home covered, descriptors, the kernel's
    // opinion whom to kill first.
    void settle(const Injection& injection, bool has_close_range, Diagnostics& diagnostics);

    // Lets its pages of the range go, so that the target need not copy those that it writes to.
    void give_back(const Range& range) noexcept;

    // Ends it and waits for its end. Its zombie then belongs to the target: see reap_clone().
    void kill() noexcept;

    pid_t pid() const { return pid_; }
    std::int32_t pid_in_target() const { return pid_in_target_; }

private:
    pid_t pid_ = 0;
    std::int32_t pid_in_target_ = 0;
    std::uint64_t call_address_ = 0;  // 0: it makes no more calls
    bool alive_ = false;
};

// Makes the target collect the zombie of a clone that has ended: one of its threads is stopped for
// about 0.1 ms; tried for some seconds. Does nothing where the target has gone or has collected it.
// Never throws; what can't be done becomes a diagnostic.
void reap_clone(std::uint32_t pid,
                int process_directory,
                pid_t clone,
                std::int32_t clone_in_target,
                Watchdog& watchdog,
                Diagnostics& diagnostics) noexcept;

}  // namespace snapcore::linux_os
