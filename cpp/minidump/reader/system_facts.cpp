// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/system_facts.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/text.h"
#include "minidump/reader/column_stream.h"
#include "minidump/reader/context_record.h"

namespace snapcore::minidump {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

// "key:" at the start of a line, and what follows it.
std::string line_of(const std::string& text, const std::string& key) {
    auto at = text.starts_with(key) ? 0 : text.find("\n" + key);
    if (at == std::string::npos) return {};
    at = text.find_first_not_of(" \t", text.find(':', at) + 1);
    return at == std::string::npos ? std::string() : text.substr(at, text.find('\n', at) - at);
}

std::optional<std::uint32_t> number_of(const std::string& text, const char* key) {
    const std::string line = line_of(text, key);
    if (line.empty()) return std::nullopt;
    return static_cast<std::uint32_t>(std::strtoul(line.c_str(), nullptr, 10));
}

// A MiscInfo of the first version, of which there is no less.
constexpr std::size_t kFirstVersion = offsetof(raw::MINIDUMP_MISC_INFO_4, ProcessorMaxMhz);

}  // namespace

SystemInfo read_system(Source& source) {
    SystemInfo system;
    const auto info = source.head<raw::MINIDUMP_SYSTEM_INFO>(
        raw::SystemInfoStream, offsetof(raw::MINIDUMP_SYSTEM_INFO, Cpu));
    if (!info) {
        source.findings.add(
            "no_system_info", "the file has no SystemInfo stream", raw::SystemInfoStream);
        system.known = false;
        system.architecture_number = 0xffff;
        system.platform_id = 0xffffffff;
        return system;
    }
    const auto architecture = known_architecture(info->ProcessorArchitecture);
    if (!architecture) {
        source.findings.add("unknown_architecture",
                            "processor architecture " +
                                std::to_string(info->ProcessorArchitecture) +
                                " is not known: registers are not read",
                            info->ProcessorArchitecture);
    }
    system.known = architecture.has_value();
    system.architecture = architecture.value_or(Architecture::kAmd64);
    system.architecture_number = info->ProcessorArchitecture;
    system.processor_level = info->ProcessorLevel;
    system.processor_revision = info->ProcessorRevision;
    system.processors = info->NumberOfProcessors;
    system.major = info->MajorVersion;
    system.minor = info->MinorVersion;
    system.build = info->BuildNumber;
    system.platform_id = info->PlatformId;
    system.os_text = source.string_at(info->CSDVersionRva);
    std::string vendor(reinterpret_cast<const char*>(info->Cpu.VendorId), 12);
    vendor.resize(std::min(vendor.find('\0'), vendor.size()));
    const bool printable =
        std::ranges::all_of(vendor, [](char c) { return c >= 0x20 && c < 0x7f; });
    // Windows and Crashpad have two words of features there where the processor is not x86.
    if (system.architecture != Architecture::kArm64 && !vendor.empty() && printable) {
        system.cpu_vendor = std::move(vendor);
        system.cpu_version = info->Cpu.VersionInformation;
        system.cpu_features = info->Cpu.FeatureInformation;
        system.amd_features = info->Cpu.AMDExtendedCpuFeatures;
    }
    return system;
}

std::optional<std::uint32_t> read_pid(Source& source) {
    const auto info = source.head<raw::MINIDUMP_MISC_INFO_4>(raw::MiscInfoStream, kFirstVersion);
    if (info && (info->Flags1 & raw::MINIDUMP_MISC1_PROCESS_ID) != 0) return info->ProcessId;
    const auto text = source.text(raw::LinuxProcStatus);
    return text ? number_of(*text, "Pid:") : std::nullopt;
}

