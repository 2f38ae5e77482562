// SPDX-License-Identifier: Apache-2.0
//
// The snapshot as the contents of a minidump.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/error.h"
#include "generated/flags.h"
#include "linux/arch.h"
#include "linux/pagemap.h"
#include "linux/regions.h"
#include "linux/snapshot.h"
#include "linux/system.h"
#include "minidump/raw.h"
#include "minidump/writer/writer.h"
#include "snapshot/policy.h"

namespace snapcore::linux_os {
namespace {

// Numbers of the Linux streams (Breakpad's, and Mozilla's writer's).
constexpr std::uint32_t kLinuxProcStatus = 0x47670004;
constexpr std::uint32_t kMozLinuxLimits = 0x4d7a0003;
constexpr std::uint32_t kLinuxCmdLine = 0x47670006;
constexpr std::uint32_t kLinuxEnviron = 0x47670007;
constexpr std::uint32_t kLinuxAuxv = 0x47670008;
constexpr std::uint32_t kLinuxMaps = 0x47670009;

// Bits that change nothing here, and why.
struct Meaningless {
    std::uint64_t bit;
    const char* reason;
};
constexpr Meaningless kMeaningless[] = {
    {MiniDumpType::WITH_UNLOADED_MODULES, "keeps no list of unloaded modules"},
    {MiniDumpType::WITHOUT_AUXILIARY_STATE, "has no auxiliary state providers"},
    {MiniDumpType::WITH_FULL_AUXILIARY_STATE, "has no auxiliary state providers"},
    {MiniDumpType::WITH_IPT_TRACE, "has no Intel PT trace of a process to copy"},
    {MiniDumpType::WITH_MEMORY_COMPRESSED, "has no compressed form of a minidump"},
    {MiniDumpType::NO_IGNORE_INACCESSIBLE_MEMORY,
     "never lets a page that cannot be read end a dump"},
};
constexpr std::uint64_t kModuleMemory =
    MiniDumpType::WITH_DATA_SEGS | MiniDumpType::WITH_CODE_SEGS | MiniDumpType::WITH_MODULE_HEADERS;

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

// A range of the file as something that a stack may lie in.
Mapping as_mapping(const Range& range) {
    Mapping mapping;
    mapping.start = range.address;
    mapping.end = range.end();
    mapping.readable = true;
    return mapping;
}

void report_dump_flags(std::uint64_t flags, Diagnostics& diagnostics) {
    const auto report = [&](Severity severity, std::uint64_t bit, const std::string& text) {
        diagnostics.push_back(
            {severity, "flag_without_effect", text, "", ErrorDomain::kNone, 0, bit});
    };
    const auto has = [flags](std::uint64_t bits) { return (flags & bits) != 0; };
    for (const Meaningless& flag : kMeaningless) {
        if (!has(flag.bit)) continue;
        report(Severity::kInfo,
               flag.bit,
               "MiniDumpType." + std::string(MiniDumpType::name_of(flag.bit)) +
                   " changes nothing: Linux " + flag.reason);
    }
    const bool full = has(MiniDumpType::WITH_FULL_MEMORY);
    if (has(MiniDumpType::SCAN_MEMORY) && (full || !has(kModuleMemory))) {
        report(Severity::kInfo,
               MiniDumpType::SCAN_MEMORY,
               "MiniDumpType.SCAN_MEMORY changes nothing: it chooses the modules for "
               "WITH_MODULE_HEADERS, WITH_DATA_SEGS and WITH_CODE_SEGS, short of full memory");
    }
    if (full && has(MiniDumpType::FILTER_MEMORY)) {
        report(Severity::kWarning,
               MiniDumpType::FILTER_MEMORY,
               "MiniDumpType.FILTER_MEMORY changes nothing with WITH_FULL_MEMORY, which holds the "
               "stacks as they are");
    }
    for (std::uint64_t bit = 1; bit != 0 && bit <= flags; bit <<= 1) {
        if (!has(bit) || !MiniDumpType::name_of(bit).empty()) continue;
        report(Severity::kWarning,
               bit,
               "the unknown MiniDumpType bit " + std::to_string(bit) + " changes nothing");
    }
}

}  // namespace

void LinuxSnapshot::add_memory(minidump::Contents& contents) {
    const bool full = (contents.flags & MiniDumpType::WITH_FULL_MEMORY) != 0;
    const bool live = source_ == MemorySource::kLive;
    if (source_ == MemorySource::kParts) {
        for (const MemoryCopy& copy : memory_->copies()) {
            contents.memory.push_back({{copy.address, copy.bytes.size()}, true});
        }
    } else {
        const int pagemap = clone_.pagemap.get();
        MemoryPlan plan;
        const UniqueDescriptor target(::openat(directory_.get(), "pagemap", O_RDONLY | O_CLOEXEC));
        if (full) {
            static const ScannedPages kNothing;
            plan = plan_full_memory(mappings(),
                                    live ? -1 : pagemap,
                                    live ? pagemap : target.get(),
                                    walk_ ? walk_->pages() : kNothing);
        } else {
            plan = plan_parts({contents.flags,
                               mappings(),
                               part_threads_,
                               *memory_,
                               pagemap,
                               environment_,
                               live,
                               live ? -1 : target.get()});
        }
        for (minidump::MemoryRange& range : plan.ranges) {
            // A target that stands still is of one instant throughout, and so is what was copied in
            // the stop.
            if (live || memory_->is_copied(range.range)) range.of_the_instant = true;
        }
        contents.memory = std::move(plan.ranges);
        contents.known_zero = std::move(plan.known_zero);
        contents.diagnostics.insert(
            contents.diagnostics.end(), plan.diagnostics.begin(), plan.diagnostics.end());
    }
    add_stacks(contents);
    if ((contents.flags & MiniDumpType::FILTER_MEMORY) != 0 && !full) add_filter(contents);
}

void LinuxSnapshot::add_filter(minidump::Contents& contents) {
    const auto find = [&](std::uint64_t address) {
        const Mapping* const mapping = mapping_at(mappings(), address);
        return mapping == nullptr ? std::nullopt : std::optional(*mapping);
    };
    contents.filtered = stack_slices(part_threads_, contents.flags, environment_, find);
    // What a stack walk follows: return addresses, and frame pointers.
    std::vector<Range> wanted = contents.filtered;
    for (const Mapping& m : mappings()) {
        if (m.executable) wanted.push_back({m.start, m.end - m.start});
    }
    std::sort(wanted.begin(), wanted.end(), [](const Range& a, const Range& b) {
        return a.address < b.address;
    });
    // A stack may be executable.
    for (const Range& range : wanted) {
        std::vector<Range>& out = contents.pointed_to;
        if (!out.empty() && range.address <= out.back().end()) {
            out.back().size = std::max(out.back().end(), range.end()) - out.back().address;
        } else {
            out.push_back(range);
        }
    }
}

std::pair<UniqueDescriptor, std::vector<Range>> LinuxSnapshot::pages_to_compare() {
    const std::lock_guard lock(mutex_);
    if (closed_ || source_ != MemorySource::kClone) return {};
    std::vector<Range> anonymous;
    for (const Mapping& m : mappings()) {
        if (m.shared || m.inode != 0 || is_kept_from_clone(m)) continue;
        anonymous.push_back({m.start, m.end - m.start});
    }
    return {UniqueDescriptor(::fcntl(clone_.pagemap.get(), F_DUPFD_CLOEXEC, 0)),
            std::move(anonymous)};
}

Compared LinuxSnapshot::leave_out_unchanged(minidump::Contents& contents,
                                            ProcessMemory& memory,
                                            const BaseDump& base,
                                            Control& control) {
    auto* const earlier = dynamic_cast<LinuxSnapshot*>(base.snapshot.get());
    const auto [pagemap, here] = pages_to_compare();
    const auto [base_pagemap, there] = earlier != nullptr
                                           ? earlier->pages_to_compare()
                                           : std::pair<UniqueDescriptor, std::vector<Range>>();
    const std::vector<Range> anonymous = intersection(here, there);
    std::vector<Range> stacks;
    for (const minidump::ThreadStack& stack : contents.stacks) stacks.push_back(stack.range);
    Compared compared = compare_memory({contents.memory,
                                        memory,
                                        base.memory,
                                        *base.file,
                                        pagemap.get(),
                                        base_pagemap.get(),
                                        anonymous,
                                        stacks},
                                       control);
    const auto size_of = [](const std::vector<minidump::MemoryRange>& ranges) {
        std::uint64_t size = 0;
        for (const minidump::MemoryRange& range : ranges) size += range.range.size;
        return size;
    };
    // What is mostly new is whole: it takes no more than twice the space and needs no other file.
    if (size_of(compared.changed) > size_of(contents.memory) / 2) return compared;
    contents.base = minidump::BaseReference{base.name, base.identity, base.size};
    contents.whole = std::exchange(contents.memory, std::move(compared.changed));
    return compared;
}

void LinuxSnapshot::add_stacks(minidump::Contents& contents) const {
    for (std::size_t row = 0; row < threads_->rows(); ++row) {
        const auto stack = threads_->stack_pointer.at(row);
        const auto tid = threads_->tid.at(row);
        if (!stack || !tid) continue;
        const minidump::MemoryRange* const range = range_with(contents.memory, *stack);
        if (range == nullptr) continue;
        const auto slice = stack_slice(as_mapping(range->range), *stack, contents.flags);
        if (slice) contents.stacks.push_back({*tid, *slice});
    }
}

void LinuxSnapshot::add_streams(minidump::Contents& contents, const DumpOptions& options) {
    const auto has = [&](std::uint64_t bits) { return (contents.flags & bits) != 0; };
    const auto add = [&](std::uint32_t type, std::string bytes) {
        if (!bytes.empty()) contents.streams.push_back({type, std::move(bytes)});
    };
    // The clone has the target's address space, so these are of the instant; status and limits are
    // the target's own.
    const int directory = clone_.directory.get();
    std::string maps = maps_text_.empty() ? try_read_text(directory, "maps") : maps_text_;
    const bool filter_paths = has(MiniDumpType::FILTER_MODULE_PATHS);
    add(kLinuxMaps, filter_paths ? without_folders(maps) : std::move(maps));
    add(kLinuxAuxv, try_read_text(directory, "auxv"));
    const auto add_arguments = [&](std::uint32_t type, const char* name) {
        std::string text = try_read_text(directory, name, kMostArguments);
        if (text.size() == kMostArguments) {
            contents.diagnostics.push_back({Severity::kWarning,
                                            "arguments_cut",
                                            std::string(name) + " is cut at " +
                                                std::to_string(kMostArguments) +
                                                " bytes, more than execve gives a process",
                                            "read",
                                            ErrorDomain::kNone,
                                            0,
                                            kMostArguments});
        }
        add(type, std::move(text));
    };
    if (options.environment) add_arguments(kLinuxEnviron, "environ");
    if (has(MiniDumpType::WITH_TOKEN_INFORMATION)) {
        add(minidump::raw::SnapcoreToken, credentials(directory_.get(), status_text_));
    }
    if (!has(MiniDumpType::WITHOUT_OPTIONAL_DATA)) {
        // Arguments name users' files, and the program's own path.
        if (!has(MiniDumpType::FILTER_TRIAGE) && !filter_paths) {
            add_arguments(kLinuxCmdLine, "cmdline");
        }
        add(kLinuxProcStatus, status_text_);
        add(kMozLinuxLimits, limits_text_);
        for (minidump::RawStream& text : system_streams()) add(text.type, std::move(text.bytes));
        contents.system_memory = system_memory();
    }
    for (const UserStream& stream : options.streams) add(stream.type, stream.bytes);
}

DumpStats LinuxSnapshot::write_dump(OutputFile& file,
                                    const DumpOptions& options,
                                    Control& control) {
    return write_dump_to(file, options, control);
}

DumpStats LinuxSnapshot::write_dump(OutputStream& stream,
                                    const DumpOptions& options,
                                    Control& control) {
    return write_dump_to(stream, options, control);
}

template <class Output>
DumpStats LinuxSnapshot::write_dump_to(Output& output,
                                       const DumpOptions& options,
                                       Control& control) {
    minidump::Contents contents;
    Diagnostics own_diagnostics;
    std::shared_ptr<ProcessMemory> memory;
    {
        const std::lock_guard lock(mutex_);
        must_be_open();
        memory = memory_;
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
        contents.identity = options.identity;
        report_dump_flags(options.flags, contents.diagnostics);
        add_memory(contents);
        add_streams(contents, options);
        // What is planned is true; what cannot be read from here on is told.
        must_have_clone();
        contents.xstate = xstate_features();
        own_diagnostics = contents.diagnostics;
        contents.diagnostics.insert(
            contents.diagnostics.begin(), options.diagnostics.begin(), options.diagnostics.end());
        contents.diagnostics.insert(
            contents.diagnostics.begin(), diagnostics_.begin(), diagnostics_.end());
    }
    contents.when_read = [&](std::uint64_t unreadable_bytes) {
        Diagnostics late;
        if (unreadable_bytes != 0) {
            const bool expected = (options.flags & MiniDumpType::IGNORE_INACCESSIBLE_MEMORY) != 0;
            late.push_back({expected ? Severity::kInfo : Severity::kWarning,
                            "unreadable_memory_left_out",
                            std::to_string(unreadable_bytes) +
                                " bytes could not be read and are zeros in the file",
                            "pread",
                            ErrorDomain::kNone,
                            0,
                            unreadable_bytes});
            own_diagnostics.push_back(late.back());
        }
        if (options.closes_snapshot) {
            const std::size_t known = diagnostics().size();
            close();
            const Diagnostics all = diagnostics();
            late.insert(late.end(), all.begin() + static_cast<std::ptrdiff_t>(known), all.end());
        }
        return late;
    };
    if (captured(CaptureFlags::VA_SPACE)) contents.regions = regions();
    Compared compared;
    // A filter changes what is written; what it makes of the base is not known.
    if (options.base && source_ == MemorySource::kClone && contents.filtered.empty() &&
        holds_whole_mappings(options.flags)) {
        compared = leave_out_unchanged(contents, *memory, *options.base, control);
    }
    DumpStats stats = minidump::write_minidump(contents, *memory, output, control);
    stats.held_bytes = compared.held_bytes;
    stats.compared_bytes = compared.compared_bytes;
    stats.diagnostics = std::move(own_diagnostics);
    if (source_ == MemorySource::kLive) {
        close();  // its pause ends with what is read
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
