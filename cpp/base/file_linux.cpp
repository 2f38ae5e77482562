// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                                 | purpose                                                       | can block on
// open O_TMPFILE                       | a file without a name: nothing is left even after SIGKILL     | the file system
// open O_CREAT|O_EXCL                  | the same with a temporary name, where there is no O_TMPFILE   | the file system
// pwrite, pread, fallocate, ftruncate  | contents                                                      | the disk, the page cache's limits
// fcntl F_DUPFD, close                 | what a remote file system tells no sooner                     | the file system
// linkat, renameat2                    | the name, at the end                                          | the file system
// open O_NONBLOCK, pread               | a dump that is read                                           | the disk; not a pipe without a writer
// fcntl F_DUPFD, open /proc/self/fd/N  | a stream's descriptor, of our own and not blocking            | nothing
// poll 50 ms, send MSG_DONTWAIT        | a stream that nobody reads just now                           | 50 ms
// write                                | a stream; files, terminals                                    | the disk; a terminal that is held
// clang-format on
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/owners.h"

namespace snapcore {

void DescriptorTraits::release(int fd) noexcept {
    const int saved = errno;
    ::close(fd);
    errno = saved;
}

namespace {

constexpr mode_t kOwnerOnly = 0600;

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string temporary_name(const std::string& path) {
    std::uint64_t random = 0;
    if (::getrandom(&random, sizeof random, 0) != sizeof random) {
        throw Error::file(errno, "getrandom", path);
    }
    const auto slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, ".%016llx.tmp", static_cast<unsigned long long>(random));
    return folder_of(path) + "/." + name.substr(0, 200) + suffix;
}

bool lacks_unnamed_files(int error) {
    // EISDIR and EINVAL are what kernels and file systems without O_TMPFILE make of it.
    return error == EOPNOTSUPP || error == EISDIR || error == EINVAL;
}

// Bytes before the end of the file.
std::size_t read_at(int file,
                    std::uint64_t offset,
                    std::span<std::byte> out,
                    const std::string& path) {
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t n =
            ::pread(file, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw Error::file(errno, "pread", path);
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    return done;
}

struct stat status_of(int file, const std::string& path) {
    struct stat out{};
    if (::fstat(file, &out) < 0) throw Error::file(errno, "fstat", path);
    return out;
}

class LinuxInputFile final : public InputFile {
public:
    explicit LinuxInputFile(const std::string& path, int flags = 0)
        : path_(path),
          file_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags)) {
        if (!file_) throw Error::file(errno, "open", path);
        const mode_t mode = status_of(file_.get(), path).st_mode;
        if (S_ISDIR(mode)) throw Error::file(EISDIR, "open", path);
        if (!S_ISREG(mode)) throw Error::file(ESPIPE, "open", path);
    }

    std::size_t read(std::uint64_t offset, std::span<std::byte> out) override {
        // Beyond what the call can say, there is nothing.
        if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - out.size())
            return 0;
        return read_at(file_.get(), offset, out, path_);
    }
    std::uint64_t size() override {
        return static_cast<std::uint64_t>(status_of(file_.get(), path_).st_size);
    }

private:
    std::string path_;
    UniqueDescriptor file_;
};

// A pipe without a reader sends SIGPIPE to the thread that writes, and a file beyond RLIMIT_FSIZE
// SIGXFSZ. Whoever uses this library may want to die of them, but not of ours: the error says it.
class WithoutSignal {
public:
    explicit WithoutSignal(int number) {
        ::sigemptyset(&own_);
        ::sigaddset(&own_, number);
        sigset_t pending;
        ::sigpending(&pending);
        was_pending_ = ::sigismember(&pending, number) == 1;
        ::pthread_sigmask(SIG_BLOCK, &own_, &before_);
    }
    ~WithoutSignal() {
        const int saved = errno;
        const timespec now{};
        if (!was_pending_) ::sigtimedwait(&own_, nullptr, &now);
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = saved;
    }
    WithoutSignal(const WithoutSignal&) = delete;
    WithoutSignal& operator=(const WithoutSignal&) = delete;

private:
    sigset_t own_, before_;
    bool was_pending_ = false;
};

