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

// The same bytes from first to last, for who takes no others: one thread reads ahead while this one
// hands on. Nothing is written twice, so that pages which cannot be read are listed only where the
// soft errors lie behind memory, which is in dumps of less than 4 GiB.
DumpStats write_minidump(const Contents& contents,
                         MemoryReader& memory,
                         OutputStream& stream,
                         Control& control);

}  // namespace snapcore::minidump
