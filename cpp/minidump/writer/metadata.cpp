// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/metadata.h"

#include <limits>

#include "base/error.h"
#include "base/range.h"
#include "base/text.h"

namespace snapcore::minidump {
namespace {

constexpr std::size_t kMemoryAlignment = 4096;
constexpr std::uint64_t kLateAlignment = 4;
// Flags beyond these make some readers refuse the file.
constexpr std::uint64_t kHeaderFlags = 0x1fffff;

}  // namespace

std::uint32_t narrow(std::uint64_t value, const char* what) {
    if (value > std::numeric_limits<std::uint32_t>::max()) {
        throw Error(ErrorKind::kOther,
                    ErrorDomain::kFormat,
                    0,
                    "",
                    std::string(what) + " do not fit into a minidump (32-bit field)");
    }
    return static_cast<std::uint32_t>(value);
}

std::uint64_t to_filetime(std::int64_t unix_ns) {
    constexpr std::int64_t kEpochDifference = 116444736000000000;
    return static_cast<std::uint64_t>(unix_ns / 100 + kEpochDifference);
}

Metadata::Metadata() {
    bytes_.resize(sizeof(raw::MINIDUMP_HEADER));
}

raw::RVA Metadata::reserve(std::size_t size, std::size_t alignment) {
    const std::uint64_t at = align_up(bytes_.size(), alignment);
    narrow(at + size, "its tables");
    bytes_.resize(at + size);
    return static_cast<raw::RVA>(at);
}

void Metadata::write_bytes(raw::RVA at, std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(bytes_.data() + at, bytes.data(), bytes.size());
}

raw::RVA Metadata::append(std::span<const std::byte> bytes, std::size_t alignment) {
    const raw::RVA at = reserve(bytes.size(), alignment);
    write_bytes(at, bytes);
    return at;
}

raw::RVA Metadata::string(const std::string& utf8) {
    const auto [known, added] = strings_.try_emplace(utf8, 0);
    if (!added) return known->second;
    const std::u16string text = utf8_to_utf16(utf8);
    const std::size_t size = text.size() * sizeof(char16_t);
    const raw::RVA at = reserve(sizeof(std::uint32_t) + size + sizeof(char16_t));
    write(at, narrow(size, "its strings"));
    write_bytes(at + 4, std::as_bytes(std::span(text)));
    known->second = at;
    return at;
}

void Metadata::add_stream(std::uint32_t type, raw::RVA at, std::size_t size) {
    // Readers refuse a file with the same stream twice.
    for (const raw::MINIDUMP_DIRECTORY& entry : directory_) {
        if (entry.StreamType == type) {
            throw Error::invalid_argument("stream type " + std::to_string(type) +
                                          " is one that snapcore itself writes");
        }
    }
    directory_.push_back({type, {narrow(size, "its streams"), at}});
}

void Metadata::add_late_stream(std::uint32_t type, std::size_t size) {
    late_ = directory_.size();
    add_stream(type, 0, size);
}

Metadata::Places Metadata::finish(std::uint64_t flags,
                                  std::uint32_t time_stamp,
                                  std::uint64_t memory_size) {
    const std::uint64_t late_size = late_ ? directory_[*late_].Location.DataSize : 0;
    const auto late_behind = [&](std::uint64_t memory) {
        return align_up(memory + memory_size, kLateAlignment);
    };
    const std::size_t directory_size = std::as_bytes(std::span(directory_)).size();
    Places places;
    places.memory = align_up(align_up(bytes_.size(), 4) + directory_size, kMemoryAlignment);
    places.late = late_behind(places.memory);
    places.late_is_behind =
        late_ && places.late + late_size <= std::numeric_limits<std::uint32_t>::max();
    if (late_) {
        const std::size_t entry = *late_;
        if (!places.late_is_behind) places.late = reserve(late_size);
        directory_[entry].Location.Rva = static_cast<raw::RVA>(places.late);
    }
    const raw::RVA directory = append(std::as_bytes(std::span(directory_)));
    raw::MINIDUMP_HEADER header{};
    header.Version = raw::kVersion;
    header.NumberOfStreams = static_cast<std::uint32_t>(directory_.size());
    header.StreamDirectoryRva = directory;
    header.TimeDateStamp = time_stamp;
    header.Flags = flags & kHeaderFlags;
    write(0, header);
    places.memory = align_up(bytes_.size(), kMemoryAlignment);
    places.end = places.late_is_behind ? places.late + late_size : places.memory + memory_size;
    for (const Waiting& place : waiting_) {
        const std::uint64_t offset = places.memory + place.offset;
        if (place.wide) {
            write(place.at, offset);
        } else {
            write(place.at, narrow(offset, "memory ranges"));
        }
    }
    return places;
}

}  // namespace snapcore::minidump
