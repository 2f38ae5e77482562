// SPDX-License-Identifier: Apache-2.0
//
// The tracer as a program of its own: no other thread's waitpid(-1) can take its stops, and the
// caller's trouble does not reach it. Started by tracer_client.cpp with a socket as descriptor 3;
// of no use by hand.
#include <sys/syscall.h>
#include <unistd.h>

#include "linux/tracer.h"

int main(int argc, char** /*argv*/) {
    constexpr int kSocket = 3;
    if (argc != 1) return 2;
    ::syscall(436 /* close_range */, kSocket + 1, ~0u, 0);
    const auto client = static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0));
    snapcore::linux_os::serve_tracer(kSocket, client);
    return 0;
}
