// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/writer.h"

#include "generated/flags.h"
#include "minidump/writer/memory_copy.h"
#include "minidump/writer/memory_layout.h"
#include "minidump/writer/soft_errors.h"
#include "minidump/writer/stack_filter.h"
#include "minidump/writer/streams.h"

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
    for (const MemoryRange& memory : contents.memory) {
        if (!memory.of_the_instant) stats.bytes_not_of_the_instant += memory.range.size;
    }
    return stats;
}

}  // namespace

DumpStats write_minidump(const Contents& contents,
                         MemoryReader& memory,
                         OutputFile& file,
                         Control& control) {
    const MemoryLayout layout(contents);
    control.total_bytes = layout.bytes();

    const XstateLayout xstate(contents);
    Metadata metadata;
    add_system_info(metadata, contents);
    add_misc_info(metadata, contents, xstate);
    add_thread_list(metadata, contents, layout, xstate);
    add_thread_names(metadata, contents);
    if ((contents.flags & MiniDumpType::WITH_THREAD_INFO) != 0)
        add_thread_info_list(metadata, contents);
    add_module_list(metadata, contents);
    if ((contents.flags & MiniDumpType::WITH_HANDLE_DATA) != 0) add_handle_data(metadata, contents);
    if ((contents.flags & MiniDumpType::WITH_FULL_MEMORY_INFO) != 0)
        add_memory_info_list(metadata, contents, layout);
    add_vm_counters(metadata, contents);
    add_system_memory(metadata, contents);
    add_comment(metadata, contents);
    add_raw_streams(metadata, contents);
    add_columns(metadata, contents);
    add_ranges(metadata, contents);
    const SoftErrors soft_errors(metadata, contents.diagnostics);
    add_memory_list(metadata, layout);
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::uint64_t base = metadata.finish(
        contents.flags, static_cast<std::uint32_t>(contents.captured_at_ns / kSecond));

    file.set_size(base + layout.size());
    file.write(0, metadata.bytes());
    StackFilter filter(memory, contents.filtered, contents.pointed_to);
    MemoryReader& source = contents.filtered.empty() ? memory : filter;
    const std::vector<Range> unreadable = copy_memory(layout, base, source, file, control);
    const std::string text = soft_errors.text(unreadable);
    file.write(soft_errors.rva(), std::as_bytes(std::span(text)));
    // Last of all: a file that was cut off is no minidump.
    file.write(0, std::as_bytes(std::span(&raw::kSignature, 1)));
    DumpStats stats = count(contents, layout);
    for (const Range& range : unreadable) stats.unreadable_bytes += range.size;
    return stats;
}

}  // namespace snapcore::minidump
