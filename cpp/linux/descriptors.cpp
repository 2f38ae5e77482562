// SPDX-License-Identifier: Apache-2.0
#include "linux/descriptors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/owners.h"
#include "generated/flags.h"
#include "linux/descriptor_details.h"
#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

constexpr std::size_t kLongestLink = 4096;

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
    {"anon_inode:bpf", {"Bpf"}},
    {"anon_inode:btf", {"Bpf"}},
    {"anon_inode:kvm-", {"Kvm"}},
    {"anon_inode:seccomp notify", {"SeccompNotify"}},
    {"anon_inode:", {"AnonInode"}},
    {"/memfd:", {"MemFd", ObjectType::SECTION, true}},
    {"/dmabuf:", {"DmaBuf", ObjectType::SECTION, true}},
    {"/dev/kvm", {"Kvm", ObjectType::UNKNOWN, true}},
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

// mq_open() shows a queue as "/name", a look into the mounted file system as "/dev/mqueue/name".
// Its inode always has the same size.
bool may_be_message_queue(std::string_view link, const struct statx& status) {
    constexpr std::uint64_t kQueueStatusSize = 80;
    return status.stx_dev_major == 0 && status.stx_size == kQueueStatusSize &&
           S_ISREG(status.stx_mode) &&
           (link.find('/', 1) == std::string_view::npos || link.starts_with("/dev/mqueue/"));
}

