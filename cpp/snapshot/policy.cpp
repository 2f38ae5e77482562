// SPDX-License-Identifier: Apache-2.0
#include "snapshot/policy.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "generated/flags.h"

namespace snapcore {
namespace {

// Bits that put memory beyond the stacks into a dump.
constexpr std::uint64_t kMemoryFlags =
    MiniDumpType::WITH_DATA_SEGS | MiniDumpType::WITH_FULL_MEMORY |
    MiniDumpType::WITH_INDIRECTLY_REFERENCED_MEMORY | MiniDumpType::WITH_PROCESS_THREAD_DATA |
    MiniDumpType::WITH_PRIVATE_READ_WRITE_MEMORY | MiniDumpType::WITH_CODE_SEGS |
    MiniDumpType::WITH_PRIVATE_WRITE_COPY_MEMORY | MiniDumpType::WITH_MODULE_HEADERS;

std::string names_of(std::uint32_t flags) {
    std::string out;
    for (std::uint64_t bit = 1; bit <= flags; bit <<= 1) {
        if ((flags & bit) == 0) continue;
        if (!out.empty()) out += " | ";
        out += "CaptureFlags." + std::string(CaptureFlags::name_of(bit));
    }
    return out;
}

}  // namespace

std::uint32_t capture_flags_for_dump(std::uint64_t dump_flags) {
    std::uint32_t flags =
        CaptureFlags::VA_CLONE | CaptureFlags::THREADS | CaptureFlags::THREAD_CONTEXT;
    if ((dump_flags & MiniDumpType::WITH_HANDLE_DATA) != 0) {
        flags |= CaptureFlags::HANDLES | CaptureFlags::HANDLE_NAME_INFORMATION |
                 CaptureFlags::HANDLE_BASIC_INFORMATION |
                 CaptureFlags::HANDLE_TYPE_SPECIFIC_INFORMATION;
    }
    if ((dump_flags & (MiniDumpType::WITH_FULL_MEMORY | MiniDumpType::WITH_FULL_MEMORY_INFO)) !=
        0) {
        flags |= CaptureFlags::VA_SPACE | CaptureFlags::VA_SPACE_SECTION_INFORMATION;
    }
    if ((dump_flags & MiniDumpType::WITH_AVX_XSTATE_CONTEXT) != 0) {
        flags |= CaptureFlags::THREAD_CONTEXT_EXTENDED;
    }
    return flags;
}

MemorySource memory_for_dump(std::uint64_t dump_flags) {
    return (dump_flags & kMemoryFlags) != 0 ? MemorySource::kClone : MemorySource::kStacks;
}

void require_captured(std::uint64_t dump_flags, std::uint32_t captured_flags, MemorySource memory) {
    std::uint32_t missing = capture_flags_for_dump(dump_flags) & ~captured_flags;
    // Stacks alone, or a target that stands still, serve as a clone does.
    const bool has_memory =
        memory == MemorySource::kClone || memory == MemorySource::kLive ||
        (memory == MemorySource::kStacks && memory_for_dump(dump_flags) == MemorySource::kStacks);
    if (has_memory) missing &= ~CaptureFlags::VA_CLONE;
    if (missing != 0) {
        throw Error::invalid_argument("the snapshot lacks what this dump needs; capture with " +
                                      names_of(missing));
    }
}

void validate_capture_flags(std::uint32_t flags) {
    // {detail, what it is a detail of}, as the documentation of PSS_CAPTURE_FLAGS has it.
    constexpr std::pair<std::uint32_t, std::uint32_t> kNeeds[] = {
        {CaptureFlags::HANDLE_NAME_INFORMATION, CaptureFlags::HANDLES},
        {CaptureFlags::HANDLE_BASIC_INFORMATION, CaptureFlags::HANDLES},
        {CaptureFlags::HANDLE_TYPE_SPECIFIC_INFORMATION, CaptureFlags::HANDLES},
        {CaptureFlags::THREAD_CONTEXT, CaptureFlags::THREADS},
        {CaptureFlags::THREAD_CONTEXT_EXTENDED, CaptureFlags::THREAD_CONTEXT},
        {CaptureFlags::VA_SPACE_SECTION_INFORMATION, CaptureFlags::VA_SPACE},
    };
    for (const auto& [detail, base] : kNeeds) {
        if ((flags & detail) != 0 && (flags & base) == 0) {
            throw Error::invalid_argument(names_of(detail) + " needs " + names_of(base));
        }
    }
}

}  // namespace snapcore
