// SPDX-License-Identifier: Apache-2.0
//
// The machine and the texts of it that minidump readers know.
#pragma once

#include <string>
#include <vector>

#include "minidump/contents.h"

namespace snapcore::linux_os {

minidump::SystemInfo system_info();

// From /proc/meminfo.
minidump::SystemMemory system_memory();

// LinuxCpuInfo and LinuxLsbRelease.
std::vector<minidump::RawStream> system_streams();

}  // namespace snapcore::linux_os
