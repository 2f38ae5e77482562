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
#include <future>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/owners.h"
#include "generated/flags.h"
#include "linux/descriptor_details.h"
#include "linux/file_status.h"
#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

constexpr std::size_t kLongestLink = 4096;
// Descriptors that are read at once, and fewer than are worth a second thread.
constexpr std::size_t kWindow = 8192, kFew = 1024;
constexpr const char* kRefused = "its descriptor table may not be read";

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
bool may_be_message_queue(std::string_view link, const FileStatus& status) {
    constexpr std::uint64_t kQueueStatusSize = 80;
    return major(status.device) == 0 && status.size == kQueueStatusSize && S_ISREG(status.mode) &&
           (link.find('/', 1) == std::string_view::npos || link.starts_with("/dev/mqueue/"));
}

// What was read of one descriptor, on whichever thread.
struct Facts {
    bool present = false;
    bool stale = false;  // what the number names now is another file
    const DescriptorLink* link = nullptr;
    DescriptorLink read;  // what `link` points to where the link was read with the facts
    Kind kind;
    HandleRow row;
    End end;

    bool is(const char* type_name) const { return std::string_view(kind.type_name) == type_name; }
};

// Reads what one process's rows need. One for each thread.
class HandleReader {
public:
    HandleReader(int process_directory, std::uint32_t pid, const DescriptorDetail& detail)
        : directory_(process_directory),
          pid_(pid),
          links_(::openat(process_directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
          infos_(::openat(process_directory, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
          detail_(detail) {}

    // Everything but what is looked up in tables that descriptors share. Throws where the link may
    // not be read.
    void read(const DescriptorLink& link, Facts& facts) {
        facts = {};
        char name[16];
        *std::to_chars(name, name + sizeof name - 1, link.number).ptr = '\0';
        const bool with_link = link.captured_at_ns == 0;
        // The status, the link, the information: where the first and the last are of one inode, so
        // is what is between them.
        FileStatus status;
        const bool wants_status = with_link && detail_.basic;
        bool has_status = wants_status && read_file_status(links_.get(), name, status);
        if (wants_status && !has_status && errno == ENOENT) return;
        facts.link = &link;
        if (with_link) {
            if (!read_link(link.number, name, facts.read)) return;
            facts.link = &facts.read;
        }
        facts.present = true;
        const std::string& text = facts.link->link;
        const Kind kind = facts.kind = kind_of_link(text);
        HandleRow& row = facts.row;
        row = bare_row(*facts.link, kind);
        const bool is_socket = facts.is("Socket"), is_pipe = facts.is("Pipe");
        std::optional<std::uint64_t> inode;
        bool asked = false;
        if (kind.is_path || detail_.basic) {
            if (!has_status) has_status = read_file_status(links_.get(), name, status);
            if (has_status) add_status(row, kind, text, name, status, facts.end);
            asked = true;
        }
        if (detail_.basic || (detail_.type_specific && !is_socket && !is_pipe)) {
            inode = add_info(row, name);
            asked = true;
        }
        if (detail_.type_specific) {
            if (is_pipe || row.type_name == "Fifo") add_end(row, is_pipe, text, name, facts.end);
            if (kind.type == ObjectType::SECTION) add_seals(row, facts.link->number);
            asked = true;
        }
        // All that have no file share one inode, whatever they are.
        const bool between =
            with_link && has_status && inode == status.inode && !text.starts_with("anon_inode:");
        // What the number names now may be another file; its facts would be a lie about this one.
        facts.stale = asked && !between && !still_names(name, text);
        if (facts.stale) row = bare_row(*facts.link, kind);
    }

    // The rest; `index` is the row's number in the table.
    void finish(Facts& facts, std::size_t index, SocketTables& sockets, Peers& peers) {
        HandleRow& row = facts.row;
        if (facts.stale) return;
        if (detail_.type_specific && facts.is("Socket")) add_socket(facts, sockets);
        End& end = facts.end;
        if (end.inode != 0 || end.peer_inode != 0) {
            end.row = index;
            end.pid = pid_;
            end.handle = static_cast<std::uint64_t>(facts.link->number);
            if (detail_.peers && !end.is_socket) end.link = facts.link->link;
            peers.add(std::move(end));
        }
        std::uint32_t known = row.flags.value_or(0);
        if (row.granted_access) known |= HandleFlags::HAVE_BASIC_INFORMATION;
        if (row.current_count || row.target_pid || row.section_size || row.socket_family ||
            row.socket_protocol || row.watch_count || row.signal_mask || row.clock || row.locks ||
            row.details) {
            known |= HandleFlags::HAVE_TYPE_SPECIFIC_INFORMATION;
        }
        row.flags = known;
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

    // False where it has gone.
    bool read_link(int number, const char* name, DescriptorLink& out) {
        const ssize_t n = ::readlinkat(links_.get(), name, target_.data(), target_.size());
        if (n < 0) {
            if (errno == EACCES || errno == EPERM)
                throw Error::from_errno(errno, "readlinkat", kRefused);
            return false;
        }
        out = {number, std::string(target_.data(), static_cast<std::size_t>(n)), wall_clock_ns()};
        return true;
    }

    void add_status(HandleRow& row,
                    const Kind& kind,
                    std::string_view link,
                    const char* name,
                    const FileStatus& status,
                    End& end) {
        if (std::string_view(kind.type_name) == "File") {
            row.type_name = kind_of_mode(status.mode);
            if (may_be_message_queue(link, status) && is_message_queue(name))
                row.type_name = "MessageQueue";
            if (S_ISFIFO(status.mode)) {
                end.inode = status.inode;
                end.device = status.device;
            }
        }
        if (detail_.basic) {
            row.attributes = status.mode;
            row.inode = status.inode;
            row.device = status.device;
        }
        if (detail_.type_specific && kind.type == ObjectType::SECTION) {
            row.section_size = static_cast<std::int64_t>(status.size);
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

    // The inode that it is of, where that is told.
    std::optional<std::uint64_t> add_info(HandleRow& row, const char* name) {
        const DescriptorInfo info = parse_fdinfo(read_info(name), detail_.type_specific);
        if (detail_.basic) {
            row.position = info.position;
            row.granted_access = info.open_flags;
        }
        if (!detail_.type_specific) return info.inode;
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
        return info.inode;
    }

    void add_end(
        const HandleRow& row, bool is_pipe, std::string_view link, const char* name, End& end) {
        if (is_pipe) end.inode = bracketed_number(link).value_or(0);
        if (row.granted_access && is_pipe) {
            const auto mode = *row.granted_access & O_ACCMODE;
            end.reads = mode != O_WRONLY;
            end.writes = mode != O_RDONLY;
        } else if (!is_end(links_.get(), name, end)) {
            end.inode = 0;
        }
    }

    void add_socket(Facts& facts, SocketTables& sockets) {
        HandleRow& row = facts.row;
        End& end = facts.end;
        end.is_socket = true;
        end.inode = bracketed_number(facts.link->link).value_or(0);
        end.device = 0;
        if (end.inode == 0) return;
        if (table_ == nullptr) table_ = &sockets.of(directory_);
        // A socket stays in the namespace that it was made in; its process may have left that, or
        // have got it from somebody.
        SocketTable* table = table_;
        const Socket* socket = table->find(end.inode);
        if (socket == nullptr && table != &sockets.own()) {
            table = &sockets.own();
            socket = table->find(end.inode);
        }
        SocketText text;
        if (socket != nullptr) {
            end.peer_inode = table->peer_of(*socket);
            text = describe(*socket, table->known(end.peer_inode));
        } else if (const std::string name = std::to_string(facts.link->number);
                   still_names(name.c_str(), facts.link->link)) {
            char path[64], protocol[64];
            std::snprintf(
                path, sizeof path, "/proc/thread-self/fd/%d/%s", links_.get(), name.c_str());
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
    SocketTable* table_ = nullptr;
    bool may_not_attach_ = false;
    std::uint64_t seals_refused_ = 0;
    std::array<char, kLongestLink> target_;
    std::string text_ = std::string(4096, '\0');
};

}  // namespace

namespace {

// Calls `f` with each number and its text, until it says false.
template <class F>
void for_each_number(int links, F&& f) {
    std::array<char, 32768> entries;
    for (;;) {
        const long n = ::syscall(SYS_getdents64, links, entries.data(), entries.size());
        if (n <= 0) return;
        for (long at = 0; at < n;) {
            // struct linux_dirent64: d_reclen at 16, d_name at 19.
            std::uint16_t length;
            std::memcpy(&length, entries.data() + at + 16, sizeof length);
            const char* const name = entries.data() + at + 19;
            at += length;
            int number = 0;
            if (std::from_chars(name, name + std::strlen(name), number).ec != std::errc{}) continue;
            if (!f(number, name)) return;
        }
    }
}

// Nothing where the process has gone.
UniqueDescriptor open_links(int process_directory) {
    UniqueDescriptor directory(
        ::openat(process_directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno != ENOENT && errno != ESRCH)
        throw Error::from_errno(errno, "openat", kRefused);
    return directory;
}

}  // namespace

int for_each_descriptor(int links,
                        const std::function<bool(int, const char*, std::string_view)>& f) {
    std::array<char, kLongestLink> target;
    int error = 0;
    for_each_number(links, [&](int number, const char* name) {
        const ssize_t size = ::readlinkat(links, name, target.data(), target.size());
        if (size < 0) {
            if (errno == ENOENT) return true;  // closed since it was listed
            error = errno;
            return false;
        }
        return f(number, name, {target.data(), static_cast<std::size_t>(size)});
    });
    return error;
}

std::vector<DescriptorLink> list_descriptors(int process_directory,
                                             std::size_t limit,
                                             bool* complete) {
    std::vector<DescriptorLink> out;
    *complete = true;
    const UniqueDescriptor directory = open_links(process_directory);
    if (!directory) return out;
    const int error =
        for_each_descriptor(directory.get(), [&](int number, const char*, std::string_view target) {
            if (out.size() == limit) {
                *complete = false;
                return false;
            }
            out.push_back({number, std::string(target), wall_clock_ns()});
            return true;
        });
    if (error != 0) throw Error::from_errno(error, "readlinkat", kRefused);
    std::sort(
        out.begin(), out.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    return out;
}

std::vector<DescriptorLink> list_descriptor_numbers(int process_directory, bool exact) {
    std::vector<DescriptorLink> out;
    const UniqueDescriptor directory = open_links(process_directory);
    if (!directory) return out;
    struct stat status{};
    // The length is their count since Linux 6.2, and 0 before. The place of a number is two behind
    // it, for "." and "..".
    if (!exact && ::fstat(directory.get(), &status) == 0 && status.st_size > 0 &&
        ::lseek(directory.get(), status.st_size + 2, SEEK_SET) == status.st_size + 2) {
        out.reserve(static_cast<std::size_t>(status.st_size));
        for (int number = 0; number < status.st_size; ++number) out.push_back({number, {}, 0});
    }
    int error = 0;
    bool tried = !out.empty();  // the links will be
    for_each_number(directory.get(), [&](int number, const char* name) {
        char byte;
        // The numbers may be listed by who may not see more of them.
        if (!tried && ::readlinkat(directory.get(), name, &byte, 1) < 0 && errno != ENOENT) {
            error = errno;
            return false;
        }
        tried = true;
        out.push_back({number, {}, 0});
        return true;
    });
    if (error != 0) throw Error::from_errno(error, "readlinkat", kRefused);
    std::sort(
        out.begin(), out.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    return out;
}

void DescriptorReader::read(int process_directory,
                            std::uint32_t pid,
                            const std::vector<DescriptorLink>& links,
                            std::size_t first_row,
                            const std::function<void(const HandleRow&)>& append) {
    HandleReader reader(process_directory, pid, detail_);
    std::optional<HandleReader> second;
    const auto finish = [&](Facts& facts) {
        if (!facts.present) return;
        reader.finish(facts, first_row++, sockets_, peers_);
        append(facts.row);
    };
    const bool two = links.size() >= kFew && std::thread::hardware_concurrency() > 1;
    Facts facts;
    for (std::size_t at = 0; at < links.size(); at += kWindow) {
        auto mine = std::span(links).subspan(at, std::min(kWindow, links.size() - at));
        std::vector<Facts> theirs;
        std::future<void> done;  // waits for the thread where this is left by an exception
        if (two && mine.size() >= kFew) {
            const auto half = mine.subspan(mine.size() / 2);
            if (!second) second.emplace(process_directory, pid, detail_);
            theirs.resize(half.size());
            try {
                done = std::async(std::launch::async, [half, &theirs, &second] {
                    for (std::size_t i = 0; i < half.size(); ++i) second->read(half[i], theirs[i]);
                });
                mine = mine.first(mine.size() / 2);
            } catch (const std::system_error&) {
                theirs.clear();  // no thread is to be had
            }
        }
        for (const DescriptorLink& link : mine) {
            reader.read(link, facts);
            finish(facts);
        }
        if (done.valid()) done.get();
        for (Facts& each : theirs) finish(each);
    }
    seals_refused_ += reader.seals_refused() + (second ? second->seals_refused() : 0);
}

namespace {

std::shared_ptr<const HandleTable> number_table(const std::vector<DescriptorLink>& links) {
    auto table = std::make_shared<HandleTable>();
    table->reserve(links.size());
    const auto numbers = table->handle.extend(links.size());
    const std::int64_t now = wall_clock_ns();
    std::transform(links.begin(), links.end(), numbers.begin(), [](const DescriptorLink& link) {
        return static_cast<std::uint64_t>(link.number);
    });
    std::ranges::transform(
        links, table->captured_at_ns.extend(links.size()).begin(), [now](const auto& link) {
            return link.captured_at_ns == 0 ? now : link.captured_at_ns;
        });
    std::ranges::fill(table->flags.extend(links.size()), std::uint32_t{HandleFlags::NONE});
    table->pad(links.size());
    return table;
}

}  // namespace

std::shared_ptr<const HandleTable> handle_table(int process_directory,
                                                std::uint32_t pid,
                                                const std::vector<DescriptorLink>& links,
                                                const DescriptorDetail& detail,
                                                Diagnostics& diagnostics) {
    if (!detail.names && !detail.basic && !detail.type_specific) return number_table(links);
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
