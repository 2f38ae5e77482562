// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/context_record.h"

#include <algorithm>
#include <cstring>

#include "minidump/raw.h"

namespace snapcore::minidump {
namespace {

constexpr std::size_t kX86Size = 716, kArm64Size = sizeof(raw::Arm64Context),
                      kArm64OldSize = sizeof(raw::BreakpadArm64Context);
// LLDB's contexts of x86-64 end before the floating-point state.
constexpr std::size_t kAmd64General = 256;

template <class T>
T get(std::span<const std::byte> bytes, std::size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

void copy(std::span<std::byte> out,
          std::size_t to,
          std::span<const std::byte> in,
          std::size_t from,
          std::size_t size) {
    std::memcpy(out.data() + to, in.data() + from, size);
}

}  // namespace

std::optional<Architecture> known_architecture(std::uint16_t number) {
    switch (number) {
        case 0: return Architecture::kX86;
        case 9: return Architecture::kAmd64;
        case 12:
        case raw::kArchitectureOfBreakpadArm64: return Architecture::kArm64;
        default: return std::nullopt;
    }
}

std::size_t context_size(Architecture architecture) {
    switch (architecture) {
        case Architecture::kX86: return kX86Size;
        case Architecture::kArm64: return kArm64Size;
        case Architecture::kAmd64: break;
    }
    return kAmd64ContextSize;
}

std::optional<KeyRegisters> key_registers(Architecture architecture,
                                          std::span<const std::byte> record,
                                          std::size_t record_size) {
    switch (architecture) {
        case Architecture::kAmd64:
            if (record.size() < kAmd64General) return std::nullopt;
            return KeyRegisters{get<std::uint64_t>(record, offsetof(raw::Amd64Context, Rip)),
                                get<std::uint64_t>(record, offsetof(raw::Amd64Context, Rsp))};
        case Architecture::kX86: {
            constexpr std::size_t kEip = 184, kEsp = 196;
            if (record.size() < kEsp + 4 || record_size < kX86Size) return std::nullopt;
            return KeyRegisters{get<std::uint32_t>(record, kEip), get<std::uint32_t>(record, kEsp)};
        }
        case Architecture::kArm64: {
            // Both layouts have them in the same places.
            constexpr std::size_t kSp = 256, kPc = 264;
            if (record.size() < kPc + 8) return std::nullopt;
            return KeyRegisters{get<std::uint64_t>(record, kPc), get<std::uint64_t>(record, kSp)};
        }
    }
    return std::nullopt;
}

bool normalize(Architecture architecture,
               std::span<const std::byte> record,
               std::span<std::byte> out) {
    switch (architecture) {
        case Architecture::kAmd64:
            if (record.size() < kAmd64General) return false;
            copy(out,
                 0,
                 record,
                 0,
                 record.size() < kAmd64ContextSize ? kAmd64General : kAmd64ContextSize);
            return true;
        case Architecture::kX86:
            if (record.size() < kX86Size) return false;
            copy(out, 0, record, 0, kX86Size);
            return true;
        case Architecture::kArm64:
            if (record.size() >= kArm64Size) {
                copy(out, 0, record, 0, kArm64Size);
                return true;
            }
            if (record.size() < kArm64OldSize) return false;
            // Breakpad's: 64-bit flags, x0-x30, sp, pc, cpsr, fpsr, fpcr, v0-v31.
            copy(out, 0, record, 0, 4);
            copy(out, 4, record, 272, 4);      // cpsr
            copy(out, 8, record, 8, 264);      // x0 to pc
            copy(out, 272, record, 284, 512);  // v0 to v31
            copy(out, 784, record, 280, 4);    // fpcr
            copy(out, 788, record, 276, 4);    // fpsr
            return true;
    }
    return false;
}

void read_extended_state(Architecture architecture,
                         std::span<const std::byte> record,
                         ContextExtension& out) {
    constexpr std::uint32_t kXstate = 0x40, kAvx = 2;
    constexpr std::size_t kExtension = kAmd64ContextSize, kHeader = 64;
    if (architecture != Architecture::kAmd64) return;
    if (record.size() < kExtension + sizeof(raw::CONTEXT_EX)) return;
    const auto flags = get<std::uint32_t>(record, offsetof(raw::Amd64Context, ContextFlags));
    if ((flags & kXstate) == 0) return;
    // Offsets count from the CONTEXT_EX.
    const auto state = get<raw::CONTEXT_EX>(record, kExtension).XState;
    if (state.Offset < 0) return;
    const std::size_t at = kExtension + static_cast<std::size_t>(state.Offset);
    if (at + kHeader > record.size()) return;
    out.xstate_features = get<std::uint64_t>(record, at);
    // AVX comes first behind the header, in the compacted form as in the standard one.
    if ((out.xstate_features >> kAvx & 1) == 0) return;
    if (at + kHeader + sizeof out.ymm_high > record.size()) return;
    std::memcpy(out.ymm_high, record.data() + at + kHeader, sizeof out.ymm_high);
}

}  // namespace snapcore::minidump
