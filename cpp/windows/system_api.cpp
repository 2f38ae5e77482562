// SPDX-License-Identifier: Apache-2.0
#include "windows/system_api.h"

#include "base/error.h"
#include "windows/system_dlls.h"

namespace snapcore::windows_os {
namespace {

// By name alone in the system directory: an application's folder may hold an older dbghelp.dll.
HMODULE load(const wchar_t* name) {
    return ::LoadLibraryExW(name, nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
}

template <class Function>
bool find(HMODULE module, const char* name, Function*& function) {
    function = module == nullptr ? nullptr : as<Function*>(::GetProcAddress(module, name));
    return function != nullptr;
}

}  // namespace

const SnapshotApi& snapshot_api() {
    static const SnapshotApi api = [] {
        const HMODULE module = load(kSnapshotDll);
        SnapshotApi found{};
        if (!find(module, "PssCaptureSnapshot", found.capture) ||
            !find(module, "PssFreeSnapshot", found.free) ||
            !find(module, "PssQuerySnapshot", found.query) ||
            !find(module, "PssWalkSnapshot", found.walk) ||
            !find(module, "PssWalkMarkerCreate", found.create_marker) ||
            !find(module, "PssWalkMarkerFree", found.free_marker)) {
            throw Error::unsupported(
                "PssCaptureSnapshot",
                "this system has no process snapshots; they need Windows 8.1 or Windows Server "
                "2012 R2, or newer (method=\"live\" writes a dump without one)");
        }
        return found;
    }();
    return api;
}

MiniDumpWriter minidump_writer() {
    static const MiniDumpWriter writer = [] {
        MiniDumpWriter found = nullptr;
        if (!find(load(kDumpDll), "MiniDumpWriteDump", found) &&
            !find(load(L"dbgcore.dll"), "MiniDumpWriteDump", found)) {
            throw Error::unsupported("MiniDumpWriteDump",
                                     "neither dbghelp.dll nor dbgcore.dll has it");
        }
        return found;
    }();
    return writer;
}

FARPROC kernel32_function(const char* name) {
    return ::GetProcAddress(::GetModuleHandleW(L"kernel32.dll"), name);
}

FARPROC ntdll_function(const char* name) {
    return ::GetProcAddress(::GetModuleHandleW(L"ntdll.dll"), name);
}

}  // namespace snapcore::windows_os
