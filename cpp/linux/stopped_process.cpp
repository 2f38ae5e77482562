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
    : pid_(pid), directory_(directory), watchdog_(watchdog), second_(second) {
    shares_[0].emplace(pid, directory, deadline_ns, watchdog);
    if (second != nullptr) shares_[1].emplace(pid, directory, deadline_ns, watchdog);
}

void StoppedProcess::each_share(const std::function<void(StoppedThreads&)>& work) {
    if (second_ == nullptr) {
        work(*shares_[0]);
        return;
    }
    second_->start([&] { work(*shares_[1]); });
    std::exception_ptr error;
    try {
        work(*shares_[0]);
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
            shares_[0]->stop(all);
        }
        for (const auto& share : shares_) {
            if (share) known.insert(share->seen().begin(), share->seen().end());
        }
    }
    for (const auto& share : shares_) {
        if (!share) continue;
        for (const StoppedThread& thread : share->threads()) watchdog_.forget(thread.tracee.tid());
    }
    if (size() == 0) throw process_gone(pid_, "it ended while it was being stopped");
    shares_[0]->check_program();
}

std::size_t StoppedProcess::size() const {
    std::size_t out = 0;
    for (const auto& share : shares_) {
        if (share) out += share->threads().size();
    }
    return out;
}

std::uint32_t StoppedProcess::interrupted_timed_calls() const {
    std::uint32_t out = 0;
    for (const auto& share : shares_) {
        if (share) out += share->interrupted_timed_calls();
    }
    return out;
}

const StoppedThreads& StoppedProcess::best_to_inject() const {
    // NOLINTBEGIN(bugprone-unchecked-optional-access): both were made by the constructor.
    if (second_ == nullptr) return *shares_[0];
    const auto own = best_injection_rank(*shares_[0]);
    const auto other = best_injection_rank(*shares_[1]);
    return other && (!own || *other < *own) ? *shares_[1] : *shares_[0];
    // NOLINTEND(bugprone-unchecked-optional-access)
}

void StoppedProcess::release() noexcept {
    try {
        each_share([](StoppedThreads& threads) { threads.release(); });
    } catch (const std::exception&) {
        // The work throws nothing.
    }
}

}  // namespace snapcore::linux_os
