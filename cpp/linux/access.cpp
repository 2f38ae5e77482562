// SPDX-License-Identifier: Apache-2.0
#include "linux/access.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
constexpr int kCapDacOverride = 1, kCapDacReadSearch = 2, kCapSysPtrace = 19, kCapSysAdmin = 21;
constexpr std::string_view kInitialUserNamespace = "user:[4026531837]";  // PROC_USER_INIT_INO

bool holds(std::uint64_t capabilities, int capability) {
    return ((capabilities >> capability) & 1) != 0;
}

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
                (name.empty() ? "" : " (" + name + ")") + " (TracerPid); detach that debugger or " +
                "tracer first",
            pid};
}

// The value of "Key:\t..." up to the end of its line.
std::string_view value_of(std::string_view status, std::string_view key) {
    for (std::size_t at = 0; at < status.size();) {
        const auto end = std::min(status.find('\n', at), status.size());
        const std::string_view line = status.substr(at, end - at);
        if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ':') {
            return line.substr(key.size() + 1);
        }
        at = end + 1;
    }
    return {};
}

template <class T>
T take_number(std::string_view& text, int base = 10) {
    const auto first = text.find_first_not_of(" \t");
    text.remove_prefix(std::min(first, text.size()));
    T value{};
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value, base).ptr;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

std::string hex(std::uint64_t mask) {
    char text[20];
    (void)std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(mask));
    return text;
}

std::string ids(const std::array<std::uint32_t, 3>& three) {
    if (three[0] == three[1] && three[1] == three[2]) return std::to_string(three[0]);
    return std::to_string(three[0]) + ", effective " + std::to_string(three[1]) + ", saved " +
           std::to_string(three[2]);
}

bool all_are(const std::array<std::uint32_t, 3>& three, std::uint32_t id) {
    return std::all_of(three.begin(), three.end(), [id](std::uint32_t each) { return each == id; });
}

// ptrace(2) goes by the real ids and the permitted capabilities of its caller, a file of /proc by
// the effective ones.
bool is_ptrace(std::string_view call) {
    return call.starts_with("PTRACE_");
}

std::string security_module(const AccessFacts& facts) {
    if (facts.caller.label.empty() && facts.target.label.empty()) return {};
    return " (here \"" + facts.caller.label + "\", there \"" + facts.target.label + "\")";
}

// The advice that fits most refusals, and what stands in its way.
std::string with_capability(const AccessFacts& facts) {
    std::string text = "CAP_SYS_PTRACE";
    if (facts.caller.no_new_privs) {
        text +=
            " given by whoever starts this process (NoNewPrivs is 1 here, so that sudo and file "
            "capabilities have no effect; in Kubernetes that is allowPrivilegeEscalation: false)";
    }
    return text;
}

std::string explain_yama(const AccessFacts& facts) {
    switch (facts.yama_scope) {
        case 1:
            return "kernel.yama.ptrace_scope is 1: only an ancestor may trace; start the target "
                   "from this process (without SNAPCORE_TRACER=helper), run with " +
                   with_capability(facts) +
                   ", let the target call prctl(PR_SET_PTRACER), or set kernel.yama.ptrace_scope "
                   "to 0";
        case 2:
            return "kernel.yama.ptrace_scope is 2: run as root or with " + with_capability(facts);
        default:
            return "kernel.yama.ptrace_scope is 3: no process may trace another until the next "
                   "boot";
    }
}

std::string read_label(int directory) {
    std::string label = try_read_text(directory, "attr/current");
    while (!label.empty() && (label.back() == '\n' || label.back() == '\0')) label.pop_back();
    return label;
}

// The files of a process that is not dumpable belong to root, whoever runs it.
std::optional<bool> is_dumpable(int process_directory, const Credentials& target) {
    struct stat status{};
    if (target.uids[1] == 0 || ::fstatat(process_directory, "status", &status, 0) < 0) {
        return std::nullopt;
    }
    return status.st_uid == target.uids[1];
}

// The link is shown to those who may trace only; the map, in numbers of the reader's own namespace,
// to everyone.
bool in_other_user_namespace(int process_directory) {
    const std::string link = try_read_link(process_directory, "ns/user");
    if (!link.empty()) return link != try_read_link(AT_FDCWD, "/proc/self/ns/user");
    return try_read_text(process_directory, "uid_map") !=
           try_read_text(AT_FDCWD, "/proc/self/uid_map");
}

Error foreign_proc(std::uint32_t pid) {
    return Error::unsupported(
        "",
        "/proc here belongs to another pid namespace, where this number is another process; mount "
        "it anew in this one (unshare --mount-proc, mount -t proc proc /proc)",
        pid);
}

}  // namespace