class LinuxOutputFile final : public OutputFile {
public:
    LinuxOutputFile(const std::string& path, bool overwrite) : path_(path) {
        if (path.empty() || path.back() == '/') throw Error::file(EISDIR, "open", path);
        struct stat existing{};
        if (::lstat(path.c_str(), &existing) == 0) {
            if (S_ISDIR(existing.st_mode)) throw Error::file(EISDIR, "open", path);
            // A device or a pipe is not replaced by a file, whatever was asked.
            const bool replaceable = S_ISREG(existing.st_mode) || S_ISLNK(existing.st_mode);
            if (!overwrite || !replaceable) throw Error::file(EEXIST, "open", path);
        }
        file_.reset(::open(folder_of(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly));
        if (!file_ && lacks_unnamed_files(errno)) create_named();
        if (!file_) throw Error::file(errno, "open", path);
        struct statfs system{};
        in_memory_ = ::fstatfs(file_.get(), &system) == 0 && system.f_type == TMPFS_MAGIC;
        // The umask may take rights away from the owner, or an ACL of the folder add some for
        // others.
        if (::fchmod(file_.get(), kOwnerOnly) < 0) throw Error::file(errno, "fchmod", path);
    }

    ~LinuxOutputFile() override {
        if (!temporary_.empty()) ::unlink(temporary_.c_str());
    }

    void write(std::uint64_t offset, std::span<const std::byte> bytes) override {
        const WithoutSignal guard(SIGXFSZ);
        while (!bytes.empty()) {
            const ssize_t n =
                ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) throw Error::file(n < 0 ? errno : EIO, "pwrite", path_);
            offset += static_cast<std::uint64_t>(n);
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
    }

    std::size_t read(std::uint64_t offset, std::span<std::byte> out) override {
        return read_at(file_.get(), offset, out, path_);
    }

    std::intptr_t native_handle() override { return file_.get(); }

    void allocate(std::uint64_t offset, std::uint64_t size) override {
        // tmpfs clears the pages that it allocates ahead, which costs more than it saves.
        if (in_memory_) return;
        const WithoutSignal guard(SIGXFSZ);
        // Only ahead of the writes: what fails here, fails there with a better message.
        (void)::fallocate(
            file_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(size));
    }

    void release(std::uint64_t offset, std::uint64_t size) override {
        (void)::fallocate(file_.get(),
                          FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                          static_cast<off_t>(offset),
                          static_cast<off_t>(size));
    }

    void set_size(std::uint64_t size) override {
        const WithoutSignal guard(SIGXFSZ);
        while (::ftruncate(file_.get(), static_cast<off_t>(size)) < 0) {
            if (errno != EINTR) throw Error::file(errno, "ftruncate", path_);
        }
    }

    std::uint64_t size() override { return static_cast<std::uint64_t>(status().st_size); }
    std::uint64_t allocated_size() override {
        return static_cast<std::uint64_t>(status().st_blocks) * 512;
    }

    void commit(bool overwrite) override {
        // A file system of another machine, or one in user space, tells of a full disk or a quota
        // when a descriptor is closed. Others do nothing here.
        const int other = ::fcntl(file_.get(), F_DUPFD_CLOEXEC, 0);
        if (other < 0 || ::close(other) < 0) throw Error::file(errno, "close", path_);
        if (temporary_.empty()) {
            if (!overwrite) {
                link_to(path_);
                return;
            }
            // linkat never replaces, so the file gets a temporary name for the moment before the
            // rename.
            const std::string temporary = temporary_name(path_);
            link_to(temporary);
            temporary_ = temporary;
        }
        const unsigned flags = overwrite ? 0 : RENAME_NOREPLACE;
        if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), flags) < 0) {
            throw Error::file(errno, "rename", path_);
        }
        temporary_.clear();
    }