// What one process's rows need.
class HandleReader {
public:
    HandleReader(int process_directory,
                 std::uint32_t pid,
                 const DescriptorDetail& detail,
                 SocketTables& sockets,
                 Peers& peers)
        : directory_(process_directory),
          pid_(pid),
          links_(::openat(process_directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
          infos_(::openat(process_directory, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
          detail_(detail),
          sockets_(sockets),
          peers_(peers) {}

    HandleRow row(const DescriptorLink& link, std::size_t index) {
        const Kind kind = kind_of_link(link.link);
        HandleRow row = bare_row(link, kind);
        char name[16];
        *std::to_chars(name, name + sizeof name - 1, link.number).ptr = '\0';
        const bool is_socket = std::string_view(kind.type_name) == "Socket";
        const bool is_pipe = std::string_view(kind.type_name) == "Pipe";
        const bool special = !is_socket && !is_pipe;
        End end;
        bool asked = false;
        if (kind.is_path || detail_.basic) {
            add_status(row, kind, link.link, name, end);
            asked = true;
        }
        if (detail_.basic || (detail_.type_specific && special)) {
            add_info(row, name);
            asked = true;
        }
        if (detail_.type_specific) {
            if (is_socket) add_socket(row, link, name, end);
            if (is_pipe || row.type_name == "Fifo") {
                if (is_pipe) end.inode = bracketed_number(link.link).value_or(0);
                if (row.granted_access && is_pipe) {
                    const auto mode = *row.granted_access & O_ACCMODE;
                    end.reads = mode != O_WRONLY;
                    end.writes = mode != O_RDONLY;
                } else if (!is_end(links_.get(), name, end)) {
                    end.inode = 0;
                }
            }
            if (kind.type == ObjectType::SECTION) add_seals(row, link.number);
            asked = true;
        }
        // What the number names now may be another file; its facts would be a lie about this one.
        if (asked && !still_names(name, link.link)) return bare_row(link, kind);

        if (end.inode != 0 || end.peer_inode != 0) {
            end.row = index;
            end.pid = pid_;
            end.handle = static_cast<std::uint64_t>(link.number);
            if (detail_.peers && !end.is_socket) end.link = link.link;
            peers_.add(std::move(end));
        }
        std::uint32_t known = row.flags.value_or(0);
        if (row.granted_access) known |= HandleFlags::HAVE_BASIC_INFORMATION;
        if (row.current_count || row.target_pid || row.section_size || row.socket_family ||
            row.socket_protocol || row.watch_count || row.signal_mask || row.clock || row.locks ||
            row.details) {
            known |= HandleFlags::HAVE_TYPE_SPECIFIC_INFORMATION;
        }
        row.flags = known;
        return row;
    }

    std::uint64_t seals_refused() const { return seals_refused_; }

private:
    HandleRow bare_row(const DescriptorLink& link, const Kind& kind) const {
        HandleRow row;
        row.handle = static_cast<std::uint64_t>(link.number);
        row.captured_at_ns = link.captured_at_ns;
        row.type = kind.type;
        row.type_name = kind.type_name;
        std::uint32_t known = HandleFlags::HAVE_TYPE;
        if (detail_.names) {
            row.object_name = link.link;
            known |= HandleFlags::HAVE_NAME;
        }
        if (detail_.basic && !kind.is_path) row.inode = bracketed_number(link.link);
        row.flags = known;
        return row;
    }

    void add_status(
        HandleRow& row, const Kind& kind, std::string_view link, const char* name, End& end) {
        // Of a file on a network file system the cached attributes must do: its server may not
        // answer.
        struct statx status{};
        constexpr unsigned kWanted = STATX_TYPE | STATX_MODE | STATX_INO | STATX_SIZE;
        if (::statx(links_.get(), name, AT_STATX_DONT_SYNC, kWanted, &status) < 0) return;
        const std::uint64_t device = makedev(status.stx_dev_major, status.stx_dev_minor);
        if (std::string_view(kind.type_name) == "File") {
            row.type_name = kind_of_mode(status.stx_mode);
            if (may_be_message_queue(link, status) && is_message_queue(name))
                row.type_name = "MessageQueue";
            if (S_ISFIFO(status.stx_mode)) {
                end.inode = status.stx_ino;
                end.device = device;
            }
        }
        if (detail_.basic) {
            row.attributes = status.stx_mode;
            row.inode = status.stx_ino;
            row.device = device;
        }
        if (detail_.type_specific && kind.type == ObjectType::SECTION) {
            row.section_size = static_cast<std::int64_t>(status.stx_size);
        }
    }

    bool is_message_queue(const char* name) const {
        constexpr long kMessageQueues = 0x19800202;
        const UniqueDescriptor file(::openat(links_.get(), name, O_PATH | O_CLOEXEC));
        struct statfs system{};
        return file && ::fstatfs(file.get(), &system) == 0 && system.f_type == kMessageQueues;
    }

    bool still_names(const char* name, std::string_view link) {
        const ssize_t n = ::readlinkat(links_.get(), name, target_.data(), target_.size());
        return n >= 0 && link == std::string_view(target_.data(), static_cast<std::size_t>(n));
    }

    // Into one buffer: a file of /proc gives all that it has, up to the size asked for.
    std::string_view read_info(const char* name) {
        const UniqueDescriptor file(::openat(infos_.get(), name, O_RDONLY | O_CLOEXEC));
        if (!file) return {};
        std::size_t size = 0;
        for (;;) {
            const ssize_t n = ::read(file.get(), text_.data() + size, text_.size() - size);
            if (n < 0 && errno == EINTR) continue;
            if (n > 0) size += static_cast<std::size_t>(n);
            if (n <= 0 || size < text_.size()) return {text_.data(), size};
            text_.resize(text_.size() * 2);
        }
    }

    void add_info(HandleRow& row, const char* name) {
        const DescriptorInfo info = parse_fdinfo(read_info(name), detail_.type_specific);
        if (detail_.basic) {
            row.position = info.position;
            row.granted_access = info.open_flags;
        }
        if (!detail_.type_specific) return;
        if (const auto count = info.event_count ? info.event_count : info.ticks) {
            row.current_count = static_cast<std::int64_t>(*count);
            row.signaled = *count != 0 ? Boolean::kTrue : Boolean::kFalse;
        }
        // -1: the process has been waited for; 0: it is not of our PID namespace.
        if (info.target_pid && *info.target_pid > 0)
            row.target_pid = static_cast<std::uint32_t>(*info.target_pid);
        if (info.clock) row.clock = clock_name(*info.clock);
        row.expires_in_ns = info.expires_in_ns;
        row.interval_ns = info.interval_ns;
        row.signal_mask = info.signal_mask;
        if (row.type_name == "EventPoll" || row.type_name == "Inotify" ||
            row.type_name == "Fanotify") {
            row.watch_count = info.watch_count;
        }
        if (row.type_name == "EventPoll") row.watched = info.watched;
        if (row.type_name == "DmaBuf" && info.size) row.section_size = info.size;
        if (!info.locks.empty()) row.locks = info.locks;
        if (!info.rest.empty()) row.details = info.rest;
    }

    void add_socket(HandleRow& row, const DescriptorLink& link, const char* name, End& end) {
        end.is_socket = true;
        end.inode = bracketed_number(link.link).value_or(0);
        end.device = 0;
        if (end.inode == 0) return;
        if (table_ == nullptr) table_ = &sockets_.of(directory_);
        // A socket stays in the namespace that it was made in; its process may have left that, or
        // have got it from somebody.
        SocketTable* table = table_;
        const Socket* socket = table->find(end.inode);
        if (socket == nullptr && table != &sockets_.own()) {
            table = &sockets_.own();
            socket = table->find(end.inode);
        }
        SocketText text;
        if (socket != nullptr) {
            end.peer_inode = table->peer_of(*socket);
            text = describe(*socket, table->known(end.peer_inode));
        } else if (still_names(name, link.link)) {
            char path[64], protocol[64];
            std::snprintf(path, sizeof path, "/proc/thread-self/fd/%d/%s", links_.get(), name);
            const ssize_t n = ::getxattr(path, "system.sockprotoname", protocol, sizeof protocol);
            if (n > 0) {
                text =
                    describe_protocol({protocol, ::strnlen(protocol, static_cast<std::size_t>(n))});
            }
        }
        const auto set = [](std::optional<std::string>& column, std::string& value) {
            if (!value.empty()) column = std::move(value);
        };
        set(row.socket_family, text.family);
        set(row.socket_type, text.type);
        set(row.socket_protocol, text.protocol);
        set(row.socket_state, text.state);
        set(row.local_address, text.local);
        set(row.remote_address, text.remote);
        if (detail_.names) set(row.object_name, text.name);
    }

    void add_seals(HandleRow& row, int number) {
        if (!process_ && !may_not_attach_) {
            process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
            // The number may be somebody else's by now, unless the process is still there.
            if (process_ && ::faccessat(directory_, "stat", F_OK, 0) < 0) process_.reset();
            if (!process_) may_not_attach_ = true;
        }
        if (!may_not_attach_) {
            const UniqueDescriptor copy(
                static_cast<int>(::syscall(SYS_pidfd_getfd, process_.get(), number, 0)));
            if (copy) {
                struct stat mine{};
                const int seals = ::fcntl(copy.get(), F_GET_SEALS);
                const bool same =
                    ::fstat(copy.get(), &mine) == 0 && (!row.inode || mine.st_ino == *row.inode);
                if (same && seals >= 0) row.seals = static_cast<std::uint32_t>(seals);
                return;
            }
            may_not_attach_ = errno == EPERM || errno == ENOSYS;
        }
        if (may_not_attach_) ++seals_refused_;
    }

    int directory_;
    std::uint32_t pid_;
    UniqueDescriptor links_, infos_, process_;
    DescriptorDetail detail_;
    SocketTables& sockets_;
    SocketTable* table_ = nullptr;
    Peers& peers_;
    bool may_not_attach_ = false;
    std::uint64_t seals_refused_ = 0;
    std::array<char, kLongestLink> target_;
    std::string text_ = std::string(4096, '\0');
};

}  // namespace

int for_each_descriptor(int links,
                        const std::function<bool(int, const char*, std::string_view)>& f) {
    std::array<char, 32768> entries;
    std::array<char, kLongestLink> target;
    for (;;) {
        const long n = ::syscall(SYS_getdents64, links, entries.data(), entries.size());
        if (n <= 0) return 0;
        for (long at = 0; at < n;) {
            // struct linux_dirent64: d_reclen at 16, d_name at 19.
            std::uint16_t length;
            std::memcpy(&length, entries.data() + at + 16, sizeof length);
            const char* const name = entries.data() + at + 19;
            at += length;
            int number = 0;
            if (std::from_chars(name, name + std::strlen(name), number).ec != std::errc{}) continue;
            const ssize_t size = ::readlinkat(links, name, target.data(), target.size());
            if (size < 0) {
                if (errno == ENOENT) continue;  // closed since it was listed
                return errno;
            }
            if (!f(number, name, {target.data(), static_cast<std::size_t>(size)})) return 0;
        }
    }
}

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
    const int error =
        for_each_descriptor(directory.get(), [&](int number, const char*, std::string_view target) {
            if (out.size() == limit) {
                *complete = false;
                return false;
            }
            out.push_back({number, std::string(target), wall_clock_ns()});
            return true;
        });
    if (error != 0)
        throw Error::from_errno(error, "readlinkat", "its descriptor table may not be read");
    std::sort(
        out.begin(), out.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    return out;
}

void DescriptorReader::read(int process_directory,
                            std::uint32_t pid,
                            const std::vector<DescriptorLink>& links,
                            std::size_t first_row,
                            const std::function<void(const HandleRow&)>& append) {
    HandleReader reader(process_directory, pid, detail_, sockets_, peers_);
    for (const DescriptorLink& link : links) append(reader.row(link, first_row++));
    seals_refused_ += reader.seals_refused();
}

std::shared_ptr<const HandleTable> handle_table(int process_directory,
                                                std::uint32_t pid,
                                                const std::vector<DescriptorLink>& links,
                                                const DescriptorDetail& detail,
                                                Diagnostics& diagnostics) {
    auto table = std::make_shared<HandleTable>();
    table->reserve(links.size());
    DescriptorReader reader(detail);
    reader.read(
        process_directory, pid, links, 0, [&](const HandleRow& row) { table->append(row); });
    if (detail.peers) note_processes_refused(reader.search_other_processes(pid), diagnostics);
    reader.resolve_peers(*table);
    note_seals_refused(reader.seals_refused(), diagnostics);
    return table;
}

void note_seals_refused(std::uint64_t count, Diagnostics& diagnostics) {
    if (count == 0) return;
    diagnostics.push_back({Severity::kInfo,
                           "seals_refused",
                           "the seals of " + std::to_string(count) +
                               " memory file(s) are not known: to ask for them takes the right to "
                               "trace the process",
                           "pidfd_getfd",
                           ErrorDomain::kErrno,
                           EPERM,
                           count});
}

void note_processes_refused(std::uint64_t count, Diagnostics& diagnostics) {
    if (count == 0) return;
    diagnostics.push_back(
        {Severity::kInfo,
         "processes_refused",
         std::to_string(count) + " process(es) do not let this user see their descriptors",
         "readlinkat",
         ErrorDomain::kErrno,
         EACCES,
         count});
}

}  // namespace snapcore::linux_os
