// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/column_stream.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "minidump/column_type.h"

namespace snapcore::minidump {
namespace {

constexpr std::int64_t kNowhere = -1;

class Reader {
public:
    Reader(Source& source, std::uint32_t table)
        : source_(source), stream_(source.directory.find(raw::SnapcoreColumns)) {
        const auto header = source.head<raw::SNAPCORE_COLUMN_LIST>(
            raw::SnapcoreColumns, sizeof(raw::SNAPCORE_COLUMN_LIST));
        if (!header) return;
        const List list = source.sized_list(*stream_,
                                            header->SizeOfHeader,
                                            header->SizeOfEntry,
                                            header->NumberOfEntries,
                                            sizeof(raw::SNAPCORE_COLUMN),
                                            "the list of columns");
        source.each<raw::SNAPCORE_COLUMN>(list, [&](const auto& entry) {
            if (entry.Table == table) entries_.push_back(entry);
        });
    }

    bool empty() const { return entries_.empty(); }

    // The column of that name, where it has that type and is whole.
    const raw::SNAPCORE_COLUMN* find(std::string_view name, std::uint32_t type) {
        for (const raw::SNAPCORE_COLUMN& entry : entries_) {
            const std::string_view own(entry.Name, ::strnlen(entry.Name, sizeof entry.Name));
            if (own == name && entry.Type == type) return &entry;
        }
        return nullptr;
    }

    // `rows` values at an offset of the stream; nullopt, and a finding, where it has not so many.
    template <class T>
    std::optional<std::vector<T>> values(std::uint64_t at, std::uint64_t rows) {
        const std::uint64_t room = at > stream_->present ? 0 : stream_->present - at;
        if (rows <= room / sizeof(T)) {
            std::vector<T> out(static_cast<std::size_t>(rows));
            const auto bytes = std::as_writable_bytes(std::span(out));
            if (source_.input.read(stream_->offset + at, bytes) == bytes.size()) return out;
        }
        source_.findings.add("list_truncated",
                             "a column of snapcore's says " + std::to_string(rows) +
                                 " rows, which its stream has not",
                             raw::SnapcoreColumns);
        return std::nullopt;
    }

