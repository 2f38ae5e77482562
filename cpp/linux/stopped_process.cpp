// SPDX-License-Identifier: Apache-2.0
#include "linux/stopped_process.h"

#include <exception>
#include <span>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "linux/access.h"
#include "linux/injection.h"
#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

// Waking the second thread costs as much as stopping a few threads.
constexpr std::size_t kWorthSharing = 16;

}  // namespace

StoppedProcess::StoppedProcess(std::uint32_t pid,
                               int directory,
                               std::int64_t deadline_ns,
                               Watchdog& watchdog,
                               SecondThread* second)
    : pid_(pid),
      directory_(directory),
      watchdog_(watchdog),
      second_(second),
      own_(pid, directory, deadline_ns, watchdog) {
    if (second != nullptr) of_second_.emplace(pid, directory, deadline_ns, watchdog);
}

void StoppedProcess::each_share(const std::function<void(StoppedThreads&)>& work) {
    if (second_ == nullptr || !of_second_) return work(own_);
    second_->start([&] { work(*of_second_); });
    std::exception_ptr error;
    try {
        work(own_);
    } catch (...) {
        error = std::current_exception();
    }
    try {
        second_->wait();
    } catch (...) {
        if (!error) error = std::current_exception();
    }
    if (error) std::rethrow_exception(error);
}

void StoppedProcess::stop_all() {
    std::unordered_set<pid_t> known;
    for (;;) {
        std::vector<pid_t> fresh;
        for (const std::uint32_t id : list_tasks(directory_)) {
            const auto tid = static_cast<pid_t>(id);
            if (known.insert(tid).second) fresh.push_back(tid);
        }
        if (fresh.empty()) break;
        const std::span<const pid_t> all(fresh);
        if (second_ != nullptr && fresh.size() >= kWorthSharing) {
            const std::size_t half = fresh.size() / 2;
            each_share([&](StoppedThreads& threads) {
                threads.stop(is_of_second(threads) ? all.subspan(half) : all.first(half));
            });
        } else {
            own_.stop(all);
        }
        known.insert(own_.seen().begin(), own_.seen().end());
        if (of_second_) known.insert(of_second_->seen().begin(), of_second_->seen().end());
    }
    for (const StoppedThread& thread : own_.threads()) watchdog_.forget(thread.tracee.tid());
    if (of_second_) {
        for (const StoppedThread& thread : of_second_->threads()) {
            watchdog_.forget(thread.tracee.tid());
        }
    }
    if (size() == 0) throw process_gone(pid_, "it ended while it was being stopped");
    own_.check_program();
}

std::size_t StoppedProcess::size() const {
    return own_.threads().size() + (of_second_ ? of_second_->threads().size() : 0);
}

std::uint32_t StoppedProcess::interrupted_timed_calls() const {
    return own_.interrupted_timed_calls() +
           (of_second_ ? of_second_->interrupted_timed_calls() : 0);
}

const StoppedThreads& StoppedProcess::best_to_inject() const {
    if (!of_second_) return own_;
    const auto own = best_injection_rank(own_);
    const auto other = best_injection_rank(*of_second_);
    return other && (!own || *other < *own) ? *of_second_ : own_;
}

void StoppedProcess::release() noexcept {
    try {
        each_share([](StoppedThreads& threads) { threads.release(); });
    } catch (const std::exception&) {
        // The work throws nothing.
    }
}

}  // namespace snapcore::linux_os
