// SPDX-License-Identifier: Apache-2.0
#include "linux/descriptors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/owners.h"
#include "generated/flags.h"
#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

constexpr std::size_t kLongestLink = 4096;

std::optional<std::string> read_link(int directory, int number, std::string& buffer) {
    char name[16];
    *std::to_chars(name, name + sizeof name - 1, number).ptr = '\0';
    buffer.resize(kLongestLink);
    const ssize_t n = ::readlinkat(directory, name, buffer.data(), buffer.size());
    if (n < 0) return std::nullopt;
    return buffer.substr(0, static_cast<std::size_t>(n));
}

struct Kind {
    const char* type_name;
    std::uint32_t type = ObjectType::UNKNOWN;
    bool is_path = false;
};

struct KnownLink {
    std::string_view prefix;
    Kind kind;
};

constexpr KnownLink kKnownLinks[] = {
    {"socket:[", {"Socket"}},
    {"pipe:[", {"Pipe"}},
    {"anon_inode:[eventfd", {"EventFd", ObjectType::EVENT}},
    {"anon_inode:[eventpoll]", {"EventPoll"}},
    {"anon_inode:[timerfd]", {"TimerFd"}},
    {"anon_inode:[signalfd]", {"SignalFd"}},
    {"anon_inode:inotify", {"Inotify"}},
    {"anon_inode:[inotify", {"Inotify"}},
    {"anon_inode:[fanotify]", {"Fanotify"}},
    {"anon_inode:[pidfd]", {"PidFd", ObjectType::PROCESS}},
    {"pidfd:[", {"PidFd", ObjectType::PROCESS}},
    {"anon_inode:[userfaultfd]", {"UserFaultFd"}},
    {"anon_inode:[io_uring]", {"IoUring"}},
    {"anon_inode:[perf_event]", {"PerfEvent"}},
    {"anon_inode:bpf-", {"Bpf"}},
    {"anon_inode:", {"AnonInode"}},
    {"/memfd:", {"MemFd", ObjectType::SECTION, true}},
    {"mnt:[", {"Namespace"}},
    {"net:[", {"Namespace"}},
    {"pid:[", {"Namespace"}},
    {"user:[", {"Namespace"}},
    {"uts:[", {"Namespace"}},
    {"ipc:[", {"Namespace"}},
    {"cgroup:[", {"Namespace"}},
    {"time:[", {"Namespace"}},
};

Kind kind_of_link(std::string_view link) {
    for (const KnownLink& known : kKnownLinks) {
        if (link.starts_with(known.prefix)) return known.kind;
    }
    return {"File", ObjectType::UNKNOWN, true};
}

const char* kind_of_mode(std::uint32_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR: return "Directory";
        case S_IFCHR: return "CharacterDevice";
        case S_IFBLK: return "BlockDevice";
        case S_IFIFO: return "Fifo";
        case S_IFSOCK: return "Socket";
        default: return "File";
    }
}

// The number in "pipe:[123]".
std::optional<std::uint64_t> bracketed_number(std::string_view link) {
    const auto open = link.find('[');
    if (open == std::string_view::npos) return std::nullopt;
    std::uint64_t value = 0;
    const auto result = std::from_chars(link.data() + open + 1, link.data() + link.size(), value);
    if (result.ec != std::errc{} || *result.ptr != ']') return std::nullopt;
    return value;
}

// Value of "key:\tvalue" in fdinfo.
std::optional<std::string_view> value_of(std::string_view text, std::string_view key) {
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, end - at);
        if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ':') {
            line.remove_prefix(key.size() + 1);
            const auto first = line.find_first_not_of(" \t");
            return first == std::string_view::npos ? std::string_view{} : line.substr(first);
        }
        at = end + 1;
    }
    return std::nullopt;
}

template <class T>
std::optional<T> number_of(std::string_view text, std::string_view key, int base) {
    const auto value = value_of(text, key);
    T out{};
    if (!value || std::from_chars(value->data(), value->data() + value->size(), out, base).ec !=
                      std::errc{}) {
        return std::nullopt;
    }
    return out;
}

