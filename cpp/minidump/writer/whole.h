// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/file.h"
#include "minidump/reader/dump_file.h"
#include "snapshot/control.h"
#include "snapshot/options.h"

namespace snapcore::minidump {

// A dump and what its base holds as one plain minidump, as write_minidump() would have written it.
// What needs no base is copied as it is, unpacked. Throws ErrorKind::kFormat where the base is not
// there, or the file is not one that snapcore wrote. Does not commit the file.
DumpStats write_whole(DumpFile& file, OutputFile& out, Control& control);
DumpStats write_whole(DumpFile& file, OutputStream& out, Control& control);

}  // namespace snapcore::minidump
