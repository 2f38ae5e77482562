// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace snapcore {

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
};

// A stream of the caller's own.
struct UserStream {
    std::uint32_t type = 0;  // above 0xffff, MINIDUMP_STREAM_TYPE's LastReservedStream
    std::string bytes;
};

struct DumpOptions {
    std::uint64_t flags = 0;  // MiniDumpType
    std::optional<std::string> comment;
    std::vector<UserStream> streams;
    // Linux: the environment of the target, which may hold secrets.
    bool environment = false;
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
};

}  // namespace snapcore
