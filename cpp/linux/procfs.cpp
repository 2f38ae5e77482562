// SPDX-License-Identifier: Apache-2.0
#include "linux/procfs.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "generated/flags.h"

namespace snapcore::linux_os {
namespace {

constexpr std::uint32_t kStillActive = 259;

template <class T>
bool number(std::string_view& text, T& out, int base = 10) {
    const auto r = std::from_chars(text.data(), text.data() + text.size(), out, base);
    if (r.ec != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(r.ptr - text.data()));
    return true;
}

std::string_view next_field(std::string_view& text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    const auto end = std::min(text.find_first_of(" \t\n"), text.size());
    const std::string_view field = text.substr(0, end);
    text.remove_prefix(end);
    return field;
}

template <class T>
T field_as(std::string_view field, int base = 10) {
    T value{};
    number(field, value, base);
    return value;
}

// "ff,00000003": 32-bit words, the last one holds processors 0 to 31.
std::uint64_t last_mask_words(std::string_view value) {
    std::uint64_t mask = 0;
    std::string_view field = next_field(value);
    for (int word = 0; word < 2 && !field.empty(); ++word) {
        const auto comma = field.rfind(',');
        const std::string_view digits =
            comma == std::string_view::npos ? field : field.substr(comma + 1);
        mask |= field_as<std::uint64_t>(digits, 16) << (32 * word);
        if (comma == std::string_view::npos) break;
        field = field.substr(0, comma);
    }
    return mask;
}

}  // namespace

std::optional<Stat> parse_stat(std::string_view text) {
    const auto open = text.find('(');
    const auto close = text.rfind(')');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open)
        return std::nullopt;
    Stat s;
    std::string_view head = text.substr(0, open);
    s.pid = field_as<std::uint32_t>(next_field(head));
    s.comm = text.substr(open + 1, close - open - 1);
    std::string_view rest = text.substr(close + 1);
    for (int n = 3; n <= 51; ++n) {
        const std::string_view f = next_field(rest);
        if (f.empty()) return n > 22 ? std::optional<Stat>(s) : std::nullopt;
        switch (n) {
            case 3: s.state = f[0]; break;
            case 4: s.parent_pid = field_as<std::uint32_t>(f); break;
            case 9: s.flags = field_as<std::uint64_t>(f); break;
            case 10: s.minor_faults = field_as<std::uint64_t>(f); break;
            case 12: s.major_faults = field_as<std::uint64_t>(f); break;
            case 14: s.user_ticks = field_as<std::uint64_t>(f); break;
            case 15: s.kernel_ticks = field_as<std::uint64_t>(f); break;
            case 18: s.priority = field_as<std::int32_t>(f); break;
            case 19: s.nice = field_as<std::int32_t>(f); break;
            case 20: s.threads = field_as<std::uint32_t>(f); break;
            case 22: s.start_ticks = field_as<std::uint64_t>(f); break;
            case 38: s.exit_signal = field_as<std::int32_t>(f); break;
            case 40: s.realtime_priority = field_as<std::uint32_t>(f); break;
            case 50: s.environment_start = field_as<std::uint64_t>(f); break;
            case 51: s.environment_end = field_as<std::uint64_t>(f); break;
            default: break;
        }
    }
    return s;
}

