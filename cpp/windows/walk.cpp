// SPDX-License-Identifier: Apache-2.0
#include "windows/walk.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "generated/flags.h"
#include "windows/convert.h"

namespace snapcore::windows_os {
namespace {

using Process = raw::PSS_PROCESS_INFORMATION<Pointer>;
using Region = raw::PSS_VA_SPACE_ENTRY<Pointer>;
using Handle = raw::PSS_HANDLE_ENTRY<Pointer>;
using Thread = raw::PSS_THREAD_ENTRY<Pointer>;
using AuxiliaryPage = raw::PSS_AUXILIARY_PAGE_ENTRY<Pointer>;

constexpr std::uint32_t kStillActive = 259;

// What differs between processors.
#if defined(_M_ARM64) || defined(__aarch64__)
constexpr Architecture kArchitecture = Architecture::kArm64;
std::uint64_t instruction_pointer(const CONTEXT& context) {
    return context.Pc;
}
std::uint64_t stack_pointer(const CONTEXT& context) {
    return context.Sp;
}
void add_extended_state(ContextExtension&, CONTEXT*, std::uint16_t) {}
#elif defined(_M_IX86) || defined(__i386__)
constexpr Architecture kArchitecture = Architecture::kX86;
std::uint64_t instruction_pointer(const CONTEXT& context) {
    return context.Eip;
}
std::uint64_t stack_pointer(const CONTEXT& context) {
    return context.Esp;
}
void add_extended_state(ContextExtension&, CONTEXT*, std::uint16_t) {}
#else
constexpr Architecture kArchitecture = Architecture::kAmd64;
static_assert(sizeof(CONTEXT) == kAmd64ContextSize);
std::uint64_t instruction_pointer(const CONTEXT& context) {
    return context.Rip;
}
std::uint64_t stack_pointer(const CONTEXT& context) {
    return context.Rsp;
}
// The upper halves of the ymm registers.
void add_extended_state(ContextExtension& extension, CONTEXT* context, std::uint16_t size) {
    constexpr DWORD kXstateAvx = 2;
    constexpr DWORD kContextXstate = CONTEXT_AMD64 | 0x40;
    using Locate = void*(WINAPI*)(CONTEXT*, DWORD, DWORD*);
    static const auto locate = as<Locate>(kernel32_function("LocateXStateFeature"));
    if (locate == nullptr || size <= sizeof(CONTEXT) ||
        (context->ContextFlags & kContextXstate) != kContextXstate) {
        return;
    }
    DWORD bytes = 0;
    const void* const avx = locate(context, kXstateAvx, &bytes);
    if (avx == nullptr || bytes != sizeof extension.ymm_high) return;
    std::memcpy(extension.ymm_high, avx, bytes);
    extension.xstate_features = std::uint64_t{1} << kXstateAvx;
}
#endif

// The registers of an entry, or null.
CONTEXT* context_of(const Thread& entry) {
    if (entry.SizeOfContextRecord < sizeof(CONTEXT)) return nullptr;
    return reinterpret_cast<CONTEXT*>(entry.ContextRecord);
}

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
    if (CONTEXT* const context = context_of(entry)) {
        std::memcpy(contexts.records.data() + at, context, sizeof *context);
        extension.valid = 1;
        add_extended_state(extension, context, entry.SizeOfContextRecord);
    }
    std::memcpy(contexts.records.data() + at + contexts.context_size, &extension, sizeof extension);
}

ThreadRow thread_row(const Thread& entry, ProcessMemory* memory) {
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
    if (const CONTEXT* const context = context_of(entry)) {
        row.instruction_pointer = instruction_pointer(*context);
        row.stack_pointer = stack_pointer(*context);
    }
    ThreadBlock block{};
    if (memory != nullptr && memory->read_object(entry.TebBaseAddress, block)) {
        row.stack_start = block.stack_limit;
        row.stack_end = block.stack_base;
    }
    return row;
}

// Codes of strings by their UTF-16, so that one which was seen before costs neither a conversion
// nor memory: types and names repeat by the thousand. Open addressing, since what a walk takes is
// mostly this look-up.
class Codes {
public:
    explicit Codes(StringColumn& column) : column_(column), slots_(1024) {}

    std::int32_t of(std::uint64_t address, std::uint16_t bytes) {
        const auto* const text = reinterpret_cast<const std::byte*>(address);
        const std::size_t size = text == nullptr ? 0 : bytes;
        const std::uint64_t hash = hash_of(text, size);
        for (std::size_t i = hash;; ++i) {
            Slot& slot = slots_[i & (slots_.size() - 1)];
            if (slot.code < 0) return add(slot, hash, text, size);
            if (slot.hash == hash && slot.size == size &&
                same(texts_.data() + slot.offset, text, size)) {
                return slot.code;
            }
        }
    }

private:
    struct Slot {
        std::uint64_t hash = 0;
        std::size_t offset = 0;  // in texts_
        std::size_t size = 0;    // bytes
        std::int32_t code = -1;
    };

