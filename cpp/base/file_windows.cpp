// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                                          | purpose                                              | can block on
// CreateFileW CREATE_NEW                        | a temporary name in the folder of the dump           | the file system, filters
// SetFileInformationByHandle FileDispositionInfo | gone with its last handle, however the process ends  | the file system
// WriteFile, ReadFile with an offset            | contents                                             | the disk, the cache manager
// SetFileInformationByHandle FileRenameInfo     | the name, at the end                                 | the file system, filters
// CreateFileW OPEN_EXISTING, ReadFile           | a dump that is read                                  | the disk, filters
// clang-format on
#include <windows.h>
//
#include <aclapi.h>
#include <winioctl.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/owners.h"
#include "base/text.h"

namespace snapcore {
namespace {

struct FileTraits {
    using Type = HANDLE;
    static inline const HANDLE kInvalid = INVALID_HANDLE_VALUE;
    static void release(HANDLE file) noexcept { ::CloseHandle(file); }
};

std::wstring wide(const std::string& text) {
    const std::u16string units = utf8_to_utf16(text);
    return {reinterpret_cast<const wchar_t*>(units.data()), units.size()};
}

// The absolute path with the prefix that lifts the limit of 260 characters.
std::wstring long_path(const std::string& path) {
    const std::wstring given = wide(path);
    std::wstring full(512, L'\0');
    DWORD size = 0;
    while ((size = ::GetFullPathNameW(
                given.c_str(), static_cast<DWORD>(full.size()), full.data(), nullptr)) >
           full.size()) {
        full.resize(size);
    }
    if (size == 0) throw Error::file_win32(::GetLastError(), "GetFullPathName", path);
    full.resize(size);
    if (full.starts_with(L"\\\\?\\") || full.starts_with(L"\\\\.\\")) return full;
    if (full.starts_with(L"\\\\")) return L"\\\\?\\UNC" + full.substr(1);
    return L"\\\\?\\" + full;
}

// Full access for the user of this process, nothing for anybody else, nothing inherited.
class OwnerOnly {
public:
    explicit OwnerOnly(const std::string& path) {
        HANDLE token = nullptr;
        if (!::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY, &token)) {
            throw Error::file_win32(::GetLastError(), "OpenProcessToken", path);
        }
        DWORD size = 0;
        ::GetTokenInformation(token, TokenUser, nullptr, 0, &size);
        user_.resize(size);
        const bool known = ::GetTokenInformation(token, TokenUser, user_.data(), size, &size) != 0;
        const DWORD error = ::GetLastError();
        ::CloseHandle(token);
        if (!known) throw Error::file_win32(error, "GetTokenInformation", path);
        PSID const sid = reinterpret_cast<const TOKEN_USER*>(user_.data())->User.Sid;
        acl_.resize(sizeof(ACL) + sizeof(ACCESS_ALLOWED_ACE) + ::GetLengthSid(sid));
        auto* const acl = reinterpret_cast<ACL*>(acl_.data());
        if (!::InitializeAcl(acl, static_cast<DWORD>(acl_.size()), ACL_REVISION) ||
            !::AddAccessAllowedAce(acl, ACL_REVISION, FILE_ALL_ACCESS, sid) ||
            !::InitializeSecurityDescriptor(&descriptor_, SECURITY_DESCRIPTOR_REVISION) ||
            !::SetSecurityDescriptorDacl(&descriptor_, TRUE, acl, FALSE) ||
            !::SetSecurityDescriptorControl(&descriptor_, SE_DACL_PROTECTED, SE_DACL_PROTECTED)) {
            throw Error::file_win32(::GetLastError(), "SetSecurityDescriptorDacl", path);
        }
        attributes_ = {sizeof attributes_, &descriptor_, FALSE};
    }
    OwnerOnly(const OwnerOnly&) = delete;
    OwnerOnly& operator=(const OwnerOnly&) = delete;
    SECURITY_ATTRIBUTES* get() { return &attributes_; }

private:
    std::vector<std::byte> user_;
    std::vector<std::byte> acl_;
    SECURITY_DESCRIPTOR descriptor_{};
    SECURITY_ATTRIBUTES attributes_{};
};

DWORD piece(std::size_t size) {
    return static_cast<DWORD>(std::min<std::size_t>(size, 1u << 30));
}

OVERLAPPED position(std::uint64_t offset) {
    OVERLAPPED at{};
    at.Offset = static_cast<DWORD>(offset);
    at.OffsetHigh = static_cast<DWORD>(offset >> 32);
    return at;
}

// Bytes before the end of the file.
std::size_t read_at(HANDLE file,
                    std::uint64_t offset,
                    std::span<std::byte> out,
                    const std::string& path) {
    std::size_t done = 0;
    while (done < out.size()) {
        OVERLAPPED at = position(offset + done);
        DWORD n = 0;
        if (!::ReadFile(file, out.data() + done, piece(out.size() - done), &n, &at)) {
            if (::GetLastError() == ERROR_HANDLE_EOF) break;
            throw Error::file_win32(::GetLastError(), "ReadFile", path);
        }
        if (n == 0) break;
        done += n;
    }
    return done;
}

FILE_STANDARD_INFO status_of(HANDLE file, const std::string& path) {
    FILE_STANDARD_INFO out{};
    if (!::GetFileInformationByHandleEx(file, FileStandardInfo, &out, sizeof out)) {
        throw Error::file_win32(::GetLastError(), "GetFileInformationByHandleEx", path);
    }
    return out;
}

// What stands for another file: a symbolic link, a junction.
void refuse_link(const std::string& path) {
    const Unique<FileTraits> file(
        ::CreateFileW(long_path(path).c_str(),
                      FILE_READ_ATTRIBUTES,
                      FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                      nullptr,
                      OPEN_EXISTING,
                      FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS,
                      nullptr));
    if (!file) throw Error::file_win32(::GetLastError(), "CreateFile", path);
    FILE_ATTRIBUTE_TAG_INFO tag{};
    if (::GetFileInformationByHandleEx(file.get(), FileAttributeTagInfo, &tag, sizeof tag) &&
        (tag.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 &&
        IsReparseTagNameSurrogate(tag.ReparseTag)) {
        throw Error::file_win32(ERROR_CANT_ACCESS_FILE, "CreateFile", path);
    }
}

class WindowsInputFile final : public InputFile {
public:
    explicit WindowsInputFile(const std::string& path) : path_(path) {
        file_.reset(::CreateFileW(long_path(path).c_str(),
                                  GENERIC_READ,
                                  FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                  nullptr,
                                  OPEN_EXISTING,
                                  FILE_ATTRIBUTE_NORMAL,
                                  nullptr));
        if (!file_) throw Error::file_win32(::GetLastError(), "CreateFile", path);
        if (::GetFileType(file_.get()) != FILE_TYPE_DISK) {
            throw Error::file_win32(ERROR_SEEK_ON_DEVICE, "CreateFile", path);
        }
    }

    std::size_t read(std::uint64_t offset, std::span<std::byte> out) override {
        // Beyond what the call can say, there is nothing.
        if (offset > static_cast<std::uint64_t>(INT64_MAX) - out.size()) return 0;
        return read_at(file_.get(), offset, out, path_);
    }
    std::uint64_t size() override {
        return static_cast<std::uint64_t>(status_of(file_.get(), path_).EndOfFile.QuadPart);
    }

private:
    std::string path_;
    Unique<FileTraits> file_;
};

class WindowsOutputFile final : public OutputFile {
public:
    WindowsOutputFile(const std::string& path, bool overwrite) : path_(path) {
        if (path.empty() || path.back() == '/' || path.back() == '\\') {
            throw Error::file_win32(ERROR_INVALID_NAME, "CreateFile", path);
        }
        name_ = long_path(path);
        const DWORD attributes = ::GetFileAttributesW(name_.c_str());
        if (attributes != INVALID_FILE_ATTRIBUTES) {
            if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
                throw Error::file_win32(ERROR_ACCESS_DENIED, "CreateFile", path);
            }
            if (!overwrite) throw Error::file_win32(ERROR_FILE_EXISTS, "CreateFile", path);
        }
        create();
        set_to_vanish(true);
        // Holes take no space where the file system knows them; no loss where it does not.
        DWORD size = 0;
        ::DeviceIoControl(file_.get(), FSCTL_SET_SPARSE, nullptr, 0, nullptr, 0, &size, nullptr);
    }

    void write(std::uint64_t offset, std::span<const std::byte> bytes) override {
        while (!bytes.empty()) {
            OVERLAPPED at = position(offset);
            DWORD written = 0;
            if (!::WriteFile(file_.get(), bytes.data(), piece(bytes.size()), &written, &at)) {
                throw Error::file_win32(::GetLastError(), "WriteFile", path_);
            }
            if (written == 0) throw Error::file_win32(ERROR_WRITE_FAULT, "WriteFile", path_);
            offset += written;
            bytes = bytes.subspan(written);
        }
    }

    std::size_t read(std::uint64_t offset, std::span<std::byte> out) override {
        return read_at(file_.get(), offset, out, path_);
    }

    std::intptr_t native_handle() override { return reinterpret_cast<std::intptr_t>(file_.get()); }

    void allocate(std::uint64_t, std::uint64_t) override {}  // NTFS allocates in large runs itself

    void release(std::uint64_t offset, std::uint64_t size) override {
        FILE_ZERO_DATA_INFORMATION hole{};
        hole.FileOffset.QuadPart = static_cast<LONGLONG>(offset);
        hole.BeyondFinalZero.QuadPart = static_cast<LONGLONG>(offset + size);
        DWORD ignored = 0;
        ::DeviceIoControl(
            file_.get(), FSCTL_SET_ZERO_DATA, &hole, sizeof hole, nullptr, 0, &ignored, nullptr);
    }

    void set_size(std::uint64_t size) override {
        FILE_END_OF_FILE_INFO end{};
        end.EndOfFile.QuadPart = static_cast<LONGLONG>(size);
        if (!::SetFileInformationByHandle(file_.get(), FileEndOfFileInfo, &end, sizeof end)) {
            throw Error::file_win32(::GetLastError(), "SetEndOfFile", path_);
        }
    }

    std::uint64_t size() override {
        return static_cast<std::uint64_t>(status().EndOfFile.QuadPart);
    }
    std::uint64_t allocated_size() override {
        return static_cast<std::uint64_t>(status().AllocationSize.QuadPart);
    }

    void commit(bool overwrite) override {
        // A file that is to vanish cannot be renamed. What is killed between these two calls leaves
        // a temporary name, whole and owner-only; nothing shorter is to be had.
        set_to_vanish(false);
        std::vector<std::byte> buffer(sizeof(FILE_RENAME_INFO) + name_.size() * sizeof(wchar_t));
        auto* const info = reinterpret_cast<FILE_RENAME_INFO*>(buffer.data());
        info->ReplaceIfExists = overwrite ? TRUE : FALSE;
        info->FileNameLength = static_cast<DWORD>(name_.size() * sizeof(wchar_t));
        std::memcpy(info->FileName, name_.data(), info->FileNameLength);
        if (!::SetFileInformationByHandle(
                file_.get(), FileRenameInfo, info, static_cast<DWORD>(buffer.size()))) {
            const DWORD error = ::GetLastError();
            set_to_vanish(true);
            throw Error::file_win32(
                error == ERROR_ALREADY_EXISTS ? ERROR_FILE_EXISTS : error, "rename", path_);
        }
    }

private:
    void create() {
        OwnerOnly security(path_);
        std::random_device random;
        const auto slash = name_.find_last_of(L'\\');
        for (int attempt = 0; attempt < 16; ++attempt) {
            wchar_t suffix[32];
            std::swprintf(suffix, 32, L".%08x%08x.tmp", random(), random());
            const std::wstring name =
                name_.substr(0, slash + 1) + L"." + name_.substr(slash + 1, 200) + suffix;
            // Nobody else may write to it; that it may be deleted is needed for the rename.
            file_.reset(::CreateFileW(name.c_str(),
                                      GENERIC_READ | GENERIC_WRITE | DELETE,
                                      FILE_SHARE_READ | FILE_SHARE_DELETE,
                                      security.get(),
                                      CREATE_NEW,
                                      FILE_ATTRIBUTE_NORMAL,
                                      nullptr));
            if (file_) return;
            const DWORD error = ::GetLastError();
            if (error != ERROR_FILE_EXISTS) throw Error::file_win32(error, "CreateFile", path_);
        }
        throw Error::file_win32(ERROR_FILE_EXISTS, "CreateFile", path_);
    }

    void set_to_vanish(bool vanish) {
        FILE_DISPOSITION_INFO info{};
        info.DeleteFile = vanish ? TRUE : FALSE;
        if (!::SetFileInformationByHandle(file_.get(), FileDispositionInfo, &info, sizeof info)) {
            throw Error::file_win32(::GetLastError(), "SetFileInformationByHandle", path_);
        }
    }

    FILE_STANDARD_INFO status() const { return status_of(file_.get(), path_); }

    std::string path_;
    std::wstring name_;
    Unique<FileTraits> file_;
};

}  // namespace

