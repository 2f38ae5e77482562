// SPDX-License-Identifier: Apache-2.0
#include "linux/clone_child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/owners.h"
#include "linux/access.h"
#include "linux/pagemap.h"
#include "linux/procfs.h"
#include "linux/remote_memory.h"

namespace snapcore::linux_os {
namespace {

constexpr unsigned long kCloneOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
constexpr unsigned long kSuspendSeccomp = 1ul << 21;  // PTRACE_O_SUSPEND_SECCOMP
constexpr std::uint64_t kShareDescriptors =
    0x400;  // CLONE_FILES; exit signal 0: nobody hears of its end
constexpr std::uint64_t kCloseRangeUnshare = 2;
constexpr std::uint64_t kUnknownCall = 0xffff;      // ENOSYS on every kernel
constexpr std::uint64_t kReapOptions = 0x40000001;  // __WALL | WNOHANG
constexpr std::int64_t kReapPauseNs = 1'000'000'000;
constexpr std::int64_t kSettleNs = 10'000'000'000;  // nobody stands still for it
constexpr std::int64_t kGiveBackNs = 1'000'000'000;
constexpr std::int64_t kBirthNs = 1'000'000'000;
constexpr std::int64_t kDeathNs = 5'000'000'000;
constexpr std::int64_t kDeathNsPerGiB = 100'000'000;
constexpr std::int64_t kReapPatienceNs = 3'000'000'000;
constexpr int kWorstRank = 5;  // of injection_rank()
constexpr long kReapStepNs = 10'000'000;
constexpr int kFoundBefore = 10;  // attempts

std::string proc(pid_t pid, const char* name) {
    return "/proc/" + std::to_string(pid) + "/" + name;
}

Error clone_refused(std::int64_t error, std::uint32_t pid) {
    std::string why;
    switch (error) {
        case EAGAIN:
            why = "the target is at its limit of processes (RLIMIT_NPROC or the cgroup's pids.max)";
            break;
        case ENOMEM:
            why = "there is not enough memory for the copy (overcommit setting or memory cgroup)";
            break;
        case EPERM:
        case ENOSYS: why = "a seccomp filter of the target refuses clone"; break;
        default: why = "the target could not be cloned"; break;
    }
    return {ErrorKind::kUnsupported,
            ErrorDomain::kErrno,
            error,
            "clone",
            why + "; use method=\"live\", which stops the target while the file is written",
            pid};
}

// How bad it is for a thread to be stopped once more, from task/TID/syscall: "running", or the
// call's number and arguments.
int disturbance(const std::string& text) {
    if (text.empty()) return 1000;
    if (text.starts_with("running")) return 0;
    char* rest = nullptr;
    const long number = std::strtol(text.c_str(), &rest, 10);
    std::array<std::uint64_t, 6> arguments{};
    for (std::uint64_t& argument : arguments) argument = std::strtoul(rest, &rest, 16);
    return number == -1 ? 0 : disturbance_of_call(number, arguments);  // -1: in a page fault
}

std::vector<pid_t> threads_by_disturbance(int process_directory) {
    std::vector<std::pair<int, pid_t>> ranked;
    for (const std::uint32_t tid : list_tasks(process_directory)) {
        const std::string directory = "task/" + std::to_string(tid);
        const auto stat =
            parse_stat(try_read_text(process_directory, (directory + "/stat").c_str()));
        if (!stat || stat->state == 'Z' || stat->state == 'X' || stat->state == 'D') continue;
        ranked.emplace_back(
            disturbance(try_read_text(process_directory, (directory + "/syscall").c_str())),
            static_cast<pid_t>(tid));
        if (ranked.size() == 64) break;
    }
    std::stable_sort(ranked.begin(), ranked.end());
    std::vector<pid_t> out;
    for (const auto& [rank, tid] : ranked) out.push_back(tid);
    return out;
}

enum class CloneState { kGone, kEnding, kZombie };

CloneState state_of(pid_t clone, std::uint32_t parent) {
    const auto stat = parse_stat(try_read_text(AT_FDCWD, proc(clone, "stat").c_str()));
    if (!stat || stat->parent_pid != parent || stat->exit_signal != 0) return CloneState::kGone;
    return stat->state == 'Z' ? CloneState::kZombie : CloneState::kEnding;
}

void warn(Diagnostics& diagnostics, const char* code, const std::string& message, pid_t subject) {
    diagnostics.push_back({Severity::kWarning,
                           code,
                           message,
                           "",
                           ErrorDomain::kNone,
                           0,
                           static_cast<std::uint64_t>(subject)});
}

void wait_by(const StoppedThreads& threads,
             const Gadgets& gadgets,
             bool suspend_seccomp,
             std::int32_t clone) {
    Injection injection(threads, gadgets, suspend_seccomp);
    injection.run(kInjectedCalls.wait4,
                  {static_cast<std::uint64_t>(clone), 0, kReapOptions, 0, 0, 0},
                  {},
                  [] {});
    injection.put_back();
}

struct Parent {
    std::uint32_t pid;
    int directory;
    std::int32_t clone;  // its number there
    Watchdog& watchdog;
};

Gadgets find_gadgets_of(const Parent& parent) {
    // Anew each time: an execve takes the memory of before away, but not the zombie.
    const UniqueDescriptor memory(::openat(parent.directory, "mem", O_RDONLY | O_CLOEXEC));
    return find_gadgets(parent.directory, memory.get());
}

bool has_seccomp_filter(const Parent& parent) {
    return parse_status(try_read_text(parent.directory, "status")).seccomp == 2;
}

// Has one thread of the parent wait for its child, the one that feels a stop least. False where a
// thread does not stop: it is let go by the end of this one.
//
// What is needed is found before the stop, or in it: where execve follows execve, it is gone sooner
// than it is used.
bool wait_by_one_thread(const Parent& parent, bool find_in_stop, std::int64_t patience_ns) {
    const Gadgets before = find_in_stop ? Gadgets{} : find_gadgets_of(parent);
    const bool filtered = has_seccomp_filter(parent);
    const std::vector<pid_t> candidates = threads_by_disturbance(parent.directory);
    for (const pid_t tid : candidates) {
        StoppedThreads target(
            parent.pid, parent.directory, monotonic_ns() + kReapPauseNs, parent.watchdog);
        bool next = true;
        try {
            if (target.stop_one(tid)) {
                // It went to sleep meanwhile, in a call that was interrupted before: the next one
                // has a better way home.
                const auto rank = injection_rank(target.threads().front().restored);
                if (rank.value_or(kWorstRank) < kWorstRank || tid == candidates.back()) {
                    const Gadgets gadgets = find_in_stop ? find_gadgets_of(parent) : before;
                    wait_by(target, gadgets, filtered, parent.clone);
                    next = false;
                }
            }
        } catch (const Error& error) {
            // Perhaps another thread can, or this one later: it ended, or called execve, or
            // somebody else traces the target at the moment, perhaps another snapshot.
            next = error.kind() == ErrorKind::kUnsupported || error.kind() == ErrorKind::kTimedOut;
        }
        if (!target.release()) return false;
        if (!next || monotonic_ns() >= patience_ns) break;
    }
    return true;
}

}  // namespace

void CloneChild::make(const StoppedThreads& target,
                      Injection& injection,
                      const std::function<void()>& meanwhile,
                      const std::function<void()>& overdue,
                      bool seccomp_suspended) {
    const InjectedResult result =
        injection.run(kInjectedCalls.clone, {kShareDescriptors, 0, 0, 0, 0, 0}, meanwhile, overdue);
    if (result.child != 0) {
        pid_ = result.child;
        pid_in_target_ = static_cast<std::int32_t>(result.value);
        alive_ = true;
        const Tracee child(pid_);
        // Frozen at its birth, it never gets to its first stop.
        if (!child.wait(std::max(target.deadline_ns(), monotonic_ns() + kBirthNs))) {
            injection.put_back();
            throw Error(ErrorKind::kTimedOut,
                        ErrorDomain::kErrno,
                        ETIMEDOUT,
                        "waitid",
                        "the clone did not start; the target's cgroup may have been frozen: try "
                        "again",
                        target.pid());
        }
        child.set_options(kCloneOptions | (seccomp_suspended ? kSuspendSeccomp : 0));
    }
    injection.put_back();
    if (result.value < 0 || result.child == 0) throw clone_refused(-result.value, target.pid());
}

void CloneChild::settle(const Injection& injection,
                        bool has_close_range,
                        Diagnostics& diagnostics) {
    const UniqueDescriptor score(::open(proc(pid_, "oom_score_adj").c_str(), O_WRONLY | O_CLOEXEC));
    if (!score || ::write(score.get(), "1000", 4) != 4) {
        warn(diagnostics,
             "clone_not_preferred_by_oom_killer",
             "the clone's oom_score_adj could not be raised: short of memory, the kernel may "
             "choose the target",
             pid_);
    }
    if (injection.has_way_home()) {
        const auto& bytes = injection.covered_bytes();
        if (write_remote(pid_, injection.covered_address(), bytes) != bytes.size()) {
            warn(diagnostics,
                 "dead_stack_not_restored",
                 "unused stack below a thread's red zone holds bytes of the snapshot's own",
                 injection.tid());
        }
    } else {
        warn(diagnostics,
             "no_way_home",
             "no thread had room for a frame that brings it home without the tracer; had the "
             "tracer been killed "
             "while the clone was made, the target would have been harmed",
             injection.tid());
    }
    // A table of its own would be felt by the target (a closed file stays in its epoll set, a port
    // stays bound), so the clone was made sharing it, and leaves it here. A plain close_range would
    // close the target's descriptors.
    try {
        const std::int64_t left =
            call_in_clone(Tracee(pid_),
                          injection.call_address(),
                          has_close_range ? kInjectedCalls.close_range : kUnknownCall,
                          {0, 0xffffffff, kCloseRangeUnshare, 0, 0, 0},
                          monotonic_ns() + kSettleNs);
        if (left < 0) {
            warn(diagnostics,
                 "clone_shares_descriptors",
                 "the clone shares the target's descriptor table (no close_range here): if the "
                 "target ends first, its files "
                 "stay open until the snapshot is closed",
                 pid_);
        }
        call_address_ = injection.call_address();
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::kTimedOut) throw;
        throw Error(ErrorKind::kOther,
                    ErrorDomain::kErrno,
                    error.code(),
                    error.call(),
                    "the clone was killed by somebody else",
                    static_cast<std::uint32_t>(pid_));
    }
}

