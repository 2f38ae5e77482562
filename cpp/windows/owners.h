// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <windows.h>

#include "base/owners.h"

namespace snapcore::windows_os {

struct HandleTraits {
    using Type = HANDLE;
    static constexpr HANDLE kInvalid = nullptr;
    static void release(HANDLE handle) noexcept { ::CloseHandle(handle); }
};
using UniqueHandle = Unique<HandleTraits>;

}  // namespace snapcore::windows_os
