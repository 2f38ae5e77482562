// SPDX-License-Identifier: Apache-2.0
#include "linux/stopped_threads.h"

#include <sched.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "linux/access.h"
#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

// Threads that the target creates while it is being stopped are traced from birth; nothing else is
// asked for: EXITKILL here would end the target with us, and an exit event that nobody takes would
// freeze it.
constexpr unsigned long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

constexpr int kSeizeAgain = 3;

std::string task_file(pid_t tid, const char* name) {
    return "task/" + std::to_string(tid) + "/" + name;
}

}  // namespace

Error program_replaced(std::uint32_t pid) {
    return {ErrorKind::kProcessGone,
            ErrorDomain::kErrno,
            ESRCH,
            "PTRACE_EVENT_EXEC",
            "the process replaced its program (execve) while it was being captured; try again",
            pid};
}

StoppedThreads::StoppedThreads(std::uint32_t pid,
                               int directory,
                               std::int64_t deadline_ns,
                               Watchdog& watchdog)
    : pid_(pid), directory_(directory), deadline_ns_(deadline_ns), watchdog_(watchdog) {}

bool StoppedThreads::is_alive(pid_t tid) const {
    const auto stat = parse_stat(try_read_text(directory_, task_file(tid, "stat").c_str()));
    return stat && stat->state != 'Z' && stat->state != 'X';
}

void StoppedThreads::seize(pid_t tid) {
    const Tracee tracee(tid);
    int error = tracee.seize(kOptions);
    for (int again = 0; error == EPERM && again < kSeizeAgain && is_alive(tid); ++again) {
        // The number of a leader that an execve has ended is that of another thread now: one that
        // is traced already, if it was seized before.
        if (static_cast<std::uint32_t>(tid) == pid_ && tracee.is_traced_here()) {
            throw program_replaced(pid_);
        }
        ::sched_yield();
        error = tracee.seize(kOptions);
    }
    if (error == 0) {
        watchdog_.collect(tid);
        if (tracee.interrupt()) waiting_.push_back(tid);
        return;
    }
    if (error == ESRCH) return;
    // EPERM is also the answer for a thread that is on its way out.
    if (!is_alive(tid)) return;
    throw attach_error(directory_, pid_, error, "PTRACE_SEIZE");
}

void StoppedThreads::adopt_clone(pid_t tid) {
    // The event is the same for a new thread and for a new process made by clone(2); only threads
    // are ours to keep.
    const std::string directory = "task/" + std::to_string(tid) + "/stat";
    if (!try_read_text(directory_, directory.c_str()).empty()) {
        adopted_.push_back(tid);
        seen_.push_back(tid);
        return;
    }
    const Tracee child(tid);
    if (child.wait(deadline_ns_)) child.detach();
}

void StoppedThreads::stop(std::span<const pid_t> tids) {
    seen_.insert(seen_.end(), tids.begin(), tids.end());
    for (const pid_t tid : tids) seize(tid);
    while (!waiting_.empty() || !adopted_.empty()) {
        auto& queue = waiting_.empty() ? adopted_ : waiting_;
        StoppedThread thread{Tracee(queue.back())};
        queue.pop_back();
        finish_stop(thread);
    }
    std::sort(threads_.begin(), threads_.end(), [](const auto& a, const auto& b) {
        return a.tracee.tid() < b.tracee.tid();
    });
}

// A thread that calls execve ends those that were stopped already and takes the leader's place and
// number; that stop nobody has seen yet.
void StoppedThreads::check_program() const {
    const auto stop = Tracee(static_cast<pid_t>(pid_)).wait(1);
    if (stop && stop->kind == StopKind::kExec) throw program_replaced(pid_);
}

bool StoppedThreads::stop_one(pid_t tid) {
    seen_.push_back(tid);
    seize(tid);
    if (waiting_.empty()) return false;
    waiting_.clear();
    StoppedThread thread{Tracee(tid)};
    const std::size_t before = threads_.size();
    finish_stop(thread);
    watchdog_.forget();
    return threads_.size() > before;
}

