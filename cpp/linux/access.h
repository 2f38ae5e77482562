// SPDX-License-Identifier: Apache-2.0
//
// May this process be captured? Which of the kernel's tests says no, and what to do about it.
//
// call                          | purpose                    | can block on
// read /proc/PID/{stat,status}  | what the target is         | nothing
// read kernel/yama/ptrace_scope | what the system allows     | nothing
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace snapcore::linux_os {

// Throws for what can't be captured whatever the rights: a zombie, a kernel thread, a process that
// is traced already. `needs_trace` is false where only /proc is read.
void check_target(int process_directory, std::uint32_t pid, bool needs_trace);

// AccessDenied or Unsupported that names the test that failed.
Error attach_error(int process_directory, std::uint32_t pid, int error, std::string_view call);

Error process_gone(std::uint32_t pid, std::string_view detail);

// 0 to 3, or -1 where the kernel has no Yama.
int yama_scope();
bool is_descendant(std::uint32_t pid, std::uint32_t ancestor);

}  // namespace snapcore::linux_os
