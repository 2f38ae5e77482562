// SPDX-License-Identifier: Apache-2.0
//
// Which addresses a dump file holds, and where. MemoryList and Memory64List as one, and of a dump
// that leaves out what its base has, the base's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/range.h"
#include "minidump/reader/source.h"

namespace snapcore::minidump {

struct FileRange {
    std::uint64_t address = 0, size = 0;
    std::uint64_t offset = 0;   // in the file
    std::uint64_t present = 0;  // as many bytes as the file has
    std::uint64_t in_base = 0;  // 1: of the base's file

    std::uint64_t end() const { return Range{address, size}.end(); }
};

class MemoryIndex;
// The file that has what a dump leaves out, and its memory; null where there is none.
struct BaseMemory {
    const Input* input = nullptr;
    const MemoryIndex* memory = nullptr;
};

class MemoryIndex {
public:
    explicit MemoryIndex(Source& source, BaseMemory base = {});

    // Ascending, not overlapping: of two ranges that do, the one that the file lists first keeps
    // the bytes.
    const std::vector<FileRange>& ranges() const { return ranges_; }
    // Ranges that are known to be zero without being in the file.
    const std::vector<Range>& known_zero() const { return known_zero_; }

    // Bytes from `address` on, across ranges that touch; less than asked where one is missing.
    std::size_t read(const Input& input, std::uint64_t address, std::span<std::byte> out) const;

private:
    void add_list(Source& source, const StreamEntry& stream);
    void add_list64(Source& source, const StreamEntry& stream);
    void add_private_ranges(Source& source, const StreamEntry& stream);
    void settle(Findings& findings);
    // Fills the gaps of what the dump stands for.
    void add_base(Source& source);

    BaseMemory base_;
    std::vector<FileRange> ranges_;
    std::vector<Range> known_zero_;
};

}  // namespace snapcore::minidump
