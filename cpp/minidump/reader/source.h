// SPDX-License-Identifier: Apache-2.0
//
// What every part of the reader reads from: the bytes of the file, its directory, and what is wrong
// with it. Belongs to one thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "minidump/linux_maps.h"
#include "minidump/reader/directory.h"
#include "minidump/reader/input.h"

namespace snapcore::minidump {

// Where the entries of a list lie. `count` are whole ones, at most as many as the file says.
struct List {
    std::uint32_t type = 0;  // of its stream
    std::uint64_t offset = 0;
    std::size_t count = 0, stride = 0;
};

struct Source {
    // Throws ErrorKind::kFormat where the file is no minidump.
    Source(std::unique_ptr<InputFile> file, bool strict);

    Input input;
    Findings findings;
    Pieces pieces;
    Directory directory;

    // Raw bytes of the first stream of a type, as many as the file has.
    std::optional<std::vector<std::byte>> stream(std::uint32_t type) const;
    std::optional<std::string> text(std::uint32_t type) const;
    // The start of a stream as T; what the stream lacks of it is zero. `least`: bytes without which
    // there is nothing.
    template <class T>
    std::optional<T> head(std::uint32_t type, std::size_t least);

    // Texts and records may lie over each other, so that a small file could hold any amount of
    // them. What one question reads of them has an end, which is set anew where it begins.
    void begin_texts();
    // Whether so many bytes more may be read of them; a finding where not.
    bool spend(std::size_t bytes);

    // MINIDUMP_STRING; empty where there is none. Valid until the next call.
    std::string_view string_at(std::uint64_t rva);
    // A text of Crashpad, which is UTF-8.
    std::string utf8_at(std::uint64_t rva);

    // The entries of a stream that begins with a 32-bit count; some writers leave 4 bytes behind
    // it.
    List counted_list(const StreamEntry& stream, std::size_t entry_size, const char* name);
    // The entries of a stream whose header says how large header and entries are.
    List sized_list(const StreamEntry& stream,
                    std::uint64_t header_size,
                    std::uint64_t entry_size,
                    std::uint64_t count,
                    std::size_t least_entry,
                    const char* name);
    // Calls receive(entries, at) for blocks of a list, where at(i) is entry i of the block as T. An
    // entry of an older version leaves the rest of T zero.
    template <class T, class Receive>
    void each_block(const List& list, Receive&& receive);
    // Calls receive(entry) for each.
    template <class T, class Receive>
    void each(const List& list, Receive&& receive);

    // Lines of the LinuxMaps stream, ascending; empty where there is none. Parsed once.
    const std::vector<MapsLine>& maps();

private:
    // Of a text that says its length, as much as the file has and a text may have.
    std::size_t length_at(std::uint64_t offset, std::uint32_t said) const;
    void say_truncated(std::uint32_t type, const char* name, std::uint64_t said, std::size_t whole);
    void say_shrunk(std::uint32_t type);

    std::uint64_t texts_left_ = 0;
    std::string text_;  // of string_at()
    std::string maps_text_;
    std::optional<std::vector<MapsLine>> maps_;
};

// T at an offset; what the bytes lack of it is zero.
template <class T>
T take(std::span<const std::byte> bytes, std::size_t offset = 0) {
    T value{};
    if (offset < bytes.size()) {
        std::memcpy(&value, bytes.data() + offset, std::min(sizeof value, bytes.size() - offset));
    }
    return value;
}

// A member of a packed structure by value: a reference to it may not be aligned.
template <class T>
T copied(T value) {
    return value;
}

// A fixed array of UTF-16 up to its NUL.
template <std::size_t kUnits>
std::string fixed_text(const char16_t (&units)[kUnits]) {
    const std::span bytes = std::as_bytes(std::span(units));
    std::size_t length = 0;
    while (length < kUnits && take<std::uint16_t>(bytes, 2 * length) != 0) ++length;
    return utf16_to_utf8(bytes.first(2 * length));
}

template <class T>
std::optional<T> Source::head(std::uint32_t type, std::size_t least) {
    const StreamEntry* const entry = directory.find(type);
    if (entry == nullptr || entry->present < least) return std::nullopt;
    const auto bytes =
        pieces.view(entry->offset,
                    static_cast<std::size_t>(std::min<std::uint64_t>(entry->present, sizeof(T))));
    return bytes.size() < least ? std::nullopt : std::optional<T>(take<T>(bytes));
}

template <class T, class Receive>
void Source::each_block(const List& list, Receive&& receive) {
    if (list.count == 0) return;
    const std::size_t most =
        std::min(std::max<std::size_t>(Pieces::kBlock / list.stride, 1), list.count);
    // Not a view of `pieces`: what receives an entry reads pieces as well.
    const auto block = std::make_unique_for_overwrite<std::byte[]>(most * list.stride);
    for (std::size_t row = 0; row < list.count;) {
        const std::size_t entries = std::min(most, list.count - row);
        const std::uint64_t offset = list.offset + row * list.stride;
        const std::span<std::byte> out(block.get(), entries * list.stride);
        std::size_t got = 0;
        // A short list mostly lies in a block that is there already.
        const auto near =
            list.count == entries ? pieces.rest_of_block(offset) : std::span<const std::byte>();
        if (near.size() >= out.size()) {
            std::memcpy(out.data(), near.data(), out.size());
            got = out.size();
        } else {
            got = input.read(offset, out);
        }
        const std::size_t whole = got / list.stride;
        const std::byte* const bytes = block.get();
        if (whole != 0 && list.stride >= sizeof(T)) {
            receive(whole, [&](std::size_t i) {
                T value;
                std::memcpy(&value, bytes + i * list.stride, sizeof value);
                return value;
            });
        } else if (whole != 0) {
            receive(whole,
                    [&](std::size_t i) { return take<T>({bytes + i * list.stride, list.stride}); });
        }
        row += whole;
        if (whole < entries) return say_shrunk(list.type);
    }
}

template <class T, class Receive>
void Source::each(const List& list, Receive&& receive) {
    each_block<T>(list, [&](std::size_t entries, const auto& at) {
        for (std::size_t i = 0; i < entries; ++i) receive(at(i));
    });
}

}  // namespace snapcore::minidump
