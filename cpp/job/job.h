// SPDX-License-Identifier: Apache-2.0
//
// Work on a native thread that its owner polls: nothing calls back, so the owner stays free to show
// progress, to see Ctrl-C and to cancel.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "snapshot/control.h"

namespace snapcore {

template <class Result>
class Job {
public:
    // Starts at once.
    explicit Job(std::function<Result(Control&)> work) {
        thread_ = std::thread([this, work = std::move(work)] { run(work); });
    }
    // Cancels and waits.
    ~Job() {
        cancel();
        join();
    }
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;

    // True once it has ended, well or not.
    bool wait(double seconds) {
        std::unique_lock lock(mutex_);
        const bool done =
            ended_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return done_; });
        if (done) join();
        return done;
    }
    void cancel() { control_.cancelled.store(true, std::memory_order_relaxed); }
    const Control& progress() const { return control_; }

    // Waits for the end; the outcome, or the error rethrown.
    Result result() {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return done_; });
        join();
        if (error_) std::rethrow_exception(error_);
        return *result_;  // NOLINT(bugprone-unchecked-optional-access): run() sets one of the two
    }

private:
    // As soon as it can be: a job that an exception keeps may be destroyed in a fork of this
    // process, where another thread may have the same place. Under the lock, which run() needs no
    // more.
    void join() {
        if (thread_.joinable()) thread_.join();
    }

    void run(const std::function<Result(Control&)>& work) noexcept {
        std::optional<Result> result;
        std::exception_ptr error;
        try {
            result.emplace(work(control_));
        } catch (...) {
            error = std::current_exception();
        }
        control_.phase.store(Phase::kDone, std::memory_order_relaxed);
        const std::lock_guard lock(mutex_);
        result_ = std::move(result);
        error_ = error;
        done_ = true;
        ended_.notify_all();
    }

    Control control_;
    std::mutex mutex_;
    std::condition_variable ended_;
    bool done_ = false;
    std::optional<Result> result_;
    std::exception_ptr error_;
    std::thread thread_;
};

}  // namespace snapcore
