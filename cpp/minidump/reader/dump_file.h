// SPDX-License-Identifier: Apache-2.0
//
// A dump file, which answers what a snapshot answers. Lazy: opening it reads header, directory and
// the facts of the machine; a table is read when it is asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "minidump/contents.h"
#include "minidump/reader/base_reference.h"
#include "minidump/reader/handle_table.h"
#include "minidump/reader/memory_index.h"
#include "minidump/reader/module_table.h"
#include "minidump/reader/source.h"
#include "minidump/reader/system_facts.h"
#include "minidump/reader/writer_facts.h"
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

class DumpFile final : public ProcessView {
public:
    // Throws ErrorKind::kFile, or kFormat where it is no minidump. With `strict` anything that is
    // wrong is kFormat, here or where it is met. Of a dump that needs a base, without `open_base`
    // or where it is not to be had, there is what the file itself holds.
    DumpFile(std::unique_ptr<InputFile> file, bool strict, const OpenBase& open_base = {});

    const ProcessInfo& process() const override;
    std::shared_ptr<const ThreadTable> threads() override;
    std::shared_ptr<const HandleTable> handles() override;
    std::shared_ptr<const RegionTable> regions() override;
    std::shared_ptr<const ModuleTable> modules() override;
    std::shared_ptr<const ContextTable> contexts() override;
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override;

    const std::optional<Identity>& identity() const { return identity_; }
    const std::optional<BaseReference>& base_reference() const { return base_reference_; }
    const DumpFile* base() const { return base_.get(); }
    // All memory that a dump with a base stands for; ascending, not overlapping.
    std::vector<Range> stands_for();
    // Bytes of the file itself, as many as there are.
    std::vector<std::byte> raw_bytes(std::uint64_t offset, std::uint64_t size) const {
        return source_.input.block(offset, size);
    }
    std::uint64_t file_size() const { return source_.input.size(); }  // of the minidump
    bool is_packed() const { return source_.input.is_packed(); }
    std::uint64_t flags() const { return source_.directory.header().Flags; }
    std::int64_t captured_at_ns() const;
    const std::vector<StreamEntry>& streams() const { return source_.directory.streams(); }
    // Raw bytes of the first stream of a type; nullopt where there is none.
    std::optional<std::vector<std::byte>> stream(std::uint32_t type) const;
    const std::vector<FileRange>& memory_ranges();
    const SystemInfo& system() const { return system_; }
    std::vector<ExceptionInfo> exceptions();
    // Registers of the exceptions, a row each.
    std::shared_ptr<const ContextTable> exception_contexts();
    std::vector<UnloadedModule> unloaded_modules();
    std::vector<HandleInformation> handle_information();
    std::vector<raw::AVRF_HANDLE_OPERATION> handle_operations();
    std::optional<MiscInfo> misc();
    std::optional<SystemMemoryFacts> system_memory();
    std::vector<Token> tokens();
    std::optional<BreakpadFacts> breakpad();
    std::optional<CrashpadFacts> crashpad();
    std::vector<MacCrashInfo> mac_crash_info();
    std::optional<std::string> mac_boot_arguments();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> auxiliary_vector();
    std::optional<DsoDebug> dso_debug();
    std::optional<std::string> comment() const;
    Diagnostics diagnostics() const;

private:
    // What `make` makes is kept in `kept`.
    template <class T, class Make>
    T cached(T& kept, Make&& make);
    // Locked by the caller.
    const MemoryIndex& memory();

    mutable std::mutex mutex_;
    mutable Source source_;
    SystemInfo system_;
    std::optional<Identity> identity_;
    std::optional<BaseReference> base_reference_;
    std::unique_ptr<DumpFile> base_;
    mutable std::optional<ProcessInfo> process_;
    std::optional<MemoryIndex> memory_;
    std::shared_ptr<const ThreadTable> threads_;
    std::shared_ptr<const HandleTable> handles_;
    std::shared_ptr<const RegionTable> regions_;
    std::shared_ptr<const ModuleTable> modules_;
    std::shared_ptr<const ContextTable> contexts_;
};

}  // namespace snapcore::minidump
