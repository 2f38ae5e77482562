// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                                 | purpose                                                       | can block on
// open O_TMPFILE                       | a file without a name: nothing is left even after SIGKILL     | the file system
// fstatfs                              | whether it lies in memory                                     | the file system
// fallocate                            | space ahead of the writes, and given back                     | the disk
// linkat, renameat2                    | the name, at the end                                          | the file system
// sigtimedwait 0                       | a signal that a write has left                                | nothing
// open /proc/self/fd/N                 | a stream's descriptor, of our own and not blocking            | nothing
// fcntl F_SETPIPE_SZ                   | a pipe that holds more                                        | nothing
// clang-format on
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "base/file_system.h"

namespace snapcore::file_system {
namespace {

std::string path_of(int descriptor) {
    return "/proc/self/fd/" + std::to_string(descriptor);
}

}  // namespace

UniqueDescriptor open_unnamed(const std::string& folder) {
    return UniqueDescriptor(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

bool name_unnamed(int file, const std::string& name) {
    const std::string self = path_of(file);
    return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

bool rename_new(const std::string& from, const std::string& to) {
    // By its number: musl has the function since 1.2.6 only.
    return ::syscall(SYS_renameat2,
                     AT_FDCWD,
                     from.c_str(),
                     AT_FDCWD,
                     to.c_str(),
                     static_cast<unsigned>(RENAME_NOREPLACE)) == 0;
}

bool is_in_memory(int file) {
    struct statfs system{};
    return ::fstatfs(file, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

void allocate(int file, std::uint64_t offset, std::uint64_t size) {
    (void)::fallocate(
        file, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(size));
}

void release(int file, std::uint64_t offset, std::uint64_t size) {
    (void)::fallocate(file,
                      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      static_cast<off_t>(offset),
                      static_cast<off_t>(size));
}

void take_pending(int signal) {
    sigset_t own;
    ::sigemptyset(&own);
    ::sigaddset(&own, signal);
    const timespec now{};
    ::sigtimedwait(&own, nullptr, &now);
}

bool is_path_only(int flags) {
    return (flags & O_PATH) != 0;
}

UniqueDescriptor reopen_pipe(int pipe) {
    UniqueDescriptor own(
        ::open(path_of(pipe).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    // As much as anybody may have; a pipe of 64 KiB halves the speed.
    constexpr int kPipe = 1 << 20;
    if (own && ::fcntl(own.get(), F_GETPIPE_SZ) < kPipe) {
        (void)::fcntl(own.get(), F_SETPIPE_SZ, kPipe);
    }
    return own;
}

}  // namespace snapcore::file_system