class HandleReader {
public:
    HandleReader(int process_directory, const DescriptorDetail& detail)
        : links_(::openat(process_directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
          infos_(::openat(process_directory, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
          detail_(detail) {}

    HandleRow row(const DescriptorLink& link) {
        HandleRow row;
        const Kind kind = kind_of_link(link.link);
        row.handle = static_cast<std::uint64_t>(link.number);
        row.captured_at_ns = link.captured_at_ns;
        row.type = kind.type;
        row.type_name = kind.type_name;
        std::uint32_t known = HandleFlags::HAVE_TYPE;
        if (detail_.names) {
            row.object_name = link.link;
            known |= HandleFlags::HAVE_NAME;
        }
        // What the number names now may be another file; its facts would be a lie about this one.
        const bool same = read_link(links_.get(), link.number, buffer_) == link.link;
        const std::string name = std::to_string(link.number);
        if (same && (kind.is_path || detail_.basic)) add_status(row, kind, name);
        if (detail_.basic && !row.inode) row.inode = bracketed_number(link.link);
        const bool counted = kind.type == ObjectType::EVENT || kind.type == ObjectType::PROCESS;
        if (same && (detail_.basic || (detail_.type_specific && counted)))
            add_info(row, kind, name);
        if (row.granted_access) known |= HandleFlags::HAVE_BASIC_INFORMATION;
        if (row.current_count || row.target_pid || row.section_size) {
            known |= HandleFlags::HAVE_TYPE_SPECIFIC_INFORMATION;
        }
        row.flags = known;
        return row;
    }

private:
    void add_status(HandleRow& row, const Kind& kind, const std::string& name) {
        // Of a file on a network file system the cached attributes must do: its server may not
        // answer.
        struct statx status{};
        constexpr unsigned kWanted = STATX_TYPE | STATX_MODE | STATX_INO | STATX_SIZE;
        if (::statx(links_.get(), name.c_str(), AT_STATX_DONT_SYNC, kWanted, &status) < 0) return;
        if (kind.type == ObjectType::UNKNOWN && kind.is_path)
            row.type_name = kind_of_mode(status.stx_mode);
        if (detail_.basic) {
            row.attributes = status.stx_mode;
            row.inode = status.stx_ino;
            row.device = makedev(status.stx_dev_major, status.stx_dev_minor);
        }
        if (detail_.type_specific && kind.type == ObjectType::SECTION) {
            row.section_size = static_cast<std::int64_t>(status.stx_size);
        }
    }

    void add_info(HandleRow& row, const Kind& kind, const std::string& name) {
        const std::string text = try_read_text(infos_.get(), name.c_str());
        if (detail_.basic) {
            row.position = number_of<std::int64_t>(text, "pos", 10);
            row.granted_access = number_of<std::uint32_t>(text, "flags", 8);
        }
        if (!detail_.type_specific) return;
        if (kind.type == ObjectType::EVENT) {
            if (const auto count = number_of<std::uint64_t>(text, "eventfd-count", 16)) {
                row.current_count = static_cast<std::int64_t>(*count);
                row.signaled = *count != 0 ? Boolean::kTrue : Boolean::kFalse;
            }
        } else if (kind.type == ObjectType::PROCESS) {
            // -1: the process has been waited for.
            if (const auto pid = number_of<std::int64_t>(text, "Pid", 10); pid && *pid > 0) {
                row.target_pid = static_cast<std::uint32_t>(*pid);
            }
        }
    }

    UniqueDescriptor links_, infos_;
    DescriptorDetail detail_;
    std::string buffer_;
};

}  // namespace

std::vector<DescriptorLink> list_descriptors(int process_directory,
                                             std::size_t limit,
                                             bool* complete) {
    std::vector<DescriptorLink> out;
    *complete = true;
    const UniqueDescriptor directory(
        ::openat(process_directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
        if (errno == ENOENT || errno == ESRCH) return out;
        throw Error::from_errno(errno, "openat", "its descriptor table may not be read");
    }
    std::array<char, 32768> entries;
    std::string buffer;
    for (;;) {
        const long n = ::syscall(SYS_getdents64, directory.get(), entries.data(), entries.size());
        if (n <= 0) break;
        for (long at = 0; at < n;) {
            // struct linux_dirent64: d_reclen at 16, d_name at 19.
            std::uint16_t length;
            std::memcpy(&length, entries.data() + at + 16, sizeof length);
            const std::string_view name(entries.data() + at + 19);
            at += length;
            DescriptorLink link;
            if (std::from_chars(name.data(), name.data() + name.size(), link.number).ec !=
                std::errc{}) {
                continue;
            }
            if (out.size() == limit) {
                *complete = false;
                return out;
            }
            auto target = read_link(directory.get(), link.number, buffer);
            if (!target) {
                if (errno == ENOENT) continue;  // closed since it was listed
                throw Error::from_errno(
                    errno, "readlinkat", "its descriptor table may not be read");
            }
            link.link = std::move(*target);
            link.captured_at_ns = wall_clock_ns();
            out.push_back(std::move(link));
        }
    }
    std::sort(
        out.begin(), out.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    return out;
}

std::shared_ptr<const HandleTable> handle_table(int process_directory,
                                                const std::vector<DescriptorLink>& links,
                                                const DescriptorDetail& detail) {
    auto table = std::make_shared<HandleTable>();
    table->reserve(links.size());
    HandleReader reader(process_directory, detail);
    for (const DescriptorLink& link : links) table->append(reader.row(link));
    return table;
}

}  // namespace snapcore::linux_os
