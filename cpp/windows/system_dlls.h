// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace snapcore::windows_os {

extern const wchar_t* const kSnapshotDll;
extern const wchar_t* const kDumpDll;

}  // namespace snapcore::windows_os
