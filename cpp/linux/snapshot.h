// SPDX-License-Identifier: Apache-2.0
//
// A snapshot of a Linux process: what the tracer read in the stop, what /proc said right after it,
// and the frozen clone.
#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "linux/clone_walk.h"
#include "linux/memory_parts.h"
#include "linux/modules.h"
#include "linux/page_compare.h"
#include "linux/process_memory.h"
#include "linux/procfs.h"
#include "linux/tracer_client.h"
#include "snapshot/snapshot.h"

namespace snapcore::linux_os {

class LinuxSnapshot final : public Snapshot {
public:
    LinuxSnapshot(const CaptureOptions& options, Control& control);
    ~LinuxSnapshot() override { close(); }

    const ProcessInfo& process() const override { return process_; }
    std::shared_ptr<const ThreadTable> threads() override;
    std::shared_ptr<const HandleTable> handles() override;
    std::shared_ptr<const RegionTable> regions() override;
    std::shared_ptr<const ModuleTable> modules() override;
    std::shared_ptr<const ContextTable> contexts() override;
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override;

    std::uint32_t pid() const override { return options_.pid; }
    std::uint32_t flags() const override { return options_.flags; }
    std::int64_t captured_at_ns() const override { return captured_at_ns_; }
    std::int64_t pause_ns() const override;
    MemorySource memory_source() const override { return source_; }
    Diagnostics diagnostics() const override;
    std::vector<std::pair<std::string, std::int64_t>> performance() const override;
    DumpStats write_dump(OutputFile& file, const DumpOptions& options, Control& control) override;
    DumpStats write_dump(OutputStream& stream,
                         const DumpOptions& options,
                         Control& control) override;
    void close() override;

private:
    bool captured(std::uint32_t flag) const { return (options_.flags & flag) != 0; }
    bool needs_stop() const;
    // Whether a clone is had sooner than the parts that a dump needs are copied.
    bool clone_is_quicker() const;
    std::uint32_t tracer_needs() const;
    void must_read_memory() const;
    void trace(Control& control);
    void look_without_stop();
    void read_threads(const CaptureRecord& record);
    void list_all_descriptors(CaptureRecord& record) const;
    [[noreturn]] void refuse_descriptors(const Error& error) const;
    void read_handles(CaptureRecord& record);
    void read_texts();
    void report_flags_without_meaning();
    void note(Severity severity, std::string code, std::string message, std::uint64_t subject = 0);

    // Locked by the caller.
    const std::vector<Mapping>& mappings();
    void add_kept_from_clone(std::vector<Mapping>& mappings);
    const Modules& read_module_table();
    void must_be_open() const;
    void must_have_clone() const;

    template <class Output>
    DumpStats write_dump_to(Output& output, const DumpOptions& options, Control& control);
    void add_memory(minidump::Contents& contents);
    // What a comparison with this snapshot's clone needs; the page map is empty once it is closed.
    std::pair<UniqueDescriptor, std::vector<Range>> pages_to_compare();
    Compared leave_out_unchanged(minidump::Contents& contents,
                                 ProcessMemory& memory,
                                 const BaseDump& base,
                                 Control& control);
    void add_stacks(minidump::Contents& contents) const;
    void add_filter(minidump::Contents& contents);
    void add_streams(minidump::Contents& contents, const DumpOptions& options);

    CaptureOptions options_;
    MemorySource source_ = MemorySource::kNone;
    pid_t owner_;
    UniqueDescriptor directory_;  // /proc/PID of the target
    std::unique_ptr<TracerClient> tracer_;
    CaptureDescriptors clone_;               // or the target's own, without a clone
    std::optional<CloneWalk> walk_;          // uses those
    std::shared_ptr<ProcessMemory> memory_;  // shared with reads that are under way at close()

    ProcessInfo process_;
    std::string executable_;
    std::shared_ptr<const ThreadTable> threads_;
    std::shared_ptr<const HandleTable> handles_;
    std::shared_ptr<const ContextTable> contexts_;
    std::vector<PartThread> part_threads_;
    Range environment_;  // where its strings lie
    std::vector<Range> copied_;
    std::string maps_text_, status_text_, limits_text_;
    std::int64_t captured_at_ns_ = 0;

    mutable std::mutex mutex_;
    std::int64_t pause_ns_ = 0;
    Diagnostics diagnostics_;
    std::vector<std::pair<std::string, std::int64_t>> phases_;
    std::optional<std::vector<Mapping>> mappings_;
    std::shared_ptr<const RegionTable> regions_;
    std::optional<Modules> modules_;
    bool closed_ = false;
    bool held_to_the_end_ = true;
};

}  // namespace snapcore::linux_os