Credentials parse_credentials(std::string_view status) {
    Credentials out;
    std::string_view uids = value_of(status, "Uid"), gids = value_of(status, "Gid");
    for (std::uint32_t& id : out.uids) id = take_number<std::uint32_t>(uids);
    for (std::uint32_t& id : out.gids) id = take_number<std::uint32_t>(gids);
    std::string_view permitted = value_of(status, "CapPrm"), effective = value_of(status, "CapEff");
    out.permitted = take_number<std::uint64_t>(permitted, 16);
    out.effective = take_number<std::uint64_t>(effective, 16);
    std::string_view no_new_privs = value_of(status, "NoNewPrivs"),
                     seccomp = value_of(status, "Seccomp");
    out.no_new_privs = take_number<int>(no_new_privs) == 1;
    out.seccomp = take_number<int>(seccomp);
    return out;
}

std::string explain_refusal(const AccessFacts& facts) {
    const Credentials& caller = facts.caller;
    const Credentials& target = facts.target;
    const bool tracing = is_ptrace(facts.call);
    const std::uint32_t uid = caller.uids[tracing ? 0 : 1], gid = caller.gids[tracing ? 0 : 1];
    const bool capable = holds(caller.effective, kCapSysPtrace);

    if (facts.ptrace_is_filtered) {
        return "a seccomp filter on this process refuses ptrace (Seccomp is 2 here): a container "
               "profile; start the container with a profile that allows ptrace (Docker: "
               "--cap-add=SYS_PTRACE or --security-opt seccomp=PROFILE; Kubernetes: "
               "seccompProfile)";
    }
    // Yama has no say where tables are read alone.
    const int yama_scope = tracing || facts.call.ends_with("/mem") ? facts.yama_scope : -1;
    if (yama_scope == 3) return explain_yama(facts);
    if (capable && !tracing && facts.error == EACCES &&
        !holds(caller.effective, kCapDacReadSearch) && !holds(caller.effective, kCapDacOverride)) {
        return "CAP_SYS_PTRACE is here, but this file of /proc can be opened by its owner (user " +
               std::to_string(facts.dumpable == false ? 0 : target.uids[1]) +
               ") alone; add CAP_DAC_READ_SEARCH, or write a stacks-only dump, which does without";
    }
    if (facts.other_user_namespace) {
        return "it lies in another user namespace, in which this process has no capabilities (it "
               "belongs to user " +
               ids(target.uids) + " as seen from here, and this is user " + std::to_string(uid) +
               "); run in that namespace (nsenter --user --target PID), or as root of a "
               "namespace around both";
    }
    if (!capable && !all_are(target.uids, uid)) {
        if (target.uids[0] == uid) {
            return "it runs a set-user-id program (its user is " + ids(target.uids) +
                   ", and this is user " + std::to_string(uid) + "); run as root or with " +
                   with_capability(facts);
        }
        return "it belongs to user " + ids(target.uids) + " and this is user " +
               std::to_string(uid) + "; run as that user, as root, or with " +
               with_capability(facts);
    }
    if (!capable && !all_are(target.gids, gid)) {
        return "its group is " + ids(target.gids) + " and here it is " + std::to_string(gid) +
               "; run with that group (newgrp, setpriv --regid), as root, or with " +
               with_capability(facts);
    }
    if (!capable && facts.dumpable == false) {
        return "it is not dumpable: prctl(PR_SET_DUMPABLE, 0), a program that its user may not "
               "read, or a change of its user ids; run as root or with " +
               with_capability(facts);
    }
    const std::uint64_t here = tracing ? caller.permitted : caller.effective;
    if (!capable && (target.permitted & ~here) != 0) {
        return "it holds capabilities that this process lacks (CapPrm " + hex(target.permitted) +
               " there, " + hex(here) + " here); run with the same ones, or with " +
               with_capability(facts);
    }
    if (!capable && yama_scope == 2) return explain_yama(facts);
    if (!capable && yama_scope == 1 && !facts.is_descendant) return explain_yama(facts);
    if (facts.traced_unseen) {
        return "it is traced already, by a process outside this pid namespace; detach that "
               "debugger or tracer first";
    }
    std::string left = "a security module" + security_module(facts);
    if (caller.seccomp == 2) left += ", or the seccomp filter of this process (Seccomp is 2 here)";
    std::string advice = "; allow ptrace in the profile of the container or service";
    if (!capable) {
        if (!facts.dumpable) {
            left +=
                ", or the target is not dumpable (prctl PR_SET_DUMPABLE 0, a program that its "
                "user may not read)";
        }
        advice += ", or run with " + with_capability(facts);
    }
    return "user, group, capabilities, Yama and TracerPid are as they should be, so what refuses "
           "is " +
           left + advice;
}

