// SPDX-License-Identifier: Apache-2.0
//
// A routine that keeps known values in every register and in its red zone while it spins, and hands
// back what it finds there afterwards. Whoever exchanges a thread's registers, or writes below its
// stack pointer, and does not put everything back, is found out.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace target {

struct HeldRegisters {
    std::array<std::uint64_t, 14> general{};  // all but rsp and rcx, which counts
    std::array<std::uint64_t, 16> red_zone{};
    std::uint64_t carry = 0;
    std::uint64_t mxcsr = 0;
    std::array<std::array<std::uint64_t, 4>, 16> vectors{};  // ymm0-15
    long double x87 = 0;

    bool operator==(const HeldRegisters&) const = default;
};

#if defined(__x86_64__)

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

#endif

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
bool tile_holds(std::uint64_t round, Between between) {
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

// Spins for some microseconds; false when a register changed meanwhile. For one thread at a time.
inline bool registers_hold(std::uint64_t round) {
    const HeldRegisters held = registers_to_hold(round);
    HeldRegisters found;
#if defined(__x86_64__)
    constexpr std::uint64_t kTurns = 20'000;
    target_hold_registers(&held, kTurns, &found);
#else
    found = held;  // no such routine for this processor: the thread only counts
#endif
    return found == held;
}

}  // namespace target
