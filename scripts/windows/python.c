// SPDX-License-Identifier: Apache-2.0
//
// python.exe of the Windows test lane: the interpreter is the real python311.dll beside it.
#include <wchar.h>
#include <windows.h>

int wmain(int argc, wchar_t** argv) {
    typedef int(__cdecl * Main)(int, wchar_t**);
    HMODULE python = LoadLibraryW(L"python311.dll");
    Main run = python ? (Main)(void*)GetProcAddress(python, "Py_Main") : NULL;
    if (run == NULL) {
        fwprintf(stderr, L"python311.dll cannot be loaded: error %lu\n", GetLastError());
        return 3;
    }
    return run(argc, argv);
}
