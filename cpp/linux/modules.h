// SPDX-License-Identifier: Apache-2.0
//
// ELF images in an address space as the module table: build ids from memory, so that a deleted or
// replaced file does not matter.
//
// call      | purpose                                    | can block on
// (none of its own: memory comes through the reader that it is given)
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "linux/elf_image.h"
#include "linux/procfs.h"
#include "minidump/contents.h"
#include "tables/tables.h"

namespace snapcore::linux_os {

struct LoadedImage {
    Range range;
    std::string path;  // as the kernel shows it
    ElfImage elf;
};
// Ascending, not overlapping.
std::vector<LoadedImage> find_images(std::span<const Mapping> mappings,
                                     minidump::MemoryReader& memory);

struct Modules {
    std::shared_ptr<const ModuleTable>
        table;  // main executable first, then ascending; linux-gate.so with them
    std::vector<std::string> build_ids;  // raw bytes, one a row, empty where there is none
};

// `executable` is the target of /proc/PID/exe. Bounded and safe on hostile images.
Modules read_modules(std::span<const Mapping> mappings,
                     const std::string& executable,
                     minidump::MemoryReader& memory);

}  // namespace snapcore::linux_os
