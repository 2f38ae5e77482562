// SPDX-License-Identifier: Apache-2.0
//
// The ten functions of processsnapshot.h, with the documented return codes and lifetimes.
#include <algorithm>
#include <cstring>

#include "sim.h"

namespace snapsim {
namespace {

const DWORD kReserved =
    PSS_CAPTURE_RESERVED_00000002 | PSS_CAPTURE_RESERVED_00000400 | PSS_CAPTURE_RESERVED_00004000;

std::mutex mutex;
// The last ones that were freed stay, so that a use after the end is seen and not suffered. No
// handle is ever given twice.
constexpr std::size_t kFreedThatStay = 64;
std::map<HPSS, std::unique_ptr<Snapshot>> snapshots;
std::deque<HPSS> freed_snapshots;
ULONG_PTR next_handle = 0x5350000;

// Entries that are ready beforehand, for measurements.
std::unique_ptr<Snapshot> prepared;

struct Marker {
    bool alive = true;
    HPSS snapshot = nullptr;
    int what = -1;
    std::size_t position = 0;
    // Strings and contexts belong to the marker, and are spoilt with it.
    std::deque<std::vector<char>> memory;

    void* keep(const void* bytes, std::size_t size) {
        // What lies behind a string is anything but a NUL.
        std::vector<char> block(size + 128, '?');
        std::memcpy(block.data(), bytes, size);
        memory.push_back(std::move(block));
        return memory.back().data();
    }
};
std::map<HPSSWALK, std::unique_ptr<Marker>> markers;
std::deque<HPSSWALK> freed_markers;

template <class Handle, class Object>
void forget_the_oldest(std::map<Handle, Object>& objects, std::deque<Handle>& freed, Handle last) {
    const std::lock_guard lock(mutex);
    freed.push_back(last);
    if (freed.size() <= kFreedThatStay) return;
    objects.erase(freed.front());
    freed.pop_front();
}

template <class Needs>
bool depends(DWORD flags, DWORD detail, Needs base, const char* name) {
    if ((flags & detail) == 0 || (flags & static_cast<DWORD>(base)) != 0) return true;
    violation("PssCaptureSnapshot: %s without the flag that it is a detail of", name);
    return false;
}

bool flags_are_right(DWORD flags, DWORD context_flags) {
    bool right = true;
    for (const DWORD detail : {PSS_CAPTURE_HANDLE_NAME_INFORMATION,
                               PSS_CAPTURE_HANDLE_BASIC_INFORMATION,
                               PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION}) {
        right &= depends(flags, detail, PSS_CAPTURE_HANDLES, "a detail of handles");
    }
    right &= depends(flags, PSS_CAPTURE_THREAD_CONTEXT, PSS_CAPTURE_THREADS, "THREAD_CONTEXT");
    right &= depends(flags,
                     PSS_CAPTURE_THREAD_CONTEXT_EXTENDED,
                     PSS_CAPTURE_THREAD_CONTEXT,
                     "THREAD_CONTEXT_EXTENDED");
    right &= depends(flags,
                     PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION,
                     PSS_CAPTURE_VA_SPACE,
                     "VA_SPACE_SECTION_INFORMATION");
    right &= depends(flags,
                     PSS_CREATE_BREAKAWAY_OPTIONAL,
                     PSS_CREATE_BREAKAWAY | PSS_CREATE_FORCE_BREAKAWAY,
                     "BREAKAWAY_OPTIONAL");
    if ((flags & kReserved) != 0) {
        violation("PssCaptureSnapshot: a reserved flag is set (%#lx)", flags & kReserved);
        right = false;
    }
    if ((flags & PSS_CAPTURE_THREAD_CONTEXT) != 0 && (context_flags & CONTEXT_AMD64) == 0) {
        violation("PssCaptureSnapshot: ThreadContextFlags %#lx lack the processor's bit",
                  context_flags);
        right = false;
    }
    return right;
}

ACCESS_MASK needed_rights(DWORD flags) {
    ACCESS_MASK rights = PROCESS_QUERY_INFORMATION;
    if ((flags & PSS_CAPTURE_VA_CLONE) != 0) rights |= PROCESS_CREATE_PROCESS;
    if ((flags & PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION) != 0) rights |= PROCESS_VM_READ;
    if ((flags & PSS_CAPTURE_HANDLES) != 0) rights |= PROCESS_DUP_HANDLE;
    return rights | behaviour("rights");
}

HPSS publish(std::unique_ptr<Snapshot> snapshot) {
    const std::lock_guard lock(mutex);
    const auto handle = reinterpret_cast<HPSS>(next_handle += 16);
    snapshots[handle] = std::move(snapshot);
    return handle;
}

// Null, and a violation, for what is no snapshot or one no more.
Snapshot* alive(HPSS handle, const char* call) {
    Snapshot* const found = find_snapshot(handle);
    if (found == nullptr || !found->alive) {
        violation("%s: the snapshot %p is %s",
                  call,
                  static_cast<void*>(handle),
                  found == nullptr ? "none" : "freed");
        return nullptr;
    }
    return found;
}

Marker* alive(HPSSWALK handle, const char* call) {
    const std::lock_guard lock(mutex);
    const auto found = markers.find(handle);
    if (found == markers.end() || !found->second->alive) {
        violation("%s: the walk marker %p is none, or freed", call, static_cast<void*>(handle));
        return nullptr;
    }
    return found->second.get();
}

DWORD captured_count(const Snapshot& snapshot, DWORD flag, std::size_t count, void* buffer) {
    if (!snapshot.has(flag)) return ERROR_NOT_FOUND;
    const auto number = static_cast<DWORD>(count);
    std::memcpy(buffer, &number, sizeof number);
    return ERROR_SUCCESS;
}

std::size_t size_of_query(int what) {
    switch (what) {
        case PSS_QUERY_PROCESS_INFORMATION: return sizeof(PSS_PROCESS_INFORMATION);
        case PSS_QUERY_VA_CLONE_INFORMATION: return sizeof(PSS_VA_CLONE_INFORMATION);
        case PSS_QUERY_AUXILIARY_PAGES_INFORMATION: return sizeof(PSS_AUXILIARY_PAGES_INFORMATION);
        case PSS_QUERY_VA_SPACE_INFORMATION: return sizeof(PSS_VA_SPACE_INFORMATION);
        case PSS_QUERY_HANDLE_INFORMATION: return sizeof(PSS_HANDLE_INFORMATION);
        case PSS_QUERY_THREAD_INFORMATION: return sizeof(PSS_THREAD_INFORMATION);
        case PSS_QUERY_HANDLE_TRACE_INFORMATION: return sizeof(PSS_HANDLE_TRACE_INFORMATION);
        case PSS_QUERY_PERFORMANCE_COUNTERS: return sizeof(PSS_PERFORMANCE_COUNTERS);
        default: return 0;
    }
}

DWORD query(const Snapshot& snapshot, int what, void* buffer) {
    switch (what) {
        case PSS_QUERY_PROCESS_INFORMATION:
            std::memcpy(buffer, &snapshot.process, sizeof snapshot.process);
            return ERROR_SUCCESS;
        case PSS_QUERY_VA_CLONE_INFORMATION:
            if (!snapshot.has(PSS_CAPTURE_VA_CLONE)) return ERROR_NOT_FOUND;
            static_cast<PSS_VA_CLONE_INFORMATION*>(buffer)->VaCloneHandle = snapshot.clone;
            return ERROR_SUCCESS;
        case PSS_QUERY_AUXILIARY_PAGES_INFORMATION:
            if (snapshot.pages.empty()) return ERROR_NOT_FOUND;
            static_cast<PSS_AUXILIARY_PAGES_INFORMATION*>(buffer)->AuxPagesCaptured =
                static_cast<DWORD>(snapshot.pages.size());
            return ERROR_SUCCESS;
        case PSS_QUERY_VA_SPACE_INFORMATION:
            return captured_count(snapshot, PSS_CAPTURE_VA_SPACE, snapshot.regions.size(), buffer);
        case PSS_QUERY_HANDLE_INFORMATION:
            return captured_count(snapshot, PSS_CAPTURE_HANDLES, snapshot.handles.size(), buffer);
        case PSS_QUERY_THREAD_INFORMATION:
            static_cast<PSS_THREAD_INFORMATION*>(buffer)->ContextLength =
                snapshot.has(PSS_CAPTURE_THREAD_CONTEXT) ? sizeof(CONTEXT) : 0;
            return captured_count(snapshot, PSS_CAPTURE_THREADS, snapshot.threads.size(), buffer);
        case PSS_QUERY_HANDLE_TRACE_INFORMATION: {
            if (snapshot.trace_section == nullptr) return ERROR_NOT_FOUND;
            auto* const trace = static_cast<PSS_HANDLE_TRACE_INFORMATION*>(buffer);
            trace->SectionHandle = snapshot.trace_section;
            trace->Size = snapshot.trace_size;
            return ERROR_SUCCESS;
        }
        default: {
            if (!snapshot.has(PSS_CREATE_MEASURE_PERFORMANCE)) return ERROR_NOT_FOUND;
            auto* const counters = static_cast<PSS_PERFORMANCE_COUNTERS*>(buffer);
            *counters = {};
            counters->TotalWallClockPeriod = snapshot.wall_clock_us;
            counters->VaCloneWallClockPeriod = snapshot.wall_clock_us / 2;
            return ERROR_SUCCESS;
        }
    }
}

template <class String>
void keep_text(Marker& marker, const std::wstring& text, WORD& length, String& pointer) {
    length = static_cast<WORD>(text.size() * sizeof(wchar_t));
    pointer = text.empty() ? nullptr : static_cast<String>(marker.keep(text.data(), length));
}

// One entry into the caller's buffer, strings and contexts into the marker.
template <class Entry>
void deliver(void* buffer, const Entry& entry) {
    std::memcpy(buffer, &entry, sizeof entry);
}

struct Walked {
    std::size_t count = 0;
    std::size_t size = 0;
    bool captured = false;
};

Walked walked(const Snapshot& snapshot, int what) {
    switch (what) {
        case PSS_WALK_AUXILIARY_PAGES:
            return {
                snapshot.pages.size(), sizeof(PSS_AUXILIARY_PAGE_ENTRY), !snapshot.pages.empty()};
        case PSS_WALK_VA_SPACE:
            return {snapshot.regions.size(),
                    sizeof(PSS_VA_SPACE_ENTRY),
                    snapshot.has(PSS_CAPTURE_VA_SPACE)};
        case PSS_WALK_HANDLES:
            return {snapshot.handles.size(),
                    sizeof(PSS_HANDLE_ENTRY),
                    snapshot.has(PSS_CAPTURE_HANDLES)};
        case PSS_WALK_THREADS:
            return {snapshot.threads.size(),
                    sizeof(PSS_THREAD_ENTRY),
                    snapshot.has(PSS_CAPTURE_THREADS)};
        default: return {};
    }
}

void deliver(const Snapshot& snapshot, int what, Marker& marker, void* buffer) {
    const std::size_t at = marker.position;
    // What is ready beforehand has its strings already, where they outlive every marker.
    const bool ready = snapshot.has(0x00000400);
    if (what == PSS_WALK_THREADS) {
        PSS_THREAD_ENTRY entry = snapshot.threads[at].entry;
        if (!ready && !snapshot.threads[at].context.empty() && entry.SizeOfContextRecord != 0) {
            // Aligned as a CONTEXT with extended state wants it.
            auto* const raw = static_cast<char*>(marker.keep(snapshot.threads[at].context.data(),
                                                             snapshot.threads[at].context.size()));
            const auto aligned = (reinterpret_cast<ULONG_PTR>(raw) + 63) / 64 * 64;
            std::memmove(
                reinterpret_cast<void*>(aligned), raw, snapshot.threads[at].context.size());
            entry.ContextRecord = reinterpret_cast<PCONTEXT>(aligned);
        }
        deliver(buffer, entry);
    } else if (what == PSS_WALK_HANDLES) {
        PSS_HANDLE_ENTRY entry = snapshot.handles[at].entry;
        if (!ready) {
            keep_text(marker, snapshot.handles[at].type, entry.TypeNameLength, entry.TypeName);
            keep_text(marker, snapshot.handles[at].name, entry.ObjectNameLength, entry.ObjectName);
        }
        deliver(buffer, entry);
    } else if (what == PSS_WALK_VA_SPACE) {
        PSS_VA_SPACE_ENTRY entry = snapshot.regions[at].entry;
        if (snapshot.has(PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION)) {
            keep_text(marker,
                      snapshot.regions[at].file,
                      entry.MappedFileNameLength,
                      entry.MappedFileName);
        }
        deliver(buffer, entry);
    } else {
        PSS_AUXILIARY_PAGE_ENTRY entry = snapshot.pages[at].entry;
        entry.PageContents =
            marker.keep(snapshot.pages[at].bytes.data(), snapshot.pages[at].bytes.size());
        deliver(buffer, entry);
    }
}

// Auxiliary pages and a handle trace, which no public flag asks for or few processes have.
void add_rarities(Snapshot& snapshot) {
    if (behaviour("auxiliary pages") != 0) {
        PageFacts page;
        page.bytes.assign(4096, std::byte{0xa7});
        page.entry.Address = reinterpret_cast<void*>(0x7ffe0000);
        page.entry.PageSize = 4096;
        page.entry.BasicInformation.State = MEM_COMMIT;
        page.entry.BasicInformation.Protect = PAGE_READONLY;
        GetSystemTimeAsFileTime(&page.entry.CaptureTime);
        snapshot.pages.push_back(std::move(page));
    }
    if (behaviour("handle trace") != 0 && snapshot.has(PSS_CAPTURE_HANDLE_TRACE)) {
        snapshot.trace_size = 256;
        snapshot.trace_section = CreateFileMappingW(
            INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0, snapshot.trace_size, nullptr);
        void* const view = MapViewOfFile(snapshot.trace_section, FILE_MAP_WRITE, 0, 0, 0);
        std::memset(view, 0x5a, snapshot.trace_size);
        UnmapViewOfFile(view);
    }
}

}  // namespace

Snapshot* find_snapshot(HPSS handle) {
    const std::lock_guard lock(mutex);
    const auto found = snapshots.find(handle);
    return found == snapshots.end() ? nullptr : found->second.get();
}

}  // namespace snapsim

