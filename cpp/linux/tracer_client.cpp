// SPDX-License-Identifier: Apache-2.0
#include "linux/tracer_client.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "linux/access.h"
#include "linux/procfs.h"
#include "linux/tracer.h"

namespace snapcore::linux_os {
namespace {

constexpr std::int64_t kPollStepNs = 20'000'000;
constexpr std::int64_t kGraceNs = 30'000'000'000;
constexpr std::int64_t kGraceNsPerGiB = 100'000'000;
constexpr std::int64_t kEndNs = 5'000'000'000;    // for a tracer that has nothing left to do
constexpr std::int64_t kReapNs = 10'000'000'000;  // for one that collects a zombie

// True when there is something to read, or the other side has closed its end; `events` 0 asks for
// the latter alone.
bool wait_readable(int fd, short events, std::int64_t deadline_ns) {
    for (;;) {
        const std::int64_t left_ns = std::max<std::int64_t>(deadline_ns - monotonic_ns(), 0);
        const timespec timeout{left_ns / 1'000'000'000, left_ns % 1'000'000'000};
        pollfd watched{fd, events, 0};
        const int ready = ::ppoll(&watched, 1, &timeout, nullptr);
        if (ready > 0) return true;
        if (ready == 0 && left_ns == 0) return false;
        if (ready < 0 && errno != EINTR) return true;
    }
}

bool is_collected(pid_t child) {
    const pid_t found = ::waitpid(child, nullptr, WNOHANG);
    return found == child || (found < 0 && errno == ECHILD);
}

bool wait_for_end(pid_t child, std::int64_t deadline_ns) {
    const UniqueDescriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    if (handle) wait_readable(handle.get(), POLLIN, deadline_ns);
    while (!is_collected(child)) {
        if (monotonic_ns() > deadline_ns) return false;
        const timespec step{0, 1'000'000};
        ::nanosleep(&step, nullptr);
    }
    return true;
}

// Helpers that were killed and had not ended when somebody last looked; without a parent that asks
// again they would stay zombies.
std::mutex unended_mutex;
std::vector<pid_t> unended;

void remember_unended(pid_t helper) {
    const std::lock_guard lock(unended_mutex);
    unended.push_back(helper);
}

void collect_unended() {
    const std::lock_guard lock(unended_mutex);
    std::erase_if(unended, is_collected);
}

Error no_answer(std::uint32_t target) {
    return {ErrorKind::kTimedOut,
            ErrorDomain::kNone,
            0,
            "",
            "the tracer did not answer in time and was given up; the target goes on. Try again; a "
            "machine that is short of memory or processors, or a tracer that was stopped, is the "
            "usual cause",
            target};
}

// A process has one tracer at a time, so several threads that capture their own process take turns.
class SelfLock {
public:
    SelfLock(bool wanted, std::int64_t deadline_ns, const Control* control) {
        if (!wanted) return;
        while (!lock_.try_lock_for(std::chrono::nanoseconds(kPollStepNs))) {
            if (control != nullptr) control->check();
            if (monotonic_ns() > deadline_ns) {
                throw no_answer(static_cast<std::uint32_t>(::getpid()));
            }
        }
    }

private:
    static inline std::timed_mutex mutex_;
    std::unique_lock<std::timed_mutex> lock_{mutex_, std::defer_lock};
};

std::array<UniqueDescriptor, 2> socket_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        throw Error::from_errno(errno, "socketpair");
    }
    return {UniqueDescriptor(ends[0]), UniqueDescriptor(ends[1])};
}

TracerPlacement choose(TracerPlacement placement, std::uint32_t target) {
    if (placement != TracerPlacement::kAuto) return placement;
    const auto self = static_cast<std::uint32_t>(::getpid());
    // Under Yama's scope 1 a freshly started helper is no ancestor of the target, this process may
    // be.
    if (yama_scope() == 1 && !has_ptrace_capability() && target != self &&
        is_descendant(target, self)) {
        return TracerPlacement::kThread;
    }
    return TracerPlacement::kHelper;
}