// Brings a seized and interrupted thread to an event stop, where registers can be exchanged safely.
void StoppedThreads::finish_stop(StoppedThread& thread) {
    const Tracee& tracee = thread.tracee;
    for (;;) {
        const auto stop = tracee.wait(deadline_ns_);
        if (!stop) {
            waiting_.push_back(tracee.tid());
            time_out(tracee.tid());
        }
        switch (stop->kind) {
            case StopKind::kGone:
                if (static_cast<std::uint32_t>(tracee.tid()) == pid_ && is_alive(tracee.tid()))
                    throw program_replaced(pid_);
                return;
            case StopKind::kEvent:
                if (mend(thread)) threads_.push_back(thread);
                return;
            case StopKind::kExec: throw program_replaced(pid_);
            case StopKind::kClone: adopt_clone(static_cast<pid_t>(tracee.event_message())); break;
            case StopKind::kCall:
            case StopKind::kSignal:
            case StopKind::kOther: break;
        }
        // A signal goes to its thread now: held back, it would be lost if we died. Any stop takes
        // the pending interrupt with it.
        tracee.resume(PTRACE_CONT, stop->kind == StopKind::kSignal ? stop->signal : 0);
        tracee.interrupt();
    }
}

bool StoppedThreads::mend(StoppedThread& thread) {
    try {
        thread.found = thread.tracee.registers_at_stop();
        thread.restored = thread.found;
        const auto restarted = restarted_after_interrupt(thread.found);
        const bool timed = is_interrupted_timed_call(thread.found);
        if (!restarted && !timed) return true;
        const Status status = parse_status(
            try_read_text(directory_, task_file(thread.tracee.tid(), "status").c_str()));
        thread.signals_pending = ((status.signals_pending | status.shared_signals_pending) &
                                  ~status.signals_blocked) != 0;
        // With a signal to deliver, EINTR is the true answer.
        if (thread.signals_pending) return true;
        if (timed) ++interrupted_timed_calls_;
        if (restarted) {
            thread.tracee.set_registers(*restarted);
            thread.restored = *restarted;
        }
        return true;
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::kProcessGone) return false;  // killed in the stop
        thread.tracee.detach();                                     // it is in none of the lists
        if (error.kind() != ErrorKind::kUnsupported) throw;
        throw Error::unsupported(error.call(), error.detail(), pid_);
    }
}

void StoppedThreads::time_out(pid_t tid) const {
    const auto stat = parse_stat(try_read_text(directory_, task_file(tid, "stat").c_str()));
    const std::string where = try_read_text(directory_, task_file(tid, "wchan").c_str());
    std::string text = "thread " + std::to_string(tid) + " did not stop within max_pause";
    if (stat)
        text += std::string(" (state ") + stat->state + (where.empty() ? "" : " in " + where) + ")";
    text +=
        "; every thread was let go. A thread in uninterruptible sleep (D: a vfork parent, a dead "
        "network file system) or a "
        "frozen cgroup cannot be stopped: try again later or raise max_pause";
    throw Error(
        ErrorKind::kTimedOut, ErrorDomain::kErrno, ETIMEDOUT, "PTRACE_INTERRUPT", text, pid_);
}

void StoppedThreads::release(pid_t keep) noexcept {
    watchdog_.forget();
    std::vector<StoppedThread> kept;
    for (const StoppedThread& thread : threads_) {
        if (thread.tracee.tid() == keep) {
            kept.push_back(thread);
        } else {
            thread.tracee.detach();
        }
    }
    threads_ = std::move(kept);
    // Not stopped yet, so PTRACE_DETACH is refused; those that do not stop soon are let go by the
    // kernel when the tracer's thread ends.
    const std::int64_t patience = monotonic_ns() + 20'000'000;
    for (auto* queue : {&waiting_, &adopted_}) {
        for (const pid_t tid : *queue) {
            const Tracee tracee(tid);
            const auto stop = tracee.wait(patience);
            if (stop && stop->kind != StopKind::kGone) {
                tracee.detach(stop->kind == StopKind::kSignal ? stop->signal : 0);
            }
        }
        queue->clear();
    }
    // A thread that called execve is the leader now, whoever of us had the leader.
    if (keep == 0 && !seen_.empty()) Tracee(static_cast<pid_t>(pid_)).detach();
}

}  // namespace snapcore::linux_os
