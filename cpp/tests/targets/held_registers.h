// SPDX-License-Identifier: Apache-2.0
//
// A routine that keeps known values in every register and in its red zone while it spins, and hands
// back what it finds there afterwards. Whoever exchanges a thread's registers, or writes below its
// stack pointer, and does not put everything back, is found out.
#pragma once

#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#endif

#include <array>
#include <cstddef>
#include <cstdint>

namespace target {

#if defined(__x86_64__)

struct HeldRegisters {
    std::array<std::uint64_t, 14> general{};  // all but rsp and rcx, which counts
    std::array<std::uint64_t, 16> red_zone{};
    std::uint64_t carry = 0;
    std::uint64_t mxcsr = 0;
    std::array<std::array<std::uint64_t, 4>, 16> vectors{};  // ymm0-15
    long double x87 = 0;

    bool operator==(const HeldRegisters&) const = default;
};

static_assert(offsetof(HeldRegisters, red_zone) == 112);
static_assert(offsetof(HeldRegisters, carry) == 240);
static_assert(offsetof(HeldRegisters, mxcsr) == 248);
static_assert(offsetof(HeldRegisters, vectors) == 256);
static_assert(offsetof(HeldRegisters, x87) == 768);

extern "C" void target_hold_registers(const HeldRegisters* held,
                                      std::uint64_t turns,
                                      HeldRegisters* found);
asm(R"(
    .pushsection .text
    .type target_hold_registers, @function
target_hold_registers:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rdx, target_hold_found(%rip)
    mov %rsi, %rcx
    fldt 768(%rdi)
    ldmxcsr 248(%rdi)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu 256+32*\n(%rdi), %ymm\n
    mov 112+8*\n(%rdi), %rax
    mov %rax, -8-8*\n(%rsp)
    .endr
    mov 0(%rdi), %rax
    mov 8(%rdi), %rbx
    mov 16(%rdi), %rdx
    mov 24(%rdi), %rsi
    mov 40(%rdi), %rbp
    mov 48(%rdi), %r8
    mov 56(%rdi), %r9
    mov 64(%rdi), %r10
    mov 72(%rdi), %r11
    mov 80(%rdi), %r12
    mov 88(%rdi), %r13
    mov 96(%rdi), %r14
    mov 104(%rdi), %r15
    mov 32(%rdi), %rdi
    stc
1:  dec %rcx
    jnz 1b
    mov target_hold_found(%rip), %rcx
    mov %rax, 0(%rcx)
    mov %rbx, 8(%rcx)
    mov %rdx, 16(%rcx)
    mov %rsi, 24(%rcx)
    mov %rdi, 32(%rcx)
    mov %rbp, 40(%rcx)
    mov %r8, 48(%rcx)
    mov %r9, 56(%rcx)
    mov %r10, 64(%rcx)
    mov %r11, 72(%rcx)
    mov %r12, 80(%rcx)
    mov %r13, 88(%rcx)
    mov %r14, 96(%rcx)
    mov %r15, 104(%rcx)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu %ymm\n, 256+32*\n(%rcx)
    mov -8-8*\n(%rsp), %rax
    mov %rax, 112+8*\n(%rcx)
    .endr
    setc 240(%rcx)
    stmxcsr 248(%rcx)
    fstpt 768(%rcx)
    vzeroupper
    ldmxcsr target_default_mxcsr(%rip)
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .size target_hold_registers, . - target_hold_registers
    .balign 4
target_default_mxcsr:
    .long 0x1f80
    .popsection
    .pushsection .bss
    .balign 8
target_hold_found:
    .zero 8
    .popsection
)");

// Different values in all of them, and in each round.
inline HeldRegisters registers_to_hold(std::uint64_t round) {
    HeldRegisters held;
    std::uint64_t value = round;
    const auto next = [&value] { return value = value * 6364136223846793005 + 1; };
    for (auto& word : held.general) word = next();
    for (auto& word : held.red_zone) word = next();
    for (auto& row : held.vectors) {
        for (auto& word : row) word = next();
    }
    held.carry = 1;
    held.mxcsr = 0x1f80 | (round & 3) << 13;  // how to round
    held.x87 = static_cast<long double>(next()) / 3;
    return held;
}

#elif defined(__aarch64__)

struct HeldRegisters {
    std::array<std::uint64_t, 30> general{};                 // x1-30; x0 counts
    std::uint64_t flags = 0, rounding = 0;                   // NZCV, FPCR
    std::array<std::array<std::uint64_t, 2>, 32> vectors{};  // v0-31

