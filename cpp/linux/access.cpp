// SPDX-License-Identifier: Apache-2.0
#include "linux/access.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
constexpr int kCapSysPtrace = 19;

std::string command_name(std::uint32_t pid) {
    std::string name = try_read_text(AT_FDCWD, ("/proc/" + std::to_string(pid) + "/comm").c_str());
    while (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

Error already_traced(std::uint32_t pid, std::uint32_t tracer) {
    const std::string name = command_name(tracer);
    return {ErrorKind::kAccessDenied,
            ErrorDomain::kErrno,
            EPERM,
            "PTRACE_SEIZE",
            "it is traced already by process " + std::to_string(tracer) +
                (name.empty() ? "" : " (" + name + ")") + "; detach that debugger or tracer first",
            pid};
}

bool has_ptrace_capability() {
    const std::string status = try_read_text(AT_FDCWD, "/proc/self/status");
    const auto at = status.find("CapEff:");
    if (at == std::string::npos) return false;
    return ((std::strtoull(status.c_str() + at + 7, nullptr, 16) >> kCapSysPtrace) & 1) != 0;
}

}  // namespace

int yama_scope() {
    const std::string text = try_read_text(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope");
    return text.empty() ? -1 : std::atoi(text.c_str());
}

bool is_descendant(std::uint32_t pid, std::uint32_t ancestor) {
    for (int depth = 0; depth < 256 && pid > 1; ++depth) {
        if (pid == ancestor) return true;
        const auto stat =
            parse_stat(try_read_text(AT_FDCWD, ("/proc/" + std::to_string(pid) + "/stat").c_str()));
        if (!stat) return false;
        pid = stat->parent_pid;
    }
    return false;
}

Error process_gone(std::uint32_t pid, std::string_view detail) {
    return {ErrorKind::kProcessGone, ErrorDomain::kErrno, ESRCH, "", detail, pid};
}

void check_target(int process_directory, std::uint32_t pid, bool needs_trace) {
    const auto stat = parse_stat(try_read_text(process_directory, "stat"));
    if (!stat) throw process_gone(pid, "it ended; check the process id");
    if ((stat->flags & kKernelThread) != 0) {
        throw Error::unsupported(
            "",
            "it is a kernel thread, which has no memory or registers of its own to capture",
            pid);
    }
    // A leader that called pthread_exit is a zombie too, while its threads live.
    if ((stat->state == 'Z' || stat->state == 'X') && list_tasks(process_directory).size() <= 1) {
        throw process_gone(pid,
                           "it is a zombie: it has ended and waits for its parent to collect it, "
                           "nothing is left to capture");
    }
    if (!needs_trace) return;
    const Status status = parse_status(try_read_text(process_directory, "status"));
    if (status.tracer_pid != 0) throw already_traced(pid, status.tracer_pid);
}

Error attach_error(int process_directory, std::uint32_t pid, int error, std::string_view call) {
    const auto stat = parse_stat(try_read_text(process_directory, "stat"));
    // /proc says EACCES for a task that has gone.
    if (error == ESRCH || !stat || stat->state == 'Z' || stat->state == 'X') {
        return process_gone(pid, "it ended while it was being captured");
    }
    const Status status = parse_status(try_read_text(process_directory, "status"));
    if (status.tracer_pid != 0) return already_traced(pid, status.tracer_pid);
    std::string why;
    const bool capable = has_ptrace_capability();
    if (!capable && status.uid != ::geteuid()) {
        why = "it belongs to user " + std::to_string(status.uid) + " and this is user " +
              std::to_string(::geteuid()) + "; run as that user, as root, or with CAP_SYS_PTRACE";
    } else if (const int scope = yama_scope(); !capable && scope == 3) {
        why = "kernel.yama.ptrace_scope is 3: no process may trace another until the next boot";
    } else if (!capable && scope == 2) {
        why = "kernel.yama.ptrace_scope is 2: run with CAP_SYS_PTRACE (as root)";
    } else if (!capable && scope == 1 &&
               !is_descendant(pid, static_cast<std::uint32_t>(::getpid())) &&
               !is_descendant(pid, static_cast<std::uint32_t>(::getppid()))) {
        why =
            "kernel.yama.ptrace_scope is 1: only a parent may trace; start the target from this "
            "process, run with "
            "CAP_SYS_PTRACE, let the target call prctl(PR_SET_PTRACER), or set "
            "kernel.yama.ptrace_scope to 0";
    } else {
        why = capable ? "refused in spite of CAP_SYS_PTRACE here: the target lies in another user "
                        "namespace or a security module says no"
                      : "the target is not dumpable (set-user-id, unreadable program, or prctl "
                        "PR_SET_DUMPABLE 0), or a "
                        "security module or container profile forbids ptrace; run with "
                        "CAP_SYS_PTRACE in its user namespace";
    }
    return Error::from_errno(error, call, why, pid);
}

}  // namespace snapcore::linux_os
