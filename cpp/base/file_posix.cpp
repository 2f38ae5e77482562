// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                                 | purpose                                                       | can block on
// open O_CREAT|O_EXCL                  | a temporary name, where there are no files without one        | the file system
// pwrite, pread, ftruncate             | contents                                                      | the disk, the page cache's limits
// fcntl F_DUPFD, close                 | what a remote file system tells no sooner                     | the file system
// rename, unlink                       | the name, at the end                                          | the file system
// open O_NONBLOCK, pread               | a dump that is read                                           | the disk; not a pipe without a writer
// fcntl F_DUPFD                        | a stream's descriptor, of our own                             | nothing
// poll 50 ms, send MSG_DONTWAIT        | a stream that nobody reads just now                           | 50 ms
// write                                | a stream; files, terminals                                    | the disk; a terminal that is held
// clang-format on
// What is not POSIX: file_system_linux.cpp, file_system_plain.cpp.
#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
#include "base/file_system.h"
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
    if (::getentropy(&random, sizeof random) < 0) throw Error::file(errno, "getentropy", path);
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

class PosixInputFile final : public InputFile {
public:
    explicit PosixInputFile(const std::string& path, int flags = 0)
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
    explicit WithoutSignal(int number) : number_(number) {
        // Macros on macOS, so not of a namespace.
        sigemptyset(&own_);
        sigaddset(&own_, number);
        sigset_t pending;
        ::sigpending(&pending);
        was_pending_ = sigismember(&pending, number) == 1;
        ::pthread_sigmask(SIG_BLOCK, &own_, &before_);
    }
    ~WithoutSignal() {
        const int saved = errno;
        if (!was_pending_) file_system::take_pending(number_);
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = saved;
    }
    WithoutSignal(const WithoutSignal&) = delete;
    WithoutSignal& operator=(const WithoutSignal&) = delete;

private:
    int number_;
    sigset_t own_, before_;
    bool was_pending_ = false;
};

class PosixOutputFile final : public OutputFile {
public:
    PosixOutputFile(const std::string& path, bool overwrite) : path_(path) {
        if (path.empty() || path.back() == '/') throw Error::file(EISDIR, "open", path);
        struct stat existing{};
        if (::lstat(path.c_str(), &existing) == 0) {
            if (S_ISDIR(existing.st_mode)) throw Error::file(EISDIR, "open", path);
            // A device or a pipe is not replaced by a file, whatever was asked.
            const bool replaceable = S_ISREG(existing.st_mode) || S_ISLNK(existing.st_mode);
            if (!overwrite || !replaceable) throw Error::file(EEXIST, "open", path);
        }
        file_ = file_system::open_unnamed(folder_of(path));
        if (!file_ && lacks_unnamed_files(errno)) create_named();
        if (!file_) throw Error::file(errno, "open", path);
        in_memory_ = file_system::is_in_memory(file_.get());
        // The umask may take rights away from the owner, or an ACL of the folder add some for
        // others.
        if (::fchmod(file_.get(), kOwnerOnly) < 0) throw Error::file(errno, "fchmod", path);
    }

    ~PosixOutputFile() override {
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
        file_system::allocate(file_.get(), offset, size);
    }

    void release(std::uint64_t offset, std::uint64_t size) override {
        file_system::release(file_.get(), offset, size);
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
        const bool renamed = overwrite ? ::rename(temporary_.c_str(), path_.c_str()) == 0
                                       : file_system::rename_new(temporary_, path_);
        if (!renamed) throw Error::file(errno, "rename", path_);
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
        if (!file_system::name_unnamed(file_.get(), name)) {
            throw Error::file(errno, "linkat", path_);
        }
    }

    struct stat status() const { return status_of(file_.get(), path_); }

    std::string path_;
    std::string temporary_;  // empty while the file has no name
    bool in_memory_ = false;
    UniqueDescriptor file_;
};

class PosixOutputStream final : public OutputStream {
public:
    explicit PosixOutputStream(int descriptor) : file_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {
        if (!file_) throw Error::file(errno, "fcntl", "");
        const int flags = ::fcntl(file_.get(), F_GETFL);
        if (flags < 0) throw Error::file(errno, "fcntl", "");
        if ((flags & O_ACCMODE) == O_RDONLY || file_system::is_path_only(flags)) {
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
            const ssize_t n = S_ISSOCK(mode_)
                                  ? ::send(file_.get(), bytes.data(), most, MSG_DONTWAIT)
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
        UniqueDescriptor own = file_system::reopen_pipe(file_.get());
        if (own) {
            file_ = std::move(own);
            most_at_once_ = kMost;
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
    return std::make_unique<PosixOutputStream>(descriptor);
}

std::unique_ptr<OutputFile> create_spool_file() {
    const char* const folder = std::getenv("TMPDIR");
    const std::string name = folder != nullptr && *folder != 0 ? folder : "/tmp";
    return std::make_unique<PosixOutputFile>(name + "/snapcore", true);
}

std::unique_ptr<InputFile> open_input_file(const std::string& path) {
    return std::make_unique<PosixInputFile>(path);
}

std::unique_ptr<InputFile> open_input_beside(const std::string& path, const std::string& name) {
    return std::make_unique<PosixInputFile>(folder_of(path) + "/" + name, O_NOFOLLOW);
}

std::unique_ptr<OutputFile> create_output_file(const std::string& path, bool overwrite) {
    return std::make_unique<PosixOutputFile>(path, overwrite);
}

}  // namespace snapcore