class SpawnSettings {
public:
    explicit SpawnSettings(int socket) {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
        // A helper that kept the caller's standard streams would keep a pipeline of the caller's
        // open.
        for (const int stream : {0, 1, 2}) {
            ::posix_spawn_file_actions_addopen(&actions_, stream, "/dev/null", O_RDWR, 0);
        }
        ::posix_spawn_file_actions_adddup2(&actions_, socket, 3);
        // Ctrl-C in a terminal goes to the whole process group: the helper ends when its caller
        // says so, or dies.
        sigset_t all;
        ::sigfillset(&all);
        ::posix_spawnattr_setsigmask(&attributes_, &all);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        ::posix_spawnattr_setflags(&attributes_,
                                   static_cast<short>(POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID));
    }
    ~SpawnSettings() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }
    SpawnSettings(const SpawnSettings&) = delete;
    SpawnSettings& operator=(const SpawnSettings&) = delete;

    const posix_spawn_file_actions_t* actions() const { return &actions_; }
    const posix_spawnattr_t* attributes() const { return &attributes_; }

private:
    posix_spawn_file_actions_t actions_;
    posix_spawnattr_t attributes_;
};

}  // namespace

std::string helper_path() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void*>(&helper_path), &info) == 0 ||
        info.dli_fname == nullptr) {
        return {};
    }
    const std::string own = info.dli_fname;
    return own.substr(0, own.rfind('/') + 1) + "snapcore-tracer";
}

TracerClient::TracerClient(TracerPlacement placement, std::uint32_t target)
    : placement_(choose(placement, target)), owner_(::getpid()), target_(target) {
    if (placement_ == TracerPlacement::kThread) {
        if (target == static_cast<std::uint32_t>(owner_)) {
            throw Error::unsupported("PTRACE_SEIZE",
                                     "a thread cannot trace its own process; use the helper "
                                     "program (SNAPCORE_TRACER=helper)",
                                     target);
        }
        start_thread();
    } else {
        start_helper(target);
    }
}

TracerClient::~TracerClient() {
    release();
}

void TracerClient::start_helper(std::uint32_t target) {
    collect_unended();
    auto [ours, theirs] = socket_pair();
    // addup2 onto the same number would keep close-on-exec, so the socket must not be 3 itself.
    UniqueDescriptor moved(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, 10));
    if (!moved) throw Error::from_errno(errno, "fcntl");
    const std::string path = helper_path();
    const SpawnSettings settings(moved.get());
    char* const arguments[] = {const_cast<char*>(path.c_str()), nullptr};
    char* const environment[] = {nullptr};
    const int error = ::posix_spawn(
        &helper_, path.c_str(), settings.actions(), settings.attributes(), arguments, environment);
    if (error != 0) {
        helper_ = 0;
        throw Error(
            ErrorKind::kOther,
            ErrorDomain::kErrno,
            error,
            "posix_spawn",
            "the tracer program " + path +
                " could not be started; reinstall the package, or set SNAPCORE_TRACER=thread");
    }
    if (target == static_cast<std::uint32_t>(owner_)) {
        ::prctl(PR_SET_PTRACER, static_cast<unsigned long>(helper_), 0, 0, 0);
    }
    socket_ = std::move(ours);
}

