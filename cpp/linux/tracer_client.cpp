// SPDX-License-Identifier: Apache-2.0
#include "linux/tracer_client.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/error.h"
#include "linux/access.h"
#include "linux/tracer.h"

namespace snapcore::linux_os {
namespace {

constexpr int kPollStep_ms = 20;

// The helper program lies beside the file that this code was loaded from.
std::string helper_path() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void*>(&helper_path), &info) == 0 ||
        info.dli_fname == nullptr) {
        return {};
    }
    const std::string own = info.dli_fname;
    return own.substr(0, own.rfind('/') + 1) + "snapcore-tracer";
}

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

std::pair<CaptureRecord, CaptureDescriptors> TracerClient::capture(const TracerRequest& request,
                                                                   Control& control) {
    try {
        send_request(socket_.get(), request);
        pollfd watched{socket_.get(), POLLIN, 0};
        while (::poll(&watched, 1, kPollStep_ms) <= 0) control.check();
        if (auto answer = receive_capture(socket_.get())) {
            clone_ = answer->first.clone;
            clone_in_target_ = answer->first.clone_in_target;
            return std::move(*answer);
        }
    } catch (...) {
        // The tracer has released the target already, or does when it sees the end of the
        // connection.
        end();
        throw;
    }
    end();
    throw Error(ErrorKind::kOther,
                ErrorDomain::kNone,
                0,
                "",
                "the tracer was killed while it captured; the target goes on, try again",
                target_);
}

ReleaseRecord TracerClient::release() noexcept {
    ReleaseRecord record;
    if (!socket_) return record;
    if (::getpid() != owner_) {
        // In a fork of the caller: the snapshot stays the caller's.
        socket_.reset();
        // Its thread is not here, and another may have its place: neither joined nor detached.
        if (thread_.joinable()) (void)new std::thread(std::move(thread_));
        return record;
    }
    try {
        ::shutdown(socket_.get(), SHUT_WR);
        const auto answer = receive_release(socket_.get());
        end();
        if (answer) return *answer;
        if (clone_ != 0) {
            // The kernel has ended the clone together with its tracer, but its zombie is the
            // target's.
            TracerClient second(placement_, target_);
            TracerRequest request;
            request.kind = RequestKind::kReap;
            request.pid = target_;
            request.clone = clone_;
            request.clone_in_target = clone_in_target_;
            send_request(second.socket_.get(), request);
            if (const auto reaped = receive_release(second.socket_.get())) record = *reaped;
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
        end();
        record.held_to_the_end = false;
    }
    return record;
}

void TracerClient::end() noexcept {
    socket_.reset();
    if (thread_.joinable()) thread_.join();
    if (helper_ != 0) {
        while (::waitpid(helper_, nullptr, 0) < 0 && errno == EINTR) {
        }
        helper_ = 0;
    }
}

}  // namespace snapcore::linux_os
