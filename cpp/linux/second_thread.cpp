// SPDX-License-Identifier: Apache-2.0
#include "linux/second_thread.h"

#include <chrono>
#include <utility>

namespace snapcore::linux_os {

void Event::set() {
    {
        const std::lock_guard lock(mutex_);
        is_set_ = true;
    }
    changed_.notify_all();
}

void Event::wait_until(std::int64_t deadline_ns) {
    // std::chrono::steady_clock is CLOCK_MONOTONIC, as monotonic_ns() is.
    const std::chrono::steady_clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return is_set_; });
}

SecondThread::SecondThread() {
    // The tracer's thread has every signal blocked, and this one inherits that.
    thread_ = std::thread([this] { run(); });
}

SecondThread::~SecondThread() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void SecondThread::start(std::function<void()> work) {
    {
        const std::lock_guard lock(mutex_);
        work_ = std::move(work);
    }
    changed_.notify_all();
}

void SecondThread::wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !work_; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void SecondThread::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return work_ || ending_; });
        if (!work_) return;
        lock.unlock();
        std::exception_ptr error;
        try {
            work_();
        } catch (...) {
            error = std::current_exception();
        }
        lock.lock();
        error_ = error;
        work_ = nullptr;
        changed_.notify_all();
    }
}

}  // namespace snapcore::linux_os
