// SPDX-License-Identifier: Apache-2.0
#include "snapshot/policy.h"

#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "generated/flags.h"

namespace snapcore {
namespace {

constexpr std::uint32_t kLastReservedStream = 0xffff;

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

bool holds_whole_mappings(std::uint64_t dump_flags) {
    constexpr std::uint64_t kMappingFlags = MiniDumpType::WITH_FULL_MEMORY |
                                            MiniDumpType::WITH_PRIVATE_READ_WRITE_MEMORY |
                                            MiniDumpType::WITH_PRIVATE_WRITE_COPY_MEMORY;
    return (dump_flags & kMappingFlags) != 0;
}

MemorySource memory_for_dump(std::uint64_t dump_flags) {
    return holds_whole_mappings(dump_flags) ? MemorySource::kClone : MemorySource::kParts;
}

void validate_user_streams(const std::vector<UserStream>& streams) {
    std::set<std::uint32_t> types;
    for (const UserStream& stream : streams) {
        if (stream.type <= kLastReservedStream) {
            throw Error::invalid_argument("stream type " + std::to_string(stream.type) +
                                          " is reserved; those of a user lie above 0xffff");
        }
        if (!types.insert(stream.type).second) {
            throw Error::invalid_argument("stream type " + std::to_string(stream.type) +
                                          " is given twice");
        }
    }
}

void require_captured(std::uint64_t dump_flags, std::uint32_t captured_flags, MemorySource memory) {
    std::uint32_t missing = capture_flags_for_dump(dump_flags) & ~captured_flags;
    // Parts that were copied in the stop, or a target that stands still, serve as a clone does.
    const bool has_memory =
        memory == MemorySource::kClone || memory == MemorySource::kLive ||
        (memory == MemorySource::kParts && memory_for_dump(dump_flags) == MemorySource::kParts);
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
