// SPDX-License-Identifier: Apache-2.0
//
// A second thread of the tracer, for the moments in which the first one is held up by the kernel.
//
// PTRACE_SEIZE waits for an execve of the target that is under way, and an execve of a process with
// threads waits until the others, which it has killed, are collected; those that are traced
// already, only their tracer can collect. So the dead are collected here; those too that were
// killed while they were let go, which the first thread has done with. And what else holds up the
// first thread (an execve from a slow disk, a page fault that nobody answers) must not keep the
// target stopped past max_pause.
//
// clang-format off
// call                   | purpose                        | can block on
// waitid WNOHANG WNOWAIT | see which tracees have died    | nothing
// waitid WNOHANG         | collect them                   | nothing
// clang-format on
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_set>

namespace snapcore::linux_os {

class Watchdog {
public:
    // `overdue` is called on the watchdog's thread when a limit passes, once for each limit.
    explicit Watchdog(std::function<void()> overdue);
    ~Watchdog();
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    // monotonic_ns(); 0: none. False when the one before has passed.
    bool set_limit(std::int64_t limit_ns);
    // From now on its end is collected here, until forget(); stops are left alone.
    void collect(pid_t tid);
    void forget(pid_t tid);

private:
    void run();

    std::function<void()> overdue_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::int64_t limit_ns_ = 0;
    std::unordered_set<pid_t> tracees_;
    bool passed_ = false;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace snapcore::linux_os
