// SPDX-License-Identifier: Apache-2.0
//
// Which parts of a process's memory a dump holds that is not of full memory: stacks, and what the
// flags add to them.
//
// call                            | purpose                        | can block on
// ioctl PAGEMAP_SCAN              | what is populated (pagemap.h)  | mmap_lock of the process
// (memory comes through the reader that it is given)
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "linux/arch.h"
#include "linux/procfs.h"
#include "linux/regions.h"
#include "minidump/contents.h"

namespace snapcore::linux_os {

// What a thread's registers say of memory.
struct PartThread {
    std::uint64_t stack_pointer = 0, thread_pointer = 0;
    std::vector<std::uint64_t> words;  // all general registers: any may be a pointer
};
PartThread part_thread(const UserRegisters& registers);

// True where the flags ask for more than stacks, short of full memory.
bool wants_parts(std::uint64_t dump_flags);

// The stack from just below the stack pointer upwards, as much of it as a dump holds; nullopt where
// it lies in no readable mapping.
std::optional<Range> stack_slice(const std::optional<Mapping>& mapping,
                                 std::uint64_t stack_pointer,
                                 std::uint64_t dump_flags);

// Where the strings of the environment lie, at the end of the first thread's stack: they may hold
// secrets, and belong to no dump that does not hold all private memory.
Range environment_range(const Stat& stat);

// The slices of all threads, ascending and not overlapping: coroutines' stacks may share a mapping.
// None holds a byte of `environment`.
std::vector<Range> stack_slices(
    std::span<const PartThread> threads,
    std::uint64_t dump_flags,
    const Range& environment,
    const std::function<std::optional<Mapping>(std::uint64_t)>& find_mapping);

// How many bytes the flags will ask for at the most, from the mappings alone: whether copying them
// in a stop is quicker than a clone. Stacks are not counted.
std::uint64_t estimate_parts(std::uint64_t dump_flags, std::span<const Mapping> mappings);

struct PartsSource {
    std::uint64_t dump_flags = 0;
    std::span<const Mapping> mappings;
    std::span<const PartThread> threads;
    minidump::MemoryReader& memory;
    int pagemap = -1;
    Range environment;
    // The process stands still: shared memory is of the instant as well.
    bool stands_still = false;
    // Of what the target keeps from a clone, where there is one.
    int target_pagemap = -1;
};
// Ascending, not overlapping, none spans two mappings.
MemoryPlan plan_parts(const PartsSource& source);

}  // namespace snapcore::linux_os
