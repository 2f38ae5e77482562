// SPDX-License-Identifier: Apache-2.0
//
// The input is a few streams and what they point to; the frame around them is right. It begins with
//
//     u16 processor architecture, u16 low half of the platform (of the frame's SystemInfo)
//     u16 offset in the file, u16 size: of each stream of the family; an offset of 0 leaves it out
//
// and lies at kInputAt in the file, so that streams may point to any part of it and of the frame.
#include <cstring>
#include <vector>

#include "fuzz/exercise.h"
#include "minidump/raw.h"

namespace snapcore::fuzz {
namespace {

namespace raw = minidump::raw;

// From families.txt.
constexpr std::uint32_t kStreams[] = {SNAPCORE_FUZZ_STREAMS};
constexpr std::size_t kCount = std::size(kStreams);
// tests/fuzz_input.py has the same number.
constexpr std::size_t kInputAt = 512;
constexpr std::size_t kDirectoryAt = sizeof(raw::MINIDUMP_HEADER);
constexpr std::size_t kSystemAt = kDirectoryAt + (kCount + 1) * sizeof(raw::MINIDUMP_DIRECTORY);
static_assert(kSystemAt + sizeof(raw::MINIDUMP_SYSTEM_INFO) <= kInputAt);

constexpr bool has_own_system_info() {
    for (const std::uint32_t type : kStreams) {
        if (type == raw::SystemInfoStream) return true;
    }
    return false;
}

struct Prefix {
    std::uint16_t architecture, platform;
    struct {
        std::uint16_t offset, size;
    } streams[kCount];
};

template <class T>
void put(std::vector<std::byte>& file, std::size_t at, const T& value) {
    std::memcpy(file.data() + at, &value, sizeof value);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Prefix prefix{};
    if (size < sizeof prefix) return 0;
    std::memcpy(&prefix, data, sizeof prefix);

    std::vector<std::byte> file(kInputAt + size);
    std::memcpy(file.data() + kInputAt, data, size);
    std::uint32_t count = 0;
    const auto add = [&](std::uint32_t type, std::size_t at, std::size_t bytes) {
        const raw::MINIDUMP_DIRECTORY entry = {
            type, {static_cast<std::uint32_t>(bytes), static_cast<std::uint32_t>(at)}};
        put(file, kDirectoryAt + count++ * sizeof entry, entry);
    };
    if (!has_own_system_info()) {
        raw::MINIDUMP_SYSTEM_INFO system{};
        system.ProcessorArchitecture = prefix.architecture;
        system.PlatformId = prefix.platform;
        put(file, kSystemAt, system);
        add(raw::SystemInfoStream, kSystemAt, sizeof system);
    }
    for (std::size_t i = 0; i < kCount; ++i) {
        if (prefix.streams[i].offset != 0) {
            add(kStreams[i], prefix.streams[i].offset, prefix.streams[i].size);
        }
    }
    raw::MINIDUMP_HEADER header{};
    header.Signature = raw::kSignature;
    header.Version = raw::kVersion;
    header.NumberOfStreams = count;
    header.StreamDirectoryRva = kDirectoryAt;
    header.Flags = 2;  // MiniDumpWithFullMemory
    put(file, 0, header);
    exercise(file);
    return 0;
}

}  // namespace snapcore::fuzz
