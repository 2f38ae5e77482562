// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "minidump/writer/streams.h"

namespace snapcore::minidump {
namespace {

void add_memory_list32(Metadata& out, const MemoryLayout& layout) {
    const auto& ranges = layout.ranges();
    const std::size_t size = 4 + ranges.size() * sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR);
    const raw::RVA list = out.reserve(size);
    out.write(list, narrow(ranges.size(), "memory ranges"));
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        const auto at =
            static_cast<raw::RVA>(list + 4 + i * sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR));
        raw::MINIDUMP_MEMORY_DESCRIPTOR descriptor{};
        descriptor.StartOfMemoryRange = ranges[i].range.address;
        descriptor.Memory.DataSize = narrow(ranges[i].range.size, "memory ranges");
        out.write(at, descriptor);
        out.refer_to_memory32(
            static_cast<raw::RVA>(at + offsetof(raw::MINIDUMP_MEMORY_DESCRIPTOR, Memory.Rva)),
            ranges[i].offset);
    }
    out.add_stream(raw::MemoryListStream, list, size);
}

void add_memory_list64(Metadata& out, const MemoryLayout& layout) {
    const auto& ranges = layout.ranges();
    raw::MINIDUMP_MEMORY64_LIST header{};
    header.NumberOfMemoryRanges = ranges.size();
    const std::size_t size =
        sizeof header + ranges.size() * sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR64);
    const raw::RVA list = out.reserve(size);
    out.write(list, header);
    out.refer_to_memory64(
        static_cast<raw::RVA>(list + offsetof(raw::MINIDUMP_MEMORY64_LIST, BaseRva)), 0);
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        const raw::MINIDUMP_MEMORY_DESCRIPTOR64 descriptor{ranges[i].range.address,
                                                           ranges[i].range.size};
        out.write(static_cast<raw::RVA>(list + sizeof header + i * sizeof descriptor), descriptor);
    }
    out.add_stream(raw::Memory64ListStream, list, size);
}

// A header that says how many entries follow it.
template <class Header, class Entry>
void add_sized_list(Metadata& out,
                    std::uint32_t type,
                    Header header,
                    const std::vector<Entry>& entries) {
    header.SizeOfHeader = sizeof header;
    header.SizeOfEntry = sizeof(Entry);
    header.NumberOfEntries = entries.size();
    const auto bytes = std::as_bytes(std::span(entries));
    const raw::RVA list = out.reserve(sizeof header + bytes.size());
    out.write(list, header);
    out.write_bytes(static_cast<raw::RVA>(list + sizeof header), bytes);
    out.add_stream(type, list, sizeof header + bytes.size());
}

}  // namespace

void add_memory_list(Metadata& out, const MemoryLayout& layout) {
    if (layout.wide()) {
        add_memory_list64(out, layout);
    } else {
        add_memory_list32(out, layout);
    }
}

void add_memory_info_list(Metadata& out, const Contents& contents, const MemoryLayout& layout) {
    const RegionTable& regions = *contents.regions;
    // A region is split where a range of memory begins or ends in it: some readers look ranges up
    // by the base of their region.
    std::vector<std::uint64_t> cuts;
    if (layout.wide()) {
        for (const PlacedRange& placed : layout.by_address()) {
            cuts.push_back(placed.range.address);
            cuts.push_back(placed.range.end());
        }
        std::sort(cuts.begin(), cuts.end());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    }
    std::vector<raw::MINIDUMP_MEMORY_INFO> entries;
    entries.reserve(regions.rows() + cuts.size());
    for (std::size_t row = 0; row < regions.rows(); ++row) {
        raw::MINIDUMP_MEMORY_INFO info{};
        info.AllocationBase = regions.allocation_base.at(row).value_or(0);
        info.AllocationProtect = regions.allocation_protect.at(row).value_or(0);
        info.State = regions.state.at(row).value_or(0);
        info.Protect = regions.protect.at(row).value_or(0);
        info.Type = regions.type.at(row).value_or(0);
        std::uint64_t base = regions.base.at(row).value_or(0);
        const std::uint64_t end = Range{base, regions.size.at(row).value_or(0)}.end();
        for (auto cut = std::upper_bound(cuts.begin(), cuts.end(), base);
             cut != cuts.end() && *cut < end;
             ++cut) {
            info.BaseAddress = base;
            info.RegionSize = *cut - base;
            entries.push_back(info);
            base = *cut;
        }
        info.BaseAddress = base;
        info.RegionSize = end - base;
        entries.push_back(info);
    }
    add_sized_list(out, raw::MemoryInfoListStream, raw::MINIDUMP_MEMORY_INFO_LIST{}, entries);
}

void add_ranges(Metadata& out, const Contents& contents) {
    std::vector<raw::SNAPCORE_RANGE> entries;
    for (const Range& range : contents.known_zero) {
        entries.push_back({range.address, range.size, raw::SNAPCORE_RANGE_KNOWN_ZERO, 0});
    }
    for (const MemoryRange& memory : contents.base ? contents.whole : contents.memory) {
        if (memory.of_the_instant) continue;
        entries.push_back(
            {memory.range.address, memory.range.size, raw::SNAPCORE_RANGE_NOT_OF_THE_INSTANT, 0});
    }
    if (entries.empty()) return;
    add_sized_list(out, raw::SnapcoreRanges, raw::SNAPCORE_RANGE_LIST{}, entries);
}

void add_base(Metadata& out, const Contents& contents) {
    raw::SNAPCORE_IDENTITY identity{};
    if (contents.identity) {
        std::memcpy(identity.Bytes, contents.identity->data(), sizeof identity.Bytes);
        out.add_stream(raw::SnapcoreIdentity,
                       out.append(std::as_bytes(std::span(&identity, 1))),
                       sizeof identity);
    }
    if (!contents.base) return;
    const BaseReference& base = *contents.base;
    raw::SNAPCORE_BASE header{};
    std::memcpy(header.Identity.Bytes, base.identity.data(), sizeof header.Identity.Bytes);
    header.Size = base.size;
    if (base.name.size() >= sizeof header.Name) {
        throw Error::invalid_argument("the name of the base is longer than a file's may be");
    }
    std::memcpy(header.Name, base.name.data(), base.name.size());
    std::vector<raw::SNAPCORE_BASE_RANGE> entries;
    entries.reserve(contents.whole.size());
    for (const MemoryRange& memory : contents.whole) {
        entries.push_back({memory.range.address, memory.range.size});
    }
    add_sized_list(out, raw::SnapcoreBase, header, entries);
}

}  // namespace snapcore::minidump
