// SPDX-License-Identifier: Apache-2.0
//
// Everything of a dump but memory, as it grows: bytes, strings, the directory, and places that wait
// for the offset of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "minidump/raw.h"

namespace snapcore::minidump {

class Metadata {
public:
    Metadata();

    // Space that is zero until it is written; returns where it lies.
    raw::RVA reserve(std::size_t size, std::size_t alignment = 4);
    template <class T>
    void write(raw::RVA at, const T& value) {
        std::memcpy(bytes_.data() + at, &value, sizeof value);
    }
    void write_bytes(raw::RVA at, std::span<const std::byte> bytes);
    raw::RVA append(std::span<const std::byte> bytes, std::size_t alignment = 4);
    raw::RVA append(std::string_view bytes) { return append(std::as_bytes(std::span(bytes))); }

    // A MINIDUMP_STRING; equal strings share one.
    raw::RVA string(const std::string& utf8);

    void add_stream(std::uint32_t type, raw::RVA at, std::size_t size);
    // A stream of a known size whose bytes are known only after memory. One of them.
    void add_late_stream(std::uint32_t type, std::size_t size);

    // At `at` belongs the file offset of the byte `offset` bytes into memory.
    void refer_to_memory32(raw::RVA at, std::uint64_t offset) {
        waiting_.push_back({at, offset, false});
    }
    void refer_to_memory64(raw::RVA at, std::uint64_t offset) {
        waiting_.push_back({at, offset, true});
    }

    // Writes the directory and the header (without its signature) and settles where memory and the
    // late stream lie.
    struct Places {
        std::uint64_t memory = 0;
        // Behind memory where a 32-bit offset reaches it, else among these bytes.
        std::uint64_t late = 0;
        bool late_is_behind = false;
        std::uint64_t end = 0;  // of the file
    };
    Places finish(std::uint64_t flags, std::uint32_t time_stamp, std::uint64_t memory_size);
    std::span<const std::byte> bytes() const { return bytes_; }

private:
    struct Waiting {
        raw::RVA at;
        std::uint64_t offset;
        bool wide;
    };

    std::vector<std::byte> bytes_;
    std::vector<raw::MINIDUMP_DIRECTORY> directory_;
    std::vector<Waiting> waiting_;
    std::optional<std::size_t> late_;  // its entry of the directory
    std::unordered_map<std::string, raw::RVA> strings_;
};

// Throws Error where a 32-bit field of the format cannot hold the value.
std::uint32_t narrow(std::uint64_t value, const char* what);

// Unix nanoseconds as FILETIME (100 ns since 1601), durations in 100 ns.
std::uint64_t to_filetime(std::int64_t unix_ns);

}  // namespace snapcore::minidump
