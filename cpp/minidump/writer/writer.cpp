// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/writer.h"

#include <string>
#include <vector>

#include "generated/flags.h"
#include "minidump/writer/memory_copy.h"
#include "minidump/writer/memory_layout.h"
#include "minidump/writer/metadata.h"
#include "minidump/writer/soft_errors.h"
#include "minidump/writer/stack_filter.h"
#include "minidump/writer/streams.h"
#include "minidump/writer/xstate.h"

namespace snapcore::minidump {
namespace {

DumpStats count(const Contents& contents, const MemoryLayout& layout) {
    DumpStats stats;
    stats.threads = contents.threads->rows();
    stats.modules = contents.modules->rows();
    if ((contents.flags & MiniDumpType::WITH_HANDLE_DATA) != 0)
        stats.handles = contents.handles->rows();
    if ((contents.flags & MiniDumpType::WITH_FULL_MEMORY_INFO) != 0)
        stats.regions = contents.regions->rows();
    stats.memory_ranges = layout.ranges().size();
    stats.memory_bytes = layout.bytes();
    stats.has_base = contents.base.has_value();
    for (const MemoryRange& memory : stats.has_base ? contents.whole : contents.memory) {
        if (!memory.of_the_instant) stats.bytes_not_of_the_instant += memory.range.size;
        if (stats.has_base) stats.base_bytes += memory.range.size;
    }
    if (stats.has_base) stats.base_bytes -= stats.memory_bytes;
    return stats;
}

// All that is settled before memory is read: the tables, and where everything lies.
class Plan {
public:
    explicit Plan(const Contents& contents)
        : layout_(contents), soft_errors_(contents.diagnostics) {
        const XstateLayout xstate(contents);
        add_system_info(metadata_, contents);
        add_misc_info(metadata_, contents, xstate);
        add_thread_list(metadata_, contents, layout_, xstate);
        add_thread_names(metadata_, contents);
        if ((contents.flags & MiniDumpType::WITH_THREAD_INFO) != 0)
            add_thread_info_list(metadata_, contents);
        add_module_list(metadata_, contents);
        if ((contents.flags & MiniDumpType::WITH_HANDLE_DATA) != 0)
            add_handle_data(metadata_, contents);
        if ((contents.flags & MiniDumpType::WITH_FULL_MEMORY_INFO) != 0)
            add_memory_info_list(metadata_, contents, layout_);
        add_vm_counters(metadata_, contents);
        add_system_memory(metadata_, contents);
        add_comment(metadata_, contents);
        add_raw_streams(metadata_, contents);
        add_columns(metadata_, contents);
        add_ranges(metadata_, contents);
        add_base(metadata_, contents);
        metadata_.add_late_stream(raw::MozSoftErrors, soft_errors_.size());
        add_memory_list(metadata_, layout_);
        constexpr std::int64_t kSecond = 1'000'000'000;
        places_ = metadata_.finish(contents.flags,
                                   static_cast<std::uint32_t>(contents.captured_at_ns / kSecond),
                                   layout_.size());
    }

    const MemoryLayout& layout() const { return layout_; }
    const Metadata::Places& places() const { return places_; }
    // Without the signature.
    std::span<const std::byte> tables() const { return metadata_.bytes(); }
    std::string soft_errors(const Diagnostics& late, std::span<const Range> unreadable) const {
        return soft_errors_.text(late, unreadable);
    }
    // For who cannot come back to it: the signature, and soft errors that lie among the tables.
    void complete_tables() {
        metadata_.write(0, raw::kSignature);
        if (places_.late_is_behind) return;
        const std::string text = soft_errors({}, {});
        metadata_.write_bytes(static_cast<raw::RVA>(places_.late), std::as_bytes(std::span(text)));
    }

private:
    MemoryLayout layout_;
    SoftErrors soft_errors_;
    Metadata metadata_;
    Metadata::Places places_;
};

std::uint64_t size_of(std::span<const Range> ranges) {
    std::uint64_t size = 0;
    for (const Range& range : ranges) size += range.size;
    return size;
}

Diagnostics tell_read(const Contents& contents, std::span<const Range> unreadable) {
    return contents.when_read ? contents.when_read(size_of(unreadable)) : Diagnostics();
}

// Calls emit(memory reader), which gives the ranges that could not be read.
template <class Emit>
DumpStats emit_memory(const Contents& contents,
                      const Plan& plan,
                      MemoryReader& memory,
                      Control& control,
                      Emit&& emit) {
    control.total_bytes = plan.layout().bytes();
    StackFilter filter(memory, contents.filtered, contents.pointed_to);
    const std::vector<Range> unreadable = emit(contents.filtered.empty() ? memory : filter);
    DumpStats stats = count(contents, plan.layout());
    stats.unreadable_bytes = size_of(unreadable);
    return stats;
}

}  // namespace

DumpStats write_minidump(const Contents& contents,
                         MemoryReader& memory,
                         OutputFile& file,
                         Control& control) {
    const Plan plan(contents);
    return emit_memory(contents, plan, memory, control, [&](MemoryReader& source) {
        file.set_size(plan.places().end);
        file.write(0, plan.tables());
        std::vector<Range> unreadable =
            copy_memory(plan.layout(), plan.places().memory, source, file, control);
        const std::string text = plan.soft_errors(tell_read(contents, unreadable), unreadable);
        file.write(plan.places().late, std::as_bytes(std::span(text)));
        // Last of all: a file that was cut off is no minidump.
        file.write(0, std::as_bytes(std::span(&raw::kSignature, 1)));
        return unreadable;
    });
}

DumpStats write_minidump(const Contents& contents,
                         MemoryReader& memory,
                         OutputStream& stream,
                         Control& control) {
    Plan plan(contents);
    plan.complete_tables();
    return emit_memory(contents, plan, memory, control, [&](MemoryReader& source) {
        const auto check = [&] { control.check(); };
        const auto pad = [&](std::uint64_t size) {
            stream.write(std::vector<std::byte>(static_cast<std::size_t>(size)), check);
        };
        const Metadata::Places& places = plan.places();
        stream.write(plan.tables(), check);
        pad(places.memory - plan.tables().size());
        std::vector<Range> unreadable = stream_memory(plan.layout(), source, stream, control);
        const Diagnostics late = tell_read(contents, unreadable);
        if (places.late_is_behind) {
            pad(places.late - (places.memory + plan.layout().size()));
            const std::string text = plan.soft_errors(late, unreadable);
            stream.write(std::as_bytes(std::span(text)), check);
        }
        return unreadable;
    });
}

}  // namespace snapcore::minidump
