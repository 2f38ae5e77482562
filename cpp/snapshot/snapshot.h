// SPDX-License-Identifier: Apache-2.0
//
// The nouns. A live snapshot (linux/, windows/) and a dump file (minidump/reader) answer the same
// questions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostics.h"
#include "base/file.h"
#include "snapshot/context.h"
#include "snapshot/control.h"
#include "snapshot/options.h"
#include "tables/tables.h"

namespace snapcore {

// Thread-safe: every method may be called from any thread. Tables and contexts are immutable once
// returned and outlive the view. A table that was not captured is Error kInvalidArgument naming the
// capture flag.
class ProcessView {
public:
    virtual ~ProcessView() = default;

    virtual const ProcessInfo& process() const = 0;
    virtual std::shared_ptr<const ThreadTable> threads() = 0;
    virtual std::shared_ptr<const HandleTable> handles() = 0;
    virtual std::shared_ptr<const RegionTable> regions() = 0;
    virtual std::shared_ptr<const ModuleTable> modules() = 0;
    virtual std::shared_ptr<const ContextTable> contexts() = 0;
    // Fills `out` from the process's memory at `address`. Returns how many bytes from the start
    // could be read; less than asked means that the byte behind them is not readable.
    virtual std::size_t read(std::uint64_t address, std::span<std::byte> out) = 0;
};

class Snapshot : public ProcessView {
public:
    virtual std::uint32_t pid() const = 0;
    virtual std::uint32_t flags() const = 0;
    virtual std::int64_t captured_at_ns() const = 0;
    // How long the target stood still; for MemorySource::kLive final only after close().
    virtual std::int64_t pause_ns() const = 0;
    virtual MemorySource memory_source() const = 0;
    virtual Diagnostics diagnostics() const = 0;
    // Nanoseconds by phase, in order: {"stop", ...}, {"clone", ...}, ...
    virtual std::vector<std::pair<std::string, std::int64_t>> performance() const = 0;
    // Throw ErrorKind::kUnsupported where the OS has no such thing.
    virtual std::shared_ptr<const AuxiliaryPageTable> auxiliary_pages();
    virtual std::string handle_trace();
    // Writes a minidump of this snapshot. Flags that need what was not captured are Error
    // kInvalidArgument.
    virtual DumpStats write_dump(OutputFile& file,
                                 const DumpOptions& options,
                                 Control& control) = 0;
    // The same bytes into a stream. What writes at any offset is kept in an unnamed file meanwhile.
    virtual DumpStats write_dump(OutputStream& stream,
                                 const DumpOptions& options,
                                 Control& control) = 0;
    // Frees the clone or lets the target go. Idempotent, never throws; what went wrong is in
    // diagnostics().
    virtual void close() = 0;
};

// The backend of this OS (linux/ or windows/). Throws Error. `control` may be cancelled while this
// runs.
std::shared_ptr<Snapshot> capture_process(const CaptureOptions& options, Control& control);

struct ProcessEntry {
    std::uint32_t pid = 0;
    std::string name;        // of the executable, without its folder
    std::string short_name;  // what the system calls it, which may be cut; empty where it has none
    std::uint32_t parent_pid = 0;
};

// Every process that this user may see, this one included. Throws Error.
std::vector<ProcessEntry> list_processes();

// The handles of every process that this user may see; those that refuse are counted. `peers`:
// other ends are looked for in every process, not in the same alone.
std::shared_ptr<const SystemHandleTable> read_system_handles(bool peers, Diagnostics& diagnostics);

// The threads of every process that this user may see; processes that refuse are counted.
std::shared_ptr<const SystemThreadTable> read_system_threads(Diagnostics& diagnostics);

}  // namespace snapcore
