// SPDX-License-Identifier: Apache-2.0
//
// Instructions that the target has already and that we need: nothing is ever written into its code.
//
// clang-format off
// call                | purpose             | can block on
// read /proc/PID/maps | executable mappings | mmap_lock of the target
// pread /proc/PID/mem | search their text   | a page fault (a file on a dead network file system)
// clang-format on
#pragma once

#include <cstdint>

namespace snapcore::linux_os {

struct Gadgets {
    std::uint64_t call = 0;        // system call; return. 0: not found
    std::uint64_t come_home = 0;   // rt_sigreturn. 0: not found
    std::uint64_t plain_call = 0;  // system call alone, in the vdso; 0: not found
};

// While the target runs. Reads at most 64 MiB of text, libc's first.
Gadgets find_gadgets(int process_directory, int memory);

// In the stop: those whose bytes are still there. None are where the target called execve
// meanwhile: its memory of before is gone, and `memory` with it.
Gadgets still_there(const Gadgets& gadgets, int memory);

}  // namespace snapcore::linux_os