void CloneChild::give_back(const Range& range) noexcept {
    if (!alive_ || call_address_ == 0) return;
    const auto give_back_part = [&](std::uint64_t start, std::uint64_t end) {
        if (start >= end) return;
        call_in_clone(Tracee(pid_),
                      call_address_,
                      kInjectedCalls.madvise,
                      {start, end - start, MADV_DONTNEED, 0, 0, 0},
                      monotonic_ns() + kGiveBackNs);
    };
    try {
        // Not the code that makes the call; it may lie across two pages.
        const std::uint64_t code = align_down(call_address_, kPageSize);
        const std::uint64_t start = align_up(range.address, kPageSize);
        const std::uint64_t end = align_down(range.end(), kPageSize);
        give_back_part(start, std::min(end, code));
        give_back_part(std::max(start, code + 2 * kPageSize), end);
    } catch (const std::exception&) {
        call_address_ = 0;  // it has gone, or waits for a disk: its memory comes back with its end
    }
}

void CloneChild::kill() noexcept {
    if (!alive_) return;
    alive_ = false;
    // Where its cgroup is frozen (v1) it ends only when that is thawed.
    const Status status = parse_status(try_read_text(AT_FDCWD, proc(pid_, "status").c_str()));
    const auto size_gib = static_cast<std::int64_t>(status.vm_rss.value_or(0) >> 30);
    const std::int64_t patience_ns = monotonic_ns() + kDeathNs + size_gib * kDeathNsPerGiB;
    // Traced by us and not waited for, so the pid can't have been recycled.
    const Tracee child(pid_);
    child.kill();
    for (int stops = 0; stops < 16; ++stops) {
        const auto stop = child.wait(patience_ns);
        if (!stop || stop->kind == StopKind::kGone) break;
    }
}

