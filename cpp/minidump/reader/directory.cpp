// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/directory.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace snapcore::minidump {
namespace {

constexpr std::uint64_t kMostStreams = 65536;
constexpr std::uint32_t kUnused = 0;

[[noreturn]] void broken(const std::string& what) {
    throw Error(ErrorKind::kFormat, ErrorDomain::kFormat, 0, "", what);
}

}  // namespace

void Findings::add(const char* code, const std::string& message, std::uint64_t subject) {
    if (strict_) broken(message);
    if (diagnostics_.size() >= kMost) return;
    diagnostics_.push_back(
        {Severity::kWarning, code, message, "", ErrorDomain::kFormat, 0, subject});
}

Directory::Directory(const Input& input, Findings& findings) {
    const auto header = input.get<raw::MINIDUMP_HEADER>(0);
    if (!header) broken("the file is too short to be a minidump");
    header_ = *header;
    if (header_.Signature != raw::kSignature || (header_.Version & 0xffff) != raw::kVersion) {
        broken("the file is no minidump: it does not begin with MDMP");
    }
    constexpr std::uint64_t kEntry = sizeof(raw::MINIDUMP_DIRECTORY);
    const std::uint64_t said = header_.NumberOfStreams;
    const std::uint64_t there =
        std::min(input.available(header_.StreamDirectoryRva, said * kEntry) / kEntry, kMostStreams);
    const auto bytes = input.block(header_.StreamDirectoryRva, there * kEntry);
    const std::size_t whole = bytes.size() / kEntry;
    if (whole < said) {
        findings.add("directory_truncated",
                     "the directory says " + std::to_string(said) + " streams and the file has " +
                         std::to_string(whole) + " entries of it",
                     whole);
    }
    std::set<std::uint32_t> seen;
    for (std::size_t i = 0; i < whole; ++i) {
        raw::MINIDUMP_DIRECTORY entry;
        std::memcpy(&entry, bytes.data() + i * kEntry, sizeof entry);
        if (entry.StreamType == kUnused) continue;
        StreamEntry stream;
        stream.type = entry.StreamType;
        stream.offset = entry.Location.Rva;
        stream.size = entry.Location.DataSize;
        stream.present = input.available(stream.offset, stream.size);
        if (stream.present < stream.size) {
            findings.add("stream_truncated",
                         "stream " + std::to_string(stream.type) + " has " +
                             std::to_string(stream.size) + " bytes, of which the file has " +
                             std::to_string(stream.present),
                         stream.type);
        }
        // Several exceptions are what some writers do; of anything else the first counts.
        if (!seen.insert(stream.type).second && stream.type != raw::ExceptionStream) {
            findings.add("stream_twice",
                         "stream " + std::to_string(stream.type) +
                             " is there more than once; the first is read",
                         stream.type);
        }
        streams_.push_back(stream);
    }
}

const StreamEntry* Directory::find(std::uint32_t type) const {
    const auto found = std::find_if(
        streams_.begin(), streams_.end(), [&](const StreamEntry& s) { return s.type == type; });
    return found == streams_.end() ? nullptr : &*found;
}

ListBytes read_list(const Input& input,
                    const StreamEntry& stream,
                    std::size_t entry_size,
                    const char* name,
                    Findings& findings) {
    ListBytes out;
    const auto count = stream.present < 4 ? std::nullopt : input.get<std::uint32_t>(stream.offset);
    if (!count) {
        findings.add("list_truncated", std::string(name) + " has no count", stream.type);
        return out;
    }
    const std::uint64_t wanted = std::uint64_t{*count} * entry_size;
    const std::uint64_t header = stream.size == 8 + wanted ? 8 : 4;
    const std::uint64_t room = stream.present < header ? 0 : stream.present - header;
    out.bytes = input.block(stream.offset + header, std::min(wanted, room));
    out.count = out.bytes.size() / entry_size;
    if (out.count < *count) {
        findings.add("list_truncated",
                     std::string(name) + " says " + std::to_string(*count) +
                         " entries and has room for " + std::to_string(out.count),
                     stream.type);
    }
    return out;
}

SizedList read_sized_list(const Input& input,
                          const StreamEntry& stream,
                          std::uint64_t header_size,
                          std::uint64_t entry_size,
                          std::uint64_t count,
                          std::size_t least_entry,
                          const char* name,
                          Findings& findings) {
    SizedList out;
    const std::uint64_t room = stream.present < header_size ? 0 : stream.present - header_size;
    if (entry_size < least_entry || entry_size > 65536) {
        findings.add("list_truncated",
                     std::string(name) + " has entries of " + std::to_string(entry_size) + " bytes",
                     stream.type);
        return out;
    }
    const std::uint64_t whole = std::min(count, room / entry_size);
    out.stride = static_cast<std::size_t>(entry_size);
    out.bytes = input.block(stream.offset + header_size, whole * entry_size);
    out.count = out.bytes.size() / out.stride;
    if (out.count < count) {
        findings.add("list_truncated",
                     std::string(name) + " says " + std::to_string(count) +
                         " entries and has room for " + std::to_string(out.count),
                     stream.type);
    }
    return out;
}

}  // namespace snapcore::minidump
