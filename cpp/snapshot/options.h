// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "base/range.h"

namespace snapcore {

class ProcessView;
class Snapshot;

// Where the memory of a snapshot comes from.
enum class MemorySource : std::uint8_t {
    kNone,   // tables only
    kParts,  // what the flags of one dump name, short of whole mappings: the stacks at the least;
             // a backend may answer with kClone
    kClone,  // a copy-on-write clone
    kLive,   // the target itself, which stands still until the snapshot is closed
};

// What runs the trace on Linux; ignored on Windows.
enum class TracerPlacement : std::uint8_t { kAuto, kHelper, kThread };

struct CaptureOptions {
    std::uint32_t pid = 0;
    std::uint32_t flags = 0;          // CaptureFlags
    std::uint32_t context_flags = 0;  // ContextFlags
    std::uint64_t shared_budget_bytes = 0;
    std::int64_t max_pause_ns = 1'000'000'000;
    MemorySource memory = MemorySource::kNone;
    std::uint64_t dump_flags = 0;  // MiniDumpType; kParts: which parts
    // False: tables of a running process, read without stopping it (handles(pid), threads(pid)).
    bool stop = true;
    TracerPlacement placement = TracerPlacement::kAuto;
    // The flags are what a dump needs and not a caller's own: how the clone is made is left to the
    // backend.
    bool for_dump = false;
    // Windows: serve memory that the clone lacks from the running process; enable SeDebugPrivilege
    // meanwhile.
    bool live_fallback = false;
    bool debug_privilege = false;
    // Linux: look for the other ends of pipes and sockets in every process.
    bool handle_peers = false;
};

// A stream of the caller's own.
struct UserStream {
    std::uint32_t type = 0;  // above 0xffff, MINIDUMP_STREAM_TYPE's LastReservedStream
    std::string bytes;
};

// What a later dump names an earlier one by.
using Identity = std::array<std::byte, 16>;

// An earlier dump of the same process: what a later one leaves out, since it has not changed.
struct BaseDump {
    std::string name;  // of its file, without a folder
    Identity identity{};
    std::uint64_t size = 0;              // of its minidump
    std::shared_ptr<ProcessView> file;   // what it holds
    std::vector<Range> memory;           // where it holds something; ascending, not overlapping
    std::shared_ptr<Snapshot> snapshot;  // what it was made of, where that is still there
};

struct DumpOptions {
    std::uint64_t flags = 0;  // MiniDumpType
    std::optional<std::string> comment;
    std::vector<UserStream> streams;
    // Linux: the environment of the target, which may hold secrets.
    bool environment = false;
    // Kept in the file, so that later dumps may name it.
    std::optional<Identity> identity;
    // Linux: only what differs from it is written, unless that is more than half of all.
    std::shared_ptr<const BaseDump> base;
    // What the caller has to say of this dump; it goes into the file with what the backend says.
    Diagnostics diagnostics;
    // Nobody needs the snapshot afterwards: it is closed as soon as its memory has been read, so
    // that the file also tells what went wrong with that.
    bool closes_snapshot = false;
};

struct DumpStats {
    std::uint64_t threads = 0;
    std::uint64_t handles = 0;
    std::uint64_t regions = 0;
    std::uint64_t modules = 0;
    std::uint64_t memory_ranges = 0;
    std::uint64_t memory_bytes = 0;              // address space described as memory in the file
    std::uint64_t bytes_not_of_the_instant = 0;  // read after the target ran on (shared mappings)
    std::uint64_t unreadable_bytes = 0;          // in the file as zeros
    bool has_base = false;                       // DumpOptions::base holds the rest
    std::uint64_t base_bytes = 0;                // address space whose bytes are in the base alone
    std::uint64_t held_bytes = 0;  // found changed since the base was captured: its clone's alone
    std::uint64_t compared_bytes = 0;  // read to be compared
    Diagnostics diagnostics;  // of this dump alone; those of its snapshot are the snapshot's
};

}  // namespace snapcore
