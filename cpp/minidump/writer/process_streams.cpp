// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "generated/flags.h"
#include "minidump/writer/column_stream.h"
#include "minidump/writer/streams.h"

namespace snapcore::minidump {
namespace {

constexpr std::uint8_t kProductWorkstation =
    1;  // readers that know no Linux expect one of Windows' values
constexpr std::int64_t kSecond = 1'000'000'000;

std::uint32_t seconds(const std::optional<std::int64_t>& ns) {
    return static_cast<std::uint32_t>(ns.value_or(0) / kSecond);
}

template <std::size_t N>
void copy_text(char16_t (&field)[N], std::string_view utf8) {
    const std::u16string text = utf8_to_utf16(utf8);
    std::copy_n(text.begin(), std::min(text.size(), N - 1), field);
}

}  // namespace

void add_system_info(Metadata& out, const Contents& contents) {
    const SystemInfo& system = contents.system;
    raw::MINIDUMP_SYSTEM_INFO info{};
    // The number says which of the two records of ARM64 the contexts are: see thread_streams.cpp.
    info.ProcessorArchitecture = system.architecture == Architecture::kArm64
                                     ? raw::kArchitectureOfBreakpadArm64
                                     : static_cast<std::uint16_t>(system.architecture);
    info.ProcessorLevel = system.processor_level;
    info.ProcessorRevision = system.processor_revision;
    info.NumberOfProcessors = static_cast<std::uint8_t>(std::min(system.processors, 255u));
    info.ProductType = kProductWorkstation;
    info.MajorVersion = system.major;
    info.MinorVersion = system.minor;
    info.BuildNumber = system.build;
    info.PlatformId = system.platform_id;
    std::memcpy(info.Cpu.VendorId,
                system.cpu_vendor.data(),
                std::min<std::size_t>(12, system.cpu_vendor.size()));
    info.Cpu.VersionInformation = system.cpu_version;
    info.Cpu.FeatureInformation = system.cpu_features;
    info.Cpu.AMDExtendedCpuFeatures = system.amd_features;
    const raw::RVA at = out.reserve(sizeof info);
    info.CSDVersionRva = out.string(system.os_text);
    out.write(at, info);
    out.add_stream(raw::SystemInfoStream, at, sizeof info);
}

void add_misc_info(Metadata& out, const Contents& contents, const XstateLayout& xstate) {
    // The fifth version says where the extended state lies in a context: only where there is one.
    const std::size_t size =
        xstate.size() == 0 ? sizeof(raw::MINIDUMP_MISC_INFO_4) : sizeof(raw::MINIDUMP_MISC_INFO_5);
    raw::MINIDUMP_MISC_INFO_5 whole{};
    raw::MINIDUMP_MISC_INFO_4& info = whole.Version4;
    whole.XStateData = xstate.configuration();
    info.SizeOfInfo = static_cast<std::uint32_t>(size);
    info.Flags1 = raw::MINIDUMP_MISC1_PROCESS_ID | raw::MINIDUMP_MISC1_PROCESS_TIMES |
                  raw::MINIDUMP_MISC4_BUILDSTRING;
    info.ProcessId = contents.pid;
    info.ProcessCreateTime = seconds(contents.process.created_at_ns);
    info.ProcessUserTime = seconds(contents.process.user_time_ns);
    info.ProcessKernelTime = seconds(contents.process.kernel_time_ns);
    if (contents.system.max_mhz != 0) {
        info.Flags1 |= raw::MINIDUMP_MISC1_PROCESSOR_POWER_INFO;
        info.ProcessorMaxMhz = info.ProcessorMhzLimit = contents.system.max_mhz;
        info.ProcessorCurrentMhz = contents.system.current_mhz;
    }
    copy_text(info.BuildString, contents.system.os_text);
    copy_text(info.DbgBldStr, "snapcore");
    out.add_stream(
        raw::MiscInfoStream, out.append(std::as_bytes(std::span(&whole, 1)).first(size)), size);
}

void add_module_list(Metadata& out, const Contents& contents) {
    const ModuleTable& modules = *contents.modules;
    const std::size_t size = 4 + modules.rows() * sizeof(raw::MINIDUMP_MODULE);
    const raw::RVA list = out.reserve(size);
    out.write(list, narrow(modules.rows(), "modules"));
    for (std::size_t row = 0; row < modules.rows(); ++row) {
        raw::MINIDUMP_MODULE module{};
        module.BaseOfImage = modules.base.at(row).value_or(0);
        module.SizeOfImage = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(modules.size.at(row).value_or(0), 0xffffffff));
        module.CheckSum = modules.checksum.at(row).value_or(0);
        module.TimeDateStamp = modules.timestamp.at(row).value_or(0);
        std::string path = modules.path.at(row).value_or("");
        if ((contents.flags & MiniDumpType::FILTER_MODULE_PATHS) != 0)
            path.erase(0, path.rfind('/') + 1);
        module.ModuleNameRva = out.string(path);
        if (row < contents.build_ids.size() && !contents.build_ids[row].empty()) {
            const std::string& id = contents.build_ids[row];
            const raw::RVA cv = out.reserve(4 + id.size());
            out.write(cv, raw::kCvSignatureElf);
            out.write_bytes(cv + 4, std::as_bytes(std::span(id)));
            module.CvRecord = {static_cast<std::uint32_t>(4 + id.size()), cv};
        }
        out.write(static_cast<raw::RVA>(list + 4 + row * sizeof module), module);
    }
    out.add_stream(raw::ModuleListStream, list, size);
}

