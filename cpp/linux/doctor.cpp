// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                                    | purpose                                                   | can block on
// process_vm_readv of address 0           | the test of PTRACE_SEIZE, without its effect              | nothing: the test comes first
// open /proc/PID/{mem,fd}                 | may memory and descriptors be had                         | nothing
// ioctl PAGEMAP_SCAN, PROCMAP_QUERY       | does this kernel know them                                | mmap_lock of this process
// close_range of no descriptor            | the same                                                  | nothing
// access                                  | may the helper program be run                             | nothing
// clang-format on
#include "snapshot/doctor.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "linux/access.h"
#include "linux/page_compare.h"
#include "linux/pagemap.h"
#include "linux/procfs.h"
#include "linux/procmap.h"
#include "linux/tracer_client.h"

namespace snapcore {
namespace {

using namespace linux_os;

constexpr long kCloseRange = 436;

std::string_view yes(bool value) {
    return value ? "yes" : "no";
}

std::string hex(std::uint64_t mask) {
    char text[20];
    (void)std::snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(mask));
    return text;
}

// 0 where the bytes of this process's own memory come back.
int read_own_memory() {
    char from = 1, to = 0;
    const iovec local{&to, 1}, remote{&from, 1};
    return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == 1 ? 0 : errno;
}

// What the mount of /proc says of other users' processes; empty where it hides none.
std::string hidepid() {
    const std::string text = try_read_text(AT_FDCWD, "/proc/self/mountinfo");
    std::string found;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        const std::string_view line = std::string_view(text).substr(at, end - at);
        // The last mount on /proc is the one that is seen.
        if (line.find(" /proc ") != std::string_view::npos) {
            constexpr std::string_view kOption = "hidepid=";
            const auto option = line.rfind(kOption);
            found.clear();
            if (option != std::string_view::npos) {
                const auto from = option + kOption.size();
                found = line.substr(from, line.find_first_of(", ", from) - from);
            }
        }
        at = end + 1;
    }
    return found == "0" || found == "off" ? "" : found;
}

// The kernel's answer to PTRACE_SEIZE: 0 or an error number. process_vm_readv asks the same test
// (PTRACE_MODE_ATTACH_REALCREDS), and then finds nothing at this address.
int trace_error(std::uint32_t pid, bool memory_opens) {
    if (ptrace_is_filtered()) return EPERM;
    char byte = 0;
    const iovec local{&byte, 1}, remote{nullptr, 1};
    if (::process_vm_readv(static_cast<pid_t>(pid), &local, 1, &remote, 1, 0) >= 0 ||
        errno == EFAULT) {
        return 0;
    }
    const int error = errno;
    if (error == ESRCH || !memory_opens) return error;
    // A filter here refuses that call, and the file passes the same test but for Yama's exceptions.
    const int scope = yama_scope();
    const bool refused =
        scope == 3 || (!has_ptrace_capability() &&
                       (scope == 2 || (scope == 1 && !is_descendant(pid, own_pid()))));
    return refused ? EPERM : 0;
}

}  // namespace

SystemFacts system_facts() {
    const Credentials own = own_credentials();
    const std::string helper = helper_path();
    const int scope = yama_scope();
    SystemFacts out;
    out.emplace_back("yama_scope", scope < 0 ? "" : std::to_string(scope));
    out.emplace_back("permitted", hex(own.permitted));
    out.emplace_back("effective", hex(own.effective));
    out.emplace_back("no_new_privs", yes(own.no_new_privs));
    out.emplace_back("seccomp", std::to_string(own.seccomp));
    out.emplace_back("ptrace_filtered", yes(ptrace_is_filtered()));
    out.emplace_back("initial_user_namespace", yes(in_initial_user_namespace()));
    out.emplace_back("hidepid", hidepid());
    out.emplace_back("foreign_proc", yes(!proc_is_of_this_namespace()));
    out.emplace_back("label", own.label);
    out.emplace_back("pagemap_scan", yes(can_scan_pagemap()));
    out.emplace_back("page_frames", yes(sees_page_frames()));
    out.emplace_back("procmap_query", yes(can_query_mappings()));
    out.emplace_back("close_range", yes(::syscall(kCloseRange, ~0u, ~0u, 0) == 0));
    out.emplace_back("process_vm_readv", yes(read_own_memory() == 0));
    out.emplace_back("suspend_seccomp", missing_to_suspend_seccomp());
    out.emplace_back("helper", helper);
    out.emplace_back("helper_executable", yes(::access(helper.c_str(), X_OK) == 0));
    return out;
}

std::vector<AccessCheck> check_access(std::uint32_t pid) {
    const UniqueDescriptor directory = open_target(pid);
    check_target(directory.get(), pid, false);
    std::vector<AccessCheck> out{{"threads", true, "", ""}};
    const auto add = [&](const char* operation, int error, std::string_view call) {
        if (error == 0) {
            out.push_back({operation, true, "", ""});
            return;
        }
        Error refusal = attach_error(directory.get(), pid, error, call);
        if (refusal.kind() == ErrorKind::kProcessGone) throw std::move(refusal);
        out.push_back({operation, false, std::string(call), refusal.detail()});
    };
    const auto open_error = [&](const char* name) {
        const UniqueDescriptor file(::openat(directory.get(), name, O_RDONLY | O_CLOEXEC));
        return file ? 0 : errno;
    };
    add("handles", open_error("fd"), "open /proc/PID/fd");

    const int memory = open_error("mem") != 0 ? open_error("mem") : open_error("pagemap");
    int trace = trace_error(pid, memory == 0);
    const Status status = parse_status(try_read_text(directory.get(), "status"));
    if (status.tracer_pid != 0) trace = EPERM;
    add("stacks", trace, "PTRACE_SEIZE");
    if (trace != 0) {
        for (const char* operation : {"memory", "snapshot"}) {
            AccessCheck same = out.back();
            same.operation = operation;
            out.push_back(std::move(same));
        }
        return out;
    }
    add("memory", memory, "open /proc/PID/mem");
    add("snapshot", memory, "open /proc/PID/mem");
    if (memory == 0 && status.seccomp != 0) {
        const std::string missing =
            status.seccomp == 2 ? missing_to_suspend_seccomp() : "run it without strict mode";
        if (!missing.empty()) {
            out.back() = {"snapshot",
                          false,
                          "",
                          "a seccomp filter is on it, under which nothing is injected; " + missing +
                              ", or use method=\"live\" or \"auto\""};
        }
    }
    return out;
}

}  // namespace snapcore
