// SPDX-License-Identifier: Apache-2.0
//
// The one exception type of the C++ core. Nobody below the bindings returns a bool for failure.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace snapcore {

// The number space that Error::code() belongs to.
enum class ErrorDomain : std::uint8_t { kNone, kErrno, kWin32, kHresult, kNtStatus, kFormat };

// What a caller can do about it; the bindings choose the Python exception by it.
enum class ErrorKind : std::uint8_t {
    kOther,            // SnapError
    kAccessDenied,     // AccessDenied
    kProcessGone,      // ProcessGone
    kTimedOut,         // TimedOut
    kUnsupported,      // Unsupported
    kCancelled,        // KeyboardInterrupt is raised by the caller who cancelled
    kInvalidArgument,  // ValueError
    kFile,             // OSError of the number, with the path (FileExistsError, ...)
    kFormat,           // DumpFormatError
};

class Error : public std::runtime_error {
public:
    // `call` is the OS function's own name; `detail` says what to do next, or is empty.
    Error(ErrorKind kind,
          ErrorDomain domain,
          std::int64_t code,
          std::string_view call,
          std::string_view detail = {},
          std::uint32_t pid = 0);

    // Chooses the kind from the number: EPERM/EACCES, ESRCH, ETIMEDOUT, ENOSYS.
    static Error from_errno(int code,
                            std::string_view call,
                            std::string_view detail = {},
                            std::uint32_t pid = 0);
    // The same for Win32 errors (ERROR_ACCESS_DENIED, ERROR_TIMEOUT, ERROR_NOT_SUPPORTED, ...).
    static Error from_win32(std::uint32_t code,
                            std::string_view call,
                            std::string_view detail = {},
                            std::uint32_t pid = 0);
    // Keeps the HRESULT; the kind comes from the Win32 error inside, where there is one.
    static Error from_hresult(std::uint32_t code,
                              std::string_view call,
                              std::string_view detail = {},
                              std::uint32_t pid = 0);
    static Error file(int code, std::string_view call, std::string_view path);
    static Error file_win32(std::uint32_t code, std::string_view call, std::string_view path);
    static Error invalid_argument(std::string_view message);
    static Error unsupported(std::string_view call, std::string_view detail, std::uint32_t pid = 0);

    ErrorKind kind() const { return kind_; }
    ErrorDomain domain() const { return domain_; }
    std::int64_t code() const { return code_; }
    const std::string& call() const { return call_; }
    // For ErrorKind::kFile the path, else the advice.
    const std::string& detail() const { return detail_; }
    std::uint32_t pid() const { return pid_; }

private:
    ErrorKind kind_;
    ErrorDomain domain_;
    std::int64_t code_;
    std::string call_;
    std::string detail_;
    std::uint32_t pid_;
};

// "errno", "win32", ...; empty for none.
const char* domain_name(ErrorDomain domain);

// The operating system's text for one of its own numbers (UTF-8); empty where it has none.
std::string os_error_text(ErrorDomain domain, std::int64_t code);

// The Win32 error inside an HRESULT (0x8007xxxx), or 0.
constexpr std::uint32_t win32_of_hresult(std::uint32_t code) {
    return (code & 0xffff0000) == 0x80070000 ? code & 0xffff : 0;
}

}  // namespace snapcore
