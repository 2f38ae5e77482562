// SPDX-License-Identifier: Apache-2.0
//
// A dump file that is packed in zstd's seekable format: frames that are unpacked one at a time,
// when something in them is asked for, and a table of their sizes in a skippable frame at the end.
#pragma once

#include <memory>
#include <string>

#include "base/file.h"

namespace snapcore::minidump {

// The file itself where it does not begin as zstd does. Of one without the table, which was cut off
// or made by others, the frames are looked for from its beginning. Throws ErrorKind::kFormat where
// table and file contradict each other, or a frame is larger than 16 MiB; so does reading a frame
// that is broken.
//
// Thread-safe. Holds at most 32 MiB of frames, and in each thread that reads the one that it
// unpacks.
std::unique_ptr<InputFile> unpacked(std::unique_ptr<InputFile> file);

// open_input_file(), unpacked.
std::unique_ptr<InputFile> open_dump_input(const std::string& path);

}  // namespace snapcore::minidump
