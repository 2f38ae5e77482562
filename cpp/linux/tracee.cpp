// SPDX-License-Identifier: Apache-2.0
#include "linux/tracee.h"

#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "linux/procfs.h"
#include "linux/ptrace_call.h"
#include "linux/remote_memory.h"

namespace snapcore::linux_os {
namespace {

// Newer than some C libraries' headers.
constexpr int kGetRseqConfiguration = 0x420f;
constexpr int kGetSyscallInfo = 0x420e;
constexpr int kGetSignalMask = 0x420a;
constexpr int kSetSignalMask = 0x420b;

struct RseqConfiguration {
    std::uint64_t pointer;
    std::uint32_t size, signature, flags, pad;
};

void* as_pointer(std::uintptr_t value) {
    return reinterpret_cast<void*>(value);
}

Stop classify(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) {
        return {StopKind::kGone, info.si_code == CLD_EXITED ? 0 : SIGKILL};
    }
    const int signal = info.si_status & 0xff;
    switch (info.si_status >> 8) {
        case PTRACE_EVENT_STOP: return {StopKind::kEvent, signal};
        case PTRACE_EVENT_CLONE: return {StopKind::kClone, signal};
        case PTRACE_EVENT_EXEC: return {StopKind::kExec, signal};
        case 0:
            return signal == (SIGTRAP | 0x80) ? Stop{StopKind::kCall, 0}
                                              : Stop{StopKind::kSignal, signal};
        default: return {StopKind::kOther, signal};
    }
}

// Waiting costs the target time, so the first moments are spent awake.
class Backoff {
public:
    // True now and then, once waiting has become long.
    bool pause() {
        ++rounds_;
        if (rounds_ < kAwake) {
            ::sched_yield();
            return false;
        }
        const timespec step{0, sleep_ns_};
        ::nanosleep(&step, nullptr);
        if (sleep_ns_ < 500'000) sleep_ns_ += sleep_ns_ / 4;
        return rounds_ % 16 == 0;
    }

private:
    static constexpr int kAwake = 200;
    int rounds_ = 0;
    long sleep_ns_ = 20'000;
};

// A killed leader is not reported to waitid before the other threads are, which nobody waits for
// meanwhile.
bool has_ended(pid_t tid) {
    const auto stat =
        parse_stat(try_read_text(AT_FDCWD, ("/proc/" + std::to_string(tid) + "/stat").c_str()));
    return !stat || stat->state == 'Z' || stat->state == 'X';
}

}  // namespace

bool Tracee::is_traced_here() const {
    const Status status = parse_status(
        try_read_text(AT_FDCWD, ("/proc/" + std::to_string(tid_) + "/status").c_str()));
    if (status.tracer_pid == own_tid()) return true;
    // By another thread of this process.
    return status.tracer_pid > 0 &&
           ::faccessat(AT_FDCWD,
                       ("/proc/self/task/" + std::to_string(status.tracer_pid)).c_str(),
                       F_OK,
                       0) == 0;
}

void Tracee::must(long result, std::string_view call) const {
    if (result < 0) {
        throw Error::from_errno(errno, call, "", static_cast<std::uint32_t>(tid_));
    }
}

int Tracee::seize(unsigned long options) const {
    return ptrace_call(PTRACE_SEIZE, tid_, 0, as_pointer(options)) < 0 ? errno : 0;
}

bool Tracee::interrupt() const {
    return ptrace_call(PTRACE_INTERRUPT, tid_, 0, nullptr) == 0;
}

std::optional<Stop> Tracee::wait(std::int64_t deadline_ns) const {
    Backoff backoff;
    bool ended = false;
    for (;;) {
        siginfo_t info{};
        constexpr int kLook = WEXITED | WSTOPPED | WNOHANG | __WALL;
        const auto id = static_cast<id_t>(tid_);
        if (::waitid(P_PID, id, &info, kLook | WNOWAIT) < 0) {
            if (errno == EINTR) continue;
            // ECHILD: an exec by another thread took its place.
            return Stop{StopKind::kGone, SIGKILL};
        }
        if (info.si_pid != 0) {
            const Stop stop = classify(info);
            // Only a signal must stay unconsumed: consuming it would take it away from the thread
            // if we died before resuming.
            if (stop.kind != StopKind::kSignal) {
                while (::waitid(P_PID, id, &info, kLook) < 0 && errno == EINTR) {
                }
            }
            return stop;
        }
        if (deadline_ns != 0 && monotonic_ns() >= deadline_ns) return std::nullopt;
        // One more look after the end was seen: what can be reported must be taken, or its parent
        // never sees the zombie.
        if (ended) return Stop{StopKind::kGone, SIGKILL};
        ended = backoff.pause() && (has_ended(tid_) || !is_traced_here());
    }
}

bool Tracee::resume(int request, int signal) const {
    return ptrace_call(request, tid_, 0, as_pointer(static_cast<unsigned>(signal))) == 0;
}

bool Tracee::detach(int signal) const noexcept {
    return ptrace_call(PTRACE_DETACH, tid_, 0, as_pointer(static_cast<unsigned>(signal))) == 0;
}

void Tracee::kill() const noexcept {
    // A signal to another user's process asks for CAP_KILL, which who may trace it need not have.
    // From a system call's stop, where clones are kept, PTRACE_KILL works on every kernel.
    if (::kill(tid_, SIGKILL) < 0) ptrace_call(PTRACE_KILL, tid_, 0, nullptr);
}

void Tracee::set_options(unsigned long options) const {
    must(ptrace_call(PTRACE_SETOPTIONS, tid_, 0, as_pointer(options)), "PTRACE_SETOPTIONS");
}

unsigned long Tracee::event_message() const {
    unsigned long message = 0;
    must(ptrace_call(PTRACE_GETEVENTMSG, tid_, 0, &message), "PTRACE_GETEVENTMSG");
    return message;
}

bool Tracee::at_call_entry() const {
    // struct ptrace_syscall_info: the first byte is the kind of stop.
    std::array<std::uint8_t, 88> info{};
    must(ptrace_call(kGetSyscallInfo, tid_, info.size(), info.data()), "PTRACE_GET_SYSCALL_INFO");
    return info[0] == 1 || info[0] == 3;  // entry, seccomp
}

UserRegisters Tracee::registers() const {
    UserRegisters registers{};
    iovec vector{static_cast<::user_regs_struct*>(&registers), sizeof(::user_regs_struct)};
    must(ptrace_call(PTRACE_GETREGSET, tid_, NT_PRSTATUS, &vector), "PTRACE_GETREGSET");
    if (vector.iov_len != sizeof(::user_regs_struct)) {
        throw Error::unsupported("PTRACE_GETREGSET",
                                 "it runs 32-bit code, whose registers this version does not know; "
                                 "snapcore.handles() and snapcore.threads() work without them",
                                 static_cast<std::uint32_t>(tid_));
    }
    return registers;
}

UserRegisters Tracee::registers_at_stop() const {
    UserRegisters out = registers();
    add_hidden_registers(tid_, out);
    return out;
}

void Tracee::set_registers(const UserRegisters& registers) const {
    ::user_regs_struct copy = registers;
    iovec vector{&copy, sizeof copy};
    must(ptrace_call(PTRACE_SETREGSET, tid_, NT_PRSTATUS, &vector), "PTRACE_SETREGSET");
    forget_call(tid_);
}

void Tracee::set_call(const UserRegisters& registers, std::uint64_t number) const {
    ::user_regs_struct copy = registers;
    iovec vector{&copy, sizeof copy};
    must(ptrace_call(PTRACE_SETREGSET, tid_, NT_PRSTATUS, &vector), "PTRACE_SETREGSET");
    change_call(tid_, number);
}

std::uint64_t Tracee::signal_mask() const {
    std::uint64_t mask = 0;
    must(ptrace_call(kGetSignalMask, tid_, sizeof mask, &mask), "PTRACE_GETSIGMASK");
    return mask;
}

void Tracee::set_signal_mask(std::uint64_t mask) const {
    must(ptrace_call(kSetSignalMask, tid_, sizeof mask, &mask), "PTRACE_SETSIGMASK");
}

bool Tracee::in_restartable_sequence() const {
    RseqConfiguration rseq{};
    if (ptrace_call(kGetRseqConfiguration, tid_, sizeof rseq, &rseq) < 0) return false;
    if (rseq.pointer == 0) return false;
    std::uint64_t critical_section = 0;
    const auto bytes = std::as_writable_bytes(std::span(&critical_section, 1));
    // struct rseq::rseq_cs
    return read_remote(tid_, rseq.pointer + 8, bytes) == bytes.size() && critical_section != 0;
}

}  // namespace snapcore::linux_os
