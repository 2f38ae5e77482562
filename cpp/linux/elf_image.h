// SPDX-License-Identifier: Apache-2.0
//
// An ELF image in memory: as much of it as a module needs. Bounded, safe on hostile images.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/range.h"
#include "minidump/contents.h"

namespace snapcore::linux_os {

struct ElfImage {
    std::uint64_t size = 0;  // from the start of the first loaded segment to the end of the last
    std::string build_id;    // raw bytes; empty where there is none
};

// nullopt: no ELF header at `base`. Nothing outside `bounds` is believed.
std::optional<ElfImage> read_elf_image(std::uint64_t base,
                                       Range bounds,
                                       minidump::MemoryReader& memory);

}  // namespace snapcore::linux_os
