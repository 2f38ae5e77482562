// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/source.h"

#include <utility>

#include "base/text.h"

namespace snapcore::minidump {
namespace {

// Longer than any path; a hostile length is cut.
constexpr std::size_t kLongestString = 64 * 1024;
constexpr std::uint64_t kLargestEntry = 64 * 1024;

}  // namespace

Source::Source(std::unique_ptr<InputFile> file, bool strict)
    : input(std::move(file)), findings(strict), pieces(input), directory(input, pieces, findings) {
    begin_texts();
}

void Source::begin_texts() {
    // Texts that many rows share may be read for each of them.
    constexpr std::uint64_t kAlways = 16 << 20, kMost = 1 << 30, kShared = 16;
    texts_left_ = std::min(kMost, kAlways + kShared * std::min(input.credible_size(), kMost));
}

bool Source::spend(std::size_t bytes) {
    if (bytes <= texts_left_) {
        texts_left_ -= bytes;
        return true;
    }
    if (texts_left_ != 0) {
        texts_left_ = 0;
        findings.add("texts_overlap",
                     "the texts of the file are many times as long as the file; some are left out");
    }
    return false;
}

std::optional<std::vector<std::byte>> Source::stream(std::uint32_t type) const {
    const StreamEntry* const entry = directory.find(type);
    if (entry == nullptr) return std::nullopt;
    return input.block(entry->offset, entry->present);
}

std::optional<std::string> Source::text(std::uint32_t type) const {
    const StreamEntry* const entry = directory.find(type);
    if (entry == nullptr) return std::nullopt;
    std::string out(static_cast<std::size_t>(entry->present), '\0');
    out.resize(input.read(entry->offset, std::as_writable_bytes(std::span(out))));
    return out;
}

std::size_t Source::length_at(std::uint64_t offset, std::uint32_t said) const {
    return static_cast<std::size_t>(
        input.available(offset, std::min<std::size_t>(said, kLongestString)));
}

std::string_view Source::string_at(std::uint64_t rva) {
    if (rva == 0) return {};
    const auto rest = pieces.rest_of_block(rva);
    if (rest.size() < 4) {
        const auto size = pieces.get<std::uint32_t>(rva);
        if (!size) return {};
        if (!spend(length_at(rva + 4, *size))) return {};
        text_ = utf16_to_utf8(pieces.view(rva + 4, length_at(rva + 4, *size)));
        return text_;
    }
    const std::size_t size = length_at(rva + 4, take<std::uint32_t>(rest));
    if (!spend(size)) return {};
    text_.clear();
    append_utf16(text_,
                 size <= rest.size() - 4 ? rest.subspan(4, size) : pieces.view(rva + 4, size));
    return text_;
}

std::string Source::utf8_at(std::uint64_t rva) {
    const auto size = rva == 0 ? std::nullopt : pieces.get<std::uint32_t>(rva);
    if (!size) return {};
    if (!spend(length_at(rva + 4, *size))) return {};
    const auto bytes = pieces.view(rva + 4, length_at(rva + 4, *size));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void Source::say_truncated(std::uint32_t type,
                           const char* name,
                           std::uint64_t said,
                           std::size_t whole) {
    findings.add("list_truncated",
                 std::string(name) + " says " + std::to_string(said) +
                     " entries and has room for " + std::to_string(whole),
                 type);
}

void Source::say_shrunk(std::uint32_t type) {
    findings.add("file_shrank",
                 "the file became shorter while stream " + std::to_string(type) + " was read",
                 type);
}

List Source::counted_list(const StreamEntry& stream, std::size_t entry_size, const char* name) {
    const auto count = stream.present < 4 ? std::nullopt : pieces.get<std::uint32_t>(stream.offset);
    if (!count) {
        findings.add("list_truncated", std::string(name) + " has no count", stream.type);
        return {stream.type, stream.offset, 0, entry_size};
    }
    const std::uint64_t wanted = std::uint64_t{*count} * entry_size;
    const std::uint64_t header = stream.size == 8 + wanted ? 8 : 4;
    const std::uint64_t room = stream.present < header ? 0 : stream.present - header;
    const auto whole = static_cast<std::size_t>(std::min(wanted, room) / entry_size);
    if (whole < *count) say_truncated(stream.type, name, *count, whole);
    return {stream.type, stream.offset + header, whole, entry_size};
}

List Source::sized_list(const StreamEntry& stream,
                        std::uint64_t header_size,
                        std::uint64_t entry_size,
                        std::uint64_t count,
                        std::size_t least_entry,
                        const char* name) {
    if (entry_size < least_entry || entry_size > kLargestEntry) {
        findings.add("list_truncated",
                     std::string(name) + " has entries of " + std::to_string(entry_size) + " bytes",
                     stream.type);
        return {stream.type, stream.offset, 0, least_entry};
    }
    const std::uint64_t room = stream.present < header_size ? 0 : stream.present - header_size;
    const auto whole = static_cast<std::size_t>(std::min(count, room / entry_size));
    if (whole < count) say_truncated(stream.type, name, count, whole);
    return {stream.type, stream.offset + header_size, whole, static_cast<std::size_t>(entry_size)};
}

const std::vector<MapsLine>& Source::maps() {
    if (maps_) return *maps_;
    maps_text_ = text(raw::LinuxMaps).value_or("");
    maps_ = parse_maps_lines(maps_text_);
    const auto by_address = [](const MapsLine& a, const MapsLine& b) { return a.start < b.start; };
    if (!std::is_sorted(maps_->begin(), maps_->end(), by_address)) {
        std::stable_sort(maps_->begin(), maps_->end(), by_address);
    }
    return *maps_;
}

}  // namespace snapcore::minidump
