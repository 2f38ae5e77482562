// SPDX-License-Identifier: Apache-2.0
#include "snapshot/policy.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "generated/flags.h"

using namespace snapcore;

namespace {

std::string refusal(std::uint64_t dump, std::uint32_t captured, MemorySource memory) {
    try {
        require_captured(dump, captured, memory);
    } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kInvalidArgument);
        return error.what();
    }
    return {};
}

}  // namespace

TEST_CASE("policy: a dump adds what it needs") {
    constexpr std::uint32_t kLeast =
        CaptureFlags::VA_CLONE | CaptureFlags::THREADS | CaptureFlags::THREAD_CONTEXT;
    CHECK(capture_flags_for_dump(MiniDumpType::NORMAL) == kLeast);
    CHECK(capture_flags_for_dump(MiniDumpType::WITH_HANDLE_DATA) == (kLeast | 0x3c));
    CHECK(capture_flags_for_dump(MiniDumpType::WITH_FULL_MEMORY) == (kLeast | 0x1800));
    CHECK(capture_flags_for_dump(MiniDumpType::WITH_FULL_MEMORY_INFO) == (kLeast | 0x1800));
    CHECK(capture_flags_for_dump(MiniDumpType::WITH_AVX_XSTATE_CONTEXT) == (kLeast | 0x200));
    CHECK(capture_flags_for_dump(std::uint64_t{1} << 40) == kLeast);
}

TEST_CASE("policy: what needs little memory needs no clone") {
    CHECK(memory_for_dump(0x1804) == MemorySource::kParts);
    CHECK(memory_for_dump(MiniDumpType::WITH_DATA_SEGS | MiniDumpType::WITH_MODULE_HEADERS) ==
          MemorySource::kParts);
    CHECK(memory_for_dump(MiniDumpType::WITH_FULL_MEMORY) == MemorySource::kClone);
    CHECK(memory_for_dump(MiniDumpType::WITH_PRIVATE_READ_WRITE_MEMORY) == MemorySource::kClone);
}

TEST_CASE("policy: what is missing is named") {
    CHECK(refusal(0, CaptureFlags::DOCUMENTED, MemorySource::kClone).empty());
    CHECK(refusal(0, 0x180, MemorySource::kParts).empty());
    CHECK(refusal(2, 0x1980, MemorySource::kLive).empty());
    CHECK(refusal(2, 0x1980, MemorySource::kParts).find("CaptureFlags.VA_CLONE") !=
          std::string::npos);
    const std::string text = refusal(MiniDumpType::WITH_HANDLE_DATA, 0x181, MemorySource::kClone);
    CHECK(text.find("CaptureFlags.HANDLES | CaptureFlags.HANDLE_NAME_INFORMATION") !=
          std::string::npos);
    CHECK(text.find("THREADS") == std::string::npos);
}

TEST_CASE("policy: streams of a user") {
    CHECK_NOTHROW(validate_user_streams({}));
    CHECK_NOTHROW(validate_user_streams({{0x10000, "a"}, {0xffffffff, ""}}));
    CHECK_THROWS_AS(validate_user_streams({{0xffff, "a"}}), const Error&);
    CHECK_THROWS_AS(validate_user_streams({{0x10000, "a"}, {0x10000, "b"}}), const Error&);
}

TEST_CASE("policy: a detail needs its base") {
    CHECK_NOTHROW(validate_capture_flags(CaptureFlags::DOCUMENTED));
    CHECK_NOTHROW(validate_capture_flags(CaptureFlags::DEFAULT));
    CHECK_NOTHROW(validate_capture_flags(0));
    CHECK_THROWS_AS(validate_capture_flags(CaptureFlags::THREAD_CONTEXT), const Error&);
    CHECK_THROWS_AS(validate_capture_flags(CaptureFlags::VA_SPACE_SECTION_INFORMATION),
                    const Error&);
}
