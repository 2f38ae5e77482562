// SPDX-License-Identifier: Apache-2.0
//
// /proc as records. Parsing is pure (text in, records out); reading is by descriptor, so that a
// recycled pid is never read by mistake.
//
// clang-format off
// call         | purpose       | can block on
// openat, read | /proc/PID/... | mmap_lock of the target (maps, smaps, environ, cmdline), not on its threads
// readlinkat   | exe, cwd      | nothing
// clang-format on
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/owners.h"
#include "minidump/linux_maps.h"
#include "snapshot/context.h"
#include "tables/tables.h"

namespace snapcore::linux_os {

using minidump::Mapping;
using minidump::parse_maps;
using minidump::without_folders;

// /proc/PID/stat or task/TID/stat; the numbers in comments are proc(5)'s field numbers.
struct Stat {
    std::uint32_t pid = 0;                // 1
    std::string comm;                     // 2
    char state = '?';                     // 3
    std::uint32_t parent_pid = 0;         // 4
    std::uint64_t flags = 0;              // 9, PF_*
    std::uint64_t minor_faults = 0;       // 10
    std::uint64_t major_faults = 0;       // 12
    std::uint64_t user_ticks = 0;         // 14
    std::uint64_t kernel_ticks = 0;       // 15
    std::int32_t priority = 0;            // 18
    std::int32_t nice = 0;                // 19
    std::uint32_t threads = 0;            // 20
    std::uint64_t start_ticks = 0;        // 22, after boot
    std::int32_t exit_signal = 0;         // 38
    std::uint32_t realtime_priority = 0;  // 40
    std::uint64_t environment_start = 0;  // 50; 0 to those who may not trace it
    std::uint64_t environment_end = 0;    // 51
};
std::optional<Stat> parse_stat(std::string_view text);

// /proc/PID/status. Sizes in bytes.
struct Status {
    std::string name;
    char state = '?';
    std::uint32_t tgid = 0, tracer_pid = 0, uid = 0, gid = 0, effective_uid = 0;
    std::optional<std::uint64_t> vm_peak, vm_size, vm_hwm, vm_rss, rss_anon, rss_file, rss_shmem,
        vm_swap;
    std::uint64_t signals_pending = 0, shared_signals_pending = 0, signals_blocked = 0;
    std::uint64_t cpus_allowed = 0;  // processors 0 to 63
    int seccomp = 0;
    bool no_new_privs = false;
    std::uint32_t threads = 0;
    std::vector<std::uint32_t> namespace_pids;  // NSpid
};
Status parse_status(std::string_view text);

// Who a process is and what it may, "key:\tvalue" a line: the ids, groups, capabilities, NoNewPrivs
// and Seccomp of its `status`, its security label, login user and namespaces.
std::string credentials(int process_directory, std::string_view status);

constexpr std::size_t kWhole = static_cast<std::size_t>(-1);
// execve(2) gives arguments and environment 6 MiB together. A process can say by prctl(PR_SET_MM)
// that they are any memory of its own, of which a terabyte costs it nothing.
constexpr std::size_t kMostArguments = 8 << 20;

// Whole text of a /proc file below `directory`. Throws Error::from_errno(errno, call, ...) with
// "openat" or "read".
std::string read_text(int directory, const char* name, std::uint32_t pid = 0);
// The same, empty on any error; what lies beyond `most` bytes is left out.
std::string try_read_text(int directory, const char* name, std::size_t most = kWhole);
// Target of a symbolic link below `directory`, empty on any error.
std::string try_read_link(int directory, const char* name);
// Whole text from a descriptor that is open already, from its start.
std::string read_all(int fd, std::size_t most = kWhole);

// O_PATH-free directory descriptor of /proc/PID; throws ProcessGone if there is none.
UniqueDescriptor open_process_directory(std::uint32_t pid);
// Of the calling thread, as TracerPid has it. The glibc of the oldest system that wheels are for
// has no gettid().
std::uint32_t own_tid();
// Task ids in /proc/PID/task, ascending; empty when it is gone.
std::vector<std::uint32_t> list_tasks(int process_directory);

// Boot time in ns since 1970, for Stat::start_ticks; ticks per second from sysconf.
std::int64_t boot_time_ns();
std::int64_t ticks_to_ns(std::uint64_t ticks);

// Records -> facts and rows. Registers are filled in by the caller.
ProcessInfo process_info(int process_directory, std::uint32_t pid);
// Reads comm, stat and status of one task; nullopt when it has gone.
std::optional<ThreadRow> thread_row(int process_directory, std::uint32_t pid, std::uint32_t tid);

}  // namespace snapcore::linux_os
