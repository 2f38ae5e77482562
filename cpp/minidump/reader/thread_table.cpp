// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/thread_table.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "generated/flags.h"
#include "minidump/reader/column_stream.h"
#include "minidump/reader/context_record.h"
#include "minidump/reader/system_facts.h"

namespace snapcore::minidump {
namespace {

constexpr std::size_t kLargestContext = 64 * 1024;

std::int64_t from_filetime(std::uint64_t filetime) {
    constexpr std::int64_t kEpochDifference = 116444736000000000;
    const auto ticks =
        static_cast<std::int64_t>(std::min<std::uint64_t>(filetime, 0x7fffffffffffffff));
    // Saturates: a hostile time is no reason to overflow.
    constexpr std::int64_t kMost = 0x7fffffffffffffff / 100;
    return std::clamp(ticks - kEpochDifference, -kMost, kMost) * 100;
}

std::int64_t from_hundreds_of_ns(std::uint64_t value) {
    constexpr std::uint64_t kMost = 0x7fffffffffffffff / 100;
    return static_cast<std::int64_t>(std::min(value, kMost) * 100);
}

// Entries of one list, found by thread id. Lists mostly have the order of ThreadList; the index is
// made where one has not.
template <class T>
class ByThread {
public:
    void add(const T& entry) { entries_.push_back(entry); }
    void reserve(std::size_t count) { entries_.reserve(count); }
    // Of several with one id the first.
    const T* find(std::uint32_t tid) {
        if (next_ < entries_.size() && entries_[next_].ThreadId == tid) return &entries_[next_++];
        if (index_.empty()) {
            index_.reserve(entries_.size());
            for (std::size_t i = 0; i < entries_.size(); ++i) {
                index_.try_emplace(entries_[i].ThreadId, i);
            }
        }
        const auto found = index_.find(tid);
        if (found == index_.end()) return nullptr;
        next_ = found->second + 1;
        return &entries_[found->second];
    }

private:
    std::vector<T> entries_;
    std::unordered_map<std::uint32_t, std::size_t> index_;
    std::size_t next_ = 0;
};

std::vector<raw::MINIDUMP_THREAD> thread_entries(Source& source) {
    std::vector<raw::MINIDUMP_THREAD> out;
    if (const auto* const stream = source.directory.find(raw::ThreadListStream)) {
        const List list = source.counted_list(*stream, sizeof(raw::MINIDUMP_THREAD), "ThreadList");
        out.reserve(list.count);
        source.each<raw::MINIDUMP_THREAD>(list, [&](const auto& entry) { out.push_back(entry); });
    } else if (const auto* const extended = source.directory.find(raw::ThreadExListStream)) {
        const List list =
            source.counted_list(*extended, sizeof(raw::MINIDUMP_THREAD_EX), "ThreadExList");
        out.reserve(list.count);
        source.each<raw::MINIDUMP_THREAD_EX>(
            list, [&](const auto& entry) { out.push_back(entry.Thread); });
    } else {
        source.findings.add(
            "no_threads", "the file has no ThreadList stream", raw::ThreadListStream);
    }
    return out;
}

ByThread<raw::MINIDUMP_THREAD_INFO> thread_infos(Source& source) {
    ByThread<raw::MINIDUMP_THREAD_INFO> out;
    const auto* const stream = source.directory.find(raw::ThreadInfoListStream);
    const auto header = source.head<raw::MINIDUMP_THREAD_INFO_LIST>(
        raw::ThreadInfoListStream, sizeof(raw::MINIDUMP_THREAD_INFO_LIST));
    if (!header) return out;
    const List list = source.sized_list(*stream,
                                        header->SizeOfHeader,
                                        header->SizeOfEntry,
                                        header->NumberOfEntries,
                                        sizeof(raw::MINIDUMP_THREAD_INFO),
                                        "ThreadInfoList");
    out.reserve(list.count);
    source.each<raw::MINIDUMP_THREAD_INFO>(list, [&](const auto& entry) { out.add(entry); });
    return out;
}

ByThread<raw::MINIDUMP_THREAD_NAME> thread_names(Source& source) {
    ByThread<raw::MINIDUMP_THREAD_NAME> out;
    const auto* const stream = source.directory.find(raw::ThreadNamesStream);
    if (stream == nullptr) return out;
    const List list =
        source.counted_list(*stream, sizeof(raw::MINIDUMP_THREAD_NAME), "ThreadNames");
    out.reserve(list.count);
    source.each<raw::MINIDUMP_THREAD_NAME>(list, [&](const auto& entry) { out.add(entry); });
    return out;
}

// The mapping that holds an address.
const MapsLine* line_at(const std::vector<MapsLine>& maps, std::uint64_t address) {
    const auto next =
        std::upper_bound(maps.begin(), maps.end(), address, [](std::uint64_t a, const MapsLine& m) {
            return a < m.start;
        });
    return next == maps.begin() || address >= (next - 1)->end ? nullptr : &*(next - 1);
}

// One record at the end of a table; without registers where there are none of a known form.
bool add_context(Source& source,
                 const SystemInfo& system,
                 const raw::MINIDUMP_LOCATION_DESCRIPTOR& where,
                 ContextExtension extension,
                 ContextTable& table) {
    const std::size_t at = table.records.size();
    table.records.resize(at + table.stride());
    const std::span record(table.records.data() + at, table.context_size);
    const auto bytes =
        source.pieces.view(where.Rva, std::min<std::size_t>(where.DataSize, kLargestContext));
    const bool known = system.known && normalize(system.architecture, bytes, record);
    if (known) {
        const auto key = key_registers(system.architecture, bytes, bytes.size());
        extension.valid = key && (key->instruction_pointer != 0 || key->stack_pointer != 0) ? 1 : 0;
        read_extended_state(system.architecture, bytes, extension);
    }
    std::memcpy(record.data() + table.context_size, &extension, sizeof extension);
    return known;
}

std::shared_ptr<ContextTable> empty_contexts(const SystemInfo& system) {
    auto table = std::make_shared<ContextTable>();
    table->architecture = system.architecture;
    table->context_size = context_size(system.architecture);
    return table;
}

ContextExtension extension_of(std::uint32_t tid) {
    ContextExtension out;
    out.tid = tid;
    out.system_call = ~std::uint64_t{0};
    return out;
}

}  // namespace

std::shared_ptr<const ThreadTable> read_threads(Source& source, const SystemInfo& system) {
    const auto pid = read_pid(source);
    source.begin_texts();
    auto table = std::make_shared<ThreadTable>();
    const std::vector<raw::MINIDUMP_THREAD> entries = thread_entries(source);
    auto infos = thread_infos(source);
    auto names = thread_names(source);
    const std::vector<MapsLine>& maps = source.maps();
    table->reserve(entries.size());
    // Threads of one name mostly share its string.
    std::unordered_map<std::uint64_t, std::int32_t> codes;
    for (std::size_t row = 0; row < entries.size(); ++row) {
        const raw::MINIDUMP_THREAD& entry = entries[row];
        table->tid.set(row, entry.ThreadId);
        if (pid) table->pid.set(row, *pid);
        table->suspend_count.set(row, static_cast<std::uint16_t>(entry.SuspendCount));
        table->priority.set(row, static_cast<std::int32_t>(entry.Priority));
        if (entry.Teb != 0) table->teb.set(row, entry.Teb);
        if (const auto* const name = names.find(entry.ThreadId)) {
            const std::uint64_t rva = name->RvaOfThreadName;
            const auto [code, added] = codes.try_emplace(rva, 0);
            if (added) code->second = table->name.code_of(source.string_at(rva));
            table->name.set(row, code->second);
        }
        const raw::MINIDUMP_LOCATION_DESCRIPTOR& where = entry.ThreadContext;
        const auto record =
            source.pieces.view(where.Rva, std::min<std::size_t>(where.DataSize, kKeyBytes));
        const auto key = system.known ? key_registers(system.architecture, record, where.DataSize)
                                      : std::nullopt;
        const MapsLine* mapping = nullptr;
        if (key && (key->instruction_pointer != 0 || key->stack_pointer != 0)) {
            table->instruction_pointer.set(row, key->instruction_pointer);
            table->stack_pointer.set(row, key->stack_pointer);
            mapping = line_at(maps, key->stack_pointer);
        }
        // Without the mappings: what the file holds of it, which on Windows ends where it began.
        if (mapping != nullptr) {
            table->stack_start.set(row, mapping->start);
            table->stack_end.set(row, mapping->end);
        } else if (entry.Stack.Memory.DataSize != 0) {
            const Range stack{entry.Stack.StartOfMemoryRange, entry.Stack.Memory.DataSize};
            table->stack_start.set(row, stack.address);
            table->stack_end.set(row, stack.end());
        }
        if (const auto* const facts = infos.find(entry.ThreadId)) {
            table->exit_status.set(row, facts->ExitStatus);
            table->affinity.set(row, facts->Affinity);
            table->kernel_time_ns.set(row, from_hundreds_of_ns(facts->KernelTime));
            table->user_time_ns.set(row, from_hundreds_of_ns(facts->UserTime));
            if (facts->CreateTime != 0) {
                table->created_at_ns.set(row, from_filetime(facts->CreateTime));
            }
            if (facts->ExitTime != 0) table->exited_at_ns.set(row, from_filetime(facts->ExitTime));
            if (facts->StartAddress != 0) table->start_address.set(row, facts->StartAddress);
            constexpr std::uint32_t kExited = 4;
            table->flags.set(row, (facts->DumpFlags & kExited) != 0 ? ThreadFlags::TERMINATED : 0);
        }
    }
    table->pad(entries.size());
    add_unfiled(source, *table);
    return table;
}

std::shared_ptr<const ContextTable> read_contexts(Source& source, const SystemInfo& system) {
    const auto table = empty_contexts(system);
    const std::vector<raw::MINIDUMP_THREAD> entries = thread_entries(source);
    table->records.reserve(entries.size() * table->stride());
    for (const raw::MINIDUMP_THREAD& entry : entries) {
        ContextExtension extension = extension_of(entry.ThreadId);
        if (system.architecture == Architecture::kAmd64) {
            (system.platform_id == kPlatformLinux ? extension.fs_base : extension.gs_base) =
                entry.Teb;
        }
        if (!add_context(source, system, entry.ThreadContext, extension, *table)) {
            source.findings.add("context_unreadable",
                                "the registers of thread " + std::to_string(entry.ThreadId) +
                                    " are not there or of no known form",
                                entry.ThreadId);
        }
    }
    return table;
}

std::shared_ptr<const ContextTable> read_exception_contexts(Source& source,
                                                            const SystemInfo& system) {
    const auto table = empty_contexts(system);
    for (const StreamEntry& stream : source.directory.streams()) {
        if (stream.type != raw::ExceptionStream) continue;
        const auto found = source.input.get<raw::MINIDUMP_EXCEPTION_STREAM>(stream.offset);
        if (!found || stream.present < sizeof *found) continue;
        add_context(source, system, found->ThreadContext, extension_of(found->ThreadId), *table);
    }
    return table;
}

}  // namespace snapcore::minidump