Status parse_status(std::string_view text) {
    Status s;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        const std::string_view key = line.substr(0, colon);
        std::string_view value = line.substr(colon + 1);
        const auto size = [&] { return field_as<std::uint64_t>(next_field(value)) * 1024; };
        const auto mask = [&] { return field_as<std::uint64_t>(next_field(value), 16); };
        if (key == "Name") {
            while (!value.empty() && value.front() == '\t') value.remove_prefix(1);
            s.name = unescape_octal(value);
        } else if (key == "State") {
            const std::string_view field = next_field(value);
            if (!field.empty()) s.state = field[0];
        } else if (key == "Tgid") {
            s.tgid = field_as<std::uint32_t>(next_field(value));
        } else if (key == "TracerPid") {
            s.tracer_pid = field_as<std::uint32_t>(next_field(value));
        } else if (key == "Uid") {
            s.uid = field_as<std::uint32_t>(next_field(value));
            s.effective_uid = field_as<std::uint32_t>(next_field(value));
        } else if (key == "Gid") {
            s.gid = field_as<std::uint32_t>(next_field(value));
        } else if (key == "VmPeak") {
            s.vm_peak = size();
        } else if (key == "VmSize") {
            s.vm_size = size();
        } else if (key == "VmHWM") {
            s.vm_hwm = size();
        } else if (key == "VmRSS") {
            s.vm_rss = size();
        } else if (key == "RssAnon") {
            s.rss_anon = size();
        } else if (key == "RssFile") {
            s.rss_file = size();
        } else if (key == "RssShmem") {
            s.rss_shmem = size();
        } else if (key == "VmSwap") {
            s.vm_swap = size();
        } else if (key == "SigPnd") {
            s.signals_pending = mask();
        } else if (key == "ShdPnd") {
            s.shared_signals_pending = mask();
        } else if (key == "SigBlk") {
            s.signals_blocked = mask();
        } else if (key == "Cpus_allowed") {
            s.cpus_allowed = last_mask_words(value);
        } else if (key == "Seccomp") {
            s.seccomp = field_as<int>(next_field(value));
        } else if (key == "NoNewPrivs") {
            s.no_new_privs = next_field(value) == "1";
        } else if (key == "Threads") {
            s.threads = field_as<std::uint32_t>(next_field(value));
        } else if (key == "NSpid") {
            for (std::string_view field = next_field(value); !field.empty();
                 field = next_field(value)) {
                s.namespace_pids.push_back(field_as<std::uint32_t>(field));
            }
        }
    }
    return s;
}

std::string read_all(int fd, std::size_t most) {
    std::string out;
    std::size_t size = 4096;
    for (;;) {
        const std::size_t at = out.size();
        size = std::min(size, most - at);
        if (size == 0) return out;
        out.resize(at + size);
        const ssize_t n = ::read(fd, out.data() + at, size);
        if (n < 0 && errno == EINTR) {
            out.resize(at);
            continue;
        }
        if (n <= 0) {
            out.resize(at);
            if (n < 0 && at == 0) {
                return {};
            }
            return out;
        }
        out.resize(at + static_cast<std::size_t>(n));
        size = std::min<std::size_t>(size * 2, 1 << 20);
    }
}

std::string read_text(int directory, const char* name, std::uint32_t pid) {
    const UniqueDescriptor f(::openat(directory, name, O_RDONLY | O_CLOEXEC));
    if (!f) throw Error::from_errno(errno, "openat", name, pid);
    return read_all(f.get());
}
std::string try_read_text(int directory, const char* name, std::size_t most) {
    const UniqueDescriptor f(::openat(directory, name, O_RDONLY | O_CLOEXEC));
    return f ? read_all(f.get(), most) : std::string();
}
std::string try_read_link(int directory, const char* name) {
    std::string out(4096, '\0');
    const ssize_t n = ::readlinkat(directory, name, out.data(), out.size());
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
}
UniqueDescriptor open_process_directory(std::uint32_t pid) {
    const std::string path = "/proc/" + std::to_string(pid);
    UniqueDescriptor d(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!d)
        throw Error::from_errno(
            errno == ENOENT ? ESRCH : errno, "open", errno == ENOENT ? "no such process" : "", pid);
    return d;
}

std::uint32_t own_tid() {
    return static_cast<std::uint32_t>(::syscall(SYS_gettid));
}

