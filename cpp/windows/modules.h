// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "base/diagnostics.h"
#include "tables/tables.h"
#include "windows/memory.h"
#include "windows/system_api.h"

namespace snapcore::windows_os {

// The modules of the loader's lists, the executable first, from the memory of the instant: the
// lists of the process, and of a 32-bit one under WOW64 those of its 32-bit side. Names, versions
// and debug ids come from the mapped headers, never from the files. Hostile lists end at a bound.
std::shared_ptr<ModuleTable> read_modules(ProcessMemory& memory,
                                          std::uint64_t peb,
                                          std::uint64_t peb32,
                                          Diagnostics& diagnostics);

}  // namespace snapcore::windows_os
