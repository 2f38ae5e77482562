// SPDX-License-Identifier: Apache-2.0
#include "linux/watchdog.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"

namespace snapcore::linux_os {
namespace {

constexpr std::chrono::milliseconds kStep{20};

// A wait takes a tracee's stop whether it asked for stops or not, so it looks first.
bool collected(pid_t tid) {
    siginfo_t info{};
    constexpr int kLook = WEXITED | WNOHANG | __WALL;
    const auto id = static_cast<id_t>(tid);
    if (::waitid(P_PID, id, &info, kLook | WNOWAIT) < 0) return true;
    const bool dead =
        info.si_pid != 0 &&
        (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
    return dead && ::waitid(P_PID, id, &info, kLook) == 0;
}

}  // namespace

Watchdog::Watchdog(std::function<void()> overdue) : overdue_(std::move(overdue)) {
    // The tracer's thread has every signal blocked, and this one inherits that.
    thread_ = std::thread([this] { run(); });
}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

bool Watchdog::set_limit(std::int64_t limit_ns) {
    const std::lock_guard lock(mutex_);
    limit_ns_ = limit_ns;
    if (limit_ns != 0) changed_.notify_one();
    return !std::exchange(passed_, false);
}

void Watchdog::collect(pid_t tid) {
    const std::lock_guard lock(mutex_);
    tracees_.insert(tid);
    if (tracees_.size() == 1) changed_.notify_one();
}

void Watchdog::forget(pid_t tid) {
    const std::lock_guard lock(mutex_);
    tracees_.erase(tid);
}

void Watchdog::run() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
        if (limit_ns_ == 0 && tracees_.empty()) {
            changed_.wait(lock);
            continue;
        }
        // Cut short by the end alone: a tracee that has just been seized is not dead.
        changed_.wait_for(lock, kStep, [this] { return ending_; });
        std::erase_if(tracees_, collected);
        if (limit_ns_ != 0 && monotonic_ns() > limit_ns_) {
            limit_ns_ = 0;
            passed_ = true;
            lock.unlock();
            overdue_();
            lock.lock();
        }
    }
}

}  // namespace snapcore::linux_os
