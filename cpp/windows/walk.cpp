// SPDX-License-Identifier: Apache-2.0
#include "windows/walk.h"

#include <algorithm>
#include <cstring>

#include "generated/flags.h"
#include "minidump/raw.h"
#include "windows/convert.h"

namespace snapcore::windows_os {
namespace {

using Process = raw::PSS_PROCESS_INFORMATION<Pointer>;
using Region = raw::PSS_VA_SPACE_ENTRY<Pointer>;
using Handle = raw::PSS_HANDLE_ENTRY<Pointer>;
using Thread = raw::PSS_THREAD_ENTRY<Pointer>;
using AuxiliaryPage = raw::PSS_AUXILIARY_PAGE_ENTRY<Pointer>;

constexpr std::uint32_t kStillActive = 259;
constexpr DWORD kXstateAvx = 2;

// GetThreadDescription, since the walk class for names is declared and refused.
class ThreadNames {
public:
    ThreadNames() : get_(as<Get>(kernel32_function("GetThreadDescription"))) {}

    std::optional<std::string> of(std::uint32_t tid) const {
        if (get_ == nullptr) return std::nullopt;
        const UniqueHandle thread(::OpenThread(THREAD_QUERY_LIMITED_INFORMATION, FALSE, tid));
        if (!thread) return std::nullopt;
        PWSTR text = nullptr;
        // Success is 0x10000000 here, not S_OK.
        if (FAILED(get_(thread.get(), &text))) return std::nullopt;
        std::string name = text == nullptr ? std::string() : narrow(text);
        ::LocalFree(text);
        return name;
    }

private:
    using Get = HRESULT(WINAPI*)(HANDLE, PWSTR*);
    Get get_;
};

// What NT_TIB says of a thread's stack.
struct ThreadBlock {
    Pointer exception_list;
    Pointer stack_base;
    Pointer stack_limit;
};

void append_context(ContextTable& contexts, const Thread& entry) {
    const std::size_t at = contexts.records.size();
    contexts.records.resize(at + contexts.stride());
    ContextExtension extension;
    extension.tid = entry.ThreadId;
    extension.gs_base = entry.TebBaseAddress;
    extension.system_call = ~std::uint64_t{0};
    if (entry.ContextRecord != 0 && entry.SizeOfContextRecord >= kAmd64ContextSize) {
        auto* const context = reinterpret_cast<CONTEXT*>(entry.ContextRecord);
        std::memcpy(contexts.records.data() + at, context, kAmd64ContextSize);
        extension.valid = 1;
        using Locate = void*(WINAPI*)(CONTEXT*, DWORD, DWORD*);
        static auto* const locate = as<Locate>(kernel32_function("LocateXStateFeature"));
        constexpr DWORD kContextXstate = CONTEXT_AMD64 | 0x40;
        if (locate != nullptr && entry.SizeOfContextRecord > kAmd64ContextSize &&
            (context->ContextFlags & kContextXstate) == kContextXstate) {
            DWORD size = 0;
            const void* const avx = locate(context, kXstateAvx, &size);
            if (avx != nullptr && size == sizeof extension.ymm_high) {
                std::memcpy(extension.ymm_high, avx, size);
                extension.xstate_features = std::uint64_t{1} << kXstateAvx;
            }
        }
    }
    std::memcpy(contexts.records.data() + at + contexts.context_size, &extension, sizeof extension);
}

ThreadRow thread_row(const Thread& entry, const ThreadNames& names, ProcessMemory* memory) {
    ThreadRow row;
    row.tid = entry.ThreadId;
    row.pid = entry.ProcessId;
    row.flags = entry.Flags;
    row.exit_status = entry.ExitStatus;
    row.priority = entry.Priority;
    row.base_priority = entry.BasePriority;
    row.affinity = entry.AffinityMask;
    row.suspend_count = entry.SuspendCount;
    row.created_at_ns = time_of(entry.CreateTime);
    row.exited_at_ns = time_of(entry.ExitTime);
    row.kernel_time_ns = duration_of(entry.KernelTime);
    row.user_time_ns = duration_of(entry.UserTime);
    row.captured_at_ns = time_of(entry.CaptureTime);
    row.start_address = entry.Win32StartAddress;
    row.teb = entry.TebBaseAddress;
    row.last_syscall = entry.LastSyscallNumber;
    row.last_syscall_argument = entry.LastSyscallFirstArgument;
    if ((entry.Flags & ThreadFlags::TERMINATED) != 0) return row;
    // The id of a thread that has ended may be another's by now.
    row.name = names.of(entry.ThreadId);
    if (entry.ContextRecord != 0 && entry.SizeOfContextRecord >= kAmd64ContextSize) {
        const auto* const context =
            reinterpret_cast<const minidump::raw::Amd64Context*>(entry.ContextRecord);
        row.instruction_pointer = context->Rip;
        row.stack_pointer = context->Rsp;
    }
    ThreadBlock block{};
    if (memory != nullptr && memory->read_object(entry.TebBaseAddress, block)) {
        row.stack_start = block.stack_limit;
        row.stack_end = block.stack_base;
    }
    return row;
}

void add_type_specific(HandleRow& row, const Handle& entry) {
    const auto& facts = entry.TypeSpecificInformation;
    switch (entry.ObjectType) {
        case ObjectType::PROCESS:
            row.exit_status = facts.Process.ExitStatus;
            row.peb = facts.Process.PebBaseAddress;
            row.affinity = facts.Process.AffinityMask;
            row.base_priority = facts.Process.BasePriority;
            row.target_pid = facts.Process.ProcessId;
            row.parent_pid = facts.Process.ParentProcessId;
            row.process_flags = facts.Process.Flags;
            break;
        case ObjectType::THREAD:
            row.exit_status = facts.Thread.ExitStatus;
            row.peb = facts.Thread.TebBaseAddress;
            row.target_pid = facts.Thread.ProcessId;
            row.target_tid = facts.Thread.ThreadId;
            row.affinity = facts.Thread.AffinityMask;
            row.priority = facts.Thread.Priority;
            row.base_priority = facts.Thread.BasePriority;
            row.start_address = facts.Thread.Win32StartAddress;
            break;
        case ObjectType::MUTANT:
            row.current_count = facts.Mutant.CurrentCount;
            row.abandoned = facts.Mutant.Abandoned != 0 ? Boolean::kTrue : Boolean::kFalse;
            row.owner_pid = facts.Mutant.OwnerProcessId;
            row.owner_tid = facts.Mutant.OwnerThreadId;
            break;
        case ObjectType::EVENT:
            row.manual_reset = facts.Event.ManualReset != 0 ? Boolean::kTrue : Boolean::kFalse;
            row.signaled = facts.Event.Signaled != 0 ? Boolean::kTrue : Boolean::kFalse;
            break;
        case ObjectType::SECTION:
            row.section_base = facts.Section.BaseAddress;
            row.section_attributes = facts.Section.AllocationAttributes;
            row.section_size = facts.Section.MaximumSize;
            break;
        case ObjectType::SEMAPHORE:
            row.current_count = facts.Semaphore.CurrentCount;
            row.maximum_count = facts.Semaphore.MaximumCount;
            break;
        default: break;
    }
}

HandleRow handle_row(const Handle& entry) {
    HandleRow row;
    row.handle = entry.Handle;
    row.flags = entry.Flags;
    row.captured_at_ns = time_of(entry.CaptureTime);
    const auto has = [&](std::uint32_t flag) { return (entry.Flags & flag) != 0; };
    if (has(HandleFlags::HAVE_TYPE)) {
        row.type = entry.ObjectType;
        row.type_name = text_of(entry.TypeName, entry.TypeNameLength);
    }
    if (has(HandleFlags::HAVE_NAME)) {
        row.object_name = text_of(entry.ObjectName, entry.ObjectNameLength);
    }
    if (has(HandleFlags::HAVE_BASIC_INFORMATION)) {
        row.attributes = entry.Attributes;
        row.granted_access = entry.GrantedAccess;
        row.handle_count = entry.HandleCount;
        row.pointer_count = entry.PointerCount;
        row.paged_pool_charge = entry.PagedPoolCharge;
        row.non_paged_pool_charge = entry.NonPagedPoolCharge;
        row.created_at_ns = time_of(entry.CreationTime);
    }
    if (has(HandleFlags::HAVE_TYPE_SPECIFIC_INFORMATION)) {
        row.type = entry.ObjectType;
        add_type_specific(row, entry);
    }
    return row;
}

// Whether a clone has every page of a region that is committed in the target.
bool is_in_clone(HANDLE clone, const Region& entry) {
    const std::uint64_t end = entry.BaseAddress + entry.RegionSize;
    for (std::uint64_t at = entry.BaseAddress; at < end;) {
        ::MEMORY_BASIC_INFORMATION info{};
        const auto* const address = reinterpret_cast<const void*>(at);
        if (::VirtualQueryEx(clone, address, &info, sizeof info) != sizeof info) return false;
        if (info.State != MEM_COMMIT || info.RegionSize == 0) return false;
        at = reinterpret_cast<std::uint64_t>(info.BaseAddress) + info.RegionSize;
    }
    return true;
}

RegionRow region_row(const Region& entry, bool in_clone) {
    RegionRow row;
    row.base = entry.BaseAddress;
    row.size = entry.RegionSize;
    row.state = entry.State;
    row.in_clone = in_clone ? Boolean::kTrue : Boolean::kFalse;
    if (entry.State == MemoryState::FREE) return row;
    row.allocation_base = entry.AllocationBase;
    row.allocation_protect = entry.AllocationProtect;
    row.type = entry.Type;
    if (entry.State == MemoryState::COMMIT) row.protect = entry.Protect;
    if (entry.MappedFileName != 0) {
        row.mapped_file = text_of(entry.MappedFileName, entry.MappedFileNameLength);
    }
    if (entry.Type == MemoryType::IMAGE && entry.SizeOfImage != 0) {
        row.image_timestamp = entry.TimeDateStamp;
        row.image_size = entry.SizeOfImage;
        row.image_base = entry.ImageBase;
        row.image_checksum = entry.CheckSum;
    }
    return row;
}

}  // namespace

Threads walk_threads(const PssSnapshot& snapshot, ProcessMemory* memory) {
    Threads out;
    raw::PSS_THREAD_INFORMATION count{};
    if (!snapshot.query(raw::kQueryThreads, count)) return out;
    std::vector<Thread> entries;
    entries.reserve(count.ThreadsCaptured);
    out.table = std::make_shared<ThreadTable>();
    out.table->reserve(count.ThreadsCaptured);
    out.contexts = std::make_shared<ContextTable>();
    out.contexts->records.reserve(count.ThreadsCaptured * out.contexts->stride());
    const ThreadNames names;
    snapshot.walk<Thread>(raw::kWalkThreads, [&](const Thread& entry) {
        const bool ended = (entry.Flags & ThreadFlags::TERMINATED) != 0 ||
                           (entry.ExitStatus != kStillActive && entry.ExitTime.ticks() != 0);
        out.ended += ended ? 1 : 0;
        out.table->append(thread_row(entry, names, memory));
        append_context(*out.contexts, entry);
    });
    return out;
}

std::shared_ptr<HandleTable> walk_handles(const PssSnapshot& snapshot) {
    raw::PSS_COUNT_INFORMATION count{};
    if (!snapshot.query(raw::kQueryHandles, count)) return nullptr;
    auto table = std::make_shared<HandleTable>();
    table->reserve(count.Count);
    snapshot.walk<Handle>(raw::kWalkHandles,
                          [&](const Handle& entry) { table->append(handle_row(entry)); });
    return table;
}

Regions walk_regions(const PssSnapshot& snapshot) {
    Regions out;
    raw::PSS_COUNT_INFORMATION count{};
    if (!snapshot.query(raw::kQueryVaSpace, count)) return out;
    out.table = std::make_shared<RegionTable>();
    out.table->reserve(count.Count);
    snapshot.walk<Region>(raw::kWalkVaSpace, [&](const Region& entry) {
        const bool committed = entry.State == MemoryState::COMMIT;
        const bool in_clone =
            committed && snapshot.clone() != nullptr && is_in_clone(snapshot.clone(), entry);
        out.table->append(region_row(entry, in_clone));
        constexpr std::uint32_t kUnreadable = PageProtection::NOACCESS | PageProtection::GUARD;
        if (committed && !in_clone && snapshot.clone() != nullptr &&
            (entry.Protect & kUnreadable) == 0) {
            out.missing.push_back({entry.BaseAddress, entry.RegionSize});
        }
    });
    std::sort(out.missing.begin(), out.missing.end(), [](const Range& a, const Range& b) {
        return a.address < b.address;
    });
    return out;
}

std::shared_ptr<AuxiliaryPageTable> walk_auxiliary_pages(const PssSnapshot& snapshot) {
    auto table = std::make_shared<AuxiliaryPageTable>();
    const bool captured =
        snapshot.walk<AuxiliaryPage>(raw::kWalkAuxiliaryPages, [&](const AuxiliaryPage& entry) {
            AuxiliaryPageRow row;
            row.address = entry.Address;
            row.size = entry.PageSize;
            row.captured_at_ns = time_of(entry.CaptureTime);
            row.allocation_base = entry.BasicInformation.AllocationBase;
            row.allocation_protect = entry.BasicInformation.AllocationProtect;
            row.protect = entry.BasicInformation.Protect;
            row.state = entry.BasicInformation.State;
            row.type = entry.BasicInformation.Type;
            if (entry.PageContents != 0) {
                row.contents =
                    std::string(reinterpret_cast<const char*>(entry.PageContents), entry.PageSize);
            }
            table->append(row);
        });
    return captured ? table : nullptr;
}

ProcessInfo process_info(const PssSnapshot& snapshot, ProcessMemory* memory) {
    Process facts{};
    snapshot.query(raw::kQueryProcess, facts);
    ProcessInfo out;
    out.pid = facts.ProcessId;
    out.parent_pid = facts.ParentProcessId;
    const auto* const end =
        std::find(std::begin(facts.ImageFileName), std::end(facts.ImageFileName), u'\0');
    const std::string path = utf16_to_utf8(
        {facts.ImageFileName, static_cast<std::size_t>(end - std::begin(facts.ImageFileName))});
    out.image_path = path;
    out.name = path.substr(path.find_last_of("\\/") + 1);
    out.exit_status = facts.ExitStatus;
    out.flags = facts.Flags;
    out.created_at_ns = time_of(facts.CreateTime);
    out.exited_at_ns = time_of(facts.ExitTime);
    out.kernel_time_ns = duration_of(facts.KernelTime);
    out.user_time_ns = duration_of(facts.UserTime);
    out.priority_class = facts.PriorityClass;
    out.base_priority = facts.BasePriority;
    out.affinity = facts.AffinityMask;
    out.peb = facts.PebBaseAddress;
    out.virtual_size = facts.VirtualSize;
    out.peak_virtual_size = facts.PeakVirtualSize;
    out.working_set_size = facts.WorkingSetSize;
    out.peak_working_set_size = facts.PeakWorkingSetSize;
    out.page_faults = facts.PageFaultCount;
    out.pagefile_usage = facts.PagefileUsage;
    out.peak_pagefile_usage = facts.PeakPagefileUsage;
    out.private_usage = facts.PrivateUsage;
    out.quota_paged_pool_usage = facts.QuotaPagedPoolUsage;
    out.quota_peak_paged_pool_usage = facts.QuotaPeakPagedPoolUsage;
    out.quota_non_paged_pool_usage = facts.QuotaNonPagedPoolUsage;
    out.quota_peak_non_paged_pool_usage = facts.QuotaPeakNonPagedPoolUsage;
    out.execute_flags = facts.ExecuteFlags;
    if (memory != nullptr) {
        // PEB.ProcessParameters, RTL_USER_PROCESS_PARAMETERS.CommandLine (winternl.h).
        constexpr std::uint64_t kParameters = sizeof(Pointer) == 8 ? 0x20 : 0x10;
        constexpr std::uint64_t kCommandLine = sizeof(Pointer) == 8 ? 0x70 : 0x40;
        struct {
            std::uint16_t bytes, capacity;
            Pointer text;
        } string{};
        Pointer parameters = 0;
        if (memory->read_object(facts.PebBaseAddress + kParameters, parameters) &&
            memory->read_object(parameters + kCommandLine, string)) {
            out.command_line = memory->read_text(string.text, string.bytes);
        }
    }
    return out;
}

}  // namespace snapcore::windows_os