std::unique_ptr<OutputStream> open_output_stream(int) {
    throw Error::unsupported("WriteFile", "a write to a pipe that nobody reads cannot be given up");
}

std::unique_ptr<OutputFile> create_spool_file() {
    std::wstring folder(MAX_PATH + 1, L'\0');
    const DWORD size = ::GetTempPathW(static_cast<DWORD>(folder.size()), folder.data());
    if (size == 0 || size > folder.size()) {
        throw Error::file_win32(::GetLastError(), "GetTempPath", "");
    }
    folder.resize(size);
    const std::u16string units(folder.begin(), folder.end());
    return std::make_unique<WindowsOutputFile>(
        utf16_to_utf8(std::u16string_view(units)) + "snapcore.dmp", true);
}

std::unique_ptr<InputFile> open_input_file(const std::string& path) {
    return std::make_unique<WindowsInputFile>(path);
}

std::unique_ptr<InputFile> open_input_beside(const std::string& path, const std::string& name) {
    const auto cut = path.find_last_of("/\\:");
    const std::string beside = (cut == std::string::npos ? "" : path.substr(0, cut + 1)) + name;
    refuse_link(beside);
    return std::make_unique<WindowsInputFile>(beside);
}

std::unique_ptr<OutputFile> create_output_file(const std::string& path, bool overwrite) {
    return std::make_unique<WindowsOutputFile>(path, overwrite);
}

}  // namespace snapcore
