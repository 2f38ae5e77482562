// SPDX-License-Identifier: Apache-2.0
//
// The clone: a tiny program that never runs, with the target's memory at the same addresses.
#include <algorithm>
#include <cstring>

#include "sim.h"

namespace snapsim {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kThreadBlock = 65536;
constexpr std::size_t kWineKernelStack = 1 << 20;

struct ThreadBasic {
    LONG exit_status;
    char* teb;
    HANDLE pid, tid;
    ULONG_PTR affinity;
    LONG priority, base_priority;
};

// As views of sections without a file are on Windows: not in the clone.
bool is_left_out(const RegionFacts& region) {
    return region.entry.Type == MEM_MAPPED && region.file.empty();
}

bool is_readable(const PSS_VA_SPACE_ENTRY& entry) {
    return entry.State == MEM_COMMIT && (entry.Protect & (PAGE_NOACCESS | PAGE_GUARD)) == 0;
}

void copy(HANDLE from, HANDLE to, char* base, std::size_t size) {
    std::vector<char> bytes(std::min<std::size_t>(size, 1 << 20));
    for (std::size_t done = 0; done < size; done += bytes.size()) {
        const std::size_t piece = std::min(bytes.size(), size - done);
        SIZE_T n = 0;
        if (ReadProcessMemory(from, base + done, bytes.data(), piece, &n)) {
            WriteProcessMemory(to, base + done, bytes.data(), n, &n);
        }
    }
}

// Over what the clone has there itself; its one thread never runs again. Only of the block that
// begins with its own TEB no more is replaced than what says where the stack is: behind it Wine
// keeps the thread's connection to its server and the stack of its signals.
void overwrite(HANDLE from, HANDLE to, const PSS_VA_SPACE_ENTRY& entry, char* own_teb) {
    auto* const base = static_cast<char*>(entry.BaseAddress);
    DWORD before = 0;
    VirtualProtectEx(to, base, entry.RegionSize, PAGE_READWRITE, &before);
    for (std::size_t at = 0; at < entry.RegionSize; at += kPage) {
        char* const page = base + at;
        if (page >= own_teb + kThreadBlock || page + kPage <= own_teb) {
            copy(from, to, page, kPage);
        } else if (page == own_teb) {
            copy(from, to, page, 0x30);
        }
    }
}

}  // namespace

DWORD make_clone(HANDLE process, Snapshot& snapshot) {
    wchar_t program[] = L"C:\\windows\\system32\\snapclone.exe";
    STARTUPINFOW startup{};
    startup.cb = sizeof startup;
    PROCESS_INFORMATION made{};
    for (int again = 3; !CreateProcessW(nullptr,
                                        program,
                                        nullptr,
                                        nullptr,
                                        FALSE,
                                        CREATE_SUSPENDED | CREATE_NO_WINDOW,
                                        nullptr,
                                        nullptr,
                                        &startup,
                                        &made);) {
        // What Wine says, on a busy machine, of a child that did not get to begin.
        const DWORD error = GetLastError();
        if (error != ERROR_INTERNAL_ERROR || --again == 0) return error;
    }
    snapshot.clone = made.hProcess;
    snapshot.clone_thread = made.hThread;
    ThreadBasic own{};
    nt<NtQuery>("NtQueryInformationThread")(made.hThread, 0, &own, sizeof own, nullptr);

    std::vector<const RegionFacts*> colliding;
    const auto& regions = snapshot.regions;
    for (std::size_t first = 0; first < regions.size();) {
        std::size_t last = first;
        while (last < regions.size() &&
               regions[last].entry.AllocationBase == regions[first].entry.AllocationBase) {
            ++last;
        }
        auto* const base = static_cast<char*>(regions[first].entry.AllocationBase);
        const auto& end = regions[last - 1].entry;
        const std::size_t size =
            static_cast<std::size_t>(static_cast<char*>(end.BaseAddress) + end.RegionSize - base);
        const bool ours =
            VirtualAllocEx(made.hProcess, base, size, MEM_RESERVE, PAGE_READWRITE) == base;
        for (std::size_t i = first; i < last; ++i) {
            const PSS_VA_SPACE_ENTRY& entry = regions[i].entry;
            if (entry.State != MEM_COMMIT || is_left_out(regions[i])) continue;
            if (!ours) {
                if (is_readable(entry)) colliding.push_back(&regions[i]);
                continue;
            }
            VirtualAllocEx(
                made.hProcess, entry.BaseAddress, entry.RegionSize, MEM_COMMIT, PAGE_READWRITE);
            if (is_readable(entry)) {
                copy(process,
                     made.hProcess,
                     static_cast<char*>(entry.BaseAddress),
                     entry.RegionSize);
            }
            DWORD before = 0;
            const DWORD protect = (entry.Protect & PAGE_WRITECOPY) != 0 ? PAGE_READONLY
                                  : (entry.Protect & PAGE_EXECUTE_WRITECOPY) != 0
                                      ? PAGE_EXECUTE_READ
                                      : entry.Protect;
            VirtualProtectEx(made.hProcess, entry.BaseAddress, entry.RegionSize, protect, &before);
        }
        first = last;
    }
    for (const RegionFacts* region : colliding) {
        // In the block of thread blocks the clone has but reserved what the target uses.
        VirtualAllocEx(made.hProcess,
                       region->entry.BaseAddress,
                       region->entry.RegionSize,
                       MEM_COMMIT,
                       PAGE_READWRITE);
        MEMORY_BASIC_INFORMATION there{};
        VirtualQueryEx(made.hProcess, region->entry.BaseAddress, &there, sizeof there);
        // Wine's own stack for the thread, which it needs to answer what is asked of the process.
        const bool is_wines = there.BaseAddress == there.AllocationBase &&
                              there.RegionSize == kWineKernelStack && there.Type == MEM_PRIVATE;
        // Where the clone has nothing it is missing, as some views are on Windows.
        if (there.State == MEM_COMMIT && !is_wines)
            overwrite(process, made.hProcess, region->entry, own.teb);
    }
    return ERROR_SUCCESS;
}

}  // namespace snapsim