    // The texts of a column, each from one end to the next.
    std::optional<std::pair<std::vector<std::uint64_t>, std::string>> texts(std::uint64_t at) {
        const auto count = values<std::uint64_t>(at, 1);
        if (!count || count->front() >= stream_->present / 8) return std::nullopt;
        auto ends = values<std::uint64_t>(at + 8, count->front() + 1);
        if (!ends || !std::is_sorted(ends->begin(), ends->end())) return std::nullopt;
        const auto bytes = values<char>(at + 8 + 8 * ends->size(), ends->back());
        if (!bytes) return std::nullopt;
        return std::pair(std::move(*ends), std::string(bytes->begin(), bytes->end()));
    }

private:
    Source& source_;
    const StreamEntry* stream_;
    std::vector<raw::SNAPCORE_COLUMN> entries_;
};

// Calls set(target row, source row) for each row that is known.
template <class Set>
void each_known(Reader& reader,
                const raw::SNAPCORE_COLUMN& entry,
                const std::vector<std::int64_t>& rows,
                Set&& set) {
    std::optional<std::vector<std::uint8_t>> valid;
    if (entry.Valid != 0) {
        valid = reader.values<std::uint8_t>(entry.Valid, entry.Rows);
        if (!valid) return;
    }
    for (std::size_t target = 0; target < rows.size(); ++target) {
        const auto row = static_cast<std::uint64_t>(rows[target]);
        if (rows[target] == kNowhere || row >= entry.Rows) continue;
        if (valid && (*valid)[row] == 0) continue;
        set(target, static_cast<std::size_t>(row));
    }
}

template <class T>
void fill(Reader& reader,
          const char* name,
          const std::vector<std::int64_t>& rows,
          Column<T>& column) {
    const raw::SNAPCORE_COLUMN* const entry = reader.find(name, column_type<T>());
    const auto values =
        entry == nullptr ? std::nullopt : reader.values<T>(entry->Values, entry->Rows);
    if (!values) return;
    Column<T> out;
    out.reserve(rows.size());
    each_known(reader, *entry, rows, [&](std::size_t target, std::size_t row) {
        T value = (*values)[row];
        if constexpr (std::is_same_v<T, Boolean>) {
            value = value == Boolean::kFalse ? Boolean::kFalse : Boolean::kTrue;
        }
        out.set(target, value);
    });
    out.pad(rows.size());
    column = std::move(out);
}

void fill(Reader& reader,
          const char* name,
          const std::vector<std::int64_t>& rows,
          StringColumn& column) {
    const raw::SNAPCORE_COLUMN* const entry = reader.find(name, column_type<std::string>());
    const auto codes =
        entry == nullptr ? std::nullopt : reader.values<std::int32_t>(entry->Values, entry->Rows);
    const auto texts = codes ? reader.texts(entry->Texts) : std::nullopt;
    if (!texts) return;
    const auto& [ends, bytes] = *texts;
    StringColumn out;
    out.reserve(rows.size());
    std::vector<std::int32_t> ours(ends.size() - 1, -1);
    each_known(reader, *entry, rows, [&](std::size_t target, std::size_t row) {
        const std::int32_t code = (*codes)[row];
        if (code < 0 || static_cast<std::size_t>(code) >= ours.size()) return;
        const auto index = static_cast<std::size_t>(code);
        if (ours[index] < 0) {
            const auto begin = static_cast<std::size_t>(ends[index]);
            ours[index] = out.code_of(std::string_view(bytes).substr(
                begin, static_cast<std::size_t>(ends[index + 1]) - begin));
        }
        out.set(target, ours[index]);
    });
    out.pad(rows.size());
    column = std::move(out);
}

// For each row of the table its row in the stream.
template <class Key>
std::vector<std::int64_t> matched(const std::vector<Key>& wanted, const std::vector<Key>& there) {
    std::vector<std::int64_t> out(wanted.size(), kNowhere);
    std::unordered_map<Key, std::size_t> index;
    std::size_t next = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        // Mostly in the same order.
        if (next >= there.size() || there[next] != wanted[i]) {
            if (index.empty()) {
                index.reserve(there.size());
                for (std::size_t k = 0; k < there.size(); ++k) index.try_emplace(there[k], k);
            }
            const auto found = index.find(wanted[i]);
            if (found == index.end()) continue;
            next = found->second;
        }
        out[i] = static_cast<std::int64_t>(next++);
    }
    return out;
}

template <class Keys, class Table>
void fill_table(Source& source, Table& table) {
    Reader reader(source, Keys::kTable);
    if (reader.empty()) return;
    const auto& wanted = Keys::key(table).values();
    using Key = typename std::remove_cvref_t<decltype(wanted)>::value_type;
    const raw::SNAPCORE_COLUMN* const entry = reader.find(Keys::kKeyName, column_type<Key>());
    const auto keys =
        entry == nullptr ? std::nullopt : reader.values<Key>(entry->Values, entry->Rows);
    if (!keys) return;
    const std::vector<std::int64_t> rows = matched(wanted, *keys);
    table.for_each_unfiled(
        [&](const char* name, auto& column) { fill(reader, name, rows, column); });
}

}  // namespace

void add_unfiled(Source& source, ThreadTable& table) {
    fill_table<ThreadColumns>(source, table);
}
void add_unfiled(Source& source, HandleTable& table) {
    fill_table<HandleColumns>(source, table);
}
void add_unfiled(Source& source, RegionTable& table) {
    fill_table<RegionColumns>(source, table);
}

void add_unfiled(Source& source, ProcessInfo& process) {
    Reader reader(source, raw::SNAPCORE_TABLE_PROCESS);
    if (reader.empty()) return;
    const std::vector<std::int64_t> only = {0};
    process.for_each_unfiled([&](const char* name, auto& fact) {
        using Fact = typename std::remove_cvref_t<decltype(fact)>::value_type;
        std::conditional_t<std::is_same_v<Fact, std::string>, StringColumn, Column<Fact>> column;
        fill(reader, name, only, column);
        if (column.size() == 1) fact = column.at(0);
    });
}

}  // namespace snapcore::minidump
