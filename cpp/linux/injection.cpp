// SPDX-License-Identifier: Apache-2.0
#include "linux/injection.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/owners.h"
#include "linux/procfs.h"
#include "linux/procmap.h"
#include "linux/remote_memory.h"

namespace snapcore::linux_os {
namespace {

constexpr unsigned long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
constexpr unsigned long kSuspendSeccomp = 1ul << 21;  // PTRACE_O_SUSPEND_SECCOMP
// Everything but SIGSYS: a seccomp filter that traps would otherwise kill the target, since the
// kernel forces a blocked signal.
constexpr std::uint64_t kInjectionMask = ~(std::uint64_t{1} << (SIGSYS - 1));
constexpr std::uint64_t kLeastStackBelow = 16 * 1024;
constexpr std::uint64_t kFarRoom = 48 * 1024;  // with what a handler may need below the frames
constexpr std::uint64_t kFarFromUse = 64 * 1024;
constexpr int kMostStops = 64;
constexpr int kPenalty = 10;

bool read_exactly(pid_t tid, std::uint64_t address, std::vector<std::byte>& bytes) {
    return read_remote(tid, address, bytes) == bytes.size();
}

// Refused on guard pages and below the mapped part of the stack; what /proc/TID/mem would force
// instead, its mapping was asked about before.
bool write_exactly(pid_t tid, std::uint64_t address, const std::vector<std::byte>& bytes) {
    return write_remote(tid, address, bytes) == bytes.size();
}

Error call_abandoned(std::uint32_t pid) {
    return {ErrorKind::kTimedOut,
            ErrorDomain::kErrno,
            ETIMEDOUT,
            "PTRACE_SYSCALL",
            "the target did not get to make the call within max_pause and was let go; its cgroup "
            "may have been frozen, it is stopped over and over, or it gets no processor: try "
            "again, raise max_pause, or use method=\"live\"",
            pid};
}

bool will_restart(std::int64_t value) {
    return value <= -512 && value >= -516;
}

bool can_make_call(const Tracee& tracee) {
    return !tracee.in_restartable_sequence() && !loses_state_in_a_call(tracee.tid());
}

}  // namespace

std::vector<Injection::Candidate> Injection::candidates(const StoppedThreads& target) {
    std::vector<Candidate> out;
    for (const StoppedThread& thread : target.threads()) {
        const auto rank = injection_rank(thread.restored);
        // With a signal to deliver it does as well, only later: it may be the one thread that there
        // is.
        if (rank) out.push_back({*rank + (thread.signals_pending ? kPenalty : 0), &thread});
    }
    std::stable_sort(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) {
        return a.rank < b.rank;
    });
    return out;
}

std::optional<int> best_injection_rank(const StoppedThreads& target) {
    const auto order = Injection::candidates(target);
    if (order.empty()) return std::nullopt;
    return order.front().rank;
}

Injection::Injection(const StoppedThreads& target, const Gadgets& gadgets, bool suspend_seccomp)
    : target_(target) {
    const std::vector<Candidate> order = candidates(target);
    if (order.empty()) {
        throw Error::unsupported("PTRACE_SETREGSET",
                                 "no thread of the target can make the clone call (a 32-bit "
                                 "process, or only kernel workers); "
                                 "use method=\"live\"",
                                 target.pid());
    }
    // Anew in the stop: an execve gives other memory, and that of before may still be readable.
    const UniqueDescriptor memory(::openat(target.directory(), "mem", O_RDONLY | O_CLOEXEC));
    Gadgets there = still_there(gadgets, memory.get());
    if (there.call == 0 && there.plain_call == 0) {
        // None were found, or they are gone, with the program that they were of.
        const std::uint64_t code = instruction_pointer(order.front().thread->restored);
        char byte;
        const bool same = ::pread(memory.get(), &byte, 1, static_cast<off_t>(code)) == 1;
        if (!same || gadgets.call != 0 || gadgets.plain_call != 0) {
            throw program_replaced(target.pid());
        }
        // Looked for in the middle of an execve, perhaps.
        there = find_gadgets(target.directory(), memory.get());
    }
    const bool home_possible = there.call != 0 && there.come_home != 0;
    if (!(home_possible && choose_with_way_home(order, there)) && !choose_without(order, there)) {
        throw Error::unsupported("PTRACE_SETREGSET",
                                 "the target has no system call instruction that can be used, or "
                                 "every thread is inside a "
                                 "restartable sequence; try again or use method=\"live\"",
                                 target.pid());
    }
    if (suspend_seccomp) tracee_.set_options(kOptions | kSuspendSeccomp);
}

