// SPDX-License-Identifier: Apache-2.0
//
// The snapshot as the contents of a minidump.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/error.h"
#include "generated/flags.h"
#include "linux/arch.h"
#include "linux/regions.h"
#include "linux/snapshot.h"
#include "linux/system.h"
#include "minidump/writer/writer.h"
#include "snapshot/policy.h"

namespace snapcore::linux_os {
namespace {

constexpr std::uint32_t kLinuxCmdLine = 0x47670006;
constexpr std::uint32_t kLinuxAuxv = 0x47670008;
constexpr std::uint32_t kLinuxMaps = 0x47670009;

constexpr std::uint64_t kMostStack = 1024 * 1024;
constexpr std::uint64_t kRedZone = 128;

// What this writer acts on; IGNORE_INACCESSIBLE_MEMORY is what it always does.
constexpr std::uint64_t kFlagsWithEffect =
    MiniDumpType::WITH_FULL_MEMORY | MiniDumpType::WITH_HANDLE_DATA |
    MiniDumpType::WITH_FULL_MEMORY_INFO | MiniDumpType::WITH_THREAD_INFO |
    MiniDumpType::IGNORE_INACCESSIBLE_MEMORY;
// Subsets of full memory: nothing is missing where all of it is written.
constexpr std::uint64_t kFlagsWithinFullMemory =
    MiniDumpType::WITH_DATA_SEGS | MiniDumpType::WITH_INDIRECTLY_REFERENCED_MEMORY |
    MiniDumpType::WITH_PROCESS_THREAD_DATA | MiniDumpType::WITH_PRIVATE_READ_WRITE_MEMORY |
    MiniDumpType::WITH_CODE_SEGS | MiniDumpType::WITH_PRIVATE_WRITE_COPY_MEMORY |
    MiniDumpType::WITH_MODULE_HEADERS;

const minidump::MemoryRange* range_with(const std::vector<minidump::MemoryRange>& memory,
                                        std::uint64_t address) {
    const auto next = std::upper_bound(memory.begin(),
                                       memory.end(),
                                       address,
                                       [](std::uint64_t a, const minidump::MemoryRange& range) {
                                           return a < range.range.address;
                                       });
    if (next == memory.begin() || !(next - 1)->range.contains(address)) return nullptr;
    return &*(next - 1);
}

}  // namespace

void LinuxSnapshot::report_dump_flags(std::uint64_t flags, Diagnostics& diagnostics) const {
    std::uint64_t silent = flags & ~kFlagsWithEffect;
    if ((flags & MiniDumpType::WITH_FULL_MEMORY) != 0) silent &= ~kFlagsWithinFullMemory;
    for (std::uint64_t bit = 1; bit != 0 && bit <= silent; bit <<= 1) {
        if ((silent & bit) == 0) continue;
        const std::string_view name = MiniDumpType::name_of(bit);
        diagnostics.push_back({Severity::kWarning,
                               "flag_without_effect",
                               (name.empty() ? "the unknown MiniDumpType bit " + std::to_string(bit)
                                             : "MiniDumpType." + std::string(name)) +
                                   " has no effect on Linux in this version",
                               "",
                               ErrorDomain::kNone,
                               0,
                               bit});
    }
}

void LinuxSnapshot::add_memory(minidump::Contents& contents) {
    const bool full = (contents.flags & MiniDumpType::WITH_FULL_MEMORY) != 0;
    if (full) {
        const int pagemap = clone_.pagemap.get();
        const UniqueDescriptor target(::openat(directory_.get(), "pagemap", O_RDONLY | O_CLOEXEC));
        const bool live = source_ == MemorySource::kLive;
        MemoryPlan plan =
            plan_full_memory(mappings(), live ? -1 : pagemap, live ? pagemap : target.get());
        for (minidump::MemoryRange& range : plan.ranges) {
            // A target that stands still is of one instant throughout, and so is what was copied in
            // the stop.
            if (live || memory_->is_copied(range.range)) range.of_the_instant = true;
        }
        contents.memory = std::move(plan.ranges);
        contents.known_zero = std::move(plan.known_zero);
        contents.diagnostics.insert(
            contents.diagnostics.end(), plan.diagnostics.begin(), plan.diagnostics.end());
    } else if (source_ == MemorySource::kStacks) {
        for (const MemoryCopy& copy : memory_->copies()) {
            contents.memory.push_back({{copy.address, copy.bytes.size()}, true});
        }
    } else {
        std::vector<Range> slices;
        for (std::size_t row = 0; row < threads_->rows(); ++row) {
            const auto stack = threads_->stack_pointer.at(row);
            const auto start = threads_->stack_start.at(row);
            const auto end = threads_->stack_end.at(row);
            if (!stack || !start || !end) continue;
            const std::uint64_t begin = std::max(*start, align_down(*stack - kRedZone, 16));
            slices.push_back({begin, std::min(*end - begin, kMostStack)});
        }
        std::sort(slices.begin(), slices.end(), [](const Range& a, const Range& b) {
            return a.address < b.address;
        });
        std::uint64_t done = 0;
        for (Range slice : slices) {
            if (slice.end() <= done) continue;
            if (slice.address < done) slice = {done, slice.end() - done};
            done = slice.end();
            contents.memory.push_back({slice, true});
        }
    }
    add_stacks(contents);
}

void LinuxSnapshot::add_stacks(minidump::Contents& contents) const {
    for (std::size_t row = 0; row < threads_->rows(); ++row) {
        const auto stack = threads_->stack_pointer.at(row);
        const auto tid = threads_->tid.at(row);
        if (!stack || !tid) continue;
        const minidump::MemoryRange* const range = range_with(contents.memory, *stack);
        if (range == nullptr) continue;
        const std::uint64_t begin =
            std::max(range->range.address, align_down(*stack - kRedZone, 16));
        contents.stacks.push_back(
            {*tid, {begin, std::min(range->range.end() - begin, kMostStack)}});
    }
}

void LinuxSnapshot::add_streams(minidump::Contents& contents) {
    // The clone has the target's address space, so these are of the instant; status and limits are
    // the target's own.
    const int directory = clone_.directory.get();
    const auto add = [&](std::uint32_t type, std::string bytes) {
        if (!bytes.empty()) contents.streams.push_back({type, std::move(bytes)});
    };
    add(kLinuxMaps, maps_text_.empty() ? try_read_text(directory, "maps") : maps_text_);
    add(kLinuxCmdLine, try_read_text(directory, "cmdline"));
    add(kLinuxAuxv, try_read_text(directory, "auxv"));
    for (const minidump::RawStream& text : target_texts_) add(text.type, text.bytes);
    for (minidump::RawStream& text : system_streams()) add(text.type, std::move(text.bytes));
}

DumpStats LinuxSnapshot::write_dump(OutputFile& file,
                                    const DumpOptions& options,
                                    Control& control) {
    minidump::Contents contents;
    {
        const std::lock_guard lock(mutex_);
        must_be_open();
        require_captured(options.flags, options_.flags, source_);
        contents.flags = options.flags;
        contents.captured_at_ns = captured_at_ns_;
        contents.pid = options_.pid;
        contents.system = system_info();
        contents.process = process_;
        contents.threads = threads_;
        contents.contexts = contexts_;
        contents.handles = handles_;
        const Modules& modules = read_module_table();
        contents.modules = modules.table;
        contents.build_ids = modules.build_ids;
        contents.comment = options.comment;
        contents.diagnostics = diagnostics_;
        const std::size_t before = contents.diagnostics.size();
        report_dump_flags(options.flags, contents.diagnostics);
        add_memory(contents);
        add_streams(contents);
        diagnostics_.insert(diagnostics_.end(),
                            contents.diagnostics.begin() + static_cast<std::ptrdiff_t>(before),
                            contents.diagnostics.end());
    }
    if (captured(CaptureFlags::VA_SPACE)) contents.regions = regions();
    const DumpStats stats = minidump::write_minidump(contents, *memory_, file, control);
    if (source_ == MemorySource::kLive) {
        close();
        if (!held_to_the_end_) {
            throw Error(ErrorKind::kTimedOut,
                        ErrorDomain::kErrno,
                        ETIMEDOUT,
                        "",
                        "the target stood still for max_pause and was let go before its memory was "
                        "written; raise "
                        "max_pause, or use method=\"snapshot\"",
                        options_.pid);
        }
    }
    return stats;
}

}  // namespace snapcore::linux_os
