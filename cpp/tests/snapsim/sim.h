// SPDX-License-Identifier: Apache-2.0
//
// snapsim.dll: a test program that plays, under Wine, the two things that Wine lacks: the Pss*
// functions and a MiniDumpWriteDump that knows snapshots. It works on real processes with Wine's
// real calls, and it is as strict with its caller as the documentation allows.
//
// It is compiled against a third party's processsnapshot.h, never against the declarations of the
// code that it tests: one mistake cannot pass on both sides.
#pragma once

#include <windows.h>
// third party; wants windows.h first
#include <processsnapshot.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace snapsim {

// What the caller did that Windows would not have forgiven, or that leaks.
void violation(const char* format, ...) __attribute__((format(gnu_printf, 1, 2)));

// The calls that the documented sequence consists of.
void called(const char* format, ...) __attribute__((format(gnu_printf, 1, 2)));

// The code that a call was told to fail with, or 0.
DWORD injected(const char* function);
// Like injected(), for behaviour that is no failure of a call: its value, or 0.
DWORD behaviour(const char* name);

struct ThreadFacts {
    PSS_THREAD_ENTRY entry{};
    std::vector<std::byte> context;
};
struct HandleFacts {
    PSS_HANDLE_ENTRY entry{};
    std::wstring type, name;
};
struct RegionFacts {
    PSS_VA_SPACE_ENTRY entry{};
    std::wstring file;
};
struct PageFacts {
    PSS_AUXILIARY_PAGE_ENTRY entry{};
    std::vector<std::byte> bytes;
};

struct Snapshot {
    DWORD pid = 0;
    DWORD flags = 0;
    bool alive = true;
    bool in_use_by_dump = false;
    PSS_PROCESS_INFORMATION process{};
    std::vector<ThreadFacts> threads;
    std::vector<HandleFacts> handles;
    std::vector<RegionFacts> regions;
    std::vector<PageFacts> pages;
    std::vector<wchar_t> texts;  // of entries that were ready beforehand
    HANDLE clone = nullptr;
    HANDLE clone_thread = nullptr;
    HANDLE trace_section = nullptr;
    DWORD trace_size = 0;
    UINT64 wall_clock_us = 0;

    bool has(DWORD flag) const { return (flags & flag) != 0; }
};

// The snapshot behind a handle, whether alive or freed; null for anything else.
Snapshot* find_snapshot(HPSS handle);

// Reads a process that stands still: what the flags ask for.
void collect(HANDLE process, Snapshot& snapshot, DWORD context_flags);
// A real suspended process with the target's regions at the same addresses.
DWORD make_clone(HANDLE process, Snapshot& snapshot);

// Functions of ntdll that have no import library here.
template <class Function>
Function* nt(const char* name) {
    return reinterpret_cast<Function*>(
        reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), name)));
}
LONG NTAPI query_process_prototype(HANDLE, int, void*, ULONG, ULONG*);
using NtQuery = decltype(query_process_prototype);
LONG NTAPI suspend_prototype(HANDLE);
using NtSuspend = decltype(suspend_prototype);
LONG NTAPI query_system_prototype(int, void*, ULONG, ULONG*);
using NtQuerySystem = decltype(query_system_prototype);

ACCESS_MASK granted_access(HANDLE handle);

}  // namespace snapsim
