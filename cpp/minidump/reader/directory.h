// SPDX-License-Identifier: Apache-2.0
//
// Header and directory of a dump file: which streams there are, and how much of each is whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "minidump/raw.h"
#include "minidump/reader/input.h"

namespace snapcore::minidump {

struct StreamEntry {
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;     // as the directory says
    std::uint64_t present = 0;  // as much of it as the file has
};

// What is wrong with a file: reported, or with `strict` an Error of ErrorKind::kFormat.
class Findings {
public:
    explicit Findings(bool strict) : strict_(strict) {}
    void add(const char* code, const std::string& message, std::uint64_t subject = 0);
    const Diagnostics& all() const { return diagnostics_; }

private:
    // A hostile file must not fill the memory with what is wrong with it.
    static constexpr std::size_t kMost = 1000;

    bool strict_;
    Diagnostics diagnostics_;
};

class Directory {
public:
    // Throws ErrorKind::kFormat where there is no minidump at all.
    Directory(const Input& input, Findings& findings);

    const raw::MINIDUMP_HEADER& header() const { return header_; }
    // In the order of the file, without unused entries; of several of one type all.
    const std::vector<StreamEntry>& streams() const { return streams_; }
    // The first of a type; null where there is none.
    const StreamEntry* find(std::uint32_t type) const;

private:
    raw::MINIDUMP_HEADER header_{};
    std::vector<StreamEntry> streams_;
};

// The entries of a stream that begins with a 32-bit count; some writers leave 4 bytes behind it.
struct ListBytes {
    std::vector<std::byte> bytes;  // of the entries
    std::size_t count = 0;         // whole ones, at most as many as the stream says
    template <class T>
    T at(std::size_t index) const {
        T value;
        std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof value);
        return value;
    }
};
ListBytes read_list(const Input& input,
                    const StreamEntry& stream,
                    std::size_t entry_size,
                    const char* name,
                    Findings& findings);

// The entries of a stream whose header says how large header and entries are.
struct SizedList {
    std::vector<std::byte> bytes;
    std::size_t count = 0, stride = 0;
    // What the entry has of T; a shorter one of an older version leaves the rest zero.
    template <class T>
    T at(std::size_t index) const {
        T value{};
        std::memcpy(&value, bytes.data() + index * stride, std::min(sizeof(T), stride));
        return value;
    }
};
SizedList read_sized_list(const Input& input,
                          const StreamEntry& stream,
                          std::uint64_t header_size,
                          std::uint64_t entry_size,
                          std::uint64_t count,
                          std::size_t least_entry,
                          const char* name,
                          Findings& findings);

}  // namespace snapcore::minidump
