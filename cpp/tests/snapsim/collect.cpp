// SPDX-License-Identifier: Apache-2.0
//
// A process that stands still, as entries of a snapshot.
#include "sim.h"
//
#include <psapi.h>
#include <tlhelp32.h>

#include <algorithm>
#include <cstring>

namespace snapsim {
namespace {

struct SystemHandle {
    void* object;
    ULONG_PTR pid, handle;
    ULONG access;
    USHORT trace_index, type_index;
    ULONG attributes, reserved;
};

struct UnicodeString {
    USHORT bytes, capacity;
    const wchar_t* text;
};

struct ThreadBasic {
    LONG exit_status;
    void* teb;
    HANDLE pid, tid;
    ULONG_PTR affinity;
    LONG priority, base_priority;
};

struct ProcessBasic {
    LONG exit_status;
    void* peb;
    ULONG_PTR affinity;
    LONG base_priority;
    ULONG_PTR pid, parent_pid;
};

struct ObjectBasic {
    ULONG attributes, access, handle_count, pointer_count, paged_charge, non_paged_charge;
    ULONG reserved[3], name_size, type_size, descriptor_size;
    FILETIME creation_time;
};

NtQuery* query_object() {
    static NtQuery* const function = nt<NtQuery>("NtQueryObject");
    return function;
}

FILETIME now() {
    FILETIME out;
    GetSystemTimeAsFileTime(&out);
    return out;
}

std::wstring object_text(HANDLE handle, int what) {
    alignas(8) char buffer[8192];
    ULONG size = 0;
    if (query_object()(handle, what, buffer, sizeof buffer, &size) < 0) return {};
    const auto* const string = reinterpret_cast<const UnicodeString*>(buffer);
    return string->text == nullptr ? std::wstring()
                                   : std::wstring(string->text, string->bytes / sizeof(wchar_t));
}

std::vector<SystemHandle> handles_of(DWORD pid) {
    static auto* const query = nt<NtQuerySystem>("NtQuerySystemInformation");
    std::vector<char> buffer(1 << 20);
    ULONG size = 0;
    while (query(64, buffer.data(), static_cast<ULONG>(buffer.size()), &size) ==
           static_cast<LONG>(0xc0000004)) {
        buffer.resize(buffer.size() * 2);
    }
    std::vector<SystemHandle> out;
    const auto count = *reinterpret_cast<const ULONG_PTR*>(buffer.data());
    const auto* const all = reinterpret_cast<const SystemHandle*>(buffer.data() + 16);
    for (ULONG_PTR i = 0; i < count; ++i) {
        if (all[i].pid == pid) out.push_back(all[i]);
    }
    return out;
}

// What is known of a thread by a handle to it.
void describe_thread(HANDLE thread, PSS_THREAD_ENTRY& entry) {
    static auto* const query = nt<NtQuery>("NtQueryInformationThread");
    ThreadBasic basic{};
    query(thread, 0, &basic, sizeof basic, nullptr);
    entry.ExitStatus = static_cast<DWORD>(basic.exit_status);
    entry.TebBaseAddress = basic.teb;
    entry.ProcessId = static_cast<DWORD>(reinterpret_cast<ULONG_PTR>(basic.pid));
    entry.ThreadId = static_cast<DWORD>(reinterpret_cast<ULONG_PTR>(basic.tid));
    entry.AffinityMask = basic.affinity;
    entry.Priority = basic.priority;
    entry.BasePriority = basic.base_priority;
    GetThreadTimes(thread, &entry.CreateTime, &entry.ExitTime, &entry.KernelTime, &entry.UserTime);
    query(thread, 9, &entry.Win32StartAddress, sizeof entry.Win32StartAddress, nullptr);
    entry.CaptureTime = now();
}

// A CONTEXT, with what extended state asks for behind it. Its parts are found by offsets within, so
// it can be moved by multiples of 64. Without a thread, the caller's own.
std::vector<std::byte> registers_of(HANDLE thread, DWORD context_flags) {
    constexpr DWORD kXstate = CONTEXT_AMD64 | 0x40;
    using Initialize = BOOL WINAPI(void*, DWORD, CONTEXT**, DWORD*);
    static auto* const initialize = reinterpret_cast<Initialize*>(reinterpret_cast<void*>(
        GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "InitializeContext")));
    if ((context_flags & kXstate) != kXstate || thread == nullptr || initialize == nullptr) {
        alignas(16) CONTEXT context{};
        context.ContextFlags = context_flags & ~DWORD{0x40};
        if (thread == nullptr) {
            RtlCaptureContext(&context);
        } else {
            GetThreadContext(thread, &context);
        }
        const auto* const bytes = reinterpret_cast<const std::byte*>(&context);
        return {bytes, bytes + sizeof context};
    }
    DWORD size = 0;
    initialize(nullptr, context_flags, nullptr, &size);
    std::vector<std::byte> buffer(size + 64);
    auto* const aligned =
        reinterpret_cast<std::byte*>((reinterpret_cast<ULONG_PTR>(buffer.data()) + 63) / 64 * 64);
    CONTEXT* context = nullptr;
    if (!initialize(aligned, context_flags, &context, &size))
        return registers_of(thread, context_flags & ~DWORD{0x40});
    // InitializeContext aligns for itself; the record begins where it says.
    GetThreadContext(thread, context);
    const auto* const begin = reinterpret_cast<const std::byte*>(context);
    const auto skipped = static_cast<std::size_t>(begin - aligned);
    return {begin, begin + (size - skipped)};
}

void collect_threads(Snapshot& snapshot, DWORD context_flags) {
    const bool own = snapshot.pid == GetCurrentProcessId();
    const HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 item{};
    item.dwSize = sizeof item;
    for (BOOL more = Thread32First(list, &item); more; more = Thread32Next(list, &item)) {
        if (item.th32OwnerProcessID != snapshot.pid) continue;
        const HANDLE thread = OpenThread(THREAD_ALL_ACCESS, FALSE, item.th32ThreadID);
        if (thread == nullptr) continue;
        ThreadFacts facts;
        describe_thread(thread, facts.entry);
        const bool self = item.th32ThreadID == GetCurrentThreadId();
        if (!self) {
            const DWORD before = SuspendThread(thread);
            // The process as a whole is suspended once by the capture.
            facts.entry.SuspendCount = static_cast<WORD>(before - (own ? 0 : 1));
        }
        if (snapshot.has(PSS_CAPTURE_THREAD_CONTEXT)) {
            facts.context = registers_of(self ? nullptr : thread, context_flags);
            facts.entry.SizeOfContextRecord = static_cast<WORD>(facts.context.size());
        }
        if (!self) ResumeThread(thread);
        CloseHandle(thread);
        snapshot.threads.push_back(std::move(facts));
    }
    CloseHandle(list);
}

// Threads that have ended are captured as long as somebody in the target has a handle to them.
void collect_ended_threads(HANDLE process, Snapshot& snapshot) {
    for (const SystemHandle& item : handles_of(snapshot.pid)) {
        HANDLE copy = nullptr;
        if (!DuplicateHandle(process,
                             reinterpret_cast<HANDLE>(item.handle),
                             GetCurrentProcess(),
                             &copy,
                             0,
                             FALSE,
                             DUPLICATE_SAME_ACCESS)) {
            continue;
        }
        if (object_text(copy, 2) == L"Thread") {
            ThreadFacts facts;
            describe_thread(copy, facts.entry);
            const bool known = std::any_of(
                snapshot.threads.begin(), snapshot.threads.end(), [&](const ThreadFacts& thread) {
                    return thread.entry.ThreadId == facts.entry.ThreadId;
                });
            if (facts.entry.ExitStatus != STILL_ACTIVE && facts.entry.ProcessId == snapshot.pid &&
                !known) {
                facts.entry.Flags = PSS_THREAD_FLAGS_TERMINATED;
                facts.entry.SizeOfContextRecord = 0;
                snapshot.threads.push_back(std::move(facts));
            }
        }
        CloseHandle(copy);
    }
}

void add_type_specific(HANDLE handle, const std::wstring& type, PSS_HANDLE_ENTRY& entry) {
    auto& facts = entry.TypeSpecificInformation;
    const auto done = [&](PSS_OBJECT_TYPE kind) {
        entry.ObjectType = kind;
        entry.Flags = entry.Flags | PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION;
    };
    if (type == L"Event") {
        struct {
            int kind;
            LONG state;
        } event{};
        if (nt<NtQuery>("NtQueryEvent")(handle, 0, &event, sizeof event, nullptr) < 0) return;
        facts.Event.ManualReset = event.kind == 0;  // NotificationEvent
        facts.Event.Signaled = event.state != 0;
        done(PSS_OBJECT_TYPE_EVENT);
    } else if (type == L"Semaphore") {
        LONG counts[2] = {};
        if (nt<NtQuery>("NtQuerySemaphore")(handle, 0, counts, sizeof counts, nullptr) < 0) return;
        facts.Semaphore.CurrentCount = counts[0];
        facts.Semaphore.MaximumCount = counts[1];
        done(PSS_OBJECT_TYPE_SEMAPHORE);
    } else if (type == L"Mutant") {
        struct {
            LONG count;
            BOOLEAN owned_by_caller, abandoned;
        } mutant{};
        if (nt<NtQuery>("NtQueryMutant")(handle, 0, &mutant, sizeof mutant, nullptr) < 0) return;
        facts.Mutant.CurrentCount = mutant.count;
        facts.Mutant.Abandoned = mutant.abandoned;
        done(PSS_OBJECT_TYPE_MUTANT);
    } else if (type == L"Section") {
        struct {
            void* base;
            ULONG attributes;
            LARGE_INTEGER size;
        } section{};
        if (nt<NtQuery>("NtQuerySection")(handle, 0, &section, sizeof section, nullptr) < 0) return;
        facts.Section.BaseAddress = section.base;
        facts.Section.AllocationAttributes = section.attributes;
        facts.Section.MaximumSize = section.size;
        done(PSS_OBJECT_TYPE_SECTION);
    } else if (type == L"Process") {
        ProcessBasic basic{};
        if (nt<NtQuery>("NtQueryInformationProcess")(handle, 0, &basic, sizeof basic, nullptr) < 0)
            return;
        facts.Process.ExitStatus = static_cast<DWORD>(basic.exit_status);
        facts.Process.PebBaseAddress = basic.peb;
        facts.Process.AffinityMask = basic.affinity;
        facts.Process.BasePriority = basic.base_priority;
        facts.Process.ProcessId = static_cast<DWORD>(basic.pid);
        facts.Process.ParentProcessId = static_cast<DWORD>(basic.parent_pid);
        done(PSS_OBJECT_TYPE_PROCESS);
    } else if (type == L"Thread") {
        PSS_THREAD_ENTRY thread{};
        describe_thread(handle, thread);
        facts.Thread.ExitStatus = thread.ExitStatus;
        facts.Thread.TebBaseAddress = thread.TebBaseAddress;
        facts.Thread.ProcessId = thread.ProcessId;
        facts.Thread.ThreadId = thread.ThreadId;
        facts.Thread.AffinityMask = thread.AffinityMask;
        facts.Thread.Priority = thread.Priority;
        facts.Thread.BasePriority = thread.BasePriority;
        facts.Thread.Win32StartAddress = thread.Win32StartAddress;
        done(PSS_OBJECT_TYPE_THREAD);
    }
}

void collect_handles(HANDLE process, Snapshot& snapshot) {
    for (const SystemHandle& item : handles_of(snapshot.pid)) {
        HandleFacts facts;
        PSS_HANDLE_ENTRY& entry = facts.entry;
        entry.Handle = reinterpret_cast<HANDLE>(item.handle);
        entry.CaptureTime = now();
        HANDLE copy = nullptr;
        if (DuplicateHandle(process,
                            entry.Handle,
                            GetCurrentProcess(),
                            &copy,
                            0,
                            FALSE,
                            DUPLICATE_SAME_ACCESS)) {
            const std::wstring type = object_text(copy, 2);
            const bool details = snapshot.has(PSS_CAPTURE_HANDLE_NAME_INFORMATION) ||
                                 snapshot.has(PSS_CAPTURE_HANDLE_BASIC_INFORMATION) ||
                                 snapshot.has(PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION);
            if (details) {
                facts.type = type;
                entry.Flags = entry.Flags | PSS_HANDLE_HAVE_TYPE;
            }
            if (snapshot.has(PSS_CAPTURE_HANDLE_NAME_INFORMATION)) {
                facts.name = object_text(copy, 1);
                entry.Flags = entry.Flags | PSS_HANDLE_HAVE_NAME;
            }
            if (snapshot.has(PSS_CAPTURE_HANDLE_BASIC_INFORMATION)) {
                ObjectBasic basic{};
                ULONG size = 0;
                query_object()(copy, 0, &basic, sizeof basic, &size);
                entry.Attributes = item.attributes;
                entry.GrantedAccess = item.access;
                entry.HandleCount = basic.handle_count - 1;  // this copy
                entry.PointerCount = basic.pointer_count - 1;
                entry.PagedPoolCharge = basic.paged_charge;
                entry.NonPagedPoolCharge = basic.non_paged_charge;
                entry.CreationTime = basic.creation_time;
                entry.Flags = entry.Flags | PSS_HANDLE_HAVE_BASIC_INFORMATION;
            }
            if (snapshot.has(PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION)) {
                add_type_specific(copy, type, entry);
            }
            CloseHandle(copy);
        }
        snapshot.handles.push_back(std::move(facts));
    }
}

void collect_regions(HANDLE process, Snapshot& snapshot) {
    MEMORY_BASIC_INFORMATION info{};
    for (char* at = nullptr; VirtualQueryEx(process, at, &info, sizeof info) == sizeof info;
         at = static_cast<char*>(info.BaseAddress) + info.RegionSize) {
        if (info.RegionSize == 0) break;
        if (info.State == MEM_FREE) continue;
        RegionFacts facts;
        PSS_VA_SPACE_ENTRY& entry = facts.entry;
        entry.BaseAddress = info.BaseAddress;
        entry.AllocationBase = info.AllocationBase;
        entry.AllocationProtect = info.AllocationProtect;
        entry.RegionSize = info.RegionSize;
        entry.State = info.State;
        entry.Protect = info.Protect;
        entry.Type = info.Type;
        // The clone needs to know which views have a file, whatever was asked for.
        if (info.State == MEM_COMMIT && info.Type != MEM_PRIVATE) {
            wchar_t name[1024];
            const DWORD n = GetMappedFileNameW(process, info.BaseAddress, name, 1024);
            facts.file.assign(name, n);
        }
        if (info.Type == MEM_IMAGE && snapshot.has(PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION)) {
            char header[4096];
            SIZE_T n = 0;
            if (ReadProcessMemory(process, info.AllocationBase, header, sizeof header, &n)) {
                const auto* const dos = reinterpret_cast<const IMAGE_DOS_HEADER*>(header);
                if (dos->e_magic == IMAGE_DOS_SIGNATURE && dos->e_lfanew > 0 &&
                    static_cast<std::size_t>(dos->e_lfanew) + sizeof(IMAGE_NT_HEADERS64) <
                        sizeof header) {
                    const auto* const nt_header =
                        reinterpret_cast<const IMAGE_NT_HEADERS64*>(header + dos->e_lfanew);
                    entry.TimeDateStamp = nt_header->FileHeader.TimeDateStamp;
                    entry.SizeOfImage = nt_header->OptionalHeader.SizeOfImage;
                    entry.ImageBase = reinterpret_cast<void*>(nt_header->OptionalHeader.ImageBase);
                    entry.CheckSum = nt_header->OptionalHeader.CheckSum;
                }
            }
        }
        snapshot.regions.push_back(std::move(facts));
    }
}

void describe_process(HANDLE process, PSS_PROCESS_INFORMATION& out) {
    ProcessBasic basic{};
    nt<NtQuery>("NtQueryInformationProcess")(process, 0, &basic, sizeof basic, nullptr);
    out.ExitStatus = static_cast<DWORD>(basic.exit_status);
    out.PebBaseAddress = basic.peb;
    out.AffinityMask = basic.affinity;
    out.BasePriority = basic.base_priority;
    out.ProcessId = static_cast<DWORD>(basic.pid);
    out.ParentProcessId = static_cast<DWORD>(basic.parent_pid);
    GetProcessTimes(process, &out.CreateTime, &out.ExitTime, &out.KernelTime, &out.UserTime);
    out.PriorityClass = GetPriorityClass(process);
    PROCESS_MEMORY_COUNTERS_EX memory{};
    memory.cb = sizeof memory;
    GetProcessMemoryInfo(
        process, reinterpret_cast<PROCESS_MEMORY_COUNTERS*>(&memory), sizeof memory);
    out.PageFaultCount = memory.PageFaultCount;
    out.PeakWorkingSetSize = memory.PeakWorkingSetSize;
    out.WorkingSetSize = memory.WorkingSetSize;
    out.QuotaPeakPagedPoolUsage = memory.QuotaPeakPagedPoolUsage;
    out.QuotaPagedPoolUsage = memory.QuotaPagedPoolUsage;
    out.QuotaPeakNonPagedPoolUsage = memory.QuotaPeakNonPagedPoolUsage;
    out.QuotaNonPagedPoolUsage = memory.QuotaNonPagedPoolUsage;
    out.PagefileUsage = memory.PagefileUsage;
    out.PeakPagefileUsage = memory.PeakPagefileUsage;
    out.PrivateUsage = memory.PrivateUsage;
    DWORD size = MAX_PATH;
    QueryFullProcessImageNameW(process, 0, out.ImageFileName, &size);
}

}  // namespace

ACCESS_MASK granted_access(HANDLE handle) {
    if (handle == GetCurrentProcess()) return PROCESS_ALL_ACCESS;
    ObjectBasic basic{};
    ULONG size = 0;
    query_object()(handle, 0, &basic, sizeof basic, &size);
    return basic.access;
}

void collect(HANDLE process, Snapshot& snapshot, DWORD context_flags) {
    describe_process(process, snapshot.process);
    if (snapshot.has(PSS_CAPTURE_THREADS)) {
        collect_threads(snapshot, context_flags);
        collect_ended_threads(process, snapshot);
    }
    if (snapshot.has(PSS_CAPTURE_HANDLES)) collect_handles(process, snapshot);
    if (snapshot.has(PSS_CAPTURE_VA_SPACE) || snapshot.has(PSS_CAPTURE_VA_CLONE)) {
        collect_regions(process, snapshot);
    }
}

}  // namespace snapsim
