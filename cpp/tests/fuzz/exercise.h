// SPDX-License-Identifier: Apache-2.0
//
// All that a dump file can be asked, and what has to be true of every answer. Whatever a file
// holds: a failed check ends the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "minidump/reader/dump_file.h"

namespace snapcore::fuzz {

// The one entry point of a target, as libFuzzer names it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// Every public method of an open file; `bytes` is the file.
void exercise(minidump::DumpFile& file, std::span<const std::byte> bytes);

// Opens the bytes as a file, leniently and strictly, and exercises both.
void exercise(std::span<const std::byte> bytes);

// The same for a file that may be compressed, and that what it unpacks to is always the same.
void exercise_packed(std::span<const std::byte> bytes);

}  // namespace snapcore::fuzz
