// SPDX-License-Identifier: Apache-2.0
#include "linux/file_status.h"

#include <linux/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace snapcore::linux_os {

bool read_file_status(int folder, const char* name, FileStatus& out) {
    constexpr int kDoNotSync = 0x4000;  // AT_STATX_DONT_SYNC
    constexpr unsigned kWanted = STATX_TYPE | STATX_MODE | STATX_INO | STATX_SIZE;
    struct statx status{};
    if (::syscall(SYS_statx, folder, name, kDoNotSync, kWanted, &status) != 0) return false;
    out = {status.stx_mode,
           status.stx_ino,
           status.stx_size,
           makedev(status.stx_dev_major, status.stx_dev_minor)};
    return true;
}

}  // namespace snapcore::linux_os