    bool operator==(const HeldRegisters&) const = default;
};
static_assert(offsetof(HeldRegisters, flags) == 240);
static_assert(offsetof(HeldRegisters, vectors) == 256);

// Vector registers of any length, predicates, and the first-fault register: z0-31, p0-15, ffr.
struct HeldSve {
    static constexpr std::size_t kMostBytes = 256;
    alignas(16) std::array<std::uint8_t, 32 * kMostBytes + 17 * kMostBytes / 8> bytes{};
};

extern "C" void target_hold_registers(const HeldRegisters* held,
                                      std::uint64_t turns,
                                      HeldRegisters* found);
extern "C" void target_hold_sve(const std::uint8_t* held, std::uint64_t turns, std::uint8_t* found);
extern "C" std::uint64_t target_vector_length();
asm(R"(
    .pushsection .text
    .arch_extension sve
    .type target_hold_registers, %function
target_hold_registers:
    sub sp, sp, #176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    stp x1, x2, [sp, #160]
    ldp x1, x2, [x0, #240]
    msr nzcv, x1
    msr fpcr, x2
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ldr q\n, [x0, #256+16*\n]
    .endr
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    ldr x\n, [x0, #8*(\n-1)]
    .endr
    ldr x0, [sp, #160]
1:  sub x0, x0, #1
    cbnz x0, 1b
    ldr x0, [sp, #168]
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    str x\n, [x0, #8*(\n-1)]
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    str q\n, [x0, #256+16*\n]
    .endr
    mrs x1, nzcv
    mrs x2, fpcr
    stp x1, x2, [x0, #240]
    msr fpcr, xzr
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    ret
    .size target_hold_registers, . - target_hold_registers

    .type target_hold_sve, %function
target_hold_sve:
    sub sp, sp, #64
    stp d8, d9, [sp, #0]
    stp d10, d11, [sp, #16]
    stp d12, d13, [sp, #32]
    stp d14, d15, [sp, #48]
    rdvl x3, #1
    lsl x3, x3, #5
    add x4, x0, x3
    ldr p0, [x4, #16, mul vl]
    wrffr p0.b
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ldr z\n, [x0, #\n, mul vl]
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    ldr p\n, [x4, #\n, mul vl]
    .endr
1:  sub x1, x1, #1
    cbnz x1, 1b
    add x4, x2, x3
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    str z\n, [x2, #\n, mul vl]
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    str p\n, [x4, #\n, mul vl]
    .endr
    rdffr p0.b
    str p0, [x4, #16, mul vl]
    ldp d8, d9, [sp, #0]
    ldp d10, d11, [sp, #16]
    ldp d12, d13, [sp, #32]
    ldp d14, d15, [sp, #48]
    add sp, sp, #64
    ret
    .size target_hold_sve, . - target_hold_sve

    .type target_vector_length, %function
target_vector_length:
    rdvl x0, #1
    ret
    .size target_vector_length, . - target_vector_length
    .popsection
)");

inline HeldRegisters registers_to_hold(std::uint64_t round) {
    HeldRegisters held;
    std::uint64_t value = round;
    const auto next = [&value] { return value = value * 6364136223846793005 + 1; };
    for (auto& word : held.general) word = next();
    for (auto& row : held.vectors) {
        for (auto& word : row) word = next();
    }
    held.flags = next() & 0xf0000000;
    held.rounding = (round & 3) << 22;
    return held;
}

// Spins with them; false when one changed meanwhile. True where the processor has none.
inline bool sve_holds(std::uint64_t round, std::uint64_t turns) {
    if ((getauxval(AT_HWCAP) & HWCAP_SVE) == 0) return true;
    const std::size_t length = target_vector_length();
    HeldSve held, found;
    const std::size_t size = 32 * length + 17 * (length / 8);
    std::uint64_t value = round;
    for (std::size_t i = 0; i < size; ++i) {
        value = value * 6364136223846793005 + 1;
        held.bytes[i] = static_cast<std::uint8_t>(value >> 56);
    }
    // The first-fault register takes nothing but ones below zeros.
    for (std::size_t i = size - length / 8; i < size; ++i) held.bytes[i] = 0xff;
    target_hold_sve(held.bytes.data(), turns, found.bytes.data());
    return found.bytes == held.bytes;
}

#else
#error "no routine holds the registers of this processor"
#endif

// AMX tiles, whose state a task has only once it asked for it. False where the processor has none.
inline bool ask_for_tiles() {
#if defined(__x86_64__)
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return false;
#endif
}

// One tile of 16 rows of 64 bytes, held while `between` runs; false when it changed meanwhile.
template <class Between>
bool tile_holds([[maybe_unused]] std::uint64_t round, Between between) {
#if defined(__x86_64__)
    struct alignas(64) Configuration {
        std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
        std::uint16_t row_bytes[16] = {64};
        std::uint8_t rows[16] = {16};
    } const configuration;
    static_assert(sizeof(Configuration) == 64);
    alignas(64) std::array<std::uint64_t, 128> held, found{};
    for (auto& word : held) word = round = round * 6364136223846793005 + 1;
    asm volatile("ldtilecfg %0" : : "m"(configuration));
    asm volatile("tileloadd (%0,%1,1), %%tmm0" : : "r"(held.data()), "r"(64L) : "memory");
    const bool others = between();
    asm volatile("tilestored %%tmm0, (%0,%1,1)\n\ttilerelease"
                 :
                 : "r"(found.data()), "r"(64L)
                 : "memory");
    return others && found == held;
#else
    return between();
#endif
}

// Of the last time that they did not hold.
inline const char* changed_registers = "";

// Spins for some microseconds; false when a register changed meanwhile. For one thread at a time.
inline bool registers_hold(std::uint64_t round) {
    const HeldRegisters held = registers_to_hold(round);
    HeldRegisters found;
    constexpr std::uint64_t kTurns = 20'000;
    target_hold_registers(&held, kTurns, &found);
#if defined(__aarch64__)
    if (!sve_holds(round, kTurns)) {
        changed_registers = "those of SVE";
        return false;
    }
#endif
    if (found == held) return true;
    changed_registers = found.general != held.general ? "general ones" : "flags or vectors";
    return false;
}

}  // namespace target
