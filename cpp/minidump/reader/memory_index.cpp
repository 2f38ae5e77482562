// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/memory_index.h"

#include <algorithm>
#include <cstring>
#include <limits>

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

MemoryIndex::MemoryIndex(const Input& input, const Directory& directory, Findings& findings) {
    if (const auto* const stream = directory.find(raw::MemoryListStream)) {
        add_list(input, *stream, findings);
    }
    if (const auto* const stream = directory.find(raw::Memory64ListStream)) {
        add_list64(input, *stream, findings);
    }
    if (const auto* const stream = directory.find(raw::SnapcoreRanges)) {
        add_private_ranges(input, *stream, findings);
    }
    settle(findings);
}

void MemoryIndex::add_list(const Input& input, const StreamEntry& stream, Findings& findings) {
    const ListBytes list =
        read_list(input, stream, sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR), "MemoryList", findings);
    ranges_.reserve(list.count);
    for (std::size_t i = 0; i < list.count; ++i) {
        const auto entry = list.at<raw::MINIDUMP_MEMORY_DESCRIPTOR>(i);
        const std::uint64_t size = entry.Memory.DataSize;
        ranges_.push_back({entry.StartOfMemoryRange,
                           size,
                           entry.Memory.Rva,
                           input.available(entry.Memory.Rva, size)});
    }
}

void MemoryIndex::add_list64(const Input& input, const StreamEntry& stream, Findings& findings) {
    const auto header = stream.present < sizeof(raw::MINIDUMP_MEMORY64_LIST)
                            ? std::nullopt
                            : input.get<raw::MINIDUMP_MEMORY64_LIST>(stream.offset);
    if (!header) {
        findings.add("list_truncated", "Memory64List has no header", stream.type);
        return;
    }
    const SizedList list = read_sized_list(input,
                                           stream,
                                           sizeof *header,
                                           sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR64),
                                           header->NumberOfMemoryRanges,
                                           sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR64),
                                           "Memory64List",
                                           findings);
    ranges_.reserve(ranges_.size() + list.count);
    std::uint64_t offset = header->BaseRva;
    for (std::size_t i = 0; i < list.count; ++i) {
        const auto entry = list.at<raw::MINIDUMP_MEMORY_DESCRIPTOR64>(i);
        ranges_.push_back({entry.StartOfMemoryRange,
                           entry.DataSize,
                           offset,
                           input.available(offset, entry.DataSize)});
        const auto next = checked_add(offset, entry.DataSize);
        if (!next) {
            findings.add("memory_out_of_file", "Memory64List is larger than any file", i);
            return;
        }
        offset = *next;
    }
}

void MemoryIndex::add_private_ranges(const Input& input,
                                     const StreamEntry& stream,
                                     Findings& findings) {
    const auto header = stream.present < sizeof(raw::SNAPCORE_RANGE_LIST)
                            ? std::nullopt
                            : input.get<raw::SNAPCORE_RANGE_LIST>(stream.offset);
    if (!header) return;
    const SizedList list = read_sized_list(input,
                                           stream,
                                           header->SizeOfHeader,
                                           header->SizeOfEntry,
                                           header->NumberOfEntries,
                                           sizeof(raw::SNAPCORE_RANGE),
                                           "the list of ranges",
                                           findings);
    for (std::size_t i = 0; i < list.count; ++i) {
        const auto entry = list.at<raw::SNAPCORE_RANGE>(i);
        if (entry.Kind == raw::SNAPCORE_RANGE_KNOWN_ZERO) {
            known_zero_.push_back({entry.StartOfRange, entry.Size});
        }
    }
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
                     range.present > skip ? range.present - skip : 0};
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
            const std::size_t got = input.read(range->offset + inside, out.subspan(done, n));
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
