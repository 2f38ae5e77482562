// SPDX-License-Identifier: Apache-2.0
#include <cpuid.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/range.h"
#include "generated/flags.h"
#include "linux/arch.h"
#include "linux/ptrace_call.h"
#include "linux/remote_memory.h"

namespace snapcore::linux_os {
namespace {

// Results that never reach a program: the kernel rewinds the call when the thread goes on.
constexpr std::int64_t kRestartSys = -512;
constexpr std::int64_t kRestartNoIntr = -513;
constexpr std::int64_t kRestartNoHand = -514;
constexpr std::int64_t kRestartBlock = -516;
constexpr std::uint64_t kNoCall = ~std::uint64_t{0};
constexpr std::uint16_t kUserCodeSegment = 0x33;
constexpr std::uint16_t kUserStackSegment = 0x2b;
constexpr std::uint64_t kCallInstructionSize = 2;
constexpr std::size_t kXsaveNote = 0x202;  // NT_X86_XSTATE
constexpr long kEpollPwait2 = 441;

// Offsets in the kernel's struct rt_sigframe, counted from its first byte, the return address.
namespace frame {
constexpr std::size_t kFlags = 8;
constexpr std::size_t kStackFlags = 32;
constexpr std::size_t kRegisters = 48;  // r8 ... eflags, then the segments
constexpr std::size_t kSegments = 192;
constexpr std::size_t kFpState = 232;
constexpr std::size_t kSignalMask = 304;
constexpr std::size_t kEnd = 312;  // the siginfo behind it is not read by rt_sigreturn
constexpr std::uint64_t kUcFpXstate = 1, kUcSigcontextSs = 2, kUcStrictRestoreSs = 4;
// Invalid on purpose: the kernel then leaves the thread's alternate stack, which ptrace cannot
// read, as it is.
constexpr std::uint32_t kKeepAlternateStack = 0x40;
}  // namespace frame

// Offsets in an XSAVE image, and the marks by which rt_sigreturn knows that one is whole.
namespace xsave {
constexpr std::size_t kSoftware = 464;
constexpr std::size_t kMxcsr = 24;
constexpr std::size_t kLegacySize = 512;
constexpr std::size_t kFeatures = 512;
constexpr std::size_t kCompaction = 520;
constexpr std::size_t kYmmHigh = 576;
constexpr std::size_t kYmmHighSize = 256;
constexpr std::uint32_t kMagic1 = 0x46505853;
constexpr std::uint32_t kMagic2 = 0x46505845;
constexpr std::uint64_t kAmx = 3ull << 17;  // TILECFG and TILEDATA
constexpr std::size_t kLargestImage = 16 * 1024;
}  // namespace xsave

// CPUID leaves a virtual machine, which takes time: so it is asked when the program starts, not
// while a target stands still.
const std::vector<minidump::XstateFeature> kXstateFeatures = [] {
    std::vector<minidump::XstateFeature> features;
    for (unsigned index = 2; index < 63; ++index) {
        unsigned size = 0, offset = 0, c = 0, d = 0;
        if (__get_cpuid_count(0xd, index, &size, &offset, &c, &d) == 0) break;
        // Bit 0 of ECX: a supervisor feature, which has no place in a program's image.
        if (size != 0 && (c & 1) == 0) features.push_back({index, offset, size});
    }
    return features;
}();

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

void put_frame(std::vector<std::byte>& bytes,
               std::size_t at,
               std::uint64_t return_gadget,
               std::uint64_t uc_flags,
               const UserRegisters& r,
               std::uint64_t fp_state,
               std::uint64_t signal_mask) {
    put(bytes, at, return_gadget);
    put(bytes, at + frame::kFlags, uc_flags);
    put(bytes, at + frame::kStackFlags, frame::kKeepAlternateStack);
    const std::uint64_t general[] = {r.r8,
                                     r.r9,
                                     r.r10,
                                     r.r11,
                                     r.r12,
                                     r.r13,
                                     r.r14,
                                     r.r15,
                                     r.rdi,
                                     r.rsi,
                                     r.rbp,
                                     r.rbx,
                                     r.rdx,
                                     r.rax,
                                     r.rcx,
                                     r.rsp,
                                     r.rip,
                                     r.eflags};
    put(bytes, at + frame::kRegisters, general);
    const std::uint16_t segments[] = {
        static_cast<std::uint16_t>(r.cs), 0, 0, static_cast<std::uint16_t>(r.ss)};
    put(bytes, at + frame::kSegments, segments);
    put(bytes, at + frame::kFpState, fp_state);
    put(bytes, at + frame::kSignalMask, signal_mask);
}

// How much of an XSAVE image belongs into a frame. The register set always has room for AMX, a task
// that did not ask for AMX has a frame without it, and rt_sigreturn takes no image that is larger
// than the task's frame: it would fall back to SSE and lose the rest.
std::size_t frame_image_size(std::span<const std::byte> image) {
    if ((get<std::uint64_t>(image, xsave::kFeatures) & xsave::kAmx) != 0) return image.size();
    const std::uint64_t features = get<std::uint64_t>(image, xsave::kSoftware) & ~xsave::kAmx;
    std::size_t size = xsave::kYmmHigh;
    for (const minidump::XstateFeature& feature : kXstateFeatures) {
        if ((features >> feature.index & 1) == 0) continue;
        size = std::max(size, std::size_t{feature.offset} + feature.size);
    }
    return std::min(size, image.size());
}

// What rt_sigreturn must load so that an interrupted call starts again: it forgets restart blocks,
// so those begin anew as well.
UserRegisters rewound(UserRegisters r) {
    if (static_cast<std::int64_t>(r.orig_rax) < 0) return r;
    switch (static_cast<std::int64_t>(r.rax)) {
        case kRestartSys:
        case kRestartNoIntr:
        case kRestartNoHand:
        case kRestartBlock:
            r.rax = r.orig_rax;
            r.rip -= kCallInstructionSize;
            break;
        default: break;
    }
    return r;
}

struct Interrupted {
    bool known = false;
    bool timed = false;
};

Interrupted interrupted_call(const UserRegisters& r) {
    if (static_cast<std::int64_t>(r.rax) != -EINTR) return {};
    switch (static_cast<std::int64_t>(r.orig_rax)) {
        case SYS_epoll_wait:
        case SYS_epoll_pwait: return {true, static_cast<std::int32_t>(r.r10) >= 0};
        case kEpollPwait2: return {true, r.r10 != 0};
        case SYS_io_getevents:
        case 333 /* io_pgetevents */: return {true, r.r8 != 0};
        case SYS_semop: return {true, false};
        case SYS_semtimedop: return {true, r.r10 != 0};
        case SYS_rt_sigtimedwait: return {true, r.rdx != 0};
        default: return {};
    }
}

constexpr std::string_view kRestorers[] = {
    // mov rax, 15; syscall   and   mov eax, 15; syscall
    std::string_view("\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9),
    std::string_view("\xb8\x0f\x00\x00\x00\x0f\x05", 7),
};

}  // namespace

const InjectedCalls kInjectedCalls{SYS_clone, 436 /* close_range */, SYS_wait4, SYS_madvise};
const Architecture kArchitecture = Architecture::kAmd64;
const std::string_view kCallGadget("\x0f\x05\xc3", 3);
const std::string_view kPlainCall("\x0f\x05", 2);
const std::span<const std::string_view> kReturnGadgets(kRestorers);
const std::uint64_t kInstructionAlignment = 1;
const bool kVdsoComesHome = false;
const bool kThreadLocalsAbove = false;
const bool kCallsLoseExtendedState = false;

// The thread control block of the ABI begins with its own address.
bool is_control_block(pid_t tid, std::uint64_t address) {
    std::uint64_t self = 0;
    const auto bytes = std::as_writable_bytes(std::span(&self, 1));
    return read_remote(tid, address, bytes) == bytes.size() && self == address;
}

void add_hidden_registers(pid_t /*tid*/, UserRegisters& /*registers*/) {}

std::vector<std::byte> read_extended_state(pid_t tid) {
    std::array<std::byte, xsave::kLargestImage> buffer;  // AMX included; not initialised on purpose
    iovec vector{buffer.data(), buffer.size()};
    if (ptrace_call(PTRACE_GETREGSET, tid, kXsaveNote, &vector) < 0) return {};
    return {buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(vector.iov_len)};
}

DebugRegisters read_debug_registers(pid_t tid) {
    DebugRegisters out{};
    const auto peek = [tid](std::size_t index) {
        // offsetof with a run-time index is not portable; the registers are consecutive words.
        const std::size_t offset =
            offsetof(struct user, u_debugreg) + index * sizeof(unsigned long);
        errno = 0;
        const long value = ptrace_call(PTRACE_PEEKUSER, tid, offset, nullptr);
        return errno == 0 ? static_cast<std::uint64_t>(value) : 0;
    };
    // DR7 enables the others; a thread without a breakpoint has nothing in them, and each read is a
    // system call in the stop.
    out[7] = peek(7);
    if (out[7] != 0) {
        for (const std::size_t index : {0u, 1u, 2u, 3u, 6u}) out[index] = peek(index);
    }
    return out;
}

void forget_call(pid_t /*tid*/) {}
void change_call(pid_t /*tid*/, std::uint64_t /*number*/) {}
bool loses_state_in_a_call(pid_t /*tid*/) {
    return false;
}
void restore_extended_state(pid_t /*tid*/, const std::vector<std::byte>& /*state*/) {}

int disturbance_of_call(long number, const std::array<std::uint64_t, 6>& arguments) {
    switch (number) {
        case SYS_read:
        case SYS_write:
        case SYS_accept:
        case SYS_accept4:
        case SYS_wait4:
        case SYS_waitid: return 1;
        case SYS_pause:
        case SYS_rt_sigsuspend:
        case SYS_select:
        case SYS_pselect6:
        case SYS_ppoll: return 2;
        case SYS_futex: return arguments[3] == 0 ? 1 : 10;
        case SYS_epoll_wait:
        case SYS_epoll_pwait: return static_cast<int>(arguments[3]) < 0 ? 3 : 500;
        case kEpollPwait2: return arguments[3] == 0 ? 3 : 500;
        case SYS_io_getevents: return arguments[4] == 0 ? 3 : 500;
        case SYS_semtimedop: return arguments[3] == 0 ? 3 : 500;
        case SYS_rt_sigtimedwait: return arguments[2] == 0 ? 3 : 500;
        case SYS_recvfrom:
        case SYS_recvmsg: return 400;  // SO_RCVTIMEO can't be seen
        case SYS_poll:
        case SYS_nanosleep:
        case SYS_clock_nanosleep: return 10;
        case SYS_restart_syscall: return 20;  // stopped before
        default: return 50;
    }
}

bool is_native(const UserRegisters& registers) {
    return registers.cs == kUserCodeSegment;
}
std::uint64_t instruction_pointer(const UserRegisters& registers) {
    return registers.rip;
}
std::uint64_t stack_pointer(const UserRegisters& registers) {
    return registers.rsp;
}
std::uint64_t thread_pointer(const UserRegisters& registers) {
    return registers.fs_base;
}
std::uint64_t current_call(const UserRegisters& registers) {
    return registers.orig_rax;
}
std::uint64_t first_argument(const UserRegisters& registers) {
    return registers.rdi;
}
std::int64_t call_result(const UserRegisters& registers) {
    return static_cast<std::int64_t>(registers.rax);
}

std::optional<UserRegisters> restarted_after_interrupt(const UserRegisters& registers) {
    const Interrupted call = interrupted_call(registers);
    if (!call.known || call.timed) return std::nullopt;
    UserRegisters r = registers;
    r.rax = r.orig_rax;
    r.rip -= kCallInstructionSize;
    r.orig_rax = kNoCall;
    return r;
}

bool is_interrupted_timed_call(const UserRegisters& registers) {
    return interrupted_call(registers).timed;
}

std::optional<int> injection_rank(const UserRegisters& registers) {
    if (!is_native(registers) || registers.rsp == 0 || registers.rip == 0) return std::nullopt;
    // About to go on with a call that was stopped a moment ago: the frame would lose it.
    if (registers.rax == SYS_restart_syscall) return 5;
    if (static_cast<std::int64_t>(registers.orig_rax) < 0) return 0;
    switch (static_cast<std::int64_t>(registers.rax)) {
        case kRestartNoHand: return 1;
        case kRestartSys:
        case kRestartNoIntr: return 2;
        // The frame can only start such a call from its beginning. Stopped twice in one call, its
        // number is lost: there the way home ends in EINTR.
        case kRestartBlock: return registers.orig_rax == SYS_restart_syscall ? 5 : 4;
        default: return 3;
    }
}

UserRegisters with_call(const UserRegisters& base,
                        std::uint64_t address,
                        std::uint64_t number,
                        const std::array<std::uint64_t, 6>& arguments) {
    UserRegisters r = base;
    r.rip = address;
    r.rax = number;
    r.orig_rax = kNoCall;
    r.rdi = arguments[0];
    r.rsi = arguments[1];
    r.rdx = arguments[2];
    r.r10 = arguments[3];
    r.r8 = arguments[4];
    r.r9 = arguments[5];
    return r;
}

std::optional<DisguisedCall> disguised_call(const UserRegisters& /*found*/,
                                            const UserRegisters& /*call*/) {
    return std::nullopt;
}

std::optional<Interruption> interrupted_again(const UserRegisters& /*found*/) {
    return std::nullopt;
}

bool may_come_home(pid_t /*tid*/) {
    return true;
}

// The frame begins with the return gadget's address.
void lead_home(UserRegisters& registers, const HomeFrame& frame, std::uint64_t /*return_gadget*/) {
    registers.rsp = frame.parent_stack;
}

std::size_t xsave_size(const ThreadRegisters& registers) {
    return registers.extended.size();
}

std::optional<HomeFrame> build_home_frame(const ThreadRegisters& registers,
                                          std::uint64_t signal_mask,
                                          std::uint64_t stack,
                                          std::uint64_t call_gadget,
                                          std::uint64_t return_gadget) {
    constexpr std::uint64_t kRedZone = 128;
    if (registers.extended.size() < xsave::kYmmHigh ||
        registers.extended.size() > xsave::kLargestImage)
        return std::nullopt;
    const std::size_t state_size = frame_image_size(registers.extended);
    const UserRegisters& r = registers.general;
    if (stack < kRedZone + 2 * xsave::kLargestImage) return std::nullopt;

    // The parent's frame lies lowest: a signal handler that starts on it cannot overwrite the
    // others. Frames are 8 mod 16, as after a call.
    const std::uint64_t state =
        align_down(stack - kRedZone - (state_size + sizeof xsave::kMagic2), 64);
    const std::uint64_t child = align_down(state - frame::kEnd, 16) - 8;
    const std::uint64_t parent = align_down(child - frame::kEnd, 16) - 8;

    HomeFrame home;
    home.address = parent;
    home.parent_stack = parent;
    home.child_stack = child;
    home.bytes.resize(state + state_size + sizeof xsave::kMagic2 - parent);

    put_frame(home.bytes,
              0,
              return_gadget,
              frame::kUcFpXstate | frame::kUcSigcontextSs | frame::kUcStrictRestoreSs,
              rewound(r),
              state,
              signal_mask);

    UserRegisters exit_group{};
    exit_group.rax = SYS_exit_group;
    exit_group.rip = call_gadget;
    exit_group.rsp = child;
    exit_group.eflags = 0x202;
    exit_group.cs = kUserCodeSegment;
    exit_group.ss = kUserStackSegment;
    put_frame(home.bytes,
              child - parent,
              return_gadget,
              frame::kUcSigcontextSs | frame::kUcStrictRestoreSs,
              exit_group,
              0,
              ~std::uint64_t{0});

    const std::size_t at = state - parent;
    std::memcpy(home.bytes.data() + at, registers.extended.data(), state_size);
    auto features = get<std::uint64_t>(registers.extended, xsave::kSoftware);
    if (state_size < registers.extended.size()) features &= ~xsave::kAmx;
    std::memset(
        home.bytes.data() + at + xsave::kSoftware, 0, xsave::kLegacySize - xsave::kSoftware);
    put(home.bytes, at + xsave::kSoftware, xsave::kMagic1);
    put(home.bytes,
        at + xsave::kSoftware + 4,
        static_cast<std::uint32_t>(state_size + sizeof xsave::kMagic2));
    put(home.bytes, at + xsave::kSoftware + 8, features);
    put(home.bytes, at + xsave::kSoftware + 16, static_cast<std::uint32_t>(state_size));
    put(home.bytes, at + xsave::kCompaction, std::uint64_t{0});
    put(home.bytes, at + state_size, xsave::kMagic2);
    return home;
}

std::vector<minidump::XstateFeature> xstate_features() {
    return kXstateFeatures;
}

void append_context(ContextTable& table,
                    std::uint32_t tid,
                    const ThreadRegisters* registers,
                    std::uint32_t context_flags) {
    // Offsets in CONTEXT (AMD64); minidump/raw.h asserts them.
    constexpr std::size_t kContextFlags = 48, kMxCsr = 52, kSegCs = 56, kEFlags = 68, kDr0 = 72,
                          kRax = 120, kFloatSave = 256;
    table.architecture = Architecture::kAmd64;
    const std::size_t at = table.records.size();
    table.records.resize(at + table.stride());
    std::byte* const record = table.records.data() + at;
    const auto store = [record](std::size_t offset, const auto& value) {
        std::memcpy(record + offset, &value, sizeof value);
    };
    ContextExtension extension;
    extension.tid = tid;
    std::uint32_t held = ContextFlags::AMD64;
    if (registers != nullptr) {
        const UserRegisters& r = registers->general;
        extension.valid = 1;
        extension.system_call = r.orig_rax;
        extension.fs_base = r.fs_base;
        extension.gs_base = r.gs_base;
        const std::uint64_t general[] = {r.rax,
                                         r.rcx,
                                         r.rdx,
                                         r.rbx,
                                         r.rsp,
                                         r.rbp,
                                         r.rsi,
                                         r.rdi,
                                         r.r8,
                                         r.r9,
                                         r.r10,
                                         r.r11,
                                         r.r12,
                                         r.r13,
                                         r.r14,
                                         r.r15,
                                         r.rip};
        store(kRax, general);
        store(kEFlags, static_cast<std::uint32_t>(r.eflags));
        const std::uint16_t segments[] = {static_cast<std::uint16_t>(r.cs),
                                          static_cast<std::uint16_t>(r.ds),
                                          static_cast<std::uint16_t>(r.es),
                                          static_cast<std::uint16_t>(r.fs),
                                          static_cast<std::uint16_t>(r.gs),
                                          static_cast<std::uint16_t>(r.ss)};
        store(kSegCs, segments);
        // General registers come in one piece, so they are always whole.
        held |= ContextFlags::CONTROL | ContextFlags::INTEGER | ContextFlags::SEGMENTS;
        if ((context_flags & ContextFlags::DEBUG_REGISTERS) != 0) {
            const std::uint64_t debug[] = {registers->debug[0],
                                           registers->debug[1],
                                           registers->debug[2],
                                           registers->debug[3],
                                           registers->debug[6],
                                           registers->debug[7]};
            store(kDr0, debug);
            held |= ContextFlags::DEBUG_REGISTERS;
        }
        if (registers->extended.size() >= xsave::kLegacySize) {
            std::memcpy(record + kFloatSave, registers->extended.data(), xsave::kSoftware);
            store(kMxCsr, get<std::uint32_t>(registers->extended, xsave::kMxcsr));
            held |= ContextFlags::FLOATING_POINT;
        }
        if (registers->extended.size() >= xsave::kYmmHigh) {
            extension.xstate_features = get<std::uint64_t>(registers->extended, xsave::kFeatures);
        }
        if (registers->extended.size() >= xsave::kYmmHigh + xsave::kYmmHighSize) {
            std::memcpy(extension.ymm_high,
                        registers->extended.data() + xsave::kYmmHigh,
                        xsave::kYmmHighSize);
        }
    }
    store(kContextFlags, held);
    std::memcpy(record + table.context_size, &extension, sizeof extension);
    if (table.xsave_stride != 0) {
        const std::size_t row = table.xsave.size();
        table.xsave.resize(row + table.xsave_stride);
        if (registers != nullptr) {
            std::memcpy(table.xsave.data() + row,
                        registers->extended.data(),
                        std::min(table.xsave_stride, registers->extended.size()));
        }
    }
}

}  // namespace snapcore::linux_os