    static std::uint64_t hash_of(const std::byte* text, std::size_t size) {
        constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;
        std::uint64_t hash = size * kFactor;
        const auto mix = [&hash](std::uint64_t word) {
            hash = (hash ^ word) * kFactor;
            hash ^= hash >> 32;
        };
        std::size_t at = 0;
        for (; at + 8 <= size; at += 8) mix(word_at(text + at));
        for (; at < size; ++at) mix(std::to_integer<std::uint64_t>(text[at]));
        return hash;
    }

    static std::uint64_t word_at(const std::byte* bytes) {
        std::uint64_t word;
        std::memcpy(&word, bytes, sizeof word);
        return word;
    }

    // A call for each of a hundred thousand short strings costs more than the comparison.
    static bool same(const std::byte* a, const std::byte* b, std::size_t size) {
        std::size_t at = 0;
        for (; at + 8 <= size; at += 8) {
            if (word_at(a + at) != word_at(b + at)) return false;
        }
        for (; at < size; ++at) {
            if (a[at] != b[at]) return false;
        }
        return true;
    }

    std::int32_t add(Slot& slot, std::uint64_t hash, const std::byte* text, std::size_t size) {
        const std::size_t offset = texts_.size();
        texts_.insert(texts_.end(), text, text + size);
        std::u16string units(size / sizeof(char16_t), u'\0');
        std::memcpy(units.data(), text, units.size() * sizeof(char16_t));
        const std::string converted = utf16_to_utf8(units);
        // Different texts stay different, but for lone surrogates, which all become U+FFFD.
        const bool is_unique = converted.find("\xef\xbf\xbd") == std::string::npos;
        const std::int32_t code = is_unique ? column_.add(converted) : column_.code_of(converted);
        slot = {hash, offset, size, code};
        if (++used_ * 2 > slots_.size()) grow();
        return code;
    }

    void grow() {
        std::vector<Slot> larger(slots_.size() * 2);
        for (const Slot& slot : slots_) {
            if (slot.code < 0) continue;
            std::size_t i = slot.hash;
            while (larger[i & (larger.size() - 1)].code >= 0) ++i;
            larger[i & (larger.size() - 1)] = slot;
        }
        slots_ = std::move(larger);
    }

    StringColumn& column_;
    std::vector<Slot> slots_;  // a power of two
    std::vector<std::byte> texts_;
    std::size_t used_ = 0;
};

Boolean boolean(std::int32_t value) {
    return value != 0 ? Boolean::kTrue : Boolean::kFalse;
}

// Column by column and not row by row: most of a hundred thousand rows have few of the columns.
class HandleWriter {
public:
    explicit HandleWriter(std::size_t rows) : table_(std::make_shared<HandleTable>()) {
        table_->reserve(rows);
    }

    void append(const Handle& entry) {
        HandleTable& t = *table_;
        t.handle.set(row_, entry.Handle);
        t.flags.set(row_, entry.Flags);
        if (const auto time = time_of(entry.CaptureTime)) t.captured_at_ns.set(row_, *time);
        const auto has = [&](std::uint32_t flag) { return (entry.Flags & flag) != 0; };
        const bool specific = has(HandleFlags::HAVE_TYPE_SPECIFIC_INFORMATION);
        if (has(HandleFlags::HAVE_TYPE) || specific) t.type.set(row_, entry.ObjectType);
        if (has(HandleFlags::HAVE_TYPE)) {
            t.type_name.set(row_, types_.of(entry.TypeName, entry.TypeNameLength));
        }
        if (has(HandleFlags::HAVE_NAME)) {
            t.object_name.set(row_, names_.of(entry.ObjectName, entry.ObjectNameLength));
        }
        if (has(HandleFlags::HAVE_BASIC_INFORMATION)) {
            t.attributes.set(row_, entry.Attributes);
            t.granted_access.set(row_, entry.GrantedAccess);
            t.handle_count.set(row_, entry.HandleCount);
            t.pointer_count.set(row_, entry.PointerCount);
            t.paged_pool_charge.set(row_, entry.PagedPoolCharge);
            t.non_paged_pool_charge.set(row_, entry.NonPagedPoolCharge);
            if (const auto time = time_of(entry.CreationTime)) t.created_at_ns.set(row_, *time);
        }
        if (specific) add_type_specific(entry);
        ++row_;
    }

