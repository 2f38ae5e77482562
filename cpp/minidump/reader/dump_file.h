// SPDX-License-Identifier: Apache-2.0
//
// A dump file, which answers what a snapshot answers. Lazy: opening it reads header and directory,
// a table is read when it is asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "minidump/contents.h"
#include "minidump/reader/directory.h"
#include "minidump/reader/input.h"
#include "minidump/reader/memory_index.h"
#include "snapshot/snapshot.h"

namespace snapcore::minidump {

// MINIDUMP_EXCEPTION_STREAM.
struct ExceptionInfo {
    std::uint32_t tid = 0;
    std::uint32_t code = 0;   // signal number on Linux
    std::uint32_t flags = 0;  // si_code on Linux
    std::uint64_t record = 0, address = 0;
    std::vector<std::uint64_t> parameters;
};

struct UnloadedModule {
    std::uint64_t base = 0;
    std::uint32_t size = 0, checksum = 0, timestamp = 0;
    std::string path;
};

class DumpFile final : public ProcessView {
public:
    // Throws ErrorKind::kFile, or kFormat where it is no minidump. With `strict` anything that is
    // wrong is kFormat, here or where it is met.
    DumpFile(std::unique_ptr<InputFile> file, bool strict);

    const ProcessInfo& process() const override { return process_; }
    std::shared_ptr<const ThreadTable> threads() override;
    std::shared_ptr<const HandleTable> handles() override;
    std::shared_ptr<const RegionTable> regions() override;
    std::shared_ptr<const ModuleTable> modules() override;
    std::shared_ptr<const ContextTable> contexts() override;
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override;

    std::uint64_t flags() const { return directory_.header().Flags; }
    std::int64_t captured_at_ns() const;
    const std::vector<StreamEntry>& streams() const { return directory_.streams(); }
    // Raw bytes of the first stream of a type; nullopt where there is none.
    std::optional<std::vector<std::byte>> stream(std::uint32_t type) const;
    const std::vector<FileRange>& memory_ranges();
    const SystemInfo& system() const { return system_; }
    std::vector<ExceptionInfo> exceptions();
    std::vector<UnloadedModule> unloaded_modules();
    std::optional<std::string> comment() const;
    Diagnostics diagnostics() const;

private:
    // Locked by the caller.
    const MemoryIndex& memory();

    void read_system();
    void read_process();
    std::vector<raw::MINIDUMP_THREAD> thread_entries();
    std::string string_at(Pieces& pieces, std::uint64_t rva) const;

    Input input_;
    mutable std::mutex mutex_;
    Findings findings_;
    Directory directory_;
    SystemInfo system_;
    ProcessInfo process_;
    std::optional<MemoryIndex> memory_;
    std::shared_ptr<const ThreadTable> threads_;
    std::shared_ptr<const HandleTable> handles_;
    std::shared_ptr<const RegionTable> regions_;
    std::shared_ptr<const ModuleTable> modules_;
    std::shared_ptr<const ContextTable> contexts_;
};

}  // namespace snapcore::minidump
