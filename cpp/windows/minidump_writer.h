// SPDX-License-Identifier: Apache-2.0
//
// MiniDumpWriteDump with a native callback: the snapshot's answer, cancel, progress, and the file's
// bytes, which the callback takes so that no half-written file is ever seen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/diagnostics.h"
#include "base/file.h"
#include "snapshot/control.h"
#include "snapshot/options.h"
#include "windows/memory.h"

namespace snapcore::windows_os {

struct DumpSource {
    HANDLE process = nullptr;  // or an HPSS
    bool is_snapshot = false;
    std::uint32_t pid = 0;
    ProcessMemory* live_fallback = nullptr;  // serves what the clone lacks; null: nobody does
    std::uint64_t expected_bytes = 0;        // for the progress
};

struct DumpReport {
    DumpStats stats;
    Diagnostics diagnostics;
};

// Throws Error; an error of MiniDumpWriteDump keeps its HRESULT. Only one thread of the process is
// in dbghelp at a time.
DumpReport write_dump(const DumpSource& source,
                      const DumpOptions& options,
                      OutputFile& file,
                      Control& control);

}  // namespace snapcore::windows_os
