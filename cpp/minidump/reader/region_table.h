// SPDX-License-Identifier: Apache-2.0
//
// MemoryInfoList and LinuxMaps -> regions.
#pragma once

#include <memory>

#include "minidump/reader/source.h"

namespace snapcore::minidump {

// Where a file has both, the entries of one mapping that differ in nothing are one region (writers
// split them where ranges of memory begin and end), and the mapping names what lies behind it.
// Throws ErrorKind::kInvalidArgument where the file has neither.
std::shared_ptr<const RegionTable> read_regions(Source& source);

}  // namespace snapcore::minidump
