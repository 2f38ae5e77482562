// SPDX-License-Identifier: Apache-2.0
//
// The process that is asked about: how it is opened, and what can be said of it before anything is
// captured.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/diagnostics.h"
#include "windows/owners.h"

namespace snapcore::windows_os {

// The least rights that serve a capture with these CaptureFlags.
DWORD rights_for_capture(std::uint32_t flags);

// SeDebugPrivilege in this process's token while it lives, put back as it was.
class DebugPrivilege {
public:
    // Does nothing unless `wanted`. Throws ErrorKind::kAccessDenied where the token lacks it.
    explicit DebugPrivilege(bool wanted);
    ~DebugPrivilege();
    DebugPrivilege(const DebugPrivilege&) = delete;
    DebugPrivilege& operator=(const DebugPrivilege&) = delete;

private:
    UniqueHandle token_;
    TOKEN_PRIVILEGES before_{};
    bool changed_ = false;
};

// Opens a process that still runs. Throws ProcessGone, AccessDenied (with what to do), Unsupported.
UniqueHandle open_target(std::uint32_t pid, DWORD rights);

// Refuses what a snapshot of it cannot be right for (a 64-bit process seen from a 32-bit one);
// notes what is right but not what one might expect (WOW64, one's own process).
void check_bitness(HANDLE process, std::uint32_t pid, Diagnostics& diagnostics);

// Path of the executable, UTF-8; empty where it cannot be had.
std::string image_path(HANDLE process);

}  // namespace snapcore::windows_os
