// SPDX-License-Identifier: Apache-2.0
//
// The tracer: stops the target, clones it, lets it run on, keeps the clone until it is released.
// One piece of code with two placements: the main function of a small program (tracer_main.cpp) and
// a native thread (tracer_client.cpp).
//
// In the stop, in this order:
// clang-format off
// call                                    | purpose                           | can block on
// PTRACE_SEIZE ... waitid                 | stop (stopped_process.h)          | polled to max_pause; else the watchdog
// ioctl PROCMAP_QUERY, process_vm_*       | the way home (injection.h)        | mmap_lock of the target
// clone in the target                     | the copy                          | the copying of its page tables
//   meanwhile: PTRACE_GETREGSET           | registers of the other threads    | nothing
//   meanwhile: getdents64, readlinkat     | descriptors, at most 256          | nothing
//   or, without a clone: process_vm_readv | stacks                            | page faults of the target's memory
// PTRACE_DETACH                           | let go                            | nothing
// After it:
// close_range in the clone                | leave the shared descriptor table | nothing: it closes what only the clone holds
// madvise in the clone                    | what was written is given back    | page faults of its code; 1 s, then no more
// kill, waitid                            | the end of the clone              | the freeing of its memory, polled
// wait4 in the target                     | no zombie (second, short stop)    | as the first stop, 1 s; 3 s in all
//
// Whatever blocks longer than max_pause while threads are stopped meets the watchdog (watchdog.h):
// it answers TimedOut, and in the helper program it ends the process, which lets every thread go;
// the one that makes the call comes home by itself. In a thread of the caller's it can only answer.
// clang-format on
#pragma once

namespace snapcore::linux_os {

// Serves one request on a SOCK_SEQPACKET socket and returns when it is released or the other side
// has gone. The calling thread traces, and where the target has many threads a second one as well.
// `client` is a pidfd of the process to outlive by nothing, or -1.
void serve_tracer(int socket, int client) noexcept;

}  // namespace snapcore::linux_os
