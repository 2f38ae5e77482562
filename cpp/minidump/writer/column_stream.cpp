// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/column_stream.h"

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "generated/flags.h"
#include "minidump/column_type.h"

namespace snapcore::minidump {
namespace {

class ColumnStream {
public:
    explicit ColumnStream(bool texts) : texts_(texts) {}

    template <class Keys, class Table>
    void add_table(const Table* table) {
        if (table == nullptr) return;
        bool keyed = false;
        table->for_each_unfiled([&](const char* name, const auto& column) {
            if (!is_wanted(column)) return;
            if (!keyed) add(Keys::kTable, Keys::kKeyName, Keys::key(*table));
            keyed = true;
            add(Keys::kTable, name, column);
        });
    }

    void add_process(const ProcessInfo* process) {
        if (process == nullptr) return;
        process->for_each_unfiled([&](const char* name, const auto& fact) {
            using Fact = typename std::remove_cvref_t<decltype(fact)>::value_type;
            if (!fact) return;
            if constexpr (std::is_same_v<Fact, std::string>) {
                StringColumn column;
                column.append(fact);
                if (is_wanted(column)) add(raw::SNAPCORE_TABLE_PROCESS, name, column);
            } else {
                Column<Fact> column;
                column.append(fact);
                add(raw::SNAPCORE_TABLE_PROCESS, name, column);
            }
        });
    }

    std::string finish() {
        if (entries_.empty()) return {};
        const std::size_t head =
            sizeof(raw::SNAPCORE_COLUMN_LIST) + entries_.size() * sizeof(raw::SNAPCORE_COLUMN);
        raw::SNAPCORE_COLUMN_LIST list{};
        list.SizeOfHeader = sizeof list;
        list.SizeOfEntry = sizeof(raw::SNAPCORE_COLUMN);
        list.NumberOfEntries = entries_.size();
        std::string out;
        out.reserve(head + bytes_.size());
        out.append(reinterpret_cast<const char*>(&list), sizeof list);
        for (raw::SNAPCORE_COLUMN entry : entries_) {
            entry.Values += head;
            if (entry.Valid != 0) entry.Valid += head;
            if (entry.Texts != 0) entry.Texts += head;
            out.append(reinterpret_cast<const char*>(&entry), sizeof entry);
        }
        return out += bytes_;
    }

private:
    template <class T>
    static bool is_wanted(const Column<T>& column) {
        return column.size() != 0 && !column.is_unknown();
    }
    bool is_wanted(const StringColumn& column) const {
        return texts_ && column.size() != 0 && !column.is_unknown();
    }

    template <class T>
    std::uint64_t append(std::span<const T> values) {
        const std::size_t at = bytes_.size();
        bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
        bytes_.resize((bytes_.size() + 7) & ~std::size_t{7});
        return at;
    }
    static raw::SNAPCORE_COLUMN entry(std::uint32_t table, const char* name, std::uint32_t type) {
        raw::SNAPCORE_COLUMN out{};
        out.Table = table;
        out.Type = type;
        std::strncpy(out.Name, name, sizeof out.Name - 1);
        return out;
    }
    template <class T>
    void add(std::uint32_t table, const char* name, const Column<T>& column) {
        raw::SNAPCORE_COLUMN out = entry(table, name, column_type<T>());
        out.Rows = column.size();
        out.Values = append(std::span(column.values()));
        if (!column.valid().empty()) out.Valid = append(std::span(column.valid()));
        entries_.push_back(out);
    }
    void add(std::uint32_t table, const char* name, const StringColumn& column) {
        raw::SNAPCORE_COLUMN out = entry(table, name, column_type<std::string>());
        out.Rows = column.size();
        out.Values = append(std::span(column.codes()));
        const StringHeap& heap = column.categories();
        std::vector<std::uint64_t> ends = {heap.size(), 0};
        std::string texts;
        for (std::size_t i = 0; i < heap.size(); ++i) {
            texts += heap[i];
            ends.push_back(texts.size());
        }
        out.Texts = append(std::span<const std::uint64_t>(ends));
        append(std::span<const char>(texts));
        entries_.push_back(out);
    }

    bool texts_;
    std::vector<raw::SNAPCORE_COLUMN> entries_;  // offsets from the end of the entries
    std::string bytes_;
};

}  // namespace

KeptTables kept_tables(std::uint64_t dump_flags,
                       const ProcessInfo* process,
                       const ThreadTable* threads,
                       const HandleTable* handles,
                       const RegionTable* regions) {
    const auto has = [&](std::uint64_t bit) { return (dump_flags & bit) != 0; };
    KeptTables out;
    if (has(MiniDumpType::WITHOUT_OPTIONAL_DATA)) return out;
    out.process = process;
    if (has(MiniDumpType::WITH_THREAD_INFO)) out.threads = threads;
    // Inodes and peers tell of files and processes as names do.
    if (has(MiniDumpType::WITH_HANDLE_DATA) && !has(MiniDumpType::FILTER_TRIAGE)) {
        out.handles = handles;
    }
    if (has(MiniDumpType::WITH_FULL_MEMORY_INFO)) out.regions = regions;
    return out;
}

std::string column_stream(const KeptTables& tables, std::uint64_t dump_flags) {
    const bool filtered =
        (dump_flags & (MiniDumpType::FILTER_TRIAGE | MiniDumpType::FILTER_MODULE_PATHS)) != 0;
    ColumnStream out(!filtered);
    out.add_process(tables.process);
    out.add_table<ThreadColumns>(tables.threads);
    out.add_table<HandleColumns>(tables.handles);
    out.add_table<RegionColumns>(tables.regions);
    return out.finish();
}

}  // namespace snapcore::minidump
