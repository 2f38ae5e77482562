// SPDX-License-Identifier: Apache-2.0
//
// What differs from processor to processor: registers, the way into a system call, the way home.
// One .cpp a processor.
#pragma once

#include <sys/types.h>
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

#if defined(__x86_64__)
using UserRegisters = ::user_regs_struct;             // NT_PRSTATUS
using DebugRegisters = std::array<std::uint64_t, 8>;  // DR0-3, 6, 7
#elif defined(__aarch64__)
// Where a thread stands to the system call that is told with it.
enum class CallStage : std::uint64_t {
    kNone,
    kNext,  // the kernel took it back and makes it again, or it was not made yet
    kMade,  // it returns
};
// NT_PRSTATUS, then what the kernel keeps elsewhere, or does not tell at a stop and is inferred
// from the code around the program counter.
struct UserRegisters : ::user_regs_struct {
    std::uint64_t thread_pointer;
    std::uint64_t call;            // ~0 for none
    std::uint64_t first_argument;  // of it
    CallStage stage;
};
// Breakpoints: values, controls; watchpoints: values, controls.
using DebugRegisters = std::array<std::uint64_t, 8 + 8 + 2 + 2>;
#else
#error "snapcore captures processes on x86-64 and AArch64 alone"
#endif

// Registers of one thread as the stop found them.
struct ThreadRegisters {
    UserRegisters general{};
    std::vector<std::byte> extended;  // read_extended_state()
    DebugRegisters debug{};
};

// Numbers of the system calls that are injected.
struct InjectedCalls {
    std::uint64_t clone, close_range, wait4, madvise;
};
extern const InjectedCalls kInjectedCalls;
// The Architecture that this build can capture.
extern const Architecture kArchitecture;

// Bytes to look for in the target's executable mappings, at multiples of an instruction's size.
extern const std::string_view kCallGadget;  // system call, then return
extern const std::string_view kPlainCall;   // a system call alone
extern const std::span<const std::string_view>
    kReturnGadgets;  // rt_sigreturn, as libcs or the vdso spell it
extern const std::uint64_t kInstructionAlignment;
extern const bool kVdsoComesHome;  // has a return gadget, so it is looked at first

// Thread-local variables lie above the thread pointer and the C library's block below, not the
// other way round.
extern const bool kThreadLocalsAbove;
// The thread pointer is that of a C library's control block. Where there is none (a Go program
// without C), thread-local storage lies in a heap, beside stacks that are not the thread's.
bool is_control_block(pid_t tid, std::uint64_t address);

// Of a stopped thread. What NT_PRSTATUS does not have of `registers`.
void add_hidden_registers(pid_t tid, UserRegisters& registers);
// Every register set beyond the general one in the processor's own form (x86-64: an XSAVE image;
// AArch64: NT_ARM_SVE); empty where it has none.
std::vector<std::byte> read_extended_state(pid_t tid);
DebugRegisters read_debug_registers(pid_t tid);
// After the general registers were written: what they say is no system call to be made again.
void forget_call(pid_t tid);
// At the entry of a system call: it becomes this one.
void change_call(pid_t tid, std::uint64_t number);

bool is_native(const UserRegisters& registers);  // not a 32-bit task
std::uint64_t instruction_pointer(const UserRegisters& registers);
std::uint64_t stack_pointer(const UserRegisters& registers);
std::uint64_t thread_pointer(const UserRegisters& registers);
// The call that the thread is in, ~0 for none, and its first argument.
std::uint64_t current_call(const UserRegisters& registers);
std::uint64_t first_argument(const UserRegisters& registers);
std::int64_t call_result(const UserRegisters& registers);
// Worse than being in no call, for a thread that is to be stopped once more; from task/TID/syscall.
int disturbance_of_call(long number, const std::array<std::uint64_t, 6>& arguments);

// A call without a timeout that a stop alone makes return EINTR (epoll_wait, io_getevents,
// semtimedop, rt_sigtimedwait): the registers with which it starts again as if nothing had been.
// nullopt: not such a call.
std::optional<UserRegisters> restarted_after_interrupt(const UserRegisters& registers);
// The same kind of call with a timeout: its early return cannot be mended, only reported.
bool is_interrupted_timed_call(const UserRegisters& registers);

// How well a stopped thread suits as the one that makes an injected call: 0 is best, larger is
// worse, nullopt is never.
std::optional<int> injection_rank(const UserRegisters& registers);
// Has state that a system call takes away and nobody can put back.
bool loses_state_in_a_call(pid_t tid);
// What a system call takes away of `extended`, put back. Nothing for most threads.
void restore_extended_state(pid_t tid, const std::vector<std::byte>& extended);
extern const bool kCallsLoseExtendedState;  // so it must be known before one is made

// `base` with the registers of a call of `number` at `address`.
UserRegisters with_call(const UserRegisters& base,
                        std::uint64_t address,
                        std::uint64_t number,
                        const std::array<std::uint64_t, 6>& arguments);
// How a thread of the target enters the call that with_call() made. AArch64's kernel makes an
// interrupted call again with the first argument of the thread's latest entry into it, so the entry
// must have that of the call that was interrupted. It is the entry of a harmless call, which
// becomes the one that is meant while it is stopped there (`at_entry`). nullopt: it is entered as
// it is.
struct DisguisedCall {
    UserRegisters outside, at_entry;
};
std::optional<DisguisedCall> disguised_call(const UserRegisters& found, const UserRegisters& call);
// Where the kernel tells of an interrupted call only by what it does next: the registers, at the
// exit of a call, with which it does the same again for the call that `found` was interrupted in.
// nullopt: there is none, or `found` itself says it all.
struct Interruption {
    UserRegisters registers;
    std::uint64_t call;
};
std::optional<Interruption> interrupted_again(const UserRegisters& found);

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
// Nothing would keep a thread from returning into it.
bool may_come_home(pid_t tid);
// `registers` of a call of the injecting thread, such that it returns into its frame.
void lead_home(UserRegisters& registers, const HomeFrame& frame, std::uint64_t return_gadget);

// Bytes of the XSAVE image in ThreadRegisters::extended; 0 where it is no such image.
std::size_t xsave_size(const ThreadRegisters& registers);
// The parts of an extended state beyond x87 and SSE that this processor has.
std::vector<minidump::XstateFeature> xstate_features();

// Appends one record to `table`. `context_flags`: ContextFlags. Null registers make a record that
// is not valid.
void append_context(ContextTable& table,
                    std::uint32_t tid,
                    const ThreadRegisters* registers,
                    std::uint32_t context_flags);

}  // namespace snapcore::linux_os
