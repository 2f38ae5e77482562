// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/directory.h"

#include <algorithm>

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

Directory::Directory(const Input& input, Pieces& pieces, Findings& findings) {
    if (input.is_cut_off()) {
        findings.add("compressed_truncated",
                     "the compressed file was cut off: what its whole frames hold is read");
    }
    const auto header = pieces.get<raw::MINIDUMP_HEADER>(0);
    if (!header) broken("the file is too short to be a minidump");
    header_ = *header;
    if (header_.Signature != raw::kSignature || (header_.Version & 0xffff) != raw::kVersion) {
        broken("the file is no minidump: it does not begin with MDMP");
    }
    constexpr std::uint64_t kEntry = sizeof(raw::MINIDUMP_DIRECTORY);
    const std::uint64_t said = header_.NumberOfStreams;
    const std::uint64_t there =
        std::min(input.available(header_.StreamDirectoryRva, said * kEntry) / kEntry, kMostStreams);
    const auto bytes =
        pieces.view(header_.StreamDirectoryRva, static_cast<std::size_t>(there * kEntry));
    const std::size_t whole = bytes.size() / kEntry;
    if (whole < said) {
        findings.add("directory_truncated",
                     "the directory says " + std::to_string(said) + " streams and the file has " +
                         std::to_string(whole) + " entries of it",
                     whole);
    }
    streams_.reserve(whole);
    std::vector<std::uint32_t> types;
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
        if (stream.present > input.credible_size()) {
            stream.present = input.credible_size();
            findings.add("stream_inflated",
                         "stream " + std::to_string(stream.type) + " has " +
                             std::to_string(stream.size) +
                             " bytes in a compressed file that is a hundredth of that; what is "
                             "beyond is left out",
                         stream.type);
        }
        // Several exceptions are what some writers do.
        if (stream.type != raw::ExceptionStream) types.push_back(stream.type);
        streams_.push_back(stream);
    }
    std::sort(types.begin(), types.end());
    for (auto at = types.begin(); (at = std::adjacent_find(at, types.end())) != types.end();) {
        const std::uint32_t type = *at;
        findings.add(
            "stream_twice",
            "stream " + std::to_string(type) + " is there more than once; the first is read",
            type);
        at = std::upper_bound(at, types.end(), type);
    }
}

const StreamEntry* Directory::find(std::uint32_t type) const {
    const auto found = std::find_if(
        streams_.begin(), streams_.end(), [&](const StreamEntry& s) { return s.type == type; });
    return found == streams_.end() ? nullptr : &*found;
}

}  // namespace snapcore::minidump
