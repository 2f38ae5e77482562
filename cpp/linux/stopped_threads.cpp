// SPDX-License-Identifier: Apache-2.0
#include "linux/stopped_threads.h"

#include <sched.h>
#include <sys/ptrace.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

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

// EPERM that passes: of a thread that ends, or whose number an execve is giving to another.
constexpr int kSeizeAgain = 25;
constexpr int kSeizeAwake = 3;
// To let go what was asked to stop.
constexpr std::int64_t kLeastPatienceNs = 20'000'000;
constexpr std::int64_t kMostPatienceNs = 500'000'000;

// By the calling thread; of a thread or the whole process.
bool is_traced_by_us(int directory, const std::string& status_file) {
    const Status status = parse_status(try_read_text(directory, status_file.c_str()));
    return status.tracer_pid == own_tid();
}

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
        // By this tracer: the number of a leader that an execve has ended is that of another thread
        // now, which was seized before; and those that it makes are traced as well.
        if (tracee.is_traced_here()) {
            vanished_ = true;
            throw program_replaced(pid_);
        }
        if (again < kSeizeAwake) {
            ::sched_yield();
        } else {
            const timespec step{0, 1'000'000};
            ::nanosleep(&step, nullptr);
        }
        error = tracee.seize(kOptions);
    }
    if (error == 0) {
        watchdog_.collect(tid);
        if (tracee.interrupt()) {
            waiting_.push_back(tid);
        } else {
            vanished_ = true;
        }
        return;
    }
    if (error == ESRCH) return;
    // EPERM is also the answer for a thread that is on its way out.
    if (!is_alive(tid)) return;
    throw attach_error(directory_, pid_, error, "PTRACE_SEIZE");
}

void StoppedThreads::adopt_clone(const Tracee& maker) {
    const bool before = std::exchange(vanished_, true);
    const auto tid = static_cast<pid_t>(maker.event_message());  // throws where it is killed now
    vanished_ = before;
    // The event is the same for a new thread and for a new process made by clone(2); only threads
    // are ours to keep.
    if (!try_read_text(directory_, task_file(tid, "stat").c_str()).empty()) {
        watchdog_.collect(tid);
        adopted_.push_back(tid);
        seen_.push_back(tid);
        return;
    }
    const Tracee child(tid);
    if (child.wait(deadline_ns_)) let_go(child);
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
    if (threads_.size() == before) return false;
    watchdog_.forget(tid);
    return true;
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
                vanished_ = vanished_ || stop->signal != 0;
                if (static_cast<std::uint32_t>(tracee.tid()) == pid_ && is_alive(tracee.tid()))
                    throw program_replaced(pid_);
                return;
            case StopKind::kEvent:
                if (mend(thread)) {
                    threads_.push_back(thread);
                } else {
                    vanished_ = true;
                }
                return;
            case StopKind::kExec: vanished_ = true; throw program_replaced(pid_);
            case StopKind::kClone: adopt_clone(tracee); break;
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
        let_go(thread.tracee);                                      // it is in none of the lists
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

void StoppedThreads::let_go(const Tracee& tracee, int signal) const noexcept {
    if (tracee.detach(signal)) {
        watchdog_.forget(tracee.tid());
    } else {
        // It was killed in the stop, and an execve or the end of its process waits until it is
        // collected.
        watchdog_.collect(tracee.tid());
    }
}

bool StoppedThreads::let_go_when_stopped(const Tracee& tracee,
                                         std::int64_t patience_ns) const noexcept {
    auto stop = tracee.wait(1);
    if (!stop && tracee.detach()) {  // of a stop that was taken note of before
        watchdog_.forget(tracee.tid());
        return true;
    }
    if (!stop) stop = tracee.wait(patience_ns);
    if (stop && stop->kind != StopKind::kGone) {
        let_go(tracee, stop->kind == StopKind::kSignal ? stop->signal : 0);
    }
    return stop.has_value();
}

// What is traced although nobody knows of it: a thread that has called execve and is the leader
// now, from before it was seized on or after; and threads whose maker did not get to tell of them.
bool StoppedThreads::release_untold(std::int64_t patience_ns) {
    const auto leader = static_cast<pid_t>(pid_);
    bool all = true;
    if (is_traced_by_us(directory_, "status")) {
        all = let_go_when_stopped(Tracee(leader), patience_ns);
    }
    for (const std::uint32_t id : list_tasks(directory_)) {
        const auto tid = static_cast<pid_t>(id);
        if (tid == leader || !is_traced_by_us(directory_, task_file(tid, "status"))) continue;
        watchdog_.collect(tid);
        all = let_go_when_stopped(Tracee(tid), patience_ns) && all;
    }
    return all;
}

bool StoppedThreads::release(pid_t keep) noexcept {
    std::vector<StoppedThread> kept;
    for (const StoppedThread& thread : threads_) {
        if (thread.tracee.tid() == keep) {
            kept.push_back(thread);
        } else {
            let_go(thread.tracee);
        }
    }
    threads_ = std::move(kept);
    const std::int64_t now = monotonic_ns();
    const std::int64_t patience_ns =
        std::clamp(deadline_ns_, now + kLeastPatienceNs, now + kMostPatienceNs);
    bool all = true;
    // Not stopped yet, so PTRACE_DETACH is refused.
    for (auto* queue : {&waiting_, &adopted_}) {
        for (const pid_t tid : *queue) all = let_go_when_stopped(Tracee(tid), patience_ns) && all;
        queue->clear();
    }
    try {
        if (keep == 0 && std::exchange(vanished_, false)) all = release_untold(patience_ns) && all;
    } catch (const Error&) {
        // The process has gone whole.
    }
    return all;
}

}  // namespace snapcore::linux_os
