// SPDX-License-Identifier: Apache-2.0
//
// One system call made by a stopped thread of the target, without touching its code, and with a way
// home: should the tracer die at any instant, the thread finds its registers in a signal frame
// below its stack, or at the far end of the leader's, and goes on unharmed.
//
// clang-format off
// call                                | purpose                       | can block on
// PTRACE_SETREGSET, SETSIGMASK        | arrange the call              | nothing
// process_vm_readv, process_vm_writev | the frame, the bytes under it | mmap_lock of the target
// open, pread /proc/PID/mem           | is the code still there       | mmap_lock of the target
// PTRACE_SYSCALL, waitid WNOHANG      | run the call                  | as long as the call itself takes (fork: 20 ms a GiB)
// clang-format on
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "linux/gadgets.h"
#include "linux/stopped_threads.h"

namespace snapcore::linux_os {

struct InjectedResult {
    std::int64_t value = 0;  // negative errno on failure
    pid_t child = 0;         // made by clone, in our pid namespace
};

// Of the thread that takes a call best, 0 the best of all; nullopt where none can.
std::optional<int> best_injection_rank(const StoppedThreads& target);

// Chooses the thread and makes one call in it; put_back() or the destructor restores it, after
// which it is an ordinary stopped thread again.
class Injection {
public:
    // `suspend_seccomp`: ask the kernel to leave the target's filter out (needs CAP_SYS_ADMIN).
    // Throws Unsupported where no thread can do it.
    Injection(const StoppedThreads& target, const Gadgets& gadgets, bool suspend_seccomp);
    ~Injection();
    Injection(const Injection&) = delete;
    Injection& operator=(const Injection&) = delete;

    // While the call runs, `meanwhile` is called once, and at the target's deadline `overdue`,
    // once: a call that has begun cannot be abandoned, one that has not ends as TimedOut. For clone
    // the stack argument is filled in here.
    InjectedResult run(std::uint64_t number,
                       std::array<std::uint64_t, 6> arguments,
                       const std::function<void()>& meanwhile,
                       const std::function<void()>& overdue);
    void put_back();

    pid_t tid() const { return tracee_.tid(); }
    // Of the instruction that makes the call, which a copy of the target has as well.
    std::uint64_t call_address() const { return call_address_; }
    bool has_way_home() const { return frame_.has_value(); }
    // The bytes that the frame covers, as they were: a copy of the target must get them back.
    std::uint64_t covered_address() const { return frame_ ? frame_->address : 0; }
    const std::vector<std::byte>& covered_bytes() const { return covered_; }

private:
    struct Candidate {
        int rank = 0;
        const StoppedThread* thread = nullptr;
    };
    friend std::optional<int> best_injection_rank(const StoppedThreads& target);
    static std::vector<Candidate> candidates(const StoppedThreads& target);  // best first
    bool choose_with_way_home(const std::vector<Candidate>& order, const Gadgets& gadgets);
    bool choose_without(const std::vector<Candidate>& order, const Gadgets& gadgets);

    // Memory that nobody needs, from `start` to `top` and growing downwards.
    struct Room {
        std::uint64_t start = 0, top = 0;
    };
    std::optional<Room> own_stack(const StoppedThread& thread) const;
    std::optional<Room> far_stack(const Gadgets& gadgets) const;
    bool prepare(const StoppedThread& thread, const Gadgets& gadgets, const Room& room);
    InjectedResult drive(const std::function<void()>& meanwhile,
                         const std::function<void()>& overdue);
    void to_event_stop();

    const StoppedThreads& target_;
    Tracee tracee_{0};  // of the thread that was chosen
    ThreadRegisters saved_;
    std::uint64_t saved_mask_ = 0;
    std::uint64_t call_address_ = 0;
    std::uint64_t come_home_ = 0;
    std::uint64_t number_ = 0;
    std::optional<DisguisedCall> disguise_;
    std::optional<HomeFrame> frame_;
    std::vector<std::byte> covered_;
    bool planted_ = false;   // the frame lies in the target
    bool arranged_ = false;  // its registers are not its own
    bool at_exit_ = false;   // it stands at the exit of the call
};

// Makes a call in a thread that is ours alone (the clone), at its first stop; it is left at the
// exit of the call.
std::int64_t call_in_clone(const Tracee& clone,
                           std::uint64_t call_address,
                           std::uint64_t number,
                           const std::array<std::uint64_t, 6>& arguments,
                           std::int64_t deadline_ns);

}  // namespace snapcore::linux_os
