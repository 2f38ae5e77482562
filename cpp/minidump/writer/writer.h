// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/file.h"
#include "minidump/contents.h"
#include "snapshot/control.h"
#include "snapshot/options.h"

namespace snapcore::minidump {

// Writes a whole minidump: everything but memory first, then memory by two workers straight from
// `memory` to its place in the file. Pages that cannot be read become zeros and a soft error. Does
// not commit the file. Holds no more than a few MiB besides the metadata.
DumpStats write_minidump(const Contents& contents,
                         MemoryReader& memory,
                         OutputFile& file,
                         Control& control);

}  // namespace snapcore::minidump