std::vector<std::uint32_t> list_tasks(int process_directory) {
    std::vector<std::uint32_t> out;
    const UniqueDescriptor d(
        ::openat(process_directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!d) return out;
    std::array<char, 32768> buffer;
    for (;;) {
        const long n = ::syscall(SYS_getdents64, d.get(), buffer.data(), buffer.size());
        if (n <= 0) break;
        for (long at = 0; at < n;) {
            std::uint16_t length;
            std::memcpy(&length, buffer.data() + at + 16, sizeof length);
            std::string_view name(buffer.data() + at + 19);
            std::uint32_t tid = 0;
            if (number(name, tid)) out.push_back(tid);
            at += length;
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}
std::int64_t boot_time_ns() {
    timespec real{}, boot{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    ::clock_gettime(CLOCK_BOOTTIME, &boot);
    return (real.tv_sec - boot.tv_sec) * 1'000'000'000 + (real.tv_nsec - boot.tv_nsec);
}
std::int64_t ticks_to_ns(std::uint64_t ticks) {
    static const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    return static_cast<std::int64_t>(ticks * (1'000'000'000 / per_second));
}
std::string credentials(int process_directory, std::string_view status) {
    constexpr std::string_view kKeys[] = {
        "Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp"};
    std::string out;
    for (std::size_t at = 0; at < status.size();) {
        const auto end = std::min(status.find('\n', at), status.size());
        const std::string_view line = status.substr(at, end - at);
        for (const std::string_view key : kKeys) {
            if (line.starts_with(key)) out.append(line).append("\n");
        }
        at = end + 1;
    }
    const auto add = [&](const std::string& key, std::string value) {
        while (!value.empty() && (value.back() == '\n' || value.back() == '\0')) value.pop_back();
        if (!value.empty()) out += key + ":\t" + value + "\n";
    };
    add("LoginUid", try_read_text(process_directory, "loginuid"));
    add("SecurityLabel", try_read_text(process_directory, "attr/current"));
    for (const char* const kind : {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"}) {
        add("Namespace", try_read_link(process_directory, ("ns/" + std::string(kind)).c_str()));
    }
    return out;
}

ProcessInfo process_info(int process_directory, std::uint32_t pid) {
    ProcessInfo info;
    info.pid = pid;
    const auto stat = parse_stat(try_read_text(process_directory, "stat"));
    if (!stat) return info;
    info.parent_pid = stat->parent_pid;
    info.exit_status = kStillActive;
    info.created_at_ns = boot_time_ns() + ticks_to_ns(stat->start_ticks);
    info.kernel_time_ns = ticks_to_ns(stat->kernel_ticks);
    info.user_time_ns = ticks_to_ns(stat->user_ticks);
    info.base_priority = stat->nice;
    info.page_faults = stat->minor_faults + stat->major_faults;
    info.thread_count = stat->threads;
    info.flags = stat->state == 'T' ? ProcessFlags::FROZEN : ProcessFlags::NONE;

    const Status status = parse_status(try_read_text(process_directory, "status"));
    info.name = status.name.empty() ? stat->comm : status.name;
    info.affinity = status.cpus_allowed;
    info.virtual_size = status.vm_size;
    info.peak_virtual_size = status.vm_peak;
    info.working_set_size = status.vm_rss;
    info.peak_working_set_size = status.vm_hwm;
    info.pagefile_usage = status.vm_swap;
    if (status.rss_anon) info.private_usage = *status.rss_anon + status.vm_swap.value_or(0);
    info.shared_usage = status.rss_shmem;
    info.uid = status.uid;
    info.gid = status.gid;
    if (std::string path = try_read_link(process_directory, "exe"); !path.empty()) {
        info.image_path = std::move(path);
    }
    info.command_line = try_read_text(process_directory, "cmdline", kMostArguments);
    return info;
}

std::optional<ThreadRow> thread_row(int process_directory, std::uint32_t pid, std::uint32_t tid) {
    const auto stat = parse_stat(
        try_read_text(process_directory, ("task/" + std::to_string(tid) + "/stat").c_str()));
    if (!stat) return std::nullopt;
    ThreadRow row;
    row.tid = tid;
    row.pid = pid;
    row.name = stat->comm;
    row.flags = ThreadFlags::NONE;
    row.state = std::string(1, stat->state);
    row.exit_status = kStillActive;
    row.priority = stat->priority;
    row.base_priority = stat->nice;
    row.suspend_count = std::uint16_t{0};
    row.created_at_ns = boot_time_ns() + ticks_to_ns(stat->start_ticks);
    row.kernel_time_ns = ticks_to_ns(stat->kernel_ticks);
    row.user_time_ns = ticks_to_ns(stat->user_ticks);
    row.captured_at_ns = wall_clock_ns();
    // One call where the text of status would have the kernel print fifty lines.
    cpu_set_t processors;
    if (::sched_getaffinity(static_cast<pid_t>(tid), sizeof processors, &processors) == 0) {
        std::uint64_t mask = 0;
        std::memcpy(&mask, &processors, sizeof mask);
        row.affinity = mask;
    }
    return row;
}

}  // namespace snapcore::linux_os
