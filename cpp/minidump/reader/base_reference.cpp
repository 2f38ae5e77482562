// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/base_reference.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "minidump/reader/dump_file.h"
#include "minidump/reader/zstd_input.h"

namespace snapcore::minidump {
namespace {

// A file beside the dump, on either system: no folder, no drive, no stream of a file.
bool is_plain_name(const std::string& name) {
    const auto is_special = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == '/' || c == '\\' || c == ':';
    };
    return !name.empty() && name != "." && name != ".." &&
           std::none_of(name.begin(), name.end(), is_special);
}

// Of a text that somebody else chose, what may be shown.
std::string quoted(const std::string& name) {
    std::string out = escaped_utf8(name);
    std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
    return "'" + out + "'";
}

}  // namespace

std::optional<Identity> read_identity(Source& source) {
    const auto found =
        source.head<raw::SNAPCORE_IDENTITY>(raw::SnapcoreIdentity, sizeof(raw::SNAPCORE_IDENTITY));
    if (!found) return std::nullopt;
    Identity out;
    std::memcpy(out.data(), found->Bytes, out.size());
    return out;
}

std::optional<BaseReference> read_base_reference(Source& source) {
    const StreamEntry* const stream = source.directory.find(raw::SnapcoreBase);
    if (stream == nullptr) return std::nullopt;
    const auto header =
        source.head<raw::SNAPCORE_BASE>(raw::SnapcoreBase, sizeof(raw::SNAPCORE_BASE));
    if (!header) {
        source.findings.add(
            "base_unnamed", "the stream that names the base is cut off", raw::SnapcoreBase);
        return std::nullopt;
    }
    BaseReference out;
    std::memcpy(out.identity.data(), header->Identity.Bytes, out.identity.size());
    out.size = header->Size;
    const auto* const end = std::find(std::begin(header->Name), std::end(header->Name), '\0');
    out.name.assign(std::begin(header->Name), end);
    return out;
}

std::vector<Range> base_ranges(Source& source) {
    std::vector<Range> out;
    const StreamEntry* const stream = source.directory.find(raw::SnapcoreBase);
    const auto header =
        source.head<raw::SNAPCORE_BASE>(raw::SnapcoreBase, sizeof(raw::SNAPCORE_BASE));
    if (stream == nullptr || !header) return out;
    const List list = source.sized_list(*stream,
                                        header->SizeOfHeader,
                                        header->SizeOfEntry,
                                        header->NumberOfEntries,
                                        sizeof(raw::SNAPCORE_BASE_RANGE),
                                        "the list of what the dump stands for");
    out.reserve(list.count);
    source.each<raw::SNAPCORE_BASE_RANGE>(
        list, [&](const auto& entry) { out.push_back({entry.StartOfRange, entry.Size}); });
    std::ranges::sort(out, {}, &Range::address);
    std::uint64_t last = 0;
    std::size_t kept = 0;
    for (const Range& range : out) {
        const std::uint64_t begin = std::max(last, range.address);
        if (begin >= range.end()) continue;
        last = range.end();
        out[kept++] = {begin, last - begin};
    }
    out.resize(kept);
    return out;
}

std::unique_ptr<DumpFile> find_base(Source& source,
                                    const BaseReference& reference,
                                    const OpenBase& open,
                                    bool strict) {
    const std::string name = quoted(reference.name);
    const std::string only = "; only what has changed since then can be read";
    const auto refuse = [&](const char* code, const std::string& what) {
        source.findings.add(code, escaped_utf8(what) + only, raw::SnapcoreBase);
        return nullptr;
    };
    if (!is_plain_name(reference.name)) {
        return refuse(
            "base_name_refused",
            "the base is called " + name + ", which is no name of a file beside the dump");
    }
    std::unique_ptr<DumpFile> base;
    try {
        base = std::make_unique<DumpFile>(open(reference.name), strict);
    } catch (const Error& error) {
        const bool broken = error.kind() == ErrorKind::kFormat;
        return refuse(
            broken ? "base_broken" : "base_missing",
            "the base " + name + (broken ? " is broken: " : " cannot be opened: ") + error.what());
    }
    if (base->identity() != reference.identity || base->file_size() != reference.size) {
        return refuse("base_differs", "the file " + name + " is not the base, but another dump");
    }
    // No chains: they would be as long as somebody likes, or without end.
    if (base->base_reference()) {
        return refuse("base_differs", "the file " + name + " needs a base itself");
    }
    return base;
}

std::shared_ptr<DumpFile> open_dump(const std::string& path, bool strict) {
    return std::make_shared<DumpFile>(open_dump_input(path), strict, [&](const std::string& name) {
        return unpacked(open_input_beside(path, name));
    });
}

}  // namespace snapcore::minidump
