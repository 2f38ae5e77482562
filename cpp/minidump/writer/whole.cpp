// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/whole.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "minidump/writer/memory_copy.h"
#include "minidump/writer/memory_layout.h"
#include "minidump/writer/metadata.h"
#include "minidump/writer/streams.h"
#include "snapshot/policy.h"

namespace snapcore::minidump {
namespace {

constexpr std::uint64_t kMostTables = 1 << 30;
constexpr std::size_t kPiece = 1 << 20;

[[noreturn]] void refuse(const std::string& what) {
    throw Error(ErrorKind::kFormat, ErrorDomain::kFormat, 0, "", what);
}

class FileMemory final : public MemoryReader {
public:
    explicit FileMemory(DumpFile& file) : file_(file) {}
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override {
        return file_.read(address, out);
    }

private:
    DumpFile& file_;
};

// The tables of the file stay where they are, so that what points into them still does. What
// depends on where memory lies is made anew behind them.
class WholePlan {
public:
    explicit WholePlan(DumpFile& file)
        : tables_(file.raw_bytes(0, tables_end(file))),
          contents_(contents_of(file)),
          layout_(contents_) {
        constexpr std::size_t kHeader = sizeof(raw::MINIDUMP_HEADER);
        if (tables_.size() < kHeader) refuse("the file has no tables");
        metadata_.append(std::span(tables_).subspan(kHeader));
        std::vector<std::uint32_t> types;
        for (const StreamEntry& stream : file.streams()) {
            if (std::find(types.begin(), types.end(), stream.type) != types.end()) continue;
            types.push_back(stream.type);
            add(file, stream);
        }
        if (contents_.regions) add_memory_info_list(metadata_, contents_, layout_);
        add_memory_list(metadata_, layout_);
        each_stack(file, [&](std::size_t at, const Range& stack) {
            const auto offset = layout_.find(stack);
            if (offset) metadata_.refer_to_memory32(static_cast<raw::RVA>(at), *offset);
        });
        constexpr std::int64_t kSecond = 1'000'000'000;
        places_ = metadata_.finish(file.flags(),
                                   static_cast<std::uint32_t>(file.captured_at_ns() / kSecond),
                                   layout_.size());
        metadata_.write(0, raw::kSignature);
    }

    const MemoryLayout& layout() const { return layout_; }
    const Metadata::Places& places() const { return places_; }
    std::span<const std::byte> tables() const { return metadata_.bytes(); }

private:
    static std::uint64_t tables_end(const DumpFile& file) {
        const auto list = file.stream(raw::Memory64ListStream);
        if (!list || list->size() < sizeof(raw::MINIDUMP_MEMORY64_LIST)) {
            refuse("the file has no Memory64List");
        }
        const std::uint64_t end = take<raw::MINIDUMP_MEMORY64_LIST>(*list).BaseRva;
        if (end > std::min(file.file_size(), kMostTables)) refuse("its tables have no end");
        return end;
    }

    // What neither file holds would be zeros that the process never had, and of any size.
    static void must_be_complete(DumpFile& file) {
        // Its ranges may be the same bytes of the file any number of times.
        if (file.stream(raw::MemoryListStream) || file.base()->stream(raw::MemoryListStream)) {
            refuse("the dump or its base has a MemoryList");
        }
        std::uint64_t wanted = 0, there = 0;
        for (const Range& range : file.stands_for()) {
            const auto sum = checked_add(wanted, range.size);
            if (!sum) refuse("the dump stands for more memory than there are addresses");
            wanted = *sum;
        }
        for (const FileRange& range : file.memory_ranges()) there += range.present;
        if (there < wanted) {
            refuse(std::to_string(wanted - there) +
                   " bytes of the dump are neither in it nor in its base");
        }
    }

    // Calls receive(where the offset of its memory stands, stack) for each thread.
    template <class Receive>
    void each_stack(const DumpFile& file, Receive&& receive) const {
        for (const StreamEntry& stream : file.streams()) {
            if (stream.type != raw::ThreadListStream) continue;
            if (stream.present < 4 || stream.offset + stream.present > tables_.size()) return;
            constexpr std::size_t kEntry = sizeof(raw::MINIDUMP_THREAD);
            const auto begin = static_cast<std::size_t>(stream.offset) + 4;
            const std::size_t count =
                std::min<std::size_t>(take<std::uint32_t>(tables_, begin - 4),
                                      static_cast<std::size_t>(stream.present - 4) / kEntry);
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t at = begin + i * kEntry;
                const auto stack = take<raw::MINIDUMP_THREAD>(tables_, at).Stack;
                if (stack.Memory.DataSize == 0) continue;
                receive(at + offsetof(raw::MINIDUMP_THREAD, Stack.Memory.Rva),
                        {stack.StartOfMemoryRange, stack.Memory.DataSize});
            }
            return;
        }
    }