Injection::~Injection() {
    try {
        put_back();
    } catch (const Error&) {
        // The thread has gone: nothing is left to restore.
    }
}

bool Injection::choose_with_way_home(const std::vector<Candidate>& order, const Gadgets& gadgets) {
    for (const auto& [rank, thread] : order) {
        if (!can_make_call(thread->tracee)) continue;
        const auto room = own_stack(*thread);
        if (room && prepare(*thread, gadgets, *room)) return true;
    }
    // Every stack is a heap's, or hardly any of it is left.
    const auto room = far_stack(gadgets);
    return room && std::any_of(order.begin(), order.end(), [&](const Candidate& one) {
               return can_make_call(one.thread->tracee) && prepare(*one.thread, gadgets, *room);
           });
}

// The window is short then, and the diagnostics say that it was there.
bool Injection::choose_without(const std::vector<Candidate>& order, const Gadgets& gadgets) {
    call_address_ = gadgets.plain_call != 0 ? gadgets.plain_call : gadgets.call;
    if (call_address_ == 0) return false;
    const auto chosen = std::find_if(order.begin(), order.end(), [](const Candidate& one) {
        return can_make_call(one.thread->tracee);
    });
    if (chosen == order.end()) return false;
    tracee_ = chosen->thread->tracee;
    saved_.general = chosen->thread->restored;
    if (kCallsLoseExtendedState) saved_.extended = tracee_.extended_state();
    saved_mask_ = tracee_.signal_mask();
    return true;
}

// A write that succeeds proves only that memory is mapped; goroutine and coroutine stacks lie in
// heaps, where a frame would hit a neighbour.
std::optional<Injection::Room> Injection::own_stack(const StoppedThread& thread) const {
    const std::uint64_t stack = stack_pointer(thread.restored);
    const auto mapping = find_mapping(target_.directory(), stack);
    if (!mapping || !mapping->writable || stack < mapping->start + kLeastStackBelow)
        return std::nullopt;
    if (mapping->name == "[stack]") return Room{mapping->start, stack};
    // The leader's control block lies in memory that the kernel may have joined with a coroutine's
    // stack.
    const pid_t tid = thread.tracee.tid();
    if (tid == static_cast<pid_t>(target_.pid())) return std::nullopt;
    const std::uint64_t tls = thread_pointer(thread.restored);
    if (tls <= stack || tls >= mapping->end || !is_control_block(tid, tls)) return std::nullopt;
    return Room{mapping->start, stack};
}

// The lowest part of the leader's stack, which the kernel maps whether it is needed or not, where
// nobody has been yet: it is zero, or holds the frames of a tracer that was killed.
std::optional<Injection::Room> Injection::far_stack(const Gadgets& gadgets) const {
    const std::vector<Mapping> mappings = parse_maps(try_read_text(target_.directory(), "maps"));
    const auto mapping = std::find_if(mappings.begin(), mappings.end(), [](const Mapping& one) {
        return one.name == "[stack]" && one.writable;
    });
    if (mapping == mappings.end() || mapping->end - mapping->start < 2 * kFarRoom)
        return std::nullopt;
    for (const StoppedThread& thread : target_.threads()) {
        const std::uint64_t stack = stack_pointer(thread.restored);
        if (stack >= mapping->start && stack < mapping->start + kFarRoom + kFarFromUse)
            return std::nullopt;
    }
    std::vector<std::byte> bytes(kFarRoom);
    const pid_t tid = target_.threads().front().tracee.tid();
    if (!read_exactly(tid, mapping->start, bytes)) return std::nullopt;
    const auto used =
        std::find_if(bytes.begin(), bytes.end(), [](std::byte one) { return one != std::byte{}; });
    if (used != bytes.end()) {
        std::uint64_t word = 0;
        const auto at = (used - bytes.begin()) / 8 * 8;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        if (word != gadgets.come_home) return std::nullopt;
    }
    return Room{mapping->start, mapping->start + kFarRoom};
}

