// SPDX-License-Identifier: Apache-2.0
#include "windows/target.h"

#include "base/error.h"
#include "generated/flags.h"
#include "windows/convert.h"
#include "windows/system_api.h"

namespace snapcore::windows_os {
namespace {

constexpr std::uint32_t kIdleProcess = 0, kSystemProcess = 4;

// PROCESS_PROTECTION_LEVEL_INFORMATION of processthreadsapi.h; class ProcessProtectionLevelInfo.
constexpr int kProtectionLevelClass = 7;
constexpr DWORD kProtectionLevelNone = 0xfffffffe;

bool is_protected(HANDLE process) {
    using GetProcessInformation = BOOL(WINAPI*)(HANDLE, int, void*, DWORD);
    auto* const get = as<GetProcessInformation>(kernel32_function("GetProcessInformation"));
    DWORD level = kProtectionLevelNone;
    return get != nullptr && get(process, kProtectionLevelClass, &level, sizeof level) &&
           level != kProtectionLevelNone;
}

[[noreturn]] void refuse(DWORD error, std::uint32_t pid) {
    if (error == ERROR_INVALID_PARAMETER) {
        throw Error(ErrorKind::kProcessGone,
                    ErrorDomain::kWin32,
                    error,
                    "OpenProcess",
                    "there is no such process",
                    pid);
    }
    if (error != ERROR_ACCESS_DENIED) throw Error::from_win32(error, "OpenProcess", {}, pid);
    if (pid == kSystemProcess) {
        throw Error::from_win32(error, "OpenProcess", "the System process cannot be captured", pid);
    }
    const UniqueHandle limited(::OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid));
    if (limited && is_protected(limited.get())) {
        throw Error::from_win32(error,
                                "OpenProcess",
                                "it is a protected process, which Windows lets nobody read; no "
                                "privilege changes that",
                                pid);
    }
    throw Error::from_win32(error,
                            "OpenProcess",
                            "run as the user of the process, or as an administrator with "
                            "debug_privilege=True (SeDebugPrivilege)",
                            pid);
}

std::uint16_t machine_of(HANDLE process) {
    constexpr std::uint16_t kUnknown = 0, kI386 = 0x14c;
    using IsWow64Process2 = BOOL(WINAPI*)(HANDLE, USHORT*, USHORT*);
    if (auto* const ask = as<IsWow64Process2>(kernel32_function("IsWow64Process2"))) {
        USHORT guest = 0, native = 0;
        if (ask(process, &guest, &native)) return guest;
    }
    BOOL wow64 = FALSE;
    return ::IsWow64Process(process, &wow64) && wow64 ? kI386 : kUnknown;
}

}  // namespace

DWORD rights_for_capture(std::uint32_t flags) {
    DWORD rights = PROCESS_QUERY_INFORMATION | SYNCHRONIZE;
    if ((flags & CaptureFlags::VA_CLONE) != 0) {
        rights |= PROCESS_CREATE_PROCESS | PROCESS_VM_READ | PROCESS_VM_OPERATION;
    }
    if ((flags & CaptureFlags::VA_SPACE_SECTION_INFORMATION) != 0) rights |= PROCESS_VM_READ;
    if ((flags & CaptureFlags::HANDLES) != 0) rights |= PROCESS_DUP_HANDLE;
    if ((flags & (CaptureFlags::THREADS | CaptureFlags::VA_CLONE)) != 0) {
        rights |= PROCESS_SUSPEND_RESUME;
    }
    return rights;
}

DebugPrivilege::DebugPrivilege(bool wanted) {
    if (!wanted) return;
    HANDLE token = nullptr;
    if (!::OpenProcessToken(::GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &token)) {
        throw Error::from_win32(::GetLastError(), "OpenProcessToken");
    }
    token_.reset(token);
    TOKEN_PRIVILEGES wish{};
    wish.PrivilegeCount = 1;
    wish.Privileges[0].Attributes = SE_PRIVILEGE_ENABLED;
    if (!::LookupPrivilegeValueW(nullptr, L"SeDebugPrivilege", &wish.Privileges[0].Luid)) {
        throw Error::from_win32(::GetLastError(), "LookupPrivilegeValue");
    }
    DWORD size = 0;
    if (!::AdjustTokenPrivileges(token, FALSE, &wish, sizeof before_, &before_, &size) ||
        ::GetLastError() == ERROR_NOT_ALL_ASSIGNED) {
        throw Error::from_win32(ERROR_PRIVILEGE_NOT_HELD,
                                "AdjustTokenPrivileges",
                                "the account has no SeDebugPrivilege; run as an administrator");
    }
    changed_ = before_.PrivilegeCount != 0;
}

DebugPrivilege::~DebugPrivilege() {
    if (changed_) ::AdjustTokenPrivileges(token_.get(), FALSE, &before_, 0, nullptr, nullptr);
}

UniqueHandle open_target(std::uint32_t pid, DWORD rights) {
    if (pid == kIdleProcess) {
        throw Error::unsupported("OpenProcess", "the idle process cannot be captured", pid);
    }
    UniqueHandle process(::OpenProcess(rights, FALSE, pid));
    if (!process) {
        const DWORD error = ::GetLastError();
        // A process that has ended but is still referred to denies what it lets a running one do.
        const UniqueHandle limited(
            ::OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, pid));
        if (!limited || ::WaitForSingleObject(limited.get(), 0) != WAIT_OBJECT_0) {
            refuse(error, pid);
        }
        process = UniqueHandle();
    }
    if (!process || ::WaitForSingleObject(process.get(), 0) == WAIT_OBJECT_0) {
        throw Error(ErrorKind::kProcessGone,
                    ErrorDomain::kNone,
                    0,
                    "OpenProcess",
                    "the process has ended; only a handle to it is left",
                    pid);
    }
    return process;
}

void check_bitness(HANDLE process, std::uint32_t pid, Diagnostics& diagnostics) {
    const std::uint16_t own = machine_of(::GetCurrentProcess());
    const std::uint16_t other = machine_of(process);
    if (own != 0 && other == 0) {
        throw Error::unsupported(
            "IsWow64Process",
            "a 64-bit process cannot be captured by a 32-bit one; use a 64-bit Python",
            pid);
    }
    if (own == 0 && other != 0) {
        diagnostics.push_back({Severity::kWarning,
                               "wow64_target",
                               "the target is a 32-bit process: a dump from here holds its 64-bit "
                               "side, and tools for managed code refuse it; a 32-bit Python writes "
                               "the 32-bit one",
                               "IsWow64Process",
                               ErrorDomain::kNone,
                               0,
                               other});
    }
    if (pid == ::GetCurrentProcessId()) {
        diagnostics.push_back(
            {Severity::kInfo,
             "own_process",
             "the process captured itself: the thread that did it is shown in the "
             "middle of the capture",
             "",
             ErrorDomain::kNone,
             0,
             pid});
    }
}

std::string image_path(HANDLE process) {
    std::wstring path(32768, L'\0');
    auto size = static_cast<DWORD>(path.size());
    if (!::QueryFullProcessImageNameW(process, 0, path.data(), &size)) return {};
    return narrow({path.data(), size});
}

}  // namespace snapcore::windows_os