    std::shared_ptr<HandleTable> finish() {
        table_->pad(row_);
        return std::move(table_);
    }

private:
    void add_type_specific(const Handle& entry) {
        HandleTable& t = *table_;
        const auto& facts = entry.TypeSpecificInformation;
        switch (entry.ObjectType) {
            case ObjectType::PROCESS:
                t.exit_status.set(row_, facts.Process.ExitStatus);
                t.peb.set(row_, facts.Process.PebBaseAddress);
                t.affinity.set(row_, facts.Process.AffinityMask);
                t.base_priority.set(row_, facts.Process.BasePriority);
                t.target_pid.set(row_, facts.Process.ProcessId);
                t.parent_pid.set(row_, facts.Process.ParentProcessId);
                t.process_flags.set(row_, facts.Process.Flags);
                break;
            case ObjectType::THREAD:
                t.exit_status.set(row_, facts.Thread.ExitStatus);
                t.peb.set(row_, facts.Thread.TebBaseAddress);
                t.target_pid.set(row_, facts.Thread.ProcessId);
                t.target_tid.set(row_, facts.Thread.ThreadId);
                t.affinity.set(row_, facts.Thread.AffinityMask);
                t.priority.set(row_, facts.Thread.Priority);
                t.base_priority.set(row_, facts.Thread.BasePriority);
                t.start_address.set(row_, facts.Thread.Win32StartAddress);
                break;
            case ObjectType::MUTANT:
                t.current_count.set(row_, facts.Mutant.CurrentCount);
                t.abandoned.set(row_, boolean(facts.Mutant.Abandoned));
                t.owner_pid.set(row_, facts.Mutant.OwnerProcessId);
                t.owner_tid.set(row_, facts.Mutant.OwnerThreadId);
                break;
            case ObjectType::EVENT:
                t.manual_reset.set(row_, boolean(facts.Event.ManualReset));
                t.signaled.set(row_, boolean(facts.Event.Signaled));
                break;
            case ObjectType::SECTION:
                t.section_base.set(row_, facts.Section.BaseAddress);
                t.section_attributes.set(row_, facts.Section.AllocationAttributes);
                t.section_size.set(row_, facts.Section.MaximumSize);
                break;
            case ObjectType::SEMAPHORE:
                t.current_count.set(row_, facts.Semaphore.CurrentCount);
                t.maximum_count.set(row_, facts.Semaphore.MaximumCount);
                break;
            default: break;
        }
    }

    std::shared_ptr<HandleTable> table_;
    Codes types_{table_->type_name};
    Codes names_{table_->object_name};
    std::size_t row_ = 0;
};

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
    out.table = std::make_shared<ThreadTable>();
    out.table->reserve(count.ThreadsCaptured);
    out.contexts = std::make_shared<ContextTable>();
    out.contexts->architecture = kArchitecture;
    out.contexts->context_size = sizeof(CONTEXT);
    out.contexts->records.reserve(count.ThreadsCaptured * out.contexts->stride());
    std::vector<std::uint32_t> running;
    running.reserve(count.ThreadsCaptured);
    snapshot.walk<Thread>(raw::kWalkThreads, [&](const Thread& entry) {
        const bool kept = (entry.Flags & ThreadFlags::TERMINATED) != 0;
        out.ended += kept || (entry.ExitStatus != kStillActive && entry.ExitTime.ticks() != 0);
        // The id of a thread that has ended may be another's by now.
        running.push_back(kept ? 0 : entry.ThreadId);
        out.table->append(thread_row(entry, memory));
        append_context(*out.contexts, entry);
    });
    // Each costs a handle, which the walk has not: its time is told apart.
    const std::int64_t before = monotonic_ns();
    const ThreadNames names;
    StringColumn column;
    for (const std::uint32_t tid : running) {
        column.append(tid != 0 ? names.of(tid) : std::nullopt);
    }
    out.table->name = std::move(column);
    out.names_ns = monotonic_ns() - before;
    return out;
}

std::shared_ptr<HandleTable> walk_handles(const PssSnapshot& snapshot) {
    raw::PSS_COUNT_INFORMATION count{};
    if (!snapshot.query(raw::kQueryHandles, count)) return nullptr;
    HandleWriter writer(count.Count);
    snapshot.walk<Handle>(raw::kWalkHandles, [&](const Handle& entry) { writer.append(entry); });
    return writer.finish();
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
    raw::PSS_COUNT_INFORMATION count{};
    if (snapshot.query(raw::kQueryAuxiliaryPages, count)) table->reserve(count.Count);
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
