// SPDX-License-Identifier: Apache-2.0
//
// What is unlike x86-64, by the kernel's arch/arm64: at a stop an interrupted call is taken back
// already (the program counter is on its svc again, the first argument back in x0) and its number
// is forgotten, so a thread is known to be in a call only by the code around its program counter.
// If it goes on from there, the kernel remembers why; once it was sent elsewhere, it must be
// interrupted in the same way again (interrupted_again()). And a system call takes the upper parts
// of SVE registers away.
#include <asm/ptrace.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "base/range.h"
#include "generated/flags.h"
#include "linux/arch.h"
#include "linux/procfs.h"
#include "linux/ptrace_call.h"
#include "linux/remote_memory.h"
#include "minidump/raw.h"

namespace snapcore::linux_os {
namespace {

// Newer than some C libraries' headers.
namespace note {
constexpr std::size_t kTls = 0x401, kBreakpoints = 0x402, kWatchpoints = 0x403, kSystemCall = 0x404,
                      kSve = 0x405, kStreamingSve = 0x40b, kGuardedStack = 0x410;
}  // namespace note

// Results that never reach a program: the kernel takes the call back.
constexpr std::int64_t kRestartSys = -512;
constexpr std::int64_t kRestartNoIntr = -513;
constexpr std::int64_t kRestartNoHand = -514;
constexpr std::int64_t kRestartBlock = -516;
constexpr std::uint64_t kNoCall = ~std::uint64_t{0};
constexpr std::uint64_t kInstructionSize = 4;
constexpr std::uint32_t kSvc = 0xd4000001;
constexpr std::uint64_t kModeIsCompat = 0x10, kBranchType = 0xc00;  // of PSTATE
constexpr std::size_t kLink = 30;                                   // x30
constexpr std::size_t kNumber = 8;                                  // x8
// Takes no argument, does nothing, and no filter refuses it.
constexpr std::uint64_t kHarmlessCall = SYS_getpid;
constexpr long kEpollPwait2 = 441, kFutexWaitv = 449;

// NT_ARM_SVE: a header, then either the registers of SVE or those of FPSIMD.
namespace sve {
constexpr std::size_t kVectorLength = 8;  // u16, in bytes
constexpr std::size_t kFlags = 12;        // u16
constexpr std::uint16_t kHasSve = 1;
constexpr std::size_t kRegisters = 16;
constexpr std::size_t kFpsimdSize = 528;  // v0-31, fpsr, fpcr
constexpr std::size_t kLargest = 16 * 1024;
constexpr std::size_t kVectors = 32, kVectorSize = 16;

constexpr std::size_t z_size(std::size_t length) {
    return 32 * length;
}
// z0-31, p0-15 and the first-fault register.
constexpr std::size_t size(std::size_t length) {
    return z_size(length) + 17 * (length / 8);
}
constexpr std::size_t status_at(std::size_t length) {
    return align_up(kRegisters + size(length), 16);
}
}  // namespace sve

// Offsets in the kernel's struct rt_sigframe, which begins with a siginfo that rt_sigreturn does
// not read.
namespace frame {
constexpr std::size_t kStackFlags = 128 + 24;
constexpr std::size_t kSignalMask = 128 + 40;
constexpr std::size_t kGeneral = 128 + 184;  // x0-30, sp, pc, pstate
constexpr std::size_t kRecords = 128 + 464;
constexpr std::size_t kRecordsSize = 4096;
constexpr std::uint32_t kFpsimd = 0x46508001, kSve = 0x53564501, kExtra = 0x45585401;
constexpr std::size_t kFpsimdSize = 528, kExtraSize = 32, kEndSize = 16;
// Invalid on purpose: the kernel then leaves the thread's alternate stack, which ptrace cannot
// read, as it is.
constexpr std::uint32_t kKeepAlternateStack = 0x40;
}  // namespace frame

template <class T>
void put(std::vector<std::byte>& bytes, std::size_t offset, const T& value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

template <class T>
T get(std::span<const std::byte> bytes, std::size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

// Bytes of a register set, 0 where there is none.
std::size_t read_set(pid_t tid, std::size_t note, void* out, std::size_t size) {
    iovec vector{out, size};
    return ptrace_call(PTRACE_GETREGSET, tid, note, &vector) < 0 ? 0 : vector.iov_len;
}

void write_call(pid_t tid, std::int32_t number) {
    iovec vector{&number, sizeof number};
    ptrace_call(PTRACE_SETREGSET, tid, note::kSystemCall, &vector);
}

bool has_sve(std::span<const std::byte> state) {
    if (state.size() < sve::kRegisters) return false;
    if ((get<std::uint16_t>(state, sve::kFlags) & sve::kHasSve) == 0) return false;
    const std::size_t length = get<std::uint16_t>(state, sve::kVectorLength);
    return length != 0 && state.size() >= sve::status_at(length) + 8;
}

// v0-31, then fpsr and fpcr. Empty where `state` has none of them.
std::vector<std::byte> fpsimd_of(std::span<const std::byte> state) {
    std::vector<std::byte> out(sve::kFpsimdSize);
    if (has_sve(state)) {
        const std::size_t length = get<std::uint16_t>(state, sve::kVectorLength);
        for (std::size_t i = 0; i < sve::kVectors; ++i) {
            std::memcpy(out.data() + i * sve::kVectorSize,
                        state.data() + sve::kRegisters + i * length,
                        sve::kVectorSize);
        }
        std::memcpy(out.data() + sve::kVectors * sve::kVectorSize,
                    state.data() + sve::status_at(length),
                    8);
        return out;
    }
    if (state.size() < sve::kRegisters + sve::kFpsimdSize) return {};
    std::memcpy(out.data(), state.data() + sve::kRegisters, out.size());
    return out;
}

// The first argument with which the thread entered the kernel for a call whose result is in x0
// already. It is told with a call's number alone, which is forgotten at a stop and put there for
// the moment.
std::optional<std::uint64_t> entered_with(pid_t tid, std::uint64_t number) {
    write_call(tid, static_cast<std::int32_t>(number));
    const std::string text =
        try_read_text(AT_FDCWD, ("/proc/" + std::to_string(tid) + "/syscall").c_str());
    write_call(tid, -1);
    char* rest = nullptr;
    if (std::strtoull(text.c_str(), &rest, 10) != number || rest == text.c_str()) {
        return std::nullopt;
    }
    return std::strtoull(rest, nullptr, 16);
}

bool is_epoll(pid_t tid, std::uint64_t descriptor) {
    const std::string path =
        "/proc/" + std::to_string(tid) + "/fd/" + std::to_string(static_cast<int>(descriptor));
    return try_read_link(AT_FDCWD, path.c_str()) == "anon_inode:[eventpoll]";
}

struct Interrupted {
    bool known = false;
    bool timed = false;
};

// Calls that end with EINTR where a stop alone interrupts them.
Interrupted ends_with_eintr(std::uint64_t number, const unsigned long long* arguments) {
    switch (static_cast<long>(number)) {
        case SYS_epoll_pwait: return {true, static_cast<std::int32_t>(arguments[3]) >= 0};
        case kEpollPwait2: return {true, arguments[3] != 0};
        case SYS_io_getevents:
        case SYS_io_pgetevents: return {true, arguments[4] != 0};
        case SYS_semop: return {true, false};
        case SYS_semtimedop: return {true, arguments[3] != 0};
        case SYS_rt_sigtimedwait: return {true, arguments[2] != 0};
        default: return {};
    }
}

Interrupted interrupted_call(const UserRegisters& r) {
    if (r.stage != CallStage::kMade || static_cast<std::int64_t>(r.regs[0]) != -EINTR) return {};
    return ends_with_eintr(r.call, r.regs);
}

// What the kernel was told when it took the call back, which it does not show. Of a call that is
// not known to be interruptible: that it is made again in any case.
std::int64_t restart_code(const UserRegisters& r) {
    switch (static_cast<long>(r.call)) {
        case SYS_restart_syscall:
        case SYS_nanosleep: return kRestartBlock;
        case SYS_clock_nanosleep:
            return (r.regs[1] & TIMER_ABSTIME) != 0 ? kRestartNoHand : kRestartBlock;
        case SYS_futex:
            switch (static_cast<int>(r.regs[1]) & FUTEX_CMD_MASK) {
                case FUTEX_WAIT:
                case FUTEX_WAIT_BITSET: return r.regs[3] != 0 ? kRestartBlock : kRestartSys;
                default: return kRestartNoIntr;
            }
        case SYS_ppoll:
        case SYS_pselect6:
        case SYS_rt_sigsuspend:
        case SYS_msgrcv:
        case SYS_msgsnd: return kRestartNoHand;
        case SYS_read:
        case SYS_readv:
        case SYS_pread64:
        case SYS_preadv:
        case SYS_write:
        case SYS_writev:
        case SYS_pwrite64:
        case SYS_pwritev:
        case SYS_recvfrom:
        case SYS_recvmsg:
        case SYS_recvmmsg:
        case SYS_sendto:
        case SYS_sendmsg:
        case SYS_sendmmsg:
        case SYS_accept:
        case SYS_accept4:
        case SYS_connect:
        case SYS_wait4:
        case SYS_waitid:
        case SYS_flock:
        case SYS_fcntl:
        case SYS_ioctl:
        case SYS_openat:
        case SYS_sendfile:
        case SYS_splice:
        case SYS_tee:
        case SYS_vmsplice:
        case SYS_mq_timedreceive:
        case SYS_mq_timedsend:
        case kFutexWaitv: return kRestartSys;
        default: break;
    }
    // Made again on our account: with a handler to run, EINTR is the true answer.
    return ends_with_eintr(r.call, r.regs).known ? kRestartNoHand : kRestartNoIntr;
}

void put_frame(std::vector<std::byte>& bytes,
               std::size_t at,
               std::uint64_t return_gadget,
               const UserRegisters& r,
               std::uint64_t signal_mask) {
    put(bytes, at, return_gadget);  // a mark alone: see Injection::far_stack()
    put(bytes, at + frame::kStackFlags, frame::kKeepAlternateStack);
    put(bytes, at + frame::kSignalMask, signal_mask);
    std::memcpy(
        bytes.data() + at + frame::kGeneral, r.regs, sizeof r.regs + 3 * sizeof(std::uint64_t));
}
static_assert(offsetof(::user_regs_struct, pstate) == 33 * sizeof(std::uint64_t));

// The records of a frame: FPSIMD first, then SVE where it is in use. What does not fit into the
// room that every frame has lies behind it, announced by a record of its own.
std::vector<std::byte> frame_records(std::span<const std::byte> state,
                                     std::span<const std::byte> fpsimd,
                                     std::uint64_t address) {
    std::vector<std::byte> out(frame::kFpsimdSize);
    put(out, 0, frame::kFpsimd);
    put(out, 4, static_cast<std::uint32_t>(frame::kFpsimdSize));
    if (!fpsimd.empty()) {
        constexpr std::size_t kStatus = sve::kVectors * sve::kVectorSize;
        std::memcpy(out.data() + 8, fpsimd.data() + kStatus, 8);
        std::memcpy(out.data() + 16, fpsimd.data(), kStatus);
    }
    const auto end = [&out] { out.resize(out.size() + frame::kEndSize); };
    if (!has_sve(state)) {
        end();
        return out;
    }
    const std::size_t length = get<std::uint16_t>(state, sve::kVectorLength);
    const std::size_t size = align_up(sve::kRegisters + sve::size(length), 16);
    if (out.size() + size + frame::kEndSize + frame::kExtraSize + frame::kEndSize >
        frame::kRecordsSize) {
        const std::size_t extra = out.size();
        out.resize(extra + frame::kExtraSize);
        end();
        put(out, extra, frame::kExtra);
        put(out, extra + 4, static_cast<std::uint32_t>(frame::kExtraSize));
        put(out, extra + 8, address + out.size());
        put(out, extra + 16, static_cast<std::uint32_t>(size + frame::kEndSize));
    }
    const std::size_t at = out.size();
    out.resize(at + size);
    put(out, at, frame::kSve);
    put(out, at + 4, static_cast<std::uint32_t>(size));
    put(out, at + 8, static_cast<std::uint16_t>(length));
    std::memcpy(
        out.data() + at + sve::kRegisters, state.data() + sve::kRegisters, sve::size(length));
    end();
    return out;
}

constexpr std::string_view kRestorers[] = {
    std::string_view("\x68\x11\x80\xd2\x01\x00\x00\xd4", 8),  // mov x8, #139; svc #0
    std::string_view("\x68\x11\x80\x52\x01\x00\x00\xd4", 8),  // mov w8, #139; svc #0
};

}  // namespace

const InjectedCalls kInjectedCalls{SYS_clone, 436 /* close_range */, SYS_wait4, SYS_madvise};
const Architecture kArchitecture = Architecture::kArm64;
const std::string_view kCallGadget("\x01\x00\x00\xd4\xc0\x03\x5f\xd6", 8);
const std::string_view kPlainCall("\x01\x00\x00\xd4", 4);
const std::span<const std::string_view> kReturnGadgets(kRestorers);
const std::uint64_t kInstructionAlignment = kInstructionSize;
const bool kVdsoComesHome = true;
const bool kThreadLocalsAbove = true;
const bool kCallsLoseExtendedState = true;

// The C library keeps its block right below the thread pointer, and in it the list of robust
// mutexes that the kernel knows.
bool is_control_block(pid_t tid, std::uint64_t address) {
    constexpr std::uint64_t kLargestBlock = 8192;
    std::uint64_t head = 0;
    std::size_t size = 0;
    if (::syscall(SYS_get_robust_list, tid, &head, &size) != 0) return false;
    return head != 0 && head < address && address - head < kLargestBlock;
}

void add_hidden_registers(pid_t tid, UserRegisters& r) {
    read_set(tid, note::kTls, &r.thread_pointer, sizeof r.thread_pointer);
    r.stage = CallStage::kNone;
    r.call = kNoCall;
    r.first_argument = 0;
    if (r.pc % kInstructionSize != 0 || r.pc < kInstructionSize) return;
    std::uint32_t code[2] = {};  // before the program counter, and at it
    const auto bytes = std::as_writable_bytes(std::span(code));
    if (read_remote(tid, r.pc - kInstructionSize, bytes) != bytes.size()) {
        code[0] = code[1] = 0;
        const auto next = bytes.subspan(sizeof code[0]);
        if (read_remote(tid, r.pc, next) != next.size()) return;
    }
    if (code[1] == kSvc) {
        r.stage = CallStage::kNext;
        r.first_argument = r.regs[0];
    } else if (code[0] == kSvc) {
        r.stage = CallStage::kMade;
    } else {
        return;
    }
    r.call = r.regs[kNumber];
    if (!interrupted_call(r).known) return;
    const auto argument = entered_with(tid, r.call);
    // A signal handler may have returned there, with the EINTR of a call that it did interrupt;
    // then the latest entry was that of rt_sigreturn.
    const bool is_poll = r.call == SYS_epoll_pwait || r.call == kEpollPwait2;
    if (!argument || (is_poll && !is_epoll(tid, *argument))) {
        r.stage = CallStage::kNone;
        r.call = kNoCall;
        return;
    }
    r.first_argument = *argument;
}

std::vector<std::byte> read_extended_state(pid_t tid) {
    std::vector<std::byte> state(sve::kLargest);
    state.resize(read_set(tid, note::kSve, state.data(), state.size()));
    if (!fpsimd_of(state).empty()) return state;
    // No SVE here, or it is in streaming mode: in the same form, without it.
    state.assign(sve::kRegisters + sve::kFpsimdSize, std::byte{});
    const std::size_t size =
        read_set(tid, NT_PRFPREG, state.data() + sve::kRegisters, sve::kFpsimdSize);
    if (size < sve::kVectors * sve::kVectorSize + 8) state.clear();
    return state;
}

DebugRegisters read_debug_registers(pid_t tid) {
    DebugRegisters out{};
    struct {
        std::uint32_t info, pad;
        struct {
            std::uint64_t address;
            std::uint32_t control, pad;
        } registers[16];
    } state;
    const auto read = [&](std::size_t note, std::size_t first, std::size_t count) {
        state = {};
        if (read_set(tid, note, &state, sizeof state) == 0) return;
        for (std::size_t i = 0; i < count; ++i) {
            out[first + i] = state.registers[i].address;
            out[first + count + i] = state.registers[i].control;
        }
    };
    read(note::kBreakpoints, 0, 8);
    read(note::kWatchpoints, 16, 2);
    return out;
}

void forget_call(pid_t tid) {
    write_call(tid, -1);
}
void change_call(pid_t tid, std::uint64_t number) {
    write_call(tid, static_cast<std::int32_t>(number));
}

bool is_native(const UserRegisters& registers) {
    return (registers.pstate & kModeIsCompat) == 0;
}
std::uint64_t instruction_pointer(const UserRegisters& registers) {
    return registers.pc;
}
std::uint64_t stack_pointer(const UserRegisters& registers) {
    return registers.sp;
}
std::uint64_t thread_pointer(const UserRegisters& registers) {
    return registers.thread_pointer;
}
std::uint64_t current_call(const UserRegisters& registers) {
    return registers.call;
}
std::uint64_t first_argument(const UserRegisters& registers) {
    return registers.first_argument;
}
std::int64_t call_result(const UserRegisters& registers) {
    return static_cast<std::int64_t>(registers.regs[0]);
}

int disturbance_of_call(long number, const std::array<std::uint64_t, 6>& arguments) {
    switch (number) {
        case SYS_read:
        case SYS_write:
        case SYS_accept:
        case SYS_accept4:
        case SYS_wait4:
        case SYS_waitid: return 1;
        case SYS_rt_sigsuspend:
        case SYS_pselect6:
        case SYS_ppoll: return 2;
        case SYS_futex: return arguments[3] == 0 ? 1 : 10;
        case SYS_epoll_pwait: return static_cast<int>(arguments[3]) < 0 ? 3 : 500;
        case kEpollPwait2: return arguments[3] == 0 ? 3 : 500;
        case SYS_io_getevents: return arguments[4] == 0 ? 3 : 500;
        case SYS_semtimedop: return arguments[3] == 0 ? 3 : 500;
        case SYS_rt_sigtimedwait: return arguments[2] == 0 ? 3 : 500;
        case SYS_recvfrom:
        case SYS_recvmsg: return 400;  // SO_RCVTIMEO can't be seen
        case SYS_nanosleep:
        case SYS_clock_nanosleep: return 10;
        case SYS_restart_syscall: return 20;  // stopped before
        default: return 50;
    }
}

std::optional<UserRegisters> restarted_after_interrupt(const UserRegisters& registers) {
    const Interrupted call = interrupted_call(registers);
    if (!call.known || call.timed) return std::nullopt;
    UserRegisters r = registers;
    r.regs[0] = r.first_argument;
    r.pc -= kInstructionSize;
    r.stage = CallStage::kNext;
    return r;
}

bool is_interrupted_timed_call(const UserRegisters& registers) {
    return interrupted_call(registers).timed;
}

std::optional<int> injection_rank(const UserRegisters& registers) {
    if (!is_native(registers) || registers.sp == 0 || registers.pc == 0) return std::nullopt;
    switch (registers.stage) {
        case CallStage::kNone: return 0;
        case CallStage::kMade: return 3;
        case CallStage::kNext: break;
    }
    // Stopped twice in one call, its number is lost: there the way home ends in EINTR.
    if (registers.call == SYS_restart_syscall) return 5;
    switch (restart_code(registers)) {
        case kRestartNoHand: return 1;
        case kRestartBlock: return 4;  // the way home begins it anew
        default: return 2;
    }
}

bool loses_state_in_a_call(pid_t tid) {
    constexpr unsigned long kSme = 1ul << 23;  // HWCAP2_SME
    if ((::getauxval(AT_HWCAP2) & kSme) == 0) return false;
    std::array<std::byte, sve::kRegisters> header{};
    iovec vector{header.data(), header.size()};
    if (ptrace_call(PTRACE_GETREGSET, tid, note::kStreamingSve, &vector) < 0) return false;
    return (get<std::uint16_t>(header, sve::kFlags) & sve::kHasSve) != 0;  // in streaming mode
}

void restore_extended_state(pid_t tid, const std::vector<std::byte>& extended) {
    if (!has_sve(extended)) return;
    std::vector<std::byte> copy = extended;
    iovec vector{copy.data(), copy.size()};
    ptrace_call(PTRACE_SETREGSET, tid, note::kSve, &vector);
}

UserRegisters with_call(const UserRegisters& base,
                        std::uint64_t address,
                        std::uint64_t number,
                        const std::array<std::uint64_t, 6>& arguments) {
    UserRegisters r = base;
    r.pc = address;
    r.pstate &= ~kBranchType;  // the thread may have been about to land on a branch's target
    std::copy(arguments.begin(), arguments.end(), r.regs);
    r.regs[kNumber] = number;
    return r;
}

std::optional<DisguisedCall> disguised_call(const UserRegisters& found, const UserRegisters& call) {
    DisguisedCall out{call, call};
    out.outside.regs[0] = found.regs[0];
    // Inside as well: should the kernel take the call back, it enters as it did before.
    out.outside.regs[kNumber] = out.at_entry.regs[kNumber] = kHarmlessCall;
    out.at_entry.pc += kInstructionSize;
    return out;
}

std::optional<Interruption> interrupted_again(const UserRegisters& found) {
    if (found.stage != CallStage::kNext) return std::nullopt;
    Interruption out{found, found.call};
    out.registers.pc += kInstructionSize;
    out.registers.regs[0] = static_cast<std::uint64_t>(restart_code(found));
    return out;
}

std::optional<HomeFrame> build_home_frame(const ThreadRegisters& registers,
                                          std::uint64_t signal_mask,
                                          std::uint64_t stack,
                                          std::uint64_t call_gadget,
                                          std::uint64_t return_gadget) {
    constexpr std::uint64_t kUnused = 128;  // the ABI has no red zone; hand-written code may differ
    constexpr std::uint64_t kMost = 2 * sve::kLargest;
    const std::vector<std::byte> fpsimd = fpsimd_of(registers.extended);
    if (fpsimd.empty() || stack < kUnused + kMost) return std::nullopt;
    const std::vector<std::byte> idle = frame_records({}, {}, 0);
    const std::size_t parent_size =
        frame::kRecords + frame_records(registers.extended, fpsimd, 0).size();

    // The parent's frame lies lowest: a signal handler that starts on it cannot overwrite the
    // other.
    const std::uint64_t child = align_down(stack - kUnused - (frame::kRecords + idle.size()), 16);
    const std::uint64_t parent = align_down(child - parent_size, 16);

    HomeFrame home;
    home.address = parent;
    home.parent_stack = parent;
    home.child_stack = child;
    home.bytes.resize(child - parent + frame::kRecords + idle.size());
    put_frame(home.bytes, 0, return_gadget, registers.general, signal_mask);
    const std::vector<std::byte> records =
        frame_records(registers.extended, fpsimd, parent + frame::kRecords);
    std::copy(records.begin(), records.end(), home.bytes.begin() + frame::kRecords);

    UserRegisters exit_group{};
    exit_group.regs[kNumber] = SYS_exit_group;
    exit_group.pc = call_gadget;
    exit_group.sp = child;
    const std::size_t at = child - parent;
    put_frame(home.bytes, at, return_gadget, exit_group, ~std::uint64_t{0});
    std::copy(idle.begin(),
              idle.end(),
              home.bytes.begin() + static_cast<std::ptrdiff_t>(at + frame::kRecords));
    return home;
}

// With a guarded control stack (FEAT_GCS) the return would be a fault.
bool may_come_home(pid_t tid) {
    std::array<std::uint64_t, 3> state{};  // features, features locked, the stack's pointer
    return read_set(tid, note::kGuardedStack, state.data(), sizeof state) == 0 ||
           (state[0] & 1) == 0;
}

void lead_home(UserRegisters& registers, const HomeFrame& frame, std::uint64_t return_gadget) {
    registers.sp = frame.parent_stack;
    registers.regs[kLink] = return_gadget;
}

std::size_t xsave_size(const ThreadRegisters&) {
    return 0;
}

std::vector<minidump::XstateFeature> xstate_features() {
    return {};
}

void append_context(ContextTable& table,
                    std::uint32_t tid,
                    const ThreadRegisters* registers,
                    std::uint32_t context_flags) {
    table.architecture = Architecture::kArm64;
    table.context_size = sizeof(minidump::raw::Arm64Context);
    minidump::raw::Arm64Context record{};
    ContextExtension extension;
    extension.tid = tid;
    record.ContextFlags = ContextFlags::ARM64;
    if (registers != nullptr) {
        const UserRegisters& r = registers->general;
        extension.valid = 1;
        extension.system_call = r.call;
        static_assert(sizeof record.X == sizeof r.regs);
        std::memcpy(record.X, r.regs, sizeof record.X);
        record.Sp = r.sp;
        record.Pc = r.pc;
        record.Cpsr = static_cast<std::uint32_t>(r.pstate);
        record.ContextFlags |= ContextFlags::CONTROL | ContextFlags::INTEGER;
        // Without SEGMENTS, the others are one bit lower than on x86.
        constexpr std::uint32_t kFloatingPoint = 4, kDebugRegisters = 8;
        if ((context_flags & ContextFlags::DEBUG_REGISTERS) != 0) {
            const DebugRegisters& debug = registers->debug;
            std::copy_n(debug.begin(), 8, record.Bvr);
            std::copy_n(debug.begin() + 16, 2, record.Wvr);
            const auto narrow = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
            std::transform(debug.begin() + 8, debug.begin() + 16, record.Bcr, narrow);
            std::transform(debug.begin() + 18, debug.begin() + 20, record.Wcr, narrow);
            record.ContextFlags |= kDebugRegisters;
        }
        const std::vector<std::byte> fpsimd = fpsimd_of(registers->extended);
        if (!fpsimd.empty()) {
            std::memcpy(record.V, fpsimd.data(), sizeof record.V);
            record.Fpsr = get<std::uint32_t>(fpsimd, sizeof record.V);
            record.Fpcr = get<std::uint32_t>(fpsimd, sizeof record.V + 4);
            record.ContextFlags |= kFloatingPoint;
        }
    }
    const auto append = [&table](const auto& part) {
        const auto bytes = std::as_bytes(std::span(&part, 1));
        table.records.insert(table.records.end(), bytes.begin(), bytes.end());
    };
    append(record);
    append(extension);
}

}  // namespace snapcore::linux_os
