// SPDX-License-Identifier: Apache-2.0
//
// One traced thread. Every call must come from the thread that seized it.
//
// call                  | purpose                              | can block on
// PTRACE_SEIZE          | attach without stopping              | an execve of the target
// (cred_guard_mutex) PTRACE_INTERRUPT      | ask for a stop                       | nothing waitid
// WNOHANG        | see the stop, polled to a deadline   | nothing PTRACE_*REGSET, ...   | registers
// of a stopped thread        | nothing PTRACE_SYSCALL, CONT  | let it go on | nothing PTRACE_DETACH
// | let it go                            | nothing kill, PTRACE_KILL     | end it | nothing
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "linux/arch.h"

namespace snapcore::linux_os {

enum class StopKind : std::uint8_t {
    kEvent,   // PTRACE_EVENT_STOP: our interrupt, or job control
    kCall,    // entry or exit of a system call
    kClone,   // PTRACE_EVENT_CLONE: a new thread or process is traced as well
    kExec,    // PTRACE_EVENT_EXEC
    kSignal,  // about to be delivered
    kOther,
    kGone,
};

struct Stop {
    StopKind kind = StopKind::kOther;
    int signal = 0;  // of kGone: what may have killed it, 0 where it ended by itself
};

class Tracee {
public:
    explicit Tracee(pid_t tid) : tid_(tid) {}

    pid_t tid() const { return tid_; }

    // errno of PTRACE_SEIZE, 0 when it is traced now.
    int seize(unsigned long options) const;
    // False when the thread has gone.
    bool interrupt() const;
    // nullopt at the deadline (monotonic_ns(); 0: none). A signal that is reported stays with the
    // thread: should the tracer die here, the kernel still delivers it.
    std::optional<Stop> wait(std::int64_t deadline_ns) const;
    // As long as it takes; without a deadline there is an answer.
    Stop wait() const { return wait(0).value_or(Stop{}); }
    bool resume(int request, int signal = 0) const;  // PTRACE_CONT, PTRACE_SYSCALL
    // False where it is not stopped: it runs, or has been killed in the stop.
    bool detach(int signal = 0) const noexcept;
    // Of a clone alone.
    void kill() const noexcept;
    void set_options(unsigned long options) const;
    unsigned long event_message() const;
    // True at the entry of a call, false at its exit.
    bool at_call_entry() const;

    // What NT_PRSTATUS has of them.
    UserRegisters registers() const;
    // All of them; at an event stop.
    UserRegisters registers_at_stop() const;
    void set_registers(const UserRegisters& registers) const;
    // At the entry or the exit of a call, which is of this number from now on.
    void set_call(const UserRegisters& registers, std::uint64_t number) const;
    std::uint64_t signal_mask() const;
    void set_signal_mask(std::uint64_t mask) const;
    std::vector<std::byte> extended_state() const { return read_extended_state(tid_); }
    DebugRegisters debug_registers() const { return read_debug_registers(tid_); }
    // By this process. False where another thread has its number now: one that called execve, which
    // takes the place of a leader together with its number, but not its tracer.
    bool is_traced_here() const;
    // Inside a restartable sequence (rseq), or registered to be in one.
    bool in_restartable_sequence() const;

private:
    void must(long result, std::string_view call) const;

    pid_t tid_;
};

}  // namespace snapcore::linux_os