std::string missing_to_suspend_seccomp() {
    // PTRACE_O_SUSPEND_SECCOMP asks for a tracer that is not filtered itself, and for CAP_SYS_ADMIN
    // of the machine: that of a user namespace's root does not count.
    const Credentials own = parse_credentials(try_read_text(AT_FDCWD, "/proc/self/status"));
    const std::string suspended = " (the filter is then suspended for the one call)";
    if (own.seccomp != 0) {
        return "run with CAP_SYS_ADMIN and without a seccomp filter on this process (Seccomp is " +
               std::to_string(own.seccomp) +
               " here; Docker: --security-opt seccomp=unconfined, Kubernetes: seccompProfile "
               "Unconfined)" +
               suspended;
    }
    if (!holds(own.effective, kCapSysAdmin)) return "run with CAP_SYS_ADMIN" + suspended;
    if (!in_initial_user_namespace()) {
        return "run with CAP_SYS_ADMIN outside this user namespace" + suspended;
    }
    return {};
}

Credentials own_credentials() {
    Credentials own = parse_credentials(try_read_text(AT_FDCWD, "/proc/self/status"));
    own.label = read_label(open_process_directory(own_pid()).get());
    return own;
}

std::uint32_t own_pid() {
    return static_cast<std::uint32_t>(::getpid());
}

bool in_initial_user_namespace() {
    return try_read_link(AT_FDCWD, "/proc/self/ns/user") == kInitialUserNamespace;
}

bool ptrace_is_filtered() {
    // No process has the number 0, so the kernel itself would say ESRCH.
    return ::ptrace(PTRACE_INTERRUPT, 0, nullptr, nullptr) < 0 && errno != ESRCH;
}

bool proc_is_of_this_namespace() {
    const auto pid = parse_status(try_read_text(AT_FDCWD, "/proc/self/status")).namespace_pids;
    return pid.empty() || pid.size() == 1;
}

int yama_scope() {
    const std::string text = try_read_text(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope");
    return text.empty() ? -1 : static_cast<int>(std::strtol(text.c_str(), nullptr, 10));
}

bool has_ptrace_capability() {
    const Credentials own = parse_credentials(try_read_text(AT_FDCWD, "/proc/self/status"));
    return holds(own.effective, kCapSysPtrace);
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

UniqueDescriptor open_target(std::uint32_t pid) {
    const std::string path = "/proc/" + std::to_string(pid);
    UniqueDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory) return directory;
    const int error = errno;
    if (error == EPERM || error == EACCES) {
        throw Error::from_errno(error,
                                "open",
                                "/proc is mounted with hidepid=1, which closes the processes that "
                                "this user may not trace; run as the user of the target, as root, "
                                "with CAP_SYS_PTRACE, or in the group that its gid= option names",
                                pid);
    }
    if (error != ENOENT) throw Error::from_errno(error, "open", "", pid);
    const bool exists = ::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM;
    if (!exists) throw Error::from_errno(ESRCH, "open", "no such process", pid);
    struct stat status{};
    if (::stat("/proc/self", &status) < 0) {
        throw Error::unsupported(
            "", "/proc is not mounted here; mount it (mount -t proc proc /proc)", pid);
    }
    if (!proc_is_of_this_namespace()) throw foreign_proc(pid);
    throw Error::from_errno(EACCES,
                            "open",
                            "the process exists, but /proc hides it (hidepid=2 or 4): this user "
                            "may not trace it; run as the user of the target, as root, with "
                            "CAP_SYS_PTRACE, or in the group that its gid= option names",
                            pid);
}

void check_target(int process_directory, std::uint32_t pid, bool needs_trace) {
    const auto stat = parse_stat(try_read_text(process_directory, "stat"));
    if (!stat) throw process_gone(pid, "it ended; check the process id");
    if (!proc_is_of_this_namespace()) throw foreign_proc(pid);
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
    const std::string text = try_read_text(process_directory, "status");
    const Status status = parse_status(text);
    if (status.tracer_pid != 0) return already_traced(pid, status.tracer_pid);
    AccessFacts facts;
    facts.call = call;
    facts.error = error;
    facts.caller = own_credentials();
    facts.target = parse_credentials(text);
    facts.target.label = read_label(process_directory);
    // The machine's own capabilities count in every namespace.
    const bool everywhere =
        holds(facts.caller.effective, kCapSysPtrace) && in_initial_user_namespace();
    facts.other_user_namespace = !everywhere && in_other_user_namespace(process_directory);
    facts.dumpable = is_dumpable(process_directory, facts.target);
    facts.yama_scope = yama_scope();
    facts.is_descendant = is_descendant(pid, own_pid());
    facts.ptrace_is_filtered = is_ptrace(call) && ptrace_is_filtered();
    facts.traced_unseen = stat->state == 't';
    return Error::from_errno(error, call, explain_refusal(facts), pid);
}

}  // namespace snapcore::linux_os
