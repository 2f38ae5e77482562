// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/text.h"
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
    info.ProcessorArchitecture = static_cast<std::uint16_t>(system.architecture);
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

void add_misc_info(Metadata& out, const Contents& contents) {
    raw::MINIDUMP_MISC_INFO_4 info{};
    info.SizeOfInfo = sizeof info;
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
    const raw::RVA at = out.reserve(sizeof info);
    out.write(at, info);
    out.add_stream(raw::MiscInfoStream, at, sizeof info);
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
        module.ModuleNameRva = out.string(modules.path.at(row).value_or(""));
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
        if (const auto name = handles.object_name.at(row)) handle.ObjectNameRva = out.string(*name);
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

void add_raw_streams(Metadata& out, const Contents& contents) {
    for (const RawStream& stream : contents.streams) {
        if (stream.bytes.empty()) continue;
        out.add_stream(stream.type, out.append(stream.bytes), stream.bytes.size());
    }
}

}  // namespace snapcore::minidump
