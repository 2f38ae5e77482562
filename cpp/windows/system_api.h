// SPDX-License-Identifier: Apache-2.0
//
// The functions that are looked for at run time, once, in the system directory: an import would
// keep the module from loading where one is missing.
#pragma once

#include <windows.h>

#include "windows/raw.h"

namespace snapcore::windows_os {

using Pointer = std::uintptr_t;
static_assert(sizeof(Pointer) == sizeof(void*));

using HPSS = struct HPSS__*;
using HPSSWALK = struct HPSSWALK__*;

struct SnapshotApi {
    DWORD(WINAPI* capture)(HANDLE process, DWORD flags, DWORD context_flags, HPSS* snapshot);
    DWORD(WINAPI* free)(HANDLE process, HPSS snapshot);
    DWORD(WINAPI* query)(HPSS snapshot, raw::QueryClass what, void* buffer, DWORD size);
    DWORD(WINAPI* walk)
    (HPSS snapshot, raw::WalkClass what, HPSSWALK marker, void* buffer, DWORD size);
    DWORD(WINAPI* create_marker)(const void* allocator, HPSSWALK* marker);
    DWORD(WINAPI* free_marker)(HPSSWALK marker);
};

using MiniDumpWriter = BOOL(WINAPI*)(HANDLE process,
                                     DWORD pid,
                                     HANDLE file,
                                     int type,
                                     const void* exception,
                                     const raw::MINIDUMP_USER_STREAM_INFORMATION<Pointer>* streams,
                                     const raw::MINIDUMP_CALLBACK_INFORMATION<Pointer>* callback);

// PssCaptureSnapshot and its family. Throws ErrorKind::kUnsupported that names the Windows version.
const SnapshotApi& snapshot_api();

// MiniDumpWriteDump. Throws ErrorKind::kUnsupported.
MiniDumpWriter minidump_writer();

// A function of kernel32 that older systems lack, or null.
FARPROC kernel32_function(const char* name);

// A function of ntdll, or null.
FARPROC ntdll_function(const char* name);

// `Function` is a pointer to one.
template <class Function>
Function as(FARPROC function) {
    return reinterpret_cast<Function>(reinterpret_cast<void*>(function));
}

}  // namespace snapcore::windows_os
