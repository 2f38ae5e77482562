// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/region_table.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "minidump/reader/column_stream.h"

namespace snapcore::minidump {
namespace {

std::optional<List> memory_infos(Source& source) {
    const StreamEntry* const stream = source.directory.find(raw::MemoryInfoListStream);
    const auto header = source.head<raw::MINIDUMP_MEMORY_INFO_LIST>(
        raw::MemoryInfoListStream, sizeof(raw::MINIDUMP_MEMORY_INFO_LIST));
    if (!header) return std::nullopt;
    return source.sized_list(*stream,
                             header->SizeOfHeader,
                             header->SizeOfEntry,
                             header->NumberOfEntries,
                             sizeof(raw::MINIDUMP_MEMORY_INFO),
                             "MemoryInfoList");
}

std::shared_ptr<RegionTable> from_maps(const std::string& text) {
    auto table = std::make_shared<RegionTable>();
    const std::vector<Mapping> mappings = parse_maps(text);
    table->reserve(mappings.size());
    for_each_region(
        mappings, true, [&](const Mapping&, const RegionRow& row) { table->append(row); });
    return table;
}

struct NamedRegion {
    raw::MINIDUMP_MEMORY_INFO info{};
    const MapsLine* line = nullptr;  // the mapping that it lies in
};

// Finds mappings by address; the addresses mostly ascend.
class MappingFinder {
public:
    explicit MappingFinder(const std::vector<MapsLine>& maps) : maps_(maps) {}

    // The mapping that the whole entry lies in; null where there is none.
    const MapsLine* find(const raw::MINIDUMP_MEMORY_INFO& entry) {
        const std::uint64_t begin = entry.BaseAddress;
        if (next_ != 0 && begin < maps_[next_ - 1].start) {
            const auto after = std::upper_bound(
                maps_.begin(), maps_.end(), begin, [](std::uint64_t a, const MapsLine& m) {
                    return a < m.start;
                });
            next_ = static_cast<std::size_t>(after - maps_.begin());
        }
        while (next_ < maps_.size() && maps_[next_].start <= begin) ++next_;
        if (next_ == 0) return nullptr;
        const MapsLine& line = maps_[next_ - 1];
        return begin < line.end && entry.RegionSize <= line.end - begin ? &line : nullptr;
    }

private:
    const std::vector<MapsLine>& maps_;
    std::size_t next_ = 0;  // the first mapping that begins behind the last address
};

std::vector<NamedRegion> joined(Source& source, const List& list) {
    std::vector<NamedRegion> out;
    MappingFinder finder(source.maps());
    out.reserve(std::min(list.count, source.maps().size()));
    source.each<raw::MINIDUMP_MEMORY_INFO>(list, [&](const raw::MINIDUMP_MEMORY_INFO& entry) {
        const MapsLine* const line = finder.find(entry);
        if (!out.empty() && line != nullptr && line == out.back().line) {
            raw::MINIDUMP_MEMORY_INFO& last = out.back().info;
            if (last.BaseAddress + last.RegionSize == entry.BaseAddress &&
                last.AllocationBase == entry.AllocationBase &&
                last.AllocationProtect == entry.AllocationProtect &&
                last.Protect == entry.Protect && last.State == entry.State &&
                last.Type == entry.Type) {
                last.RegionSize += entry.RegionSize;
                return;
            }
        }
        out.push_back({entry, line});
    });
    return out;
}

void fill_infos(RegionTable& table, std::size_t count, const auto& at) {
    const auto base = table.base.extend(count);
    const auto size = table.size.extend(count);
    const auto allocation_base = table.allocation_base.extend(count);
    const auto allocation_protect = table.allocation_protect.extend(count);
    const auto protect = table.protect.extend(count);
    const auto state = table.state.extend(count);
    const auto type = table.type.extend(count);
    for (std::size_t i = 0; i < count; ++i) {
        const raw::MINIDUMP_MEMORY_INFO entry = at(i);
        base[i] = entry.BaseAddress;
        size[i] = entry.RegionSize;
        allocation_base[i] = entry.AllocationBase;
        allocation_protect[i] = entry.AllocationProtect;
        protect[i] = entry.Protect;
        state[i] = entry.State;
        type[i] = entry.Type;
    }
}

// What is not committed has no protection: Windows leaves 0 there, which is none of its constants.
void forget_missing_protections(RegionTable& table) {
    const auto& values = table.protect.values();
    if (std::find(values.begin(), values.end(), 0u) == values.end()) return;
    Column<std::uint32_t> known;
    known.reserve(values.size());
    for (std::size_t row = 0; row < values.size(); ++row) {
        if (values[row] != 0) known.set(row, values[row]);
    }
    known.pad(values.size());
    table.protect = std::move(known);
}

std::shared_ptr<RegionTable> from_infos(Source& source, const List& list) {
    auto table = std::make_shared<RegionTable>();
    table->reserve(list.count);
    source.each_block<raw::MINIDUMP_MEMORY_INFO>(
        list, [&](std::size_t count, const auto& at) { fill_infos(*table, count, at); });
    table->pad(table->base.size());
    return table;
}

std::shared_ptr<RegionTable> from_both(Source& source, const List& list) {
    auto table = std::make_shared<RegionTable>();
    const std::vector<NamedRegion> regions = joined(source, list);
    table->reserve(regions.size());
    fill_infos(*table, regions.size(), [&](std::size_t i) { return regions[i].info; });
    std::string_view last_name;
    std::int32_t last_code = 0;
    for (std::size_t row = 0; row < regions.size(); ++row) {
        const MapsLine* const line = regions[row].line;
        if (line == nullptr) continue;
        const std::uint64_t inside = regions[row].info.BaseAddress - line->start;
        table->offset.set(row, line->offset + (line->inode != 0 ? inside : 0));
        table->inode.set(row, line->inode);
        table->device.set(row, line->device);
        if (line->name.empty()) continue;
        // Neighbours mostly are of one file.
        if (line->name != last_name) {
            last_name = line->name;
            last_code = table->mapped_file.code_of(unescape_octal(last_name));
        }
        table->mapped_file.set(row, last_code);
    }
    table->pad(regions.size());
    return table;
}

std::shared_ptr<RegionTable> from_either(Source& source) {
    const auto infos = memory_infos(source);
    if (!infos) {
        if (const auto text = source.text(raw::LinuxMaps)) return from_maps(*text);
        throw Error::invalid_argument(
            "the file holds no regions; dump with MiniDumpType.WITH_FULL_MEMORY_INFO");
    }
    return source.maps().empty() ? from_infos(source, *infos) : from_both(source, *infos);
}

}  // namespace

std::shared_ptr<const RegionTable> read_regions(Source& source) {
    auto table = from_either(source);
    forget_missing_protections(*table);
    add_unfiled(source, *table);
    return table;
}

}  // namespace snapcore::minidump
