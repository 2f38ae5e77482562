// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/memory_index.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "minidump/reader/base_reference.h"

namespace snapcore::minidump {
namespace {

// The last range that begins at or before an address.
template <class T, class Begin>
const T* at_or_before(const std::vector<T>& ranges, std::uint64_t address, Begin begin) {
    const auto next = std::upper_bound(
        ranges.begin(), ranges.end(), address, [&](std::uint64_t a, const T& range) {
            return a < begin(range);
        });
    return next == ranges.begin() ? nullptr : &*(next - 1);
}

}  // namespace

MemoryIndex::MemoryIndex(Source& source, BaseMemory base) : base_(base) {
    const Directory& directory = source.directory;
    if (const auto* const stream = directory.find(raw::MemoryListStream)) {
        add_list(source, *stream);
    }
    if (const auto* const stream = directory.find(raw::Memory64ListStream)) {
        add_list64(source, *stream);
    }
    if (const auto* const stream = directory.find(raw::SnapcoreRanges)) {
        add_private_ranges(source, *stream);
    }
    settle(source.findings);
    if (base_.memory != nullptr) add_base(source);
}

void MemoryIndex::add_list(Source& source, const StreamEntry& stream) {
    const List list =
        source.counted_list(stream, sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR), "MemoryList");
    ranges_.reserve(list.count);
    source.each<raw::MINIDUMP_MEMORY_DESCRIPTOR>(list, [&](const auto& entry) {
        const std::uint64_t size = entry.Memory.DataSize;
        ranges_.push_back({entry.StartOfMemoryRange,
                           size,
                           entry.Memory.Rva,
                           source.input.available(entry.Memory.Rva, size),
                           0});
    });
}

void MemoryIndex::add_list64(Source& source, const StreamEntry& stream) {
    const auto header = source.head<raw::MINIDUMP_MEMORY64_LIST>(
        raw::Memory64ListStream, sizeof(raw::MINIDUMP_MEMORY64_LIST));
    if (!header) {
        source.findings.add("list_truncated", "Memory64List has no header", stream.type);
        return;
    }
    const List list = source.sized_list(stream,
                                        sizeof *header,
                                        sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR64),
                                        header->NumberOfMemoryRanges,
                                        sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR64),
                                        "Memory64List");
    ranges_.reserve(ranges_.size() + list.count);
    std::optional<std::uint64_t> offset = header->BaseRva;
    // Versions of LLDB are 8 bytes short, which is inside the list.
    const std::uint64_t end = list.offset + list.count * list.stride;
    if (*offset + 8 == end && list.count != 0) offset = end;
    source.each<raw::MINIDUMP_MEMORY_DESCRIPTOR64>(list, [&](const auto& entry) {
        if (!offset) return;
        ranges_.push_back({entry.StartOfMemoryRange,
                           entry.DataSize,
                           *offset,
                           source.input.available(*offset, entry.DataSize),
                           0});
        offset = checked_add(*offset, entry.DataSize);
        if (!offset) {
            source.findings.add("memory_out_of_file", "Memory64List is larger than any file");
        }
    });
}

void MemoryIndex::add_private_ranges(Source& source, const StreamEntry& stream) {
    const auto header = source.head<raw::SNAPCORE_RANGE_LIST>(raw::SnapcoreRanges,
                                                              sizeof(raw::SNAPCORE_RANGE_LIST));
    if (!header) return;
    const List list = source.sized_list(stream,
                                        header->SizeOfHeader,
                                        header->SizeOfEntry,
                                        header->NumberOfEntries,
                                        sizeof(raw::SNAPCORE_RANGE),
                                        "the list of ranges");
    source.each<raw::SNAPCORE_RANGE>(list, [&](const auto& entry) {
        if (entry.Kind == raw::SNAPCORE_RANGE_KNOWN_ZERO) {
            known_zero_.push_back({entry.StartOfRange, entry.Size});
        }
    });
}

