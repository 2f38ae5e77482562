// SPDX-License-Identifier: Apache-2.0
//
// POSIX alone: a file has a name from the start, and is removed by it if it is not committed.
//
// clang-format off
// call                                 | purpose                                     | can block on
// link, unlink                         | the name, at the end; never replaces        | the file system
// sigpending, sigwait                  | a signal that a write has left              | nothing
// clang-format on
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/file_system.h"

namespace snapcore::file_system {

UniqueDescriptor open_unnamed(const std::string& folder [[maybe_unused]]) {
    errno = EOPNOTSUPP;
    return {};
}

bool name_unnamed(int file [[maybe_unused]], const std::string& name [[maybe_unused]]) {
    errno = EOPNOTSUPP;
    return false;
}

bool rename_new(const std::string& from, const std::string& to) {
    return ::link(from.c_str(), to.c_str()) == 0 && ::unlink(from.c_str()) == 0;
}

bool is_in_memory(int file [[maybe_unused]]) {
    return false;
}

void allocate(int file [[maybe_unused]],
              std::uint64_t offset [[maybe_unused]],
              std::uint64_t size [[maybe_unused]]) {}

void release(int file [[maybe_unused]],
             std::uint64_t offset [[maybe_unused]],
             std::uint64_t size [[maybe_unused]]) {}

void take_pending(int signal) {
    sigset_t pending;
    ::sigpending(&pending);
    if (sigismember(&pending, signal) != 1) return;
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, signal);
    int taken = 0;
    ::sigwait(&own, &taken);
}

bool is_path_only(int flags [[maybe_unused]]) {
    return false;
}

UniqueDescriptor reopen_pipe(int pipe [[maybe_unused]]) {
    return {};
}

}  // namespace snapcore::file_system
