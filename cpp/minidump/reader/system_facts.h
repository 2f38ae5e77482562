// SPDX-License-Identifier: Apache-2.0
//
// Of which machine and of which process a dump file is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "minidump/contents.h"
#include "minidump/reader/source.h"

namespace snapcore::minidump {

inline constexpr std::uint32_t kPlatformLinux = 0x8201;

SystemInfo read_system(Source& source);
// nullopt where the file does not say.
std::optional<std::uint32_t> read_pid(Source& source);
// From MiscInfo, ProcessVmCounters and the Linux texts.
ProcessInfo read_process(Source& source, const SystemInfo& system);

// MINIDUMP_MISC_INFO to MINIDUMP_MISC_INFO_5; what an older version, or its flags, lack is nullopt.
struct MiscInfo {
    std::uint32_t size = 0, flags = 0;
    std::optional<std::uint32_t> process_id;
    std::optional<std::uint32_t> create_time, user_time, kernel_time;  // s
    std::optional<std::uint32_t> max_mhz, current_mhz, mhz_limit, max_idle_state,
        current_idle_state;
    std::optional<std::uint32_t> integrity_level, execute_flags, protected_process;
    std::optional<std::uint32_t> time_zone_id;
    std::optional<std::int32_t> time_zone_bias, standard_bias, daylight_bias;  // minutes
    std::optional<std::string> standard_name, daylight_name;
    std::optional<std::string> build_string, debug_build_string;
    std::optional<std::uint64_t> xstate_features;
    std::optional<std::uint32_t> xstate_size;
    std::vector<XstateFeature> xstate;
    std::optional<std::uint32_t> process_cookie;
};
std::optional<MiscInfo> read_misc(Source& source);

// MINIDUMP_SYSTEM_MEMORY_INFO_1 without the counters that only a kernel's author reads.
struct SystemMemoryFacts {
    std::uint16_t revision = 0, flags = 0;
    std::uint32_t page_size = 0, allocation_granularity = 0, processors = 0;
    std::uint64_t physical_pages = 0, minimum_address = 0, maximum_address = 0, affinity = 0;
    std::uint64_t file_cache = 0, peak_file_cache = 0;  // bytes
    // Pages; nullopt where the flags say that they are not known.
    std::optional<std::uint64_t> available, committed, commit_limit, peak_commitment;
};
std::optional<SystemMemoryFacts> read_system_memory(Source& source);

}  // namespace snapcore::minidump