void reap_clone(std::uint32_t pid,
                int process_directory,
                pid_t clone,
                std::int32_t clone_in_target,
                Watchdog& watchdog,
                Diagnostics& diagnostics) noexcept {
    try {
        const std::int64_t patience_ns = monotonic_ns() + kReapPatienceNs;
        const Parent parent{pid, process_directory, clone_in_target, watchdog};
        bool goes_on = true;
        for (int attempt = 0; goes_on && monotonic_ns() < patience_ns; ++attempt) {
            const CloneState state = state_of(clone, pid);
            if (state == CloneState::kGone) break;
            // One whose tracer was killed is not waited for by anybody while it ends.
            if (attempt > 0 || state == CloneState::kEnding) {
                const timespec step{0, kReapStepNs};
                ::nanosleep(&step, nullptr);
            }
            if (state == CloneState::kEnding) continue;
            goes_on = wait_by_one_thread(parent, attempt >= kFoundBefore, patience_ns);
        }
        if (state_of(clone, pid) != CloneState::kGone) {
            warn(diagnostics,
                 "zombie_left",
                 "the clone's zombie could not be collected; it goes when the target ends or waits "
                 "for its children",
                 clone);
        }
    } catch (const std::exception& error) {
        try {
            warn(diagnostics,
                 "zombie_left",
                 std::string("the clone's zombie could not be collected: ") + error.what(),
                 clone);
        } catch (const std::exception&) {
            // Out of memory: the report is lost, the zombie is all that is left.
        }
    }
}

}  // namespace snapcore::linux_os