bool Injection::prepare(const StoppedThread& thread, const Gadgets& gadgets, const Room& room) {
    ThreadRegisters saved;
    saved.general = thread.restored;
    saved.extended = thread.tracee.extended_state();
    const std::uint64_t mask = thread.tracee.signal_mask();
    if (!may_come_home(thread.tracee.tid())) return false;
    auto frame = build_home_frame(saved, mask, room.top, gadgets.call, gadgets.come_home);
    if (!frame || frame->address < room.start) return false;
    covered_.resize(frame->bytes.size());
    const pid_t tid = thread.tracee.tid();
    if (!read_exactly(tid, frame->address, covered_)) return false;
    if (!write_exactly(tid, frame->address, frame->bytes)) return false;
    planted_ = true;
    saved_ = std::move(saved);
    saved_mask_ = mask;
    call_address_ = gadgets.call;
    come_home_ = gadgets.come_home;
    frame_ = std::move(frame);
    tracee_ = thread.tracee;
    return true;
}

InjectedResult Injection::run(std::uint64_t number,
                              std::array<std::uint64_t, 6> arguments,
                              const std::function<void()>& meanwhile,
                              const std::function<void()>& overdue) {
    if (frame_ && number == kInjectedCalls.clone) arguments[1] = frame_->child_stack;
    UserRegisters registers = with_call(saved_.general, call_address_, number, arguments);
    if (frame_) lead_home(registers, *frame_, come_home_);
    disguise_ = disguised_call(saved_.general, registers);
    number_ = number;
    arranged_ = true;
    at_exit_ = false;
    // Registers first: with the mask first, a tracer that dies in between would leave the thread
    // with every signal blocked.
    tracee_.set_registers(disguise_ ? disguise_->outside : registers);
    tracee_.set_signal_mask(kInjectionMask);
    return drive(meanwhile, overdue);
}

InjectedResult Injection::drive(const std::function<void()>& meanwhile,
                                const std::function<void()>& overdue) {
    InjectedResult result;
    bool entered = false;
    bool inside = false;
    bool watched = false;
    bool late = false;
    int signal = 0;
    const auto is_over = [&] { return late || monotonic_ns() >= target_.deadline_ns(); };
    // Job control may stop it any number of times before it gets to make the call.
    while (tracee_.resume(PTRACE_SYSCALL, signal)) {
        signal = 0;
        if (entered && meanwhile && !watched) {
            watched = true;
            meanwhile();
        }
        const auto in_time = late ? std::nullopt : tracee_.wait(target_.deadline_ns());
        if (!in_time && !late) {
            late = true;
            overdue();
            // Calls back a thread that has not entered the call: the freezer of its cgroup may hold
            // it outside.
            tracee_.interrupt();
        }
        const Stop stop = in_time ? *in_time : tracee_.wait();
        switch (stop.kind) {
            case StopKind::kCall: {
                inside = tracee_.at_call_entry();
                if (inside) {
                    if (disguise_) tracee_.set_call(disguise_->at_entry, number_);
                    entered = true;
                    break;
                }
                const std::int64_t value = call_result(tracee_.registers());
                // A stop asked for meanwhile makes fork begin again; the kernel sees to it when the
                // thread goes on.
                if (will_restart(value)) {
                    if (is_over()) throw call_abandoned(target_.pid());
                    break;
                }
                result.value = value;
                at_exit_ = true;
                return result;
            }
            case StopKind::kClone:
                result.child = static_cast<pid_t>(tracee_.event_message());
                break;
            case StopKind::kSignal:
                signal = stop.signal;  // SIGSTOP; all others are blocked
                // The thread must get it, and stops once more before its next instruction.
                if (is_over()) tracee_.interrupt();
                break;
            case StopKind::kGone:
                // Not ours to keep any more, and without a way home it would run the program.
                if (result.child != 0) Tracee(result.child).kill();
                throw Error::from_errno(
                    ESRCH, "waitid", "it was killed while its clone was made", target_.pid());
            case StopKind::kEvent:
                if (is_over() && !inside) throw call_abandoned(target_.pid());
                break;
            case StopKind::kExec:
            case StopKind::kOther: break;
        }
    }
    throw Error::from_errno(
        EIO, "PTRACE_SYSCALL", "the injected call did not come back", target_.pid());
}

