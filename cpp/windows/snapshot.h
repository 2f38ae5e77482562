// SPDX-License-Identifier: Apache-2.0
//
// A snapshot of a Windows process: an HPSS and the tables walked from it; or, for the live method,
// the process itself and nothing else.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "snapshot/snapshot.h"
#include "windows/memory.h"
#include "windows/owners.h"
#include "windows/pss_snapshot.h"

namespace snapcore::windows_os {

inline constexpr char kPeersUnknown[] = "Windows does not tell the other ends of pipes and sockets";

class WindowsSnapshot final : public Snapshot {
public:
    explicit WindowsSnapshot(const CaptureOptions& options);
    ~WindowsSnapshot() override { close(); }

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
    std::shared_ptr<const AuxiliaryPageTable> auxiliary_pages() override;
    std::string handle_trace() override;
    DumpStats write_dump(OutputFile& file, const DumpOptions& options, Control& control) override;
    DumpStats write_dump(OutputStream& stream,
                         const DumpOptions& options,
                         Control& control) override;
    void close() override;

private:
    bool captured(std::uint32_t flag) const { return (options_.flags & flag) != 0; }
    void capture();
    void open_and_capture();
    void read_tables();
    void note(Severity severity,
              std::string code,
              std::string message,
              const char* call,
              std::uint64_t subject);
    // Locked by the caller.
    void must_be_open() const;
    PssSnapshot& open_snapshot();
    void free_all();  // with both mutexes held

    CaptureOptions options_;
    MemorySource source_ = MemorySource::kNone;
    UniqueHandle target_;
    std::unique_ptr<PssSnapshot> snapshot_;
    std::unique_ptr<ProcessMemory> memory_;
    std::int64_t captured_at_ns_ = 0;

    ProcessInfo process_;
    std::shared_ptr<const ThreadTable> threads_;
    std::shared_ptr<const ContextTable> contexts_;
    std::shared_ptr<const HandleTable> handles_;
    std::shared_ptr<const RegionTable> regions_;

    std::mutex use_;  // held while a dump is written, and to close; before mutex_
    mutable std::mutex mutex_;
    std::shared_ptr<const ModuleTable> modules_;
    std::int64_t pause_ns_ = 0;
    std::vector<std::pair<std::string, std::int64_t>> phases_;
    Diagnostics diagnostics_;
};

}  // namespace snapcore::windows_os
