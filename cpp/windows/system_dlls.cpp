// SPDX-License-Identifier: Apache-2.0
//
// The only difference between the module that users get and the one that is tested where Windows
// lacks these functions: the names of two DLLs. This file is compiled for each.
#include "windows/system_dlls.h"

namespace snapcore::windows_os {

#if defined(SNAPCORE_STAND_IN)
const wchar_t* const kSnapshotDll = L"snapsim.dll";
const wchar_t* const kDumpDll = L"snapsim.dll";
#else
const wchar_t* const kSnapshotDll = L"kernel32.dll";
const wchar_t* const kDumpDll = L"dbghelp.dll";
#endif

}  // namespace snapcore::windows_os