// From the exit of the call to an event stop, with no user instruction in between: only there does
// the kernel look at the restored registers and go on with the call that was interrupted.
void Injection::to_event_stop() {
    int signal = 0;
    for (int stops = 0; stops < kMostStops; ++stops) {
        tracee_.interrupt();
        if (!tracee_.resume(PTRACE_CONT, signal)) break;
        const Stop stop = tracee_.wait();
        if (stop.kind == StopKind::kEvent) return;
        if (stop.kind == StopKind::kGone) break;
        signal = stop.kind == StopKind::kSignal ? stop.signal : 0;
    }
    throw Error::from_errno(
        ESRCH, "PTRACE_INTERRUPT", "it ended while it was being released", target_.pid());
}

void Injection::put_back() {
    if (arranged_) {
        arranged_ = false;
        const auto again = at_exit_ ? interrupted_again(saved_.general) : std::nullopt;
        if (again) {
            // First the interrupt: from then on the kernel looks at these registers before the
            // program does, with a tracer or without. The mask before the registers, since these
            // no longer lead to the frame, which has the mask as well.
            tracee_.interrupt();
            tracee_.set_signal_mask(saved_mask_);
            tracee_.set_call(again->registers, again->call);
        }
        to_event_stop();
        if (!again) tracee_.set_signal_mask(saved_mask_);
        // The general ones last: with them it no longer goes home, where the frame has all of them.
        restore_extended_state(tracee_.tid(), saved_.extended);
        tracee_.set_registers(saved_.general);
    }
    // Last: until the registers are back, the frame is what brings the thread home. And once only:
    // afterwards the thread runs.
    if (std::exchange(planted_, false) && frame_) {
        write_exactly(tid(), frame_->address, covered_);
    }
}

std::int64_t call_in_clone(const Tracee& clone,
                           std::uint64_t call_address,
                           std::uint64_t number,
                           const std::array<std::uint64_t, 6>& arguments,
                           std::int64_t deadline_ns) {
    clone.set_signal_mask(~std::uint64_t{0});
    clone.set_registers(with_call(clone.registers(), call_address, number, arguments));
    for (int stops = 0; stops < kMostStops; ++stops) {
        if (!clone.resume(PTRACE_SYSCALL)) break;
        const auto stop = clone.wait(deadline_ns);
        if (!stop) {
            throw Error(ErrorKind::kTimedOut,
                        ErrorDomain::kErrno,
                        ETIMEDOUT,
                        "PTRACE_SYSCALL",
                        "the clone does not get to run; the machine is busy, or its cgroup was "
                        "frozen: try again",
                        static_cast<std::uint32_t>(clone.tid()));
        }
        if (stop->kind == StopKind::kGone) break;
        if (stop->kind == StopKind::kCall && !clone.at_call_entry()) {
            return call_result(clone.registers());
        }
    }
    throw Error::from_errno(ESRCH, "PTRACE_SYSCALL", "the clone has gone");
}

}  // namespace snapcore::linux_os
