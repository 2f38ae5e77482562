// SPDX-License-Identifier: Apache-2.0
//
// All threads of a process, stopped. Where there are many, two threads of the tracer share them: a
// thread can be asked for anything by the one alone that seized it.
//
// clang-format off
// call                       | purpose                        | can block on
// getdents64 PID/task        | find threads until none is new | nothing
// others                     | see stopped_threads.h          |
// futex                      | work for the second thread     | until it is done, which is bounded as here
// clang-format on
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "linux/second_thread.h"
#include "linux/stopped_threads.h"

namespace snapcore::linux_os {

class StoppedProcess {
public:
    // `directory` is /proc/PID; `second` may be null. Nothing is stopped yet.
    StoppedProcess(std::uint32_t pid,
                   int directory,
                   std::int64_t deadline_ns,
                   Watchdog& watchdog,
                   SecondThread* second);
    ~StoppedProcess() { release(); }
    StoppedProcess(const StoppedProcess&) = delete;
    StoppedProcess& operator=(const StoppedProcess&) = delete;

    // All threads, those that are born meanwhile included: see StoppedThreads::stop().
    void stop_all();

    std::size_t size() const;
    std::uint32_t interrupted_timed_calls() const;
    // Whose threads include the one that takes an injected call best.
    const StoppedThreads& best_to_inject() const;
    bool is_of_second(const StoppedThreads& threads) const {
        return of_second_ && &threads == &*of_second_;
    }

    // Calls `work` for each share of the threads, on the thread of the tracer that has it, at the
    // same time. Throws what one of them threw.
    void each_share(const std::function<void(StoppedThreads&)>& work);
    // Never throws, may be called again.
    void release() noexcept;

private:
    std::uint32_t pid_;
    int directory_;
    Watchdog& watchdog_;
    SecondThread* second_;
    StoppedThreads own_;
    std::optional<StoppedThreads> of_second_;  // where there is a second thread
};

}  // namespace snapcore::linux_os
