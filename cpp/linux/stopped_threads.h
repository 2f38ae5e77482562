// SPDX-License-Identifier: Apache-2.0
//
// Threads of a process that one thread of the tracer has stopped; let go on every path out. Whoever
// seized a thread must be the one that asks for anything of it, so all calls but those that only
// look come from one thread.
//
// clang-format off
// call                                    | purpose                                                                       | can block on
// PTRACE_SEIZE                            | see tracee.h                                                                  | an execve of the target that is under way: see watchdog.h
// PTRACE_INTERRUPT, waitid WNOHANG        | see tracee.h                                                                  | polled to the deadline: a thread in uninterruptible sleep or a frozen cgroup ends there as TimedOut
// read task/TID/status                    | signals pending, only for a thread that an EINTR correction is considered for | nothing
// read task/, status, task/TID/status     | after the stop: what is traced untold, only where a seized thread was killed  | nothing
// nanosleep                               | before another try of a PTRACE_SEIZE that was answered with EPERM, 22 in all   | 1 ms each
// clang-format on
#pragma once

#include <cstdint>
#include <optional>
#include <span>
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

class StoppedThreads {
public:
    // `directory` is /proc/PID. Nothing is stopped yet.
    StoppedThreads(std::uint32_t pid, int directory, std::int64_t deadline_ns, Watchdog& watchdog);
    ~StoppedThreads() { release(); }
    StoppedThreads(const StoppedThreads&) = delete;
    StoppedThreads& operator=(const StoppedThreads&) = delete;

    // Stops these and those that are born of them meanwhile, and mends system calls that a stop
    // would fail with EINTR. Throws AccessDenied, ProcessGone, or TimedOut at the deadline; the
    // threads stopped so far are then let go by release().
    void stop(std::span<const pid_t> tids);
    // Stops one thread alone; false when it has gone or does not stop in time.
    bool stop_one(pid_t tid);
    // Throws where a thread has called execve and taken the place of the leader, which was stopped.
    void check_program() const;

    const std::vector<StoppedThread>& threads() const { return threads_; }
    // All that was ever told of, until release(): stopped, gone, or born meanwhile.
    const std::vector<pid_t>& seen() const { return seen_; }
    std::int64_t deadline_ns() const { return deadline_ns_; }
    std::uint32_t pid() const { return pid_; }
    int directory() const { return directory_; }
    // Threads whose timed call returned early because of the stop (it cannot be mended).
    std::uint32_t interrupted_timed_calls() const { return interrupted_timed_calls_; }

    // Lets all threads go but `keep`. Never throws, may be called again. False where one does not
    // stop, so that it can't be let go: the kernel does that when the tracer's thread ends.
    bool release(pid_t keep = 0) noexcept;

private:
    bool is_alive(pid_t tid) const;
    void seize(pid_t tid);
    void finish_stop(StoppedThread& thread);
    void adopt_clone(const Tracee& maker);
    bool release_untold(std::int64_t patience_ns);
    bool mend(StoppedThread& thread);
    void let_go(const Tracee& tracee, int signal = 0) const noexcept;
    bool let_go_when_stopped(const Tracee& tracee, std::int64_t patience_ns) const noexcept;
    [[noreturn]] void time_out(pid_t tid) const;

    std::uint32_t pid_;
    int directory_;
    std::int64_t deadline_ns_;
    Watchdog& watchdog_;
    std::vector<StoppedThread> threads_;  // stopped
    std::vector<pid_t> waiting_;          // seized and interrupted, not seen to stop yet
    std::vector<pid_t> adopted_;          // traced from birth, not stopped yet
    std::vector<pid_t> seen_;
    // One that was seized was killed, or is the leader now by an execve: it may have left threads
    // that are traced and untold.
    bool vanished_ = false;
    std::uint32_t interrupted_timed_calls_ = 0;
};

}  // namespace snapcore::linux_os
