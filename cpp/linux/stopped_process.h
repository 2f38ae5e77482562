// SPDX-License-Identifier: Apache-2.0
//
// All threads of a process, stopped; let go on every path out.
//
// clang-format off
// call                                    | purpose                                                                       | can block on
// PTRACE_SEIZE                            | see tracee.h                                                                  | an execve of the target that is under way: see watchdog.h
// PTRACE_INTERRUPT, waitid WNOHANG        | see tracee.h                                                                  | polled to the deadline: a thread in uninterruptible sleep or a frozen cgroup ends there as TimedOut
// getdents64 PID/task                     | find threads until none is new                                                | nothing
// read task/TID/status                    | signals pending, only for a thread that an EINTR correction is considered for | nothing
// clang-format on
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/diagnostics.h"
#include "base/error.h"
#include "linux/tracee.h"
#include "linux/watchdog.h"

namespace snapcore::linux_os {

struct StoppedThread {
    Tracee tracee;
    // As the stop found it, for the snapshot.
    UserRegisters found{};
    // What the thread must go on with: `found`, or the same with an interrupted call started again.
    UserRegisters restored{};
    bool signals_pending = false;
};

// ProcessGone: it called execve in the middle.
Error program_replaced(std::uint32_t pid);

class StoppedProcess {
public:
    // `directory` is /proc/PID. Nothing is stopped yet.
    StoppedProcess(std::uint32_t pid, int directory, std::int64_t deadline_ns, Watchdog& watchdog);
    ~StoppedProcess() { release(); }
    StoppedProcess(const StoppedProcess&) = delete;
    StoppedProcess& operator=(const StoppedProcess&) = delete;

    // Stops every thread, those that are born meanwhile included, and mends system calls that a
    // stop would fail with EINTR. Throws AccessDenied, ProcessGone, or TimedOut at the deadline;
    // the threads stopped so far are then let go by release().
    void stop_all();
    // Stops one thread alone; false when it has gone or does not stop in time.
    bool stop_one(pid_t tid);

    std::vector<StoppedThread>& threads() { return threads_; }
    std::int64_t deadline_ns() const { return deadline_ns_; }
    std::uint32_t pid() const { return pid_; }
    int directory() const { return directory_; }
    // Threads whose timed call returned early because of the stop (it cannot be mended).
    std::uint32_t interrupted_timed_calls() const { return interrupted_timed_calls_; }

    // Lets all threads go but `keep`. Never throws, may be called again.
    void release(pid_t keep = 0) noexcept;

private:
    bool is_alive(pid_t tid) const;
    void seize(pid_t tid);
    void finish_stop(StoppedThread& thread);
    void adopt_clone(pid_t tid);
    void check_program() const;
    bool mend(StoppedThread& thread);
    [[noreturn]] void time_out(pid_t tid) const;

    std::uint32_t pid_;
    int directory_;
    std::int64_t deadline_ns_;
    Watchdog& watchdog_;
    std::vector<StoppedThread> threads_;  // stopped
    std::vector<pid_t> waiting_;          // seized and interrupted, not seen to stop yet
    std::vector<pid_t> adopted_;          // traced from birth, not stopped yet
    std::uint32_t interrupted_timed_calls_ = 0;
};

}  // namespace snapcore::linux_os
