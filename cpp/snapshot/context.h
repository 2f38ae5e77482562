// SPDX-License-Identifier: Apache-2.0
//
// Thread contexts: the registers of every thread, one fixed-size record each, that NumPy sees as
// one structured array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

namespace snapcore {

enum class Architecture : std::uint16_t {
    kX86 = 0,
    kAmd64 = 9,
    kArm64 = 12
};  // PROCESSOR_ARCHITECTURE_*

inline constexpr std::size_t kAmd64ContextSize = 1232;  // sizeof CONTEXT, see minidump/raw.h

// What CONTEXT has no room for; follows it in the record.
struct ContextExtension {
    std::uint32_t tid = 0;
    std::uint32_t valid = 0;    // 0: this thread's registers could not be had, the rest is zero
    std::uint64_t fs_base = 0;  // TLS base on x86-64 Linux
    std::uint64_t gs_base = 0;
    std::uint64_t system_call = 0;      // orig_rax on Linux: the call it is in, ~0 for none
    std::uint64_t xstate_features = 0;  // XSTATE_BV of the XSAVE image
    std::uint8_t ymm_high[16][16] = {};
};
static_assert(sizeof(ContextExtension) == 296);

struct ContextTable {
    Architecture architecture = Architecture::kAmd64;
    std::size_t context_size = kAmd64ContextSize;
    std::vector<std::byte> records;  // rows() * stride(), CONTEXT then ContextExtension
    // The XSAVE image (standard form), `xsave_stride` bytes a row; 0 where extended state was not
    // captured.
    std::size_t xsave_stride = 0;
    std::vector<std::byte> xsave;

    std::size_t stride() const { return context_size + sizeof(ContextExtension); }
    std::size_t rows() const { return records.size() / stride(); }
    const std::byte* context(std::size_t row) const { return records.data() + row * stride(); }
    ContextExtension extension(std::size_t row) const {
        ContextExtension out;
        std::memcpy(&out, context(row) + context_size, sizeof out);
        return out;
    }
};

}  // namespace snapcore
