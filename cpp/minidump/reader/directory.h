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
    Directory(const Input& input, Pieces& pieces, Findings& findings);

    const raw::MINIDUMP_HEADER& header() const { return header_; }
    // In the order of the file, without unused entries; of several of one type all.
    const std::vector<StreamEntry>& streams() const { return streams_; }
    // The first of a type; null where there is none.
    const StreamEntry* find(std::uint32_t type) const;

private:
    raw::MINIDUMP_HEADER header_{};
    std::vector<StreamEntry> streams_;
};

}  // namespace snapcore::minidump
