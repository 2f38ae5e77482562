// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/region_table.h"

#include <algorithm>
#include <optional>

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

std::shared_ptr<RegionTable> from_infos(Source& source, const List& list) {
    auto table = std::make_shared<RegionTable>();
    table->reserve(list.count);
    source.each_block<raw::MINIDUMP_MEMORY_INFO>(list, [&](std::size_t count, const auto& at) {
        const auto base = table->base.extend(count);
        const auto size = table->size.extend(count);
        const auto allocation_base = table->allocation_base.extend(count);
        const auto allocation_protect = table->allocation_protect.extend(count);
        const auto protect = table->protect.extend(count);
        const auto state = table->state.extend(count);
        const auto type = table->type.extend(count);
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
    });
    table->pad(table->base.size());
    return table;
}

std::shared_ptr<RegionTable> from_maps(const std::string& text) {
    auto table = std::make_shared<RegionTable>();
    const std::vector<Mapping> mappings = parse_maps(text);
    table->reserve(mappings.size());
    for_each_region(
        mappings, true, [&](const Mapping&, const RegionRow& row) { table->append(row); });
    return table;
}

// Entries join one after the other; a region is complete when the next entry does not belong to it.
class Joiner {
public:
    Joiner(const std::vector<MapsLine>& maps, std::size_t expected)
        : maps_(maps), table_(std::make_shared<RegionTable>()) {
        table_->reserve(std::min(expected, maps.size()));
    }

    void add(const raw::MINIDUMP_MEMORY_INFO& entry) {
        const MapsLine* const line = line_of(entry);
        if (pending_ && line != nullptr && line == line_ &&
            region_.BaseAddress + region_.RegionSize == entry.BaseAddress &&
            region_.AllocationBase == entry.AllocationBase &&
            region_.AllocationProtect == entry.AllocationProtect &&
            region_.Protect == entry.Protect && region_.State == entry.State &&
            region_.Type == entry.Type) {
            region_.RegionSize += entry.RegionSize;
            return;
        }
        flush();
        region_ = entry;
        line_ = line;
        pending_ = true;
    }
    std::shared_ptr<RegionTable> finish() {
        flush();
        table_->pad(row_);
        return table_;
    }

private:
    // The mapping that the whole entry lies in; null where there is none.
    const MapsLine* line_of(const raw::MINIDUMP_MEMORY_INFO& entry) {
        const std::uint64_t begin = entry.BaseAddress;
        if (next_ != 0 && begin < maps_[next_ - 1].start) next_ = 0;
        if (next_ == 0) {
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

    void flush() {
        if (!pending_) return;
        table_->base.set(row_, region_.BaseAddress);
        table_->size.set(row_, region_.RegionSize);
        table_->allocation_base.set(row_, region_.AllocationBase);
        table_->allocation_protect.set(row_, region_.AllocationProtect);
        table_->protect.set(row_, region_.Protect);
        table_->state.set(row_, region_.State);
        table_->type.set(row_, region_.Type);
        if (line_ != nullptr) {
            const bool file = line_->inode != 0;
            table_->offset.set(row_,
                               line_->offset + (file ? region_.BaseAddress - line_->start : 0));
            table_->inode.set(row_, line_->inode);
            table_->device.set(row_, line_->device);
            if (!line_->name.empty()) {
                // Neighbours mostly are of one file.
                if (line_->name != last_name_) {
                    last_name_ = line_->name;
                    last_code_ = table_->mapped_file.code_of(unescape_octal(last_name_));
                }
                table_->mapped_file.set(row_, last_code_);
            }
        }
        ++row_;
        pending_ = false;
    }

    const std::vector<MapsLine>& maps_;
    std::shared_ptr<RegionTable> table_;
    std::size_t next_ = 0;  // the first mapping that begins behind the last entry's start
    bool pending_ = false;
    raw::MINIDUMP_MEMORY_INFO region_{};
    const MapsLine* line_ = nullptr;
    std::size_t row_ = 0;
    std::string_view last_name_;
    std::int32_t last_code_ = 0;
};

std::shared_ptr<RegionTable> from_either(Source& source) {
    const auto infos = memory_infos(source);
    if (!infos) {
        if (const auto text = source.text(raw::LinuxMaps)) return from_maps(*text);
        throw Error::invalid_argument(
            "the file holds no regions; dump with MiniDumpType.WITH_FULL_MEMORY_INFO");
    }
    const std::vector<MapsLine>& maps = source.maps();
    if (maps.empty()) return from_infos(source, *infos);
    Joiner joiner(maps, infos->count);
    source.each<raw::MINIDUMP_MEMORY_INFO>(*infos, [&](const auto& entry) { joiner.add(entry); });
    return joiner.finish();
}

}  // namespace

std::shared_ptr<const RegionTable> read_regions(Source& source) {
    auto table = from_either(source);
    add_unfiled(source, *table);
    return table;
}

}  // namespace snapcore::minidump