ProcessInfo read_process(Source& source, const SystemInfo& system) {
    ProcessInfo process;
    process.pid = read_pid(source);
    if (const auto info =
            source.head<raw::MINIDUMP_MISC_INFO_4>(raw::MiscInfoStream, kFirstVersion)) {
        // Some writers set the flag and know nothing: no process began in 1970.
        if ((info->Flags1 & raw::MINIDUMP_MISC1_PROCESS_TIMES) != 0 &&
            info->ProcessCreateTime != 0) {
            process.created_at_ns = info->ProcessCreateTime * kSecond;
            process.user_time_ns = info->ProcessUserTime * kSecond;
            process.kernel_time_ns = info->ProcessKernelTime * kSecond;
        }
        if ((info->Flags1 & raw::MINIDUMP_MISC3_PROCESS_EXECUTE_FLAGS) != 0 &&
            info->SizeOfInfo >= offsetof(raw::MINIDUMP_MISC_INFO_4, BuildString)) {
            process.execute_flags = info->ProcessExecuteFlags;
        }
    }
    if (const auto text = source.text(raw::LinuxProcStatus)) {
        if (const std::string name = line_of(*text, "Name:"); !name.empty()) {
            process.name = unescape_octal(name);
        }
        process.parent_pid = number_of(*text, "PPid:");
        process.uid = number_of(*text, "Uid:");
        process.gid = number_of(*text, "Gid:");
        process.thread_count = number_of(*text, "Threads:");
    }
    process.command_line = source.text(raw::LinuxCmdLine);
    // The first version, of 80 bytes, lacks the virtual sizes in the middle.
    constexpr std::size_t kFirstCounters = 80;
    if (const auto info = source.head<raw::MINIDUMP_PROCESS_VM_COUNTERS_2>(
            raw::ProcessVmCountersStream, kFirstCounters)) {
        process.page_faults = copied(info->PageFaultCount);
        process.peak_working_set_size = copied(info->PeakWorkingSetSize);
        process.working_set_size = copied(info->WorkingSetSize);
        if (info->Revision >= 2) {
            process.peak_virtual_size = copied(info->PeakVirtualSize);
            process.virtual_size = copied(info->VirtualSize);
            process.private_usage = copied(info->PrivateUsage);
            process.shared_usage = copied(info->SharedCommitUsage);
        } else {
            process.private_usage = copied(info->PeakVirtualSize);  // where PrivateUsage lay
        }
        if (system.platform_id == kPlatformLinux) {
            // Linux has no pools; what is private and not present is swapped out.
            if (info->Revision >= 2 && info->PrivateUsage >= info->PrivateWorkingSetSize) {
                process.pagefile_usage = info->PrivateUsage - info->PrivateWorkingSetSize;
            }
        } else {
            process.quota_peak_paged_pool_usage = copied(info->QuotaPeakPagedPoolUsage);
            process.quota_paged_pool_usage = copied(info->QuotaPagedPoolUsage);
            process.quota_peak_non_paged_pool_usage = copied(info->QuotaPeakNonPagedPoolUsage);
            process.quota_non_paged_pool_usage = copied(info->QuotaNonPagedPoolUsage);
            process.pagefile_usage = copied(info->PagefileUsage);
            process.peak_pagefile_usage = copied(info->PeakPagefileUsage);
        }
    }
    add_unfiled(source, process);
    return process;
}