private:
    void create_named() {
        for (int attempt = 0; attempt < 16; ++attempt) {
            const std::string name = temporary_name(path_);
            file_.reset(::open(
                name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kOwnerOnly));
            if (file_) {
                temporary_ = name;
                return;
            }
            if (errno != EEXIST) return;
        }
    }

    void link_to(const std::string& name) const {
        const std::string self = "/proc/self/fd/" + std::to_string(file_.get());
        if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) < 0) {
            throw Error::file(errno, "linkat", path_);
        }
    }

    struct stat status() const { return status_of(file_.get(), path_); }

    std::string path_;
    std::string temporary_;  // empty while the file has no name
    bool in_memory_ = false;
    UniqueDescriptor file_;
};

class LinuxOutputStream final : public OutputStream {
public:
    explicit LinuxOutputStream(int descriptor) : file_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {
        if (!file_) throw Error::file(errno, "fcntl", "");
        const int flags = ::fcntl(file_.get(), F_GETFL);
        if (flags < 0) throw Error::file(errno, "fcntl", "");
        if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH) != 0) {
            throw Error::file(EBADF, "write", "");
        }
        mode_ = status_of(file_.get(), "").st_mode;
        if (S_ISFIFO(mode_)) open_pipe();
    }

    void write(std::span<const std::byte> bytes, const std::function<void()>& check) override {
        const WithoutSignal guard(SIGPIPE);
        const WithoutSignal limit(SIGXFSZ);  // a stream may be a file
        while (!bytes.empty()) {
            if (!S_ISREG(mode_) && !wait_for_room()) {
                check();
                continue;
            }
            const std::size_t most = std::min(bytes.size(), most_at_once_);
            const ssize_t n =
                S_ISSOCK(mode_)
                    ? ::send(file_.get(), bytes.data(), most, MSG_DONTWAIT | MSG_NOSIGNAL)
                    : ::write(file_.get(), bytes.data(), most);
            if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
                check();
                continue;
            }
            if (n < 0) throw Error::file(errno, S_ISSOCK(mode_) ? "send" : "write", "");
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
    }

private:
    // Whether a descriptor blocks is shared with all that were made of it, in other processes too:
    // so it is not changed, and a pipe is opened anew. Where that is refused, a write of no more
    // than PIPE_BUF does not block after poll() has promised room.
    void open_pipe() {
        const std::string self = "/proc/self/fd/" + std::to_string(file_.get());
        UniqueDescriptor own(::open(self.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
        if (own) {
            file_ = std::move(own);
            most_at_once_ = kMost;
            // As much as anybody may have; a pipe of 64 KiB halves the speed.
            constexpr int kPipe = 1 << 20;
            if (::fcntl(file_.get(), F_GETPIPE_SZ) < kPipe) {
                (void)::fcntl(file_.get(), F_SETPIPE_SZ, kPipe);
            }
        } else {
            most_at_once_ = PIPE_BUF;
        }
    }

    bool wait_for_room() {
        constexpr int kMilliseconds = 50;
        pollfd entry{file_.get(), POLLOUT, 0};
        // An error is room as well: the write that follows tells which it is.
        return ::poll(&entry, 1, kMilliseconds) > 0;
    }

    static constexpr std::size_t kMost = 1 << 20;

    UniqueDescriptor file_;
    mode_t mode_ = 0;
    std::size_t most_at_once_ = kMost;
};

}  // namespace

std::unique_ptr<OutputStream> open_output_stream(int descriptor) {
    return std::make_unique<LinuxOutputStream>(descriptor);
}

std::unique_ptr<OutputFile> create_spool_file() {
    const char* const folder = std::getenv("TMPDIR");
    const std::string name = folder != nullptr && *folder != 0 ? folder : "/tmp";
    return std::make_unique<LinuxOutputFile>(name + "/snapcore", true);
}

std::unique_ptr<InputFile> open_input_file(const std::string& path) {
    return std::make_unique<LinuxInputFile>(path);
}

std::unique_ptr<InputFile> open_input_beside(const std::string& path, const std::string& name) {
    return std::make_unique<LinuxInputFile>(folder_of(path) + "/" + name, O_NOFOLLOW);
}

std::unique_ptr<OutputFile> create_output_file(const std::string& path, bool overwrite) {
    return std::make_unique<LinuxOutputFile>(path, overwrite);
}

}  // namespace snapcore
