// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                                        | purpose                                    | can block on
// LoadLibraryEx, GetProcAddress               | are the functions there                    | loader lock
// GetModuleHandleEx, GetModuleFileName        | which dbghelp.dll it is                    | loader lock
// ReadProcessMemory of this process           | its version                                | nothing
// OpenProcessToken, GetTokenInformation       | is SeDebugPrivilege held, is it enabled    | nothing
// OpenProcess                                 | which rights a process gives               | nothing
// clang-format on
#include "snapshot/doctor.h"

#include <windows.h>

#include <array>
#include <cstddef>

#include "base/error.h"
#include "generated/flags.h"
#include "windows/convert.h"
#include "windows/memory.h"
#include "windows/owners.h"
#include "windows/pe_image.h"
#include "windows/system_api.h"
#include "windows/target.h"

namespace snapcore {
namespace windows_os {
namespace {

std::string yes(bool value) {
    return value ? "yes" : "no";
}

template <class Function>
bool is_there(Function find) {
    try {
        find();
        return true;
    } catch (const Error&) {
        return false;
    }
}

void add_dump_writer(SystemFacts& out) {
    MiniDumpWriter writer = nullptr;
    if (!is_there([&] { writer = minidump_writer(); })) {
        out.emplace_back("dump_writer", "");
        return;
    }
    HMODULE module = nullptr;
    std::array<wchar_t, 1024> path{};
    constexpr DWORD kHow =
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    if (!::GetModuleHandleExW(kHow, reinterpret_cast<LPCWSTR>(writer), &module)) return;
    const DWORD length = ::GetModuleFileNameW(module, path.data(), static_cast<DWORD>(path.size()));
    out.emplace_back("dump_writer", narrow({path.data(), length}));
    ProcessMemory memory(::GetCurrentProcess(), nullptr);
    const auto facts = read_pe(memory, reinterpret_cast<std::uint64_t>(module));
    out.emplace_back("dump_writer_version", facts ? facts->version.value_or("") : "");
}

// "absent", "disabled" or "enabled"; empty where it cannot be told.
std::string debug_privilege() {
    HANDLE opened = nullptr;
    LUID wanted{};
    if (!::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY, &opened)) return {};
    const UniqueHandle token(opened);
    if (!::LookupPrivilegeValueW(nullptr, L"SeDebugPrivilege", &wanted)) return {};
    DWORD size = 0;
    ::GetTokenInformation(opened, TokenPrivileges, nullptr, 0, &size);
    std::vector<std::byte> buffer(size);
    if (!::GetTokenInformation(opened, TokenPrivileges, buffer.data(), size, &size)) return {};
    const auto* const held = reinterpret_cast<const TOKEN_PRIVILEGES*>(buffer.data());
    for (DWORD i = 0; i < held->PrivilegeCount; ++i) {
        const LUID_AND_ATTRIBUTES& one = held->Privileges[i];
        if (one.Luid.LowPart == wanted.LowPart && one.Luid.HighPart == wanted.HighPart) {
            return (one.Attributes & SE_PRIVILEGE_ENABLED) != 0 ? "enabled" : "disabled";
        }
    }
    return "absent";
}

}  // namespace
}  // namespace windows_os

SystemFacts system_facts() {
    using namespace windows_os;
    SystemFacts out;
    out.emplace_back("snapshots", yes(is_there([] { (void)snapshot_api(); })));
    add_dump_writer(out);
    out.emplace_back("debug_privilege", debug_privilege());
    return out;
}

std::vector<AccessCheck> check_access(std::uint32_t pid) {
    using namespace windows_os;
    constexpr std::uint32_t kStacks = CaptureFlags::THREADS | CaptureFlags::THREAD_CONTEXT;
    const std::array<std::pair<const char*, DWORD>, 5> operations{{
        {"threads", rights_for_capture(CaptureFlags::THREADS)},
        {"handles", rights_for_capture(CaptureFlags::HANDLES)},
        {"stacks", rights_for_capture(kStacks) | PROCESS_VM_READ},
        {"memory", rights_for_capture(kStacks) | PROCESS_VM_READ},
        {"snapshot", rights_for_capture(CaptureFlags::DEFAULT)},
    }};
    std::vector<AccessCheck> out;
    for (const auto& [operation, rights] : operations) {
        try {
            const UniqueHandle process = open_target(pid, rights);
            Diagnostics ignored;
            check_bitness(process.get(), pid, ignored);
            out.push_back({operation, true, "", ""});
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::kAccessDenied) throw;
            out.push_back({operation, false, error.call(), error.detail()});
        }
    }
    return out;
}

}  // namespace snapcore
