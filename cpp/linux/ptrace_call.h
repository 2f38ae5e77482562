// SPDX-License-Identifier: Apache-2.0
//
// ptrace(2) with the requests that a C library does not know yet; `address` is as often a number.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <cstdint>

namespace snapcore::linux_os {

// glibc declares the request as an enumeration of its own, musl as an int.
#ifdef __GLIBC__
using PtraceRequest = __ptrace_request;
#else
using PtraceRequest = int;
#endif

inline long ptrace_call(int request, pid_t tid, std::uintptr_t address, void* data) {
    return ::ptrace(
        static_cast<PtraceRequest>(request), tid, reinterpret_cast<void*>(address), data);
}

}  // namespace snapcore::linux_os
