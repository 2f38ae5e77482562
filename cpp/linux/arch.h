// SPDX-License-Identifier: Apache-2.0
//
// What differs from processor to processor: registers, the way into a system call, the way home.
// One .cpp a processor.
#pragma once

#include <sys/user.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "minidump/contents.h"
#include "snapshot/context.h"

namespace snapcore::linux_os {

using UserRegisters = ::user_regs_struct;  // NT_PRSTATUS

// Registers of one thread as the stop found them.
struct ThreadRegisters {
    UserRegisters general{};
    std::vector<std::byte> xsave;          // NT_X86_XSTATE, or empty
    std::array<std::uint64_t, 8> debug{};  // DR0-3, 6, 7
};

// Numbers of the system calls that are injected.
struct InjectedCalls {
    std::uint64_t clone, close_range, wait4, madvise;
};
extern const InjectedCalls kInjectedCalls;
// The Architecture that this build can capture.
extern const Architecture kArchitecture;
extern const unsigned kExtendedStateNote;  // regset of the extended state

// Bytes to look for in the target's executable mappings.
extern const std::string_view kCallGadget;  // system call, then return
extern const std::string_view kPlainCall;   // a system call alone
extern const std::span<const std::string_view>
    kReturnGadgets;  // rt_sigreturn, as libcs spell their restorer

bool is_native(const UserRegisters& registers);  // not a 32-bit task
std::uint64_t instruction_pointer(const UserRegisters& registers);
std::uint64_t stack_pointer(const UserRegisters& registers);
std::uint64_t thread_pointer(const UserRegisters& registers);
// The call that the thread is in, ~0 for none, and its first argument.
std::uint64_t current_call(const UserRegisters& registers);
std::uint64_t first_argument(const UserRegisters& registers);
std::int64_t call_result(const UserRegisters& registers);

// A call without a timeout that a stop alone makes return EINTR (epoll_wait, io_getevents,
// semtimedop, rt_sigtimedwait): the registers with which it starts again as if nothing had been.
// nullopt: not such a call.
std::optional<UserRegisters> restarted_after_interrupt(const UserRegisters& registers);
// The same kind of call with a timeout: its early return cannot be mended, only reported.
bool is_interrupted_timed_call(const UserRegisters& registers);

// How well a stopped thread suits as the one that makes an injected call: 0 is best, larger is
// worse, nullopt is never.
std::optional<int> injection_rank(const UserRegisters& registers);

// `base` with the registers of a call of `number` at `address`.
UserRegisters with_call(const UserRegisters& base,
                        std::uint64_t address,
                        std::uint64_t number,
                        const std::array<std::uint64_t, 6>& arguments);
// Moves the stack pointer.
void set_stack_pointer(UserRegisters& registers, std::uint64_t value);

// Bytes below a thread's stack pointer that bring it home without a tracer: two signal frames and
// its extended state. If the tracer dies, the thread returns from the injected call into
// rt_sigreturn and finds its own registers there; a cloned child that is resumed exits at once.
struct HomeFrame {
    std::uint64_t address = 0;       // where `bytes` belong
    std::uint64_t parent_stack = 0;  // stack pointer for the injecting thread
    std::uint64_t child_stack = 0;   // second argument of clone
    std::vector<std::byte> bytes;
};
// Below `stack` and a red zone. nullopt where no such frame can be built (extended state of a size
// that the frame format has no room for).
std::optional<HomeFrame> build_home_frame(const ThreadRegisters& registers,
                                          std::uint64_t signal_mask,
                                          std::uint64_t stack,
                                          std::uint64_t call_gadget,
                                          std::uint64_t return_gadget);

// The parts of an extended state beyond x87 and SSE that this processor has.
std::vector<minidump::XstateFeature> xstate_features();

// Appends one record to `table`. `context_flags`: ContextFlags. Null registers make a record that
// is not valid.
void append_context(ContextTable& table,
                    std::uint32_t tid,
                    const ThreadRegisters* registers,
                    std::uint32_t context_flags);

}  // namespace snapcore::linux_os