using namespace snapsim;

extern "C" {

DWORD WINAPI SimCapture(HANDLE process, PSS_CAPTURE_FLAGS flags, DWORD context_flags, HPSS* out) {
    called("PssCaptureSnapshot %#lx %#lx", static_cast<DWORD>(flags), context_flags);
    if (const DWORD error = injected("PssCaptureSnapshot")) return error;
    if (out == nullptr) {
        violation("PssCaptureSnapshot: no place for the handle");
        return ERROR_INVALID_PARAMETER;
    }
    if (prepared) {
        *out = publish(std::move(prepared));
        return ERROR_SUCCESS;
    }
    if (!flags_are_right(flags, context_flags)) return ERROR_INVALID_PARAMETER;
    const ACCESS_MASK needed = needed_rights(flags);
    if ((granted_access(process) & needed) != needed) return ERROR_ACCESS_DENIED;

    const ULONGLONG started = GetTickCount64();
    auto snapshot = std::make_unique<Snapshot>();
    snapshot->pid = GetProcessId(process);
    snapshot->flags = flags;
    const HANDLE target = OpenProcess(PROCESS_ALL_ACCESS, FALSE, snapshot->pid);
    if (target == nullptr) return GetLastError();
    const bool own = snapshot->pid == GetCurrentProcessId();
    if (!own) nt<NtSuspend>("NtSuspendProcess")(target);
    collect(target, *snapshot, context_flags);
    DWORD error = ERROR_SUCCESS;
    if (snapshot->has(PSS_CAPTURE_VA_CLONE)) error = make_clone(target, *snapshot);
    if (!own) nt<NtSuspend>("NtResumeProcess")(target);
    CloseHandle(target);
    if (error != ERROR_SUCCESS) return error;
    add_rarities(*snapshot);
    snapshot->wall_clock_us = (GetTickCount64() - started) * 1000;
    *out = publish(std::move(snapshot));
    return ERROR_SUCCESS;
}

DWORD WINAPI SimFree(HANDLE process, HPSS handle) {
    if (process != GetCurrentProcess() && GetProcessId(process) != GetCurrentProcessId()) {
        violation("PssFreeSnapshot: the process is not the one that holds the descriptor");
        return ERROR_NOT_SUPPORTED;
    }
    Snapshot* const snapshot = alive(handle, "PssFreeSnapshot");
    if (snapshot == nullptr) return ERROR_INVALID_HANDLE;
    const bool ended =
        snapshot->clone != nullptr && WaitForSingleObject(snapshot->clone, 2000) == WAIT_OBJECT_0;
    called("PssFreeSnapshot%s", ended ? " after the clone" : "");
    if (snapshot->in_use_by_dump) violation("PssFreeSnapshot: a dump of it is being written");
    {
        const std::lock_guard lock(mutex);
        for (const auto& [marker_handle, marker] : markers) {
            if (marker->alive && marker->snapshot == handle) {
                violation("PssFreeSnapshot: a walk marker of it is still there");
            }
        }
    }
    if (snapshot->clone != nullptr) {
        // Asked for at once: a caller's TerminateProcess comes before.
        if (WaitForSingleObject(snapshot->clone, 2000) != WAIT_OBJECT_0) {
            violation("PssFreeSnapshot: the clone was left running");
            TerminateProcess(snapshot->clone, 1);
        }
        CloseHandle(snapshot->clone_thread);
        CloseHandle(snapshot->clone);
    }
    if (snapshot->trace_section != nullptr) CloseHandle(snapshot->trace_section);
    *snapshot = Snapshot{};
    snapshot->alive = false;
    forget_the_oldest(snapshots, freed_snapshots, handle);
    return injected("PssFreeSnapshot");
}

DWORD WINAPI SimQuery(HPSS handle, PSS_QUERY_INFORMATION_CLASS what, void* buffer, DWORD length) {
    if (const DWORD error = injected("PssQuerySnapshot")) return error;
    const Snapshot* const snapshot = alive(handle, "PssQuerySnapshot");
    if (snapshot == nullptr) return ERROR_INVALID_HANDLE;
    const std::size_t size = size_of_query(what);
    if (size == 0) {
        violation("PssQuerySnapshot: there is no class %d", static_cast<int>(what));
        return ERROR_INVALID_PARAMETER;
    }
    if (length != size) {
        violation("PssQuerySnapshot: class %d takes %zu bytes, not %lu",
                  static_cast<int>(what),
                  size,
                  length);
        return ERROR_BAD_LENGTH;
    }
    return query(*snapshot, what, buffer);
}

DWORD WINAPI SimWalk(HPSS handle,
                     PSS_WALK_INFORMATION_CLASS what,
                     HPSSWALK marker_handle,
                     void* buffer,
                     DWORD length) {
    if (const DWORD error = injected("PssWalkSnapshot")) return error;
    const Snapshot* const snapshot = alive(handle, "PssWalkSnapshot");
    Marker* const marker = alive(marker_handle, "PssWalkSnapshot");
    if (snapshot == nullptr || marker == nullptr) return ERROR_INVALID_HANDLE;
    const Walked list = walked(*snapshot, what);
    if (list.size == 0) {
        violation("PssWalkSnapshot: there is no class %d", static_cast<int>(what));
        return ERROR_INVALID_PARAMETER;
    }
    if (marker->what == -1) {
        marker->what = what;
        marker->snapshot = handle;
    }
    if (marker->what != what || marker->snapshot != handle) {
        violation("PssWalkSnapshot: the marker walks something else");
        return ERROR_INVALID_PARAMETER;
    }
    if (buffer != nullptr && length != list.size) {
        violation("PssWalkSnapshot: class %d takes %zu bytes, not %lu",
                  static_cast<int>(what),
                  list.size,
                  length);
        return ERROR_BAD_LENGTH;
    }
    if (!list.captured) return ERROR_NOT_FOUND;
    if (marker->position >= list.count) return ERROR_NO_MORE_ITEMS;
    if (buffer == nullptr) return ERROR_MORE_DATA;
    deliver(*snapshot, what, *marker, buffer);
    ++marker->position;
    return ERROR_SUCCESS;
}

DWORD WINAPI SimMarkerCreate(const PSS_ALLOCATOR*, HPSSWALK* out) {
    if (const DWORD error = injected("PssWalkMarkerCreate")) return error;
    const std::lock_guard lock(mutex);
    const auto handle = reinterpret_cast<HPSSWALK>(next_handle += 16);
    markers[handle] = std::make_unique<Marker>();
    *out = handle;
    return ERROR_SUCCESS;
}

DWORD WINAPI SimMarkerFree(HPSSWALK handle) {
    Marker* const marker = alive(handle, "PssWalkMarkerFree");
    if (marker == nullptr) return ERROR_INVALID_HANDLE;
    for (auto& block : marker->memory) std::fill(block.begin(), block.end(), '\xdd');
    // Spoilt memory stays for a while: a pointer into it shows what it is.
    marker->alive = false;
    marker->memory.clear();
    forget_the_oldest(markers, freed_markers, handle);
    return injected("PssWalkMarkerFree");
}

DWORD WINAPI SimMarkerGet(HPSSWALK handle, ULONG_PTR* position) {
    const Marker* const marker = alive(handle, "PssWalkMarkerGetPosition");
    if (marker == nullptr) return ERROR_INVALID_HANDLE;
    *position = marker->position;
    return ERROR_SUCCESS;
}

DWORD WINAPI SimMarkerSet(HPSSWALK handle, ULONG_PTR position) {
    Marker* const marker = alive(handle, "PssWalkMarkerSetPosition");
    if (marker == nullptr) return ERROR_INVALID_HANDLE;
    marker->position = position;
    return ERROR_SUCCESS;
}

DWORD WINAPI SimMarkerRewind(HPSSWALK handle) {
    Marker* const marker = alive(handle, "PssWalkMarkerSeekToBeginning");
    if (marker == nullptr) return ERROR_INVALID_HANDLE;
    marker->position = 0;
    marker->what = -1;
    return ERROR_SUCCESS;
}

DWORD WINAPI SimDuplicate(HANDLE, HPSS, HANDLE, HPSS*, PSS_DUPLICATE_FLAGS) {
    violation("PssDuplicateSnapshot: nobody here needs it");
    return ERROR_NOT_SUPPORTED;
}

// Snapshots, markers and clones that are still there.
int snapsim_alive() {
    const std::lock_guard lock(mutex);
    const auto lives = [](const auto& item) { return item.second->alive; };
    return static_cast<int>(std::count_if(snapshots.begin(), snapshots.end(), lives) +
                            std::count_if(markers.begin(), markers.end(), lives));
}

// The next capture gives these many entries, whatever it is asked for.
void snapsim_prepare(int handles, int threads) {
    static const std::wstring kTypes[] = {
        L"Event", L"File", L"Key", L"Mutant", L"Semaphore", L"Section", L"Thread"};
    auto snapshot = std::make_unique<Snapshot>();
    snapshot->pid = GetCurrentProcessId();
    // The reserved flag marks entries whose strings are in place.
    snapshot->flags = PSS_CAPTURE_HANDLES | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
                      PSS_CAPTURE_RESERVED_00000400;
    // In one block, as a snapshot's descriptor is.
    constexpr std::size_t kLongest = 64;
    snapshot->texts.reserve(static_cast<std::size_t>(handles) * kLongest);
    snapshot->handles.reserve(static_cast<std::size_t>(handles));
    for (int i = 0; i < handles; ++i) {
        HandleFacts facts;
        PSS_HANDLE_ENTRY& entry = facts.entry;
        const std::wstring& type = kTypes[static_cast<std::size_t>(i) % std::size(kTypes)];
        const std::wstring name =
            L"\\Sessions\\1\\BaseNamedObjects\\object-" + std::to_wstring(i / 10);
        entry.Handle = reinterpret_cast<HANDLE>(static_cast<ULONG_PTR>(i + 1) * 4);
        entry.Flags =
            PSS_HANDLE_HAVE_TYPE | PSS_HANDLE_HAVE_NAME | PSS_HANDLE_HAVE_BASIC_INFORMATION;
        entry.GrantedAccess = 0x1f0003;
        entry.HandleCount = 1;
        entry.PointerCount = 2;
        entry.TypeName = type.data();
        entry.TypeNameLength = static_cast<WORD>(type.size() * sizeof(wchar_t));
        entry.ObjectName = snapshot->texts.data() + snapshot->texts.size();
        entry.ObjectNameLength = static_cast<WORD>(name.size() * sizeof(wchar_t));
        snapshot->texts.insert(snapshot->texts.end(), name.begin(), name.end());
        if (type == L"Event") {
            entry.ObjectType = PSS_OBJECT_TYPE_EVENT;
            entry.Flags = entry.Flags | PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION;
            entry.TypeSpecificInformation.Event.Signaled = i % 2;
        }
        GetSystemTimeAsFileTime(&entry.CaptureTime);
        snapshot->handles.push_back(std::move(facts));
    }
    alignas(16) static CONTEXT context{};
    context.ContextFlags = CONTEXT_ALL;
    for (int i = 0; i < threads; ++i) {
        ThreadFacts facts;
        facts.entry.ThreadId = static_cast<DWORD>(0x10000000 + i * 4);
        facts.entry.ProcessId = snapshot->pid;
        facts.entry.ExitStatus = STILL_ACTIVE;
        facts.entry.ContextRecord = &context;
        facts.entry.SizeOfContextRecord = sizeof context;
        GetSystemTimeAsFileTime(&facts.entry.CaptureTime);
        snapshot->threads.push_back(std::move(facts));
    }
    prepared = std::move(snapshot);
}

// Nanoseconds that walking all entries of a class takes here, copies to the caller's buffer
// included: what a measurement takes off.
long long snapsim_own_time(int handles, int threads) {
    snapsim_prepare(handles, threads);
    LARGE_INTEGER frequency, before, after;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&before);
    HPSS snapshot = nullptr;
    SimCapture(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, &snapshot);
    for (const auto what : {PSS_WALK_HANDLES, PSS_WALK_THREADS}) {
        HPSSWALK marker = nullptr;
        SimMarkerCreate(nullptr, &marker);
        alignas(16) char buffer[256];
        const DWORD size =
            what == PSS_WALK_HANDLES ? sizeof(PSS_HANDLE_ENTRY) : sizeof(PSS_THREAD_ENTRY);
        while (SimWalk(snapshot, what, marker, buffer, size) == ERROR_SUCCESS) {
        }
        SimMarkerFree(marker);
    }
    QueryPerformanceCounter(&after);
    SimFree(GetCurrentProcess(), snapshot);
    return (after.QuadPart - before.QuadPart) * 1'000'000'000 / frequency.QuadPart;
}
}
