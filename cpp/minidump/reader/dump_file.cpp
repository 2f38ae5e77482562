// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/dump_file.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/text.h"
#include "generated/flags.h"
#include "minidump/reader/context_record.h"

namespace snapcore::minidump {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// Longer than any path; a hostile length is cut.
constexpr std::size_t kLongestString = 64 * 1024;
constexpr std::size_t kLargestRecord = 32 * 1024;

std::int64_t from_filetime(std::uint64_t filetime) {
    constexpr std::int64_t kEpochDifference = 116444736000000000;
    const auto ticks =
        static_cast<std::int64_t>(std::min<std::uint64_t>(filetime, 0x7fffffffffffffff));
    // Saturates: a hostile time is no reason to overflow.
    constexpr std::int64_t kMost = 0x7fffffffffffffff / 100;
    return std::clamp(ticks - kEpochDifference, -kMost, kMost) * 100;
}

std::int64_t from_hundreds_of_ns(std::uint64_t value) {
    constexpr std::uint64_t kMost = 0x7fffffffffffffff / 100;
    return static_cast<std::int64_t>(std::min(value, kMost) * 100);
}

template <class T>
T take(std::span<const std::byte> bytes, std::size_t offset) {
    T value{};
    if (offset + sizeof value <= bytes.size())
        std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

std::string hex(std::uint64_t value, int digits, bool upper) {
    const char* const alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    std::string out;
    for (int shift = 60; shift >= 0; shift -= 4) {
        const auto digit = static_cast<std::size_t>(value >> shift & 0xf);
        if (!out.empty() || digit != 0 || shift < 4 * digits) out += alphabet[digit];
    }
    return out;
}

std::string hex(std::span<const std::byte> bytes) {
    std::string out;
    for (const std::byte b : bytes) out += hex(static_cast<std::uint64_t>(b), 2, false);
    return out;
}

// A GUID as symbol servers write it: its first three fields as numbers, the rest as bytes.
std::string guid_text(std::span<const std::byte> guid) {
    std::string out = hex(take<std::uint32_t>(guid, 0), 8, true) +
                      hex(take<std::uint16_t>(guid, 4), 4, true) +
                      hex(take<std::uint16_t>(guid, 6), 4, true);
    for (std::size_t i = 8; i < 16; ++i) out += hex(take<std::uint8_t>(guid, i), 2, true);
    return out;
}

std::string narrow_text(std::span<const std::byte> utf16) {
    std::u16string text(utf16.size() / 2, u'\0');
    if (!text.empty()) std::memcpy(text.data(), utf16.data(), text.size() * 2);
    return utf16_to_utf8(text);
}

// "key:" at the start of a line, and what follows it.
std::string line_of(const std::string& text, const std::string& key) {
    auto at = text.rfind(key, 0) == 0 ? 0 : text.find("\n" + key);
    if (at == std::string::npos) return {};
    at = text.find_first_not_of(" \t", text.find(':', at) + 1);
    return at == std::string::npos ? std::string() : text.substr(at, text.find('\n', at) - at);
}

std::string as_text(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

DumpFile::DumpFile(std::unique_ptr<InputFile> file, bool strict)
    : input_(std::move(file)), findings_(strict), directory_(input_, findings_) {
    read_system();
    read_process();
}

std::int64_t DumpFile::captured_at_ns() const {
    return std::int64_t{directory_.header().TimeDateStamp} * kSecond;
}

std::optional<std::vector<std::byte>> DumpFile::stream(std::uint32_t type) const {
    const StreamEntry* const entry = directory_.find(type);
    if (entry == nullptr) return std::nullopt;
    return input_.block(entry->offset, entry->present);
}

Diagnostics DumpFile::diagnostics() const {
    const std::lock_guard lock(mutex_);
    return findings_.all();
}

// MINIDUMP_STRING.
std::string DumpFile::string_at(Pieces& pieces, std::uint64_t rva) const {
    const auto size = rva == 0 ? std::nullopt : pieces.get<std::uint32_t>(rva);
    if (!size) return {};
    return narrow_text(pieces.view(rva + 4, std::min<std::size_t>(*size, kLongestString)));
}

void DumpFile::read_system() {
    const auto bytes = stream(raw::SystemInfoStream);
    if (!bytes || bytes->size() < offsetof(raw::MINIDUMP_SYSTEM_INFO, Cpu)) {
        findings_.add("no_system_info", "the file has no SystemInfo stream", raw::SystemInfoStream);
        system_.architecture = Architecture::kAmd64;
        system_.platform_id = 0xffffffff;
        return;
    }
    const auto info = take<raw::MINIDUMP_SYSTEM_INFO>(*bytes, 0);
    const auto architecture = known_architecture(info.ProcessorArchitecture);
    if (!architecture) {
        findings_.add("unknown_architecture",
                      "processor architecture " + std::to_string(info.ProcessorArchitecture) +
                          " is not known: registers are not read",
                      info.ProcessorArchitecture);
    }
    system_.known = architecture.has_value();
    system_.architecture = architecture.value_or(Architecture::kAmd64);
    system_.architecture_number = info.ProcessorArchitecture;
    system_.processor_level = info.ProcessorLevel;
    system_.processor_revision = info.ProcessorRevision;
    system_.processors = info.NumberOfProcessors;
    system_.major = info.MajorVersion;
    system_.minor = info.MinorVersion;
    system_.build = info.BuildNumber;
    system_.platform_id = info.PlatformId;
    Pieces pieces(input_);
    system_.os_text = string_at(pieces, info.CSDVersionRva);
    if (system_.architecture != Architecture::kArm64) {
        system_.cpu_vendor.assign(reinterpret_cast<const char*>(info.Cpu.VendorId), 12);
        system_.cpu_vendor.resize(std::min(system_.cpu_vendor.find('\0'), std::size_t{12}));
        system_.cpu_version = info.Cpu.VersionInformation;
        system_.cpu_features = info.Cpu.FeatureInformation;
        system_.amd_features = info.Cpu.AMDExtendedCpuFeatures;
    }
}

void DumpFile::read_process() {
    if (const auto bytes = stream(raw::MiscInfoStream)) {
        const auto info = take<raw::MINIDUMP_MISC_INFO_4>(*bytes, 0);
        if (bytes->size() >= 24) {
            if ((info.Flags1 & raw::MINIDUMP_MISC1_PROCESS_ID) != 0) process_.pid = info.ProcessId;
            if ((info.Flags1 & raw::MINIDUMP_MISC1_PROCESS_TIMES) != 0) {
                process_.created_at_ns = info.ProcessCreateTime * kSecond;
                process_.user_time_ns = info.ProcessUserTime * kSecond;
                process_.kernel_time_ns = info.ProcessKernelTime * kSecond;
            }
        }
        if (bytes->size() >= 44 && (info.Flags1 & raw::MINIDUMP_MISC1_PROCESSOR_POWER_INFO) != 0) {
            system_.max_mhz = info.ProcessorMaxMhz;
            system_.current_mhz = info.ProcessorCurrentMhz;
        }
    }
    if (const auto bytes = stream(raw::LinuxProcStatus)) {
        const std::string text = as_text(*bytes);
        const auto number = [&](const char* key) -> std::optional<std::uint32_t> {
            const std::string line = line_of(text, key);
            if (line.empty()) return std::nullopt;
            return static_cast<std::uint32_t>(std::strtoul(line.c_str(), nullptr, 10));
        };
        if (const std::string name = line_of(text, "Name:"); !name.empty()) process_.name = name;
        if (!process_.pid) process_.pid = number("Pid:");
        process_.parent_pid = number("PPid:");
        process_.uid = number("Uid:");
        process_.gid = number("Gid:");
        process_.thread_count = number("Threads:");
    }
    if (const auto bytes = stream(raw::LinuxCmdLine)) process_.command_line = as_text(*bytes);
    if (const auto bytes = stream(raw::ProcessVmCountersStream); bytes && bytes->size() >= 80) {
        // The first version, of 80 bytes, lacks the virtual sizes in the middle.
        const bool second = bytes->size() >= sizeof(raw::MINIDUMP_PROCESS_VM_COUNTERS_2);
        const auto info = take<raw::MINIDUMP_PROCESS_VM_COUNTERS_2>(*bytes, 0);
        process_.page_faults = info.PageFaultCount;
        process_.peak_working_set_size = info.PeakWorkingSetSize;
        process_.working_set_size = info.WorkingSetSize;
        process_.private_usage = second ? info.PrivateUsage : take<std::uint64_t>(*bytes, 72);
        if (second) {
            process_.peak_virtual_size = info.PeakVirtualSize;
            process_.virtual_size = info.VirtualSize;
            process_.shared_usage = info.SharedCommitUsage;
        }
    }
}

// Of ThreadList, else of ThreadExList.
std::vector<raw::MINIDUMP_THREAD> DumpFile::thread_entries() {
    std::vector<raw::MINIDUMP_THREAD> entries;
    if (const auto* const list = directory_.find(raw::ThreadListStream)) {
        const ListBytes bytes =
            read_list(input_, *list, sizeof(raw::MINIDUMP_THREAD), "ThreadList", findings_);
        entries.reserve(bytes.count);
        for (std::size_t i = 0; i < bytes.count; ++i) {
            entries.push_back(bytes.at<raw::MINIDUMP_THREAD>(i));
        }
    } else if (const auto* const wide = directory_.find(raw::ThreadExListStream)) {
        const ListBytes bytes =
            read_list(input_, *wide, sizeof(raw::MINIDUMP_THREAD_EX), "ThreadExList", findings_);
        entries.reserve(bytes.count);
        for (std::size_t i = 0; i < bytes.count; ++i) {
            entries.push_back(bytes.at<raw::MINIDUMP_THREAD_EX>(i).Thread);
        }
    } else {
        findings_.add("no_threads", "the file has no ThreadList stream", raw::ThreadListStream);
    }
    return entries;
}

std::shared_ptr<const ThreadTable> DumpFile::threads() {
    const std::lock_guard lock(mutex_);
    if (threads_) return threads_;
    auto table = std::make_shared<ThreadTable>();
    Pieces pieces(input_);

    const std::vector<raw::MINIDUMP_THREAD> entries = thread_entries();
    std::unordered_map<std::uint32_t, std::size_t> infos;
    SizedList info_list;
    if (const auto* const stream = directory_.find(raw::ThreadInfoListStream)) {
        if (const auto header = input_.get<raw::MINIDUMP_THREAD_INFO_LIST>(stream->offset)) {
            info_list = read_sized_list(input_,
                                        *stream,
                                        header->SizeOfHeader,
                                        header->SizeOfEntry,
                                        header->NumberOfEntries,
                                        sizeof(raw::MINIDUMP_THREAD_INFO),
                                        "ThreadInfoList",
                                        findings_);
        }
        infos.reserve(info_list.count);
        for (std::size_t i = 0; i < info_list.count; ++i) {
            infos.emplace(info_list.at<raw::MINIDUMP_THREAD_INFO>(i).ThreadId, i);
        }
    }
    std::unordered_map<std::uint32_t, std::uint64_t> names;
    if (const auto* const stream = directory_.find(raw::ThreadNamesStream)) {
        const ListBytes bytes =
            read_list(input_, *stream, sizeof(raw::MINIDUMP_THREAD_NAME), "ThreadNames", findings_);
        names.reserve(bytes.count);
        for (std::size_t i = 0; i < bytes.count; ++i) {
            const auto entry = bytes.at<raw::MINIDUMP_THREAD_NAME>(i);
            names.emplace(entry.ThreadId, std::uint64_t{entry.RvaOfThreadName});
        }
    }

    table->reserve(entries.size());
    // Threads of one name mostly share its string.
    std::unordered_map<std::uint64_t, std::int32_t> codes;
    for (std::size_t row = 0; row < entries.size(); ++row) {
        const raw::MINIDUMP_THREAD& entry = entries[row];
        table->tid.set(row, entry.ThreadId);
        if (process_.pid) table->pid.set(row, *process_.pid);
        table->suspend_count.set(row, static_cast<std::uint16_t>(entry.SuspendCount));
        table->priority.set(row, static_cast<std::int32_t>(entry.Priority));
        if (entry.Teb != 0) table->teb.set(row, entry.Teb);
        if (const auto name = names.find(entry.ThreadId); name != names.end()) {
            const auto [code, added] = codes.try_emplace(name->second, 0);
            if (added) code->second = table->name.code_of(string_at(pieces, name->second));
            table->name.set(row, code->second);
        }
        const auto record =
            pieces.view(entry.ThreadContext.Rva,
                        std::min<std::size_t>(entry.ThreadContext.DataSize, kKeyBytes));
        const auto key =
            system_.known
                ? key_registers(system_.architecture, record, entry.ThreadContext.DataSize)
                : std::nullopt;
        if (key && (key->instruction_pointer != 0 || key->stack_pointer != 0)) {
            table->instruction_pointer.set(row, key->instruction_pointer);
            table->stack_pointer.set(row, key->stack_pointer);
        }
        if (const auto info = infos.find(entry.ThreadId); info != infos.end()) {
            const auto facts = info_list.at<raw::MINIDUMP_THREAD_INFO>(info->second);
            table->exit_status.set(row, facts.ExitStatus);
            table->affinity.set(row, facts.Affinity);
            table->kernel_time_ns.set(row, from_hundreds_of_ns(facts.KernelTime));
            table->user_time_ns.set(row, from_hundreds_of_ns(facts.UserTime));
            if (facts.CreateTime != 0)
                table->created_at_ns.set(row, from_filetime(facts.CreateTime));
            if (facts.ExitTime != 0) table->exited_at_ns.set(row, from_filetime(facts.ExitTime));
            if (facts.StartAddress != 0) table->start_address.set(row, facts.StartAddress);
            constexpr std::uint32_t kExited = 4;
            table->flags.set(row, (facts.DumpFlags & kExited) != 0 ? ThreadFlags::TERMINATED : 0);
        }
    }
    table->pad(entries.size());
    return threads_ = std::move(table);
}

std::shared_ptr<const ContextTable> DumpFile::contexts() {
    const std::lock_guard lock(mutex_);
    if (contexts_) return contexts_;
    auto table = std::make_shared<ContextTable>();
    table->architecture = system_.architecture;
    table->context_size = context_size(system_.architecture);
    const std::vector<raw::MINIDUMP_THREAD> entries = thread_entries();
    Pieces pieces(input_);
    table->records.resize(entries.size() * table->stride());
    for (std::size_t row = 0; row < entries.size(); ++row) {
        const raw::MINIDUMP_THREAD& entry = entries[row];
        const std::span record(table->records.data() + row * table->stride(), table->context_size);
        const auto bytes =
            pieces.view(entry.ThreadContext.Rva,
                        std::min<std::size_t>(entry.ThreadContext.DataSize, kLargestRecord));
        ContextExtension extension;
        extension.tid = entry.ThreadId;
        extension.system_call = ~std::uint64_t{0};
        if (system_.known && normalize(system_.architecture, bytes, record)) {
            const auto key = key_registers(system_.architecture, bytes, bytes.size());
            extension.valid =
                key && (key->instruction_pointer != 0 || key->stack_pointer != 0) ? 1 : 0;
        } else {
            findings_.add("context_unreadable",
                          "the registers of thread " + std::to_string(entry.ThreadId) +
                              " are not there or of no known form",
                          entry.ThreadId);
        }
        std::memcpy(record.data() + table->context_size, &extension, sizeof extension);
    }
    return contexts_ = std::move(table);
}

std::shared_ptr<const ModuleTable> DumpFile::modules() {
    const std::lock_guard lock(mutex_);
    if (modules_) return modules_;
    auto table = std::make_shared<ModuleTable>();
    const StreamEntry* const stream = directory_.find(raw::ModuleListStream);
    if (stream == nullptr) return modules_ = std::move(table);
    const ListBytes list =
        read_list(input_, *stream, sizeof(raw::MINIDUMP_MODULE), "ModuleList", findings_);
    Pieces pieces(input_);
    table->reserve(list.count);
    for (std::size_t row = 0; row < list.count; ++row) {
        const auto entry = list.at<raw::MINIDUMP_MODULE>(row);
        table->base.set(row, entry.BaseOfImage);
        table->size.set(row, entry.SizeOfImage);
        table->path.set(row, table->path.code_of(string_at(pieces, entry.ModuleNameRva)));
        const raw::VS_FIXEDFILEINFO& version = entry.VersionInfo;
        if (version.dwSignature == 0xfeef04bd) {
            const auto part = [](std::uint32_t word) {
                return std::to_string(word >> 16) + "." + std::to_string(word & 0xffff);
            };
            table->version.set(row,
                               table->version.code_of(part(version.dwFileVersionMS) + "." +
                                                      part(version.dwFileVersionLS)));
        }
        const std::vector<std::byte> cv = [&] {
            const auto view = pieces.view(
                entry.CvRecord.Rva, std::min<std::size_t>(entry.CvRecord.DataSize, kLargestRecord));
            return std::vector<std::byte>(view.begin(), view.end());
        }();
        const std::uint32_t signature = take<std::uint32_t>(cv, 0);
        const auto body = std::span(cv).subspan(std::min<std::size_t>(4, cv.size()));
        if (signature == raw::kCvSignatureElf && !body.empty()) {
            std::byte guid[16] = {};
            std::memcpy(guid, body.data(), std::min<std::size_t>(16, body.size()));
            table->debug_id.set(row, table->debug_id.code_of(guid_text(guid) + "0"));
            table->code_id.set(row, table->code_id.code_of(hex(body)));
        } else {
            if (signature == raw::kCvSignaturePdb70 && body.size() >= 20) {
                table->debug_id.set(
                    row,
                    table->debug_id.code_of(guid_text(body) +
                                            hex(take<std::uint32_t>(body, 16), 1, false)));
            } else if (signature == raw::kCvSignaturePdb20 && body.size() >= 12) {
                table->debug_id.set(
                    row,
                    table->debug_id.code_of(hex(take<std::uint32_t>(body, 4), 8, true) +
                                            hex(take<std::uint32_t>(body, 8), 1, false)));
            }
            if (entry.TimeDateStamp != 0) {
                table->code_id.set(row,
                                   table->code_id.code_of(hex(entry.TimeDateStamp, 8, true) +
                                                          hex(entry.SizeOfImage, 1, false)));
                table->timestamp.set(row, entry.TimeDateStamp);
                table->checksum.set(row, entry.CheckSum);
            }
        }
    }
    table->pad(list.count);
    return modules_ = std::move(table);
}

std::shared_ptr<const HandleTable> DumpFile::handles() {
    const std::lock_guard lock(mutex_);
    if (handles_) return handles_;
    auto table = std::make_shared<HandleTable>();
    const StreamEntry* const stream = directory_.find(raw::HandleDataStream);
    const auto header = stream == nullptr
                            ? std::nullopt
                            : input_.get<raw::MINIDUMP_HANDLE_DATA_STREAM>(stream->offset);
    if (!header) {
        throw Error::invalid_argument(
            "the file holds no handles; dump with MiniDumpType.WITH_HANDLE_DATA");
    }
    // Version 2 has 8 bytes more, which point to details of the object.
    const SizedList list = read_sized_list(input_,
                                           *stream,
                                           header->SizeOfHeader,
                                           header->SizeOfDescriptor,
                                           header->NumberOfDescriptors,
                                           sizeof(raw::MINIDUMP_HANDLE_DESCRIPTOR),
                                           "HandleData",
                                           findings_);
    Pieces pieces(input_);
    table->reserve(list.count);
    std::unordered_map<std::uint32_t, std::int32_t> types, names;
    names.reserve(list.count);
    for (std::size_t row = 0; row < list.count; ++row) {
        const auto entry = list.at<raw::MINIDUMP_HANDLE_DESCRIPTOR>(row);
        table->handle.set(row, entry.Handle);
        table->attributes.set(row, entry.Attributes);
        table->granted_access.set(row, entry.GrantedAccess);
        table->handle_count.set(row, entry.HandleCount);
        table->pointer_count.set(row, entry.PointerCount);
        if (entry.TypeNameRva != 0) {
            const auto [code, added] = types.try_emplace(entry.TypeNameRva, 0);
            if (added)
                code->second = table->type_name.code_of(string_at(pieces, entry.TypeNameRva));
            table->type_name.set(row, code->second);
        }
        if (entry.ObjectNameRva != 0) {
            const auto [code, added] = names.try_emplace(entry.ObjectNameRva, 0);
            if (added) {
                code->second = table->object_name.code_of(string_at(pieces, entry.ObjectNameRva));
            }
            table->object_name.set(row, code->second);
        }
    }
    table->pad(list.count);
    return handles_ = std::move(table);
}

std::shared_ptr<const RegionTable> DumpFile::regions() {
    const std::lock_guard lock(mutex_);
    if (regions_) return regions_;
    auto table = std::make_shared<RegionTable>();
    const StreamEntry* const stream = directory_.find(raw::MemoryInfoListStream);
    const auto header = stream == nullptr
                            ? std::nullopt
                            : input_.get<raw::MINIDUMP_MEMORY_INFO_LIST>(stream->offset);
    if (!header) {
        throw Error::invalid_argument(
            "the file holds no regions; dump with MiniDumpType.WITH_FULL_MEMORY_INFO");
    }
    const SizedList list = read_sized_list(input_,
                                           *stream,
                                           header->SizeOfHeader,
                                           header->SizeOfEntry,
                                           header->NumberOfEntries,
                                           sizeof(raw::MINIDUMP_MEMORY_INFO),
                                           "MemoryInfoList",
                                           findings_);
    table->reserve(list.count);
    for (std::size_t row = 0; row < list.count; ++row) {
        const auto entry = list.at<raw::MINIDUMP_MEMORY_INFO>(row);
        table->base.set(row, entry.BaseAddress);
        table->size.set(row, entry.RegionSize);
        table->allocation_base.set(row, entry.AllocationBase);
        table->allocation_protect.set(row, entry.AllocationProtect);
        table->protect.set(row, entry.Protect);
        table->state.set(row, entry.State);
        table->type.set(row, entry.Type);
    }
    table->pad(list.count);
    return regions_ = std::move(table);
}

const MemoryIndex& DumpFile::memory() {
    if (!memory_) memory_.emplace(input_, directory_, findings_);
    return *memory_;
}

const std::vector<FileRange>& DumpFile::memory_ranges() {
    const std::lock_guard lock(mutex_);
    return memory().ranges();
}

std::size_t DumpFile::read(std::uint64_t address, std::span<std::byte> out) {
    const MemoryIndex* index = nullptr;
    {
        const std::lock_guard lock(mutex_);
        index = &memory();
    }
    return index->read(input_, address, out);
}

std::vector<ExceptionInfo> DumpFile::exceptions() {
    std::vector<ExceptionInfo> out;
    for (const StreamEntry& stream : directory_.streams()) {
        if (stream.type != raw::ExceptionStream) continue;
        const auto found = input_.get<raw::MINIDUMP_EXCEPTION_STREAM>(stream.offset);
        if (!found || stream.present < sizeof *found) continue;
        const raw::MINIDUMP_EXCEPTION& record = found->ExceptionRecord;
        ExceptionInfo info{found->ThreadId,
                           record.ExceptionCode,
                           record.ExceptionFlags,
                           record.ExceptionRecord,
                           record.ExceptionAddress,
                           {}};
        const std::size_t count = std::min<std::size_t>(record.NumberParameters, 15);
        info.parameters.assign(record.ExceptionInformation, record.ExceptionInformation + count);
        out.push_back(std::move(info));
    }
    return out;
}

std::vector<UnloadedModule> DumpFile::unloaded_modules() {
    const std::lock_guard lock(mutex_);
    std::vector<UnloadedModule> out;
    const StreamEntry* const stream = directory_.find(raw::UnloadedModuleListStream);
    const auto header = stream == nullptr
                            ? std::nullopt
                            : input_.get<raw::MINIDUMP_UNLOADED_MODULE_LIST>(stream->offset);
    if (!header) return out;
    const SizedList list = read_sized_list(input_,
                                           *stream,
                                           header->SizeOfHeader,
                                           header->SizeOfEntry,
                                           header->NumberOfEntries,
                                           sizeof(raw::MINIDUMP_UNLOADED_MODULE),
                                           "UnloadedModuleList",
                                           findings_);
    Pieces pieces(input_);
    for (std::size_t i = 0; i < list.count; ++i) {
        const auto entry = list.at<raw::MINIDUMP_UNLOADED_MODULE>(i);
        out.push_back({entry.BaseOfImage,
                       entry.SizeOfImage,
                       entry.CheckSum,
                       entry.TimeDateStamp,
                       string_at(pieces, entry.ModuleNameRva)});
    }
    return out;
}

std::optional<std::string> DumpFile::comment() const {
    if (const auto bytes = stream(raw::CommentStreamW)) {
        std::string text = narrow_text(*bytes);
        text.resize(std::min(text.find('\0'), text.size()));
        return text;
    }
    if (const auto bytes = stream(raw::CommentStreamA)) {
        std::string text = as_text(*bytes);
        text.resize(std::min(text.find('\0'), text.size()));
        return text;
    }
    return std::nullopt;
}

}  // namespace snapcore::minidump
