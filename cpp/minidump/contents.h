// SPDX-License-Identifier: Apache-2.0
//
// What a dump is made of: tables, contexts, texts and a way to read memory. A backend fills it, the
// writer turns it into bytes. Knows no OS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "base/range.h"
#include "snapshot/context.h"
#include "snapshot/options.h"
#include "tables/tables.h"

namespace snapcore::minidump {

// MINIDUMP_SYSTEM_INFO in plain words.
struct SystemInfo {
    Architecture architecture = Architecture::kAmd64;
    // Of a file that was read: as it says (PROCESSOR_ARCHITECTURE_*), and whether it is one of
    // ours.
    std::uint16_t architecture_number = 0;
    bool known = true;
    std::uint16_t processor_level = 0;     // family
    std::uint16_t processor_revision = 0;  // model << 8 | stepping
    std::uint32_t processors = 0;
    std::uint32_t platform_id = 0;  // 0x8201 Linux, 2 Windows
    std::uint32_t major = 0, minor = 0, build = 0;
    std::string os_text;             // `uname -srvmo`, or the service pack
    std::string cpu_vendor;          // 12 characters, as CPUID leaf 0 spells it
    std::uint32_t cpu_version = 0;   // CPUID leaf 1, EAX
    std::uint32_t cpu_features = 0;  // CPUID leaf 1, EDX
    std::uint32_t amd_features = 0;  // CPUID leaf 0x80000001, EDX
    std::uint32_t max_mhz = 0, current_mhz = 0;
};

// One feature of the XSAVE image, as CPUID leaf 0xd has it.
struct XstateFeature {
    std::uint32_t index = 0, offset = 0, size = 0;
};

// MINIDUMP_SYSTEM_MEMORY_INFO_1, in bytes.
struct SystemMemory {
    std::uint64_t page_size = 0;
    std::uint64_t total = 0, available = 0, committed = 0, commit_limit = 0, file_cache = 0;
};

// A stream whose bytes the writer takes as they are (LinuxMaps, MozLinuxLimits, ...).
struct RawStream {
    std::uint32_t type = 0;
    std::string bytes;
};

// Memory that must be readable until the dump is written. Called by two workers at a time.
class MemoryReader {
public:
    virtual ~MemoryReader() = default;
    // Bytes read from the start of the range; less than asked: the page behind them cannot be read.
    virtual std::size_t read(std::uint64_t address, std::span<std::byte> out) = 0;
    // The range is not read again.
    virtual void finished(const Range& /*range*/) {}
};

// One range of memory to be written. Ranges ascend and do not overlap.
struct MemoryRange {
    Range range;
    // Read from a process that ran on (a shared mapping): counted as not of the instant.
    bool of_the_instant = true;
};

struct ThreadStack {
    std::uint32_t tid = 0;
    Range range;  // inside one of `memory`; size 0 where there is none
};

// The earlier dump that holds what this one leaves out.
struct BaseReference {
    std::string name;  // of its file, without a folder
    Identity identity{};
    std::uint64_t size = 0;  // of its minidump
};

struct Contents {
    std::uint64_t flags = 0;  // MiniDumpType
    std::int64_t captured_at_ns = 0;
    std::uint32_t pid = 0;
    SystemInfo system;
    ProcessInfo process;
    std::shared_ptr<const ThreadTable> threads;    // required
    std::shared_ptr<const ContextTable> contexts;  // required; rows found by tid
    std::shared_ptr<const ModuleTable> modules;    // required; main executable first
    std::shared_ptr<const HandleTable> handles;    // written where flags say WITH_HANDLE_DATA
    std::shared_ptr<const RegionTable> regions;    // written where flags say WITH_FULL_MEMORY_INFO
    // Raw build ids by module row (CvRecord "BpEL"); empty where a module has none.
    std::vector<std::string> build_ids;
    std::vector<RawStream> streams;
    std::vector<ThreadStack> stacks;
    // Full memory goes to Memory64List, else to MemoryList.
    std::vector<MemoryRange> memory;
    // Committed but never touched: left out of Memory64List, read back as zeros.
    std::vector<Range> known_zero;
    // Of a dump that leaves out what its base has: the base, and all that the dump stands for,
    // of which `memory` is a part.
    std::optional<BaseReference> base;
    std::vector<MemoryRange> whole;
    std::optional<Identity> identity;  // of this dump
    std::optional<std::string> comment;
    std::optional<SystemMemory> system_memory;
    // Written where flags say WITH_AVX_XSTATE_CONTEXT and the contexts have extended state.
    std::vector<XstateFeature> xstate;
    // FILTER_MEMORY: within `filtered`, words that point into none of `pointed_to` become zero.
    std::vector<Range> filtered, pointed_to;  // each ascending, not overlapping
    Diagnostics diagnostics;                  // become the soft-errors stream
    // Called when memory has been read, with how many bytes of it could not be; what it gives goes
    // into the soft errors as well, where they are not written yet.
    std::function<Diagnostics(std::uint64_t unreadable_bytes)> when_read;
};

}  // namespace snapcore::minidump