std::optional<MiscInfo> read_misc(Source& source) {
    const auto whole = source.head<raw::MINIDUMP_MISC_INFO_5>(raw::MiscInfoStream, kFirstVersion);
    if (!whole) return std::nullopt;
    const raw::MINIDUMP_MISC_INFO_4& info = whole->Version4;
    const std::uint64_t size = std::min<std::uint64_t>(
        info.SizeOfInfo, source.directory.find(raw::MiscInfoStream)->present);
    // A field is there where the version reaches that far and its flag is set.
    const auto has = [&](std::size_t end, std::uint32_t flag) {
        return size >= end && (flag == 0 || (info.Flags1 & flag) != 0);
    };
    MiscInfo out;
    out.size = info.SizeOfInfo;
    out.flags = info.Flags1;
    if (has(kFirstVersion, raw::MINIDUMP_MISC1_PROCESS_ID)) out.process_id = info.ProcessId;
    if (has(kFirstVersion, raw::MINIDUMP_MISC1_PROCESS_TIMES)) {
        out.create_time = info.ProcessCreateTime;
        out.user_time = info.ProcessUserTime;
        out.kernel_time = info.ProcessKernelTime;
    }
    constexpr std::size_t kSecondVersion =
        offsetof(raw::MINIDUMP_MISC_INFO_4, ProcessIntegrityLevel);
    if (has(kSecondVersion, raw::MINIDUMP_MISC1_PROCESSOR_POWER_INFO)) {
        out.max_mhz = info.ProcessorMaxMhz;
        out.current_mhz = info.ProcessorCurrentMhz;
        out.mhz_limit = info.ProcessorMhzLimit;
        out.max_idle_state = info.ProcessorMaxIdleState;
        out.current_idle_state = info.ProcessorCurrentIdleState;
    }
    constexpr std::size_t kThird = offsetof(raw::MINIDUMP_MISC_INFO_4, BuildString);
    if (has(kThird, raw::MINIDUMP_MISC3_PROCESS_INTEGRITY)) {
        out.integrity_level = info.ProcessIntegrityLevel;
    }
    if (has(kThird, raw::MINIDUMP_MISC3_PROCESS_EXECUTE_FLAGS)) {
        out.execute_flags = info.ProcessExecuteFlags;
    }
    if (has(kThird, raw::MINIDUMP_MISC3_PROTECTED_PROCESS)) {
        out.protected_process = info.ProtectedProcess;
    }
    if (has(kThird, raw::MINIDUMP_MISC3_TIMEZONE)) {
        out.time_zone_id = info.TimeZoneId;
        out.time_zone_bias = info.TimeZone.Bias;
        out.standard_name = fixed_text(info.TimeZone.StandardName);
        out.standard_bias = info.TimeZone.StandardBias;
        out.daylight_name = fixed_text(info.TimeZone.DaylightName);
        out.daylight_bias = info.TimeZone.DaylightBias;
    }
    if (has(sizeof info, raw::MINIDUMP_MISC4_BUILDSTRING)) {
        out.build_string = fixed_text(info.BuildString);
        out.debug_build_string = fixed_text(info.DbgBldStr);
    }
    if (has(sizeof *whole, 0)) {
        const raw::XSTATE_CONFIG_FEATURE_MSC_INFO& xstate = whole->XStateData;
        out.xstate_features = copied(xstate.EnabledFeatures);
        out.xstate_size = xstate.ContextSize;
        for (std::uint32_t i = 0; i < 64; ++i) {
            if ((xstate.EnabledFeatures >> i & 1) == 0) continue;
            out.xstate.push_back({i, xstate.Features[i].Offset, xstate.Features[i].Size});
        }
        if (has(sizeof *whole, raw::MINIDUMP_MISC5_PROCESS_COOKIE)) {
            out.process_cookie = whole->ProcessCookie;
        }
    }
    return out;
}

std::optional<SystemMemoryFacts> read_system_memory(Source& source) {
    const auto info = source.head<raw::MINIDUMP_SYSTEM_MEMORY_INFO_1>(
        raw::SystemMemoryInfoStream, offsetof(raw::MINIDUMP_SYSTEM_MEMORY_INFO_1, PerfInfo));
    if (!info) return std::nullopt;
    SystemMemoryFacts out;
    out.revision = info->Revision;
    out.flags = info->Flags;
    out.page_size = info->BasicInfo.PageSize;
    out.allocation_granularity = info->BasicInfo.AllocationGranularity;
    out.processors = info->BasicInfo.NumberOfProcessors;
    out.physical_pages = info->BasicInfo.NumberOfPhysicalPages;
    out.minimum_address = info->BasicInfo.MinimumUserModeAddress;
    out.maximum_address = info->BasicInfo.MaximumUserModeAddress;
    out.affinity = info->BasicInfo.ActiveProcessorsAffinityMask;
    out.file_cache = info->FileCacheInfo.CurrentSize;
    out.peak_file_cache = info->FileCacheInfo.PeakSize;
    if ((info->Flags & raw::MINIDUMP_SYSMEMINFO1_BASICPERF) != 0) {
        out.available = copied(info->BasicPerfInfo.AvailablePages);
        out.committed = copied(info->BasicPerfInfo.CommittedPages);
        out.commit_limit = copied(info->BasicPerfInfo.CommitLimit);
        out.peak_commitment = copied(info->BasicPerfInfo.PeakCommitment);
    }
    return out;
}

}  // namespace snapcore::minidump
