// SPDX-License-Identifier: Apache-2.0
//
// May this process be captured? Which of the kernel's tests says no, and what to do about it.
//
// clang-format off
// call                                   | purpose                                  | can block on
// open /proc/PID, kill(pid, 0)           | is it there, and does /proc show it      | nothing
// read /proc/{PID,self}/{stat,status,..} | what both sides are                      | nothing
// readlink /proc/{PID,self}/ns/user      | are they in one user namespace           | nothing
// read kernel/yama/ptrace_scope          | what the system allows                   | nothing
// ptrace(PTRACE_INTERRUPT, 0)            | names no process: does a filter refuse   | nothing
// clang-format on
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/owners.h"

namespace snapcore::linux_os {

// One side of the kernel's test, as /proc/PID/status shows it.
struct Credentials {
    std::array<std::uint32_t, 3> uids{}, gids{};  // real, effective, saved
    std::uint64_t permitted = 0, effective = 0;   // capabilities
    bool no_new_privs = false;
    int seccomp = 0;
    std::string label;  // of AppArmor, SELinux or Smack; empty without one
};
Credentials parse_credentials(std::string_view status);

struct AccessFacts {
    std::string_view call;  // that was refused, with this number
    int error = 0;
    Credentials caller, target;
    bool other_user_namespace = false;
    std::optional<bool> dumpable;     // unknown where the target's owner is root anyway
    int yama_scope = -1;              // -1: the kernel has no Yama
    bool is_descendant = false;       // the target, of the tracing process
    bool ptrace_is_filtered = false;  // a filter here answers even for a call that names no process
    bool traced_unseen = false;       // it is in a tracing stop, and its tracer has no pid here
};
// Names the test that failed, in the kernel's order, and says what to do next.
std::string explain_refusal(const AccessFacts& facts);

// Opens /proc/PID. Where there is none, says whether there is no such process, or /proc hides it.
UniqueDescriptor open_target(std::uint32_t pid);

// Throws for what can't be captured whatever the rights: a zombie, a kernel thread, a process that
// is traced already. `needs_trace` is false where only /proc is read.
void check_target(int process_directory, std::uint32_t pid, bool needs_trace);

// AccessDenied or Unsupported that names the test that failed.
Error attach_error(int process_directory, std::uint32_t pid, int error, std::string_view call);

// How a seccomp filter on the target could be suspended for one call; empty where it can be.
std::string missing_to_suspend_seccomp();

Error process_gone(std::uint32_t pid, std::string_view detail);

// This process's own side.
Credentials own_credentials();
std::uint32_t own_pid();
bool in_initial_user_namespace();
// A filter on this process refuses ptrace, whomever it is for.
bool ptrace_is_filtered();
// Where /proc was mounted for another pid namespace, a number there is another process.
bool proc_is_of_this_namespace();

// 0 to 3, or -1 where the kernel has no Yama.
int yama_scope();
bool is_descendant(std::uint32_t pid, std::uint32_t ancestor);
bool has_ptrace_capability();

}  // namespace snapcore::linux_os
