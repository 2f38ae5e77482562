// SPDX-License-Identifier: Apache-2.0
//
// ptrace(2) with the requests that a C library does not know yet; `address` is as often a number.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <cstdint>

namespace snapcore::linux_os {

inline long ptrace_call(int request, pid_t tid, std::uintptr_t address, void* data) {
    // The C library declares the request as an enumeration of its own.
    return ::ptrace(
        static_cast<__ptrace_request>(request), tid, reinterpret_cast<void*>(address), data);
}

}  // namespace snapcore::linux_os