void MemoryIndex::settle(Findings& findings) {
    std::uint64_t beyond = 0;
    for (FileRange& range : ranges_) {
        const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() - range.address;
        if (range.size <= most) continue;
        ++beyond;
        range.size = most;
        range.present = std::min(range.present, most);
    }
    if (beyond != 0) {
        findings.add("memory_beyond_addresses",
                     std::to_string(beyond) + " ranges of memory reach beyond the address space",
                     beyond);
    }
    std::erase_if(ranges_, [](const FileRange& range) { return range.size == 0; });
    const auto by_address = [](const auto& a, const auto& b) { return a.address < b.address; };
    if (!std::is_sorted(ranges_.begin(), ranges_.end(), by_address)) {
        std::stable_sort(ranges_.begin(), ranges_.end(), by_address);
    }
    std::sort(known_zero_.begin(), known_zero_.end(), by_address);
    std::uint64_t cut_off = 0, overlapping = 0, last = 0;
    std::size_t kept = 0;
    for (FileRange range : ranges_) {
        if (range.address < last) {
            ++overlapping;
            if (range.end() <= last) continue;
            const std::uint64_t skip = last - range.address;
            range = {last,
                     range.size - skip,
                     range.offset + skip,
                     range.present > skip ? range.present - skip : 0,
                     0};
        }
        cut_off += range.size - range.present;
        last = range.end();
        ranges_[kept++] = range;
    }
    ranges_.resize(kept);
    if (overlapping != 0) {
        findings.add("memory_overlaps",
                     std::to_string(overlapping) + " ranges of memory overlap others",
                     overlapping);
    }
    if (cut_off != 0) {
        findings.add("memory_truncated",
                     std::to_string(cut_off) + " bytes of memory lie beyond the end of the file",
                     cut_off);
    }
}

void MemoryIndex::add_base(Source& source) {
    const auto by_address = [](const auto& a, const auto& b) { return a.address < b.address; };
    const std::vector<FileRange>& theirs = base_.memory->ranges();
    std::vector<FileRange> out;
    std::uint64_t lacking = 0;
    // [begin, end) is of the base, as far as it has it.
    const auto fill = [&](std::uint64_t begin, std::uint64_t end) {
        auto next = std::upper_bound(
            theirs.begin(), theirs.end(), begin, [](std::uint64_t a, const FileRange& range) {
                return a < range.end();
            });
        lacking += end - begin;
        for (; next != theirs.end() && next->address < end; ++next) {
            const std::uint64_t from = std::max(begin, next->address);
            const std::uint64_t size = std::min(end, next->end()) - from;
            const std::uint64_t skip = from - next->address;
            const std::uint64_t there = next->present > skip ? next->present - skip : 0;
            out.push_back({from, size, next->offset + skip, std::min(size, there), 1});
            lacking -= size;
        }
    };
    std::size_t own = 0;
    for (const Range& range : base_ranges(source)) {
        std::uint64_t at = range.address;
        while (at < range.end()) {
            while (own < ranges_.size() && ranges_[own].end() <= at) ++own;
            const bool any = own < ranges_.size() && ranges_[own].address < range.end();
            const std::uint64_t end = any ? std::max(at, ranges_[own].address) : range.end();
            if (at < end) fill(at, end);
            at = any ? std::min(ranges_[own].end(), range.end()) : range.end();
        }
    }
    if (lacking != 0) {
        source.findings.add(
            "memory_not_in_base",
            "the base lacks " + std::to_string(lacking) + " bytes that the dump has from it",
            lacking);
    }
    if (out.empty()) return;
    const auto middle = static_cast<std::ptrdiff_t>(ranges_.size());
    ranges_.insert(ranges_.end(), out.begin(), out.end());
    std::inplace_merge(ranges_.begin(), ranges_.begin() + middle, ranges_.end(), by_address);
}

std::size_t MemoryIndex::read(const Input& input,
                              std::uint64_t address,
                              std::span<std::byte> out) const {
    std::size_t done = 0;
    while (done < out.size()) {
        const auto at = checked_add(address, done);
        if (!at) break;
        const std::size_t left = out.size() - done;
        const FileRange* const range =
            at_or_before(ranges_, *at, [](const FileRange& r) { return r.address; });
        if (range != nullptr && *at - range->address < range->size) {
            const std::uint64_t inside = *at - range->address;
            if (inside >= range->present) break;
            const auto n =
                static_cast<std::size_t>(std::min<std::uint64_t>(range->present - inside, left));
            const Input& file = range->in_base != 0 ? *base_.input : input;
            const std::size_t got = file.read(range->offset + inside, out.subspan(done, n));
            done += got;
            if (got < n) break;
            continue;
        }
        const Range* const zero =
            at_or_before(known_zero_, *at, [](const Range& r) { return r.address; });
        if (zero == nullptr || !zero->contains(*at)) break;
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(zero->end() - *at, left));
        std::memset(out.data() + done, 0, n);
        done += n;
    }
    return done;
}

}  // namespace snapcore::minidump