void TracerClient::start_thread() {
    auto [ours, theirs] = socket_pair();
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    thread_ = std::thread([socket = std::move(theirs)] { serve_tracer(socket.get(), -1); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    socket_ = std::move(ours);
}

// How long the tracer may take beyond max_pause: the call that copies page tables cannot be
// abandoned, and takes some 20 s for 1 TiB.
std::int64_t TracerClient::grace_ns() const {
    const char* const chosen = ::getenv("SNAPCORE_TRACER_GRACE");
    if (chosen != nullptr && *chosen != '\0') {
        return static_cast<std::int64_t>(std::strtod(chosen, nullptr) * 1e9);
    }
    const Status status = parse_status(
        try_read_text(AT_FDCWD, ("/proc/" + std::to_string(target_) + "/status").c_str()));
    const auto size_gib = static_cast<std::int64_t>(status.vm_rss.value_or(0) >> 30);
    return kGraceNs + size_gib * kGraceNsPerGiB;
}

bool TracerClient::wait_for_answer(std::int64_t deadline_ns) const {
    return wait_readable(socket_.get(), POLLIN, deadline_ns);
}

std::pair<CaptureRecord, CaptureDescriptors> TracerClient::capture(const TracerRequest& request,
                                                                   Control& control) {
    const bool self = target_ == static_cast<std::uint32_t>(owner_);
    if (self && (request.needs & need::kHold) != 0) {
        end(monotonic_ns() + kEndNs);
        throw Error::unsupported("PTRACE_SEIZE",
                                 "a process that stands still cannot write its own memory to a "
                                 "file; use method=\"snapshot\"",
                                 target_);
    }
    const std::int64_t deadline_ns = monotonic_ns() + request.max_pause_ns + grace_ns();
    std::int64_t patience_ns = 0;
    try {
        const SelfLock lock(self, deadline_ns, &control);
        send_request(socket_.get(), request);
        while (!wait_for_answer(monotonic_ns() + kPollStepNs)) {
            // It answers by itself soon; the caller waits no longer than that.
            patience_ns = monotonic_ns() + request.max_pause_ns + kEndNs;
            control.check();
            patience_ns = 0;
            if (monotonic_ns() > deadline_ns) throw no_answer(target_);
        }
        patience_ns = monotonic_ns() + kEndNs;
        if (auto answer = receive_capture(socket_.get())) {
            clone_ = answer->first.clone;
            clone_in_target_ = answer->first.clone_in_target;
            return std::move(*answer);
        }
    } catch (...) {
        // The tracer has released the target already, or does when it sees the end of the
        // connection.
        end(std::min(patience_ns, deadline_ns + kEndNs));
        throw;
    }
    end(patience_ns);
    throw Error(ErrorKind::kOther,
                ErrorDomain::kNone,
                0,
                "",
                "the tracer was killed while it captured; the target goes on, try again",
                target_);
}

void TracerClient::give_back(const Range& range) const noexcept {
    if (!socket_ || ::getpid() != owner_) return;
    TracerRequest request;
    request.kind = RequestKind::kGiveBack;
    request.range = range;
    offer_request(socket_.get(), request);
}

ReleaseRecord TracerClient::release() noexcept {
    ReleaseRecord record;
    if (!socket_) return record;
    if (::getpid() != owner_) {
        // In a fork of the caller: the snapshot stays the caller's.
        socket_.reset();
        // Its thread is not here, and another may have its place: neither joined nor detached.
        // Without memory for that nothing could be done:
        // NOLINTNEXTLINE(bugprone-unhandled-exception-at-new)
        if (thread_.joinable()) (void)new std::thread(std::move(thread_));
        return record;
    }
    const std::int64_t deadline_ns = monotonic_ns() + grace_ns();
    std::optional<ReleaseRecord> answer;
    try {
        const SelfLock lock(target_ == static_cast<std::uint32_t>(owner_), deadline_ns, nullptr);
        ::shutdown(socket_.get(), SHUT_WR);
        if (wait_for_answer(deadline_ns)) answer = receive_release(socket_.get());
        end(deadline_ns);
        if (answer) return *answer;
        if (clone_ != 0) {
            // The kernel has ended the clone together with its tracer, but its zombie is the
            // target's.
            TracerClient second(placement_, target_);
            TracerRequest request;
            request.kind = RequestKind::kReap;
            request.pid = target_;
            request.clone = std::exchange(clone_, 0);
            request.clone_in_target = clone_in_target_;
            send_request(second.socket_.get(), request);
            if (second.wait_for_answer(monotonic_ns() + kReapNs)) {
                if (const auto reaped = receive_release(second.socket_.get())) record = *reaped;
            }
            second.end(monotonic_ns() + kEndNs);
        }
        record.held_to_the_end = false;
        record.diagnostics.push_back({Severity::kWarning,
                                      "tracer_killed",
                                      "the tracer was killed while the snapshot was open",
                                      "",
                                      ErrorDomain::kNone,
                                      0,
                                      target_});
    } catch (const std::exception&) {
        end(deadline_ns);
        record.held_to_the_end = false;
    }
    return record;
}

void TracerClient::end(std::int64_t deadline_ns) noexcept {
    if (!socket_) return;
    // The tracer sees the end of what it reads, and we see it close its own end.
    ::shutdown(socket_.get(), SHUT_WR);
    if (thread_.joinable()) {
        if (wait_readable(socket_.get(), 0, deadline_ns)) {
            thread_.join();
        } else {
            thread_.detach();  // it owns its end of the connection, and nothing of ours
        }
    }
    socket_.reset();
    if (helper_ == 0) return;
    if (!wait_for_end(helper_, deadline_ns)) {
        // Safe for the target at any instant: the way home.
        ::kill(helper_, SIGKILL);
        if (!wait_for_end(helper_, monotonic_ns() + kEndNs)) remember_unended(helper_);
    }
    helper_ = 0;
}

}  // namespace snapcore::linux_os
