// SPDX-License-Identifier: Apache-2.0
//
// An ELF image in memory: as much of it as a module needs. Bounded, safe on hostile images.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/range.h"
#include "minidump/contents.h"

namespace snapcore::linux_os {

struct ElfImage {
    std::uint64_t size = 0;  // from the start of the first loaded segment to the end of the last
    std::string build_id;    // raw bytes; empty where there is none
    Range headers;           // ELF and program headers, and the notes where they follow soon
    std::vector<Range> writable, executable;  // loaded segments with PF_W, with PF_X
    Range dynamic;                            // PT_DYNAMIC; empty where there is none
    std::uint64_t tls_size = 0;               // PT_TLS with its alignment
};

// nullopt: no ELF header at `base`. Nothing outside `bounds` is believed.
std::optional<ElfImage> read_elf_image(std::uint64_t base,
                                       Range bounds,
                                       minidump::MemoryReader& memory);

}  // namespace snapcore::linux_os