void add_handle_data(Metadata& out, const Contents& contents) {
    const HandleTable& handles = *contents.handles;
    raw::MINIDUMP_HANDLE_DATA_STREAM header{};
    header.SizeOfHeader = sizeof header;
    header.SizeOfDescriptor = sizeof(raw::MINIDUMP_HANDLE_DESCRIPTOR);
    header.NumberOfDescriptors = narrow(handles.rows(), "handles");
    const std::size_t size =
        sizeof header + handles.rows() * sizeof(raw::MINIDUMP_HANDLE_DESCRIPTOR);
    const raw::RVA list = out.reserve(size);
    out.write(list, header);
    for (std::size_t row = 0; row < handles.rows(); ++row) {
        raw::MINIDUMP_HANDLE_DESCRIPTOR handle{};
        handle.Handle = handles.handle.at(row).value_or(0);
        if (const auto name = handles.type_name.at(row)) handle.TypeNameRva = out.string(*name);
        const auto name = handles.object_name.at(row);
        // A triage dump names no user's files.
        if (name && (contents.flags & MiniDumpType::FILTER_TRIAGE) == 0)
            handle.ObjectNameRva = out.string(*name);
        handle.Attributes = handles.attributes.at(row).value_or(0);
        handle.GrantedAccess = handles.granted_access.at(row).value_or(0);
        handle.HandleCount = handles.handle_count.at(row).value_or(0);
        handle.PointerCount = handles.pointer_count.at(row).value_or(0);
        out.write(static_cast<raw::RVA>(list + sizeof header + row * sizeof handle), handle);
    }
    out.add_stream(raw::HandleDataStream, list, size);
}

void add_comment(Metadata& out, const Contents& contents) {
    if (!contents.comment) return;
    std::u16string text = utf8_to_utf16(*contents.comment);
    text += u'\0';
    const auto bytes = std::as_bytes(std::span(text));
    out.add_stream(raw::CommentStreamW, out.append(bytes), bytes.size());
}

void add_vm_counters(Metadata& out, const Contents& contents) {
    const ProcessInfo& process = contents.process;
    if (!process.working_set_size || (contents.flags & MiniDumpType::WITHOUT_OPTIONAL_DATA) != 0)
        return;
    raw::MINIDUMP_PROCESS_VM_COUNTERS_2 info{};
    info.Revision = 2;
    info.Flags = raw::MINIDUMP_PROCESS_VM_COUNTERS | raw::MINIDUMP_PROCESS_VM_COUNTERS_VIRTUALSIZE |
                 raw::MINIDUMP_PROCESS_VM_COUNTERS_EX | raw::MINIDUMP_PROCESS_VM_COUNTERS_EX2;
    info.PageFaultCount = static_cast<std::uint32_t>(process.page_faults.value_or(0));
    info.PeakWorkingSetSize = process.peak_working_set_size.value_or(0);
    info.WorkingSetSize = *process.working_set_size;
    info.PeakVirtualSize = process.peak_virtual_size.value_or(0);
    info.VirtualSize = process.virtual_size.value_or(0);
    info.PagefileUsage = info.PrivateUsage = process.private_usage.value_or(0);
    info.PrivateWorkingSetSize = info.PrivateUsage - process.pagefile_usage.value_or(0);
    info.SharedCommitUsage = process.shared_usage.value_or(0);
    out.add_stream(
        raw::ProcessVmCountersStream, out.append(std::as_bytes(std::span(&info, 1))), sizeof info);
}

void add_system_memory(Metadata& out, const Contents& contents) {
    if (!contents.system_memory || contents.system_memory->page_size == 0) return;
    const SystemMemory& memory = *contents.system_memory;
    const auto pages = [&](std::uint64_t bytes) { return bytes / memory.page_size; };
    raw::MINIDUMP_SYSTEM_MEMORY_INFO_1 info{};
    info.Revision = 1;
    info.Flags = raw::MINIDUMP_SYSMEMINFO1_BASICPERF;
    info.BasicInfo.PageSize = static_cast<std::uint32_t>(memory.page_size);
    info.BasicInfo.AllocationGranularity = info.BasicInfo.PageSize;
    info.BasicInfo.NumberOfPhysicalPages =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(pages(memory.total), 0xffffffff));
    info.BasicInfo.NumberOfProcessors = contents.system.processors;
    info.FileCacheInfo.CurrentSize = memory.file_cache;
    info.BasicPerfInfo.AvailablePages = pages(memory.available);
    info.BasicPerfInfo.CommittedPages = pages(memory.committed);
    info.BasicPerfInfo.CommitLimit = pages(memory.commit_limit);
    out.add_stream(
        raw::SystemMemoryInfoStream, out.append(std::as_bytes(std::span(&info, 1))), sizeof info);
}

void add_raw_streams(Metadata& out, const Contents& contents) {
    for (const RawStream& stream : contents.streams) {
        if (stream.bytes.empty()) continue;
        out.add_stream(stream.type, out.append(stream.bytes), stream.bytes.size());
    }
}

void add_columns(Metadata& out, const Contents& contents) {
    const KeptTables tables = kept_tables(contents.flags,
                                          &contents.process,
                                          contents.threads.get(),
                                          contents.handles.get(),
                                          contents.regions.get());
    const std::string stream = column_stream(tables, contents.flags);
    if (stream.empty()) return;
    out.add_stream(raw::SnapcoreColumns, out.append(stream), stream.size());
}

}  // namespace snapcore::minidump