    Contents contents_of(DumpFile& file) const {
        must_be_complete(file);
        Contents out;
        out.flags = file.flags();
        if (!holds_whole_mappings(out.flags)) refuse("its flags are those of a dump of stacks");
        for (const Range& range : file.stands_for()) out.memory.push_back({range, true});
        each_stack(file,
                   [&](std::size_t, const Range& stack) { out.stacks.push_back({0, stack}); });
        if (file.stream(raw::MemoryInfoListStream)) out.regions = file.regions();
        return out;
    }

    void add(const DumpFile& file, const StreamEntry& stream) {
        switch (stream.type) {
            case raw::Memory64ListStream:
            case raw::MemoryInfoListStream:
            case raw::SnapcoreBase:
            case raw::SnapcoreIdentity: return;
            default: break;
        }
        if (stream.offset + stream.present <= tables_.size()) {
            metadata_.add_stream(stream.type,
                                 static_cast<raw::RVA>(stream.offset),
                                 static_cast<std::size_t>(stream.present));
        } else if (const auto bytes = file.stream(stream.type)) {
            metadata_.add_stream(stream.type, metadata_.append(*bytes), bytes->size());
        }
    }

    std::vector<std::byte> tables_;  // of the file, its header among them
    Contents contents_;
    MemoryLayout layout_;
    Metadata metadata_;
    Metadata::Places places_;
};

// Calls put(offset, bytes) for all of the file.
template <class Put>
void copy(const DumpFile& file, Control& control, Put&& put) {
    control.total_bytes = file.file_size();
    for (std::uint64_t at = 0; at < file.file_size(); at += kPiece) {
        control.check();
        const auto bytes = file.raw_bytes(at, kPiece);
        put(at, std::span(bytes));
        control.done_bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
        if (bytes.size() < kPiece) break;
    }
}

bool is_zero(std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// Whether it needs one; throws where that is not there.
bool has_base(const DumpFile& file) {
    if (!file.base_reference()) return false;
    if (file.base() != nullptr) return true;
    for (const Diagnostic& found : file.diagnostics()) {
        if (found.code.starts_with("base_")) refuse(found.message);
    }
    refuse("the base of the dump is not open");
}

}  // namespace

DumpStats write_whole(DumpFile& file, OutputFile& out, Control& control) {
    DumpStats stats;
    if (!has_base(file)) {
        out.set_size(file.file_size());
        copy(file, control, [&](std::uint64_t at, std::span<const std::byte> bytes) {
            if (!is_zero(bytes)) out.write(at, bytes);
        });
        return stats;
    }
    const WholePlan plan(file);
    FileMemory memory(file);
    control.total_bytes = plan.layout().bytes();
    out.set_size(plan.places().end);
    for (const Range& range :
         copy_memory(plan.layout(), plan.places().memory, memory, out, control)) {
        stats.unreadable_bytes += range.size;
    }
    out.write(0, plan.tables());
    stats.memory_ranges = plan.layout().ranges().size();
    stats.memory_bytes = plan.layout().bytes();
    return stats;
}

DumpStats write_whole(DumpFile& file, OutputStream& out, Control& control) {
    const auto check = [&] { control.check(); };
    DumpStats stats;
    if (!has_base(file)) {
        copy(file, control, [&](std::uint64_t, std::span<const std::byte> bytes) {
            out.write(bytes, check);
        });
        return stats;
    }
    const WholePlan plan(file);
    FileMemory memory(file);
    control.total_bytes = plan.layout().bytes();
    out.write(plan.tables(), check);
    out.write(std::vector<std::byte>(
                  static_cast<std::size_t>(plan.places().memory - plan.tables().size())),
              check);
    for (const Range& range : stream_memory(plan.layout(), memory, out, control)) {
        stats.unreadable_bytes += range.size;
    }
    stats.memory_ranges = plan.layout().ranges().size();
    stats.memory_bytes = plan.layout().bytes();
    return stats;
}

}  // namespace snapcore::minidump
