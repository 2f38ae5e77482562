// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cerrno>
#include <cstdio>

namespace snapcore {
namespace {

std::string number(ErrorDomain domain, std::int64_t code) {
    const bool hex = domain == ErrorDomain::kHresult || domain == ErrorDomain::kNtStatus;
    char text[32];
    std::snprintf(
        text, sizeof text, hex ? "error 0x%08llX" : "error %lld", static_cast<long long>(code));
    return text;
}

std::string describe(ErrorDomain domain,
                     std::int64_t code,
                     std::string_view call,
                     std::string_view detail,
                     std::uint32_t pid) {
    std::string text(call);
    if (domain != ErrorDomain::kNone && code != 0) {
        const std::string meaning = os_error_text(domain, code);
        if (domain != ErrorDomain::kErrno || meaning.empty()) {
            text += (text.empty() ? "" : ": ") + number(domain, code);
        }
        if (!meaning.empty()) text += (text.empty() ? "" : ": ") + meaning;
    }
    if (pid != 0) text += (text.empty() ? "(pid " : " (pid ") + std::to_string(pid) + ")";
    if (!detail.empty()) {
        text += text.empty() ? "" : ": ";
        text += detail;
    }
    return text;
}

ErrorKind kind_of_errno(int code) {
    switch (code) {
        case EPERM:
        case EACCES: return ErrorKind::kAccessDenied;
        case ESRCH: return ErrorKind::kProcessGone;
        case ETIMEDOUT: return ErrorKind::kTimedOut;
        case ENOSYS: return ErrorKind::kUnsupported;
        default: return ErrorKind::kOther;
    }
}

ErrorKind kind_of_win32(std::uint32_t code) {
    switch (code) {
        case 5:     // ERROR_ACCESS_DENIED
        case 1314:  // ERROR_PRIVILEGE_NOT_HELD
            return ErrorKind::kAccessDenied;
        case 258:   // WAIT_TIMEOUT
        case 1460:  // ERROR_TIMEOUT
            return ErrorKind::kTimedOut;
        case 50:   // ERROR_NOT_SUPPORTED
        case 120:  // ERROR_CALL_NOT_IMPLEMENTED
        case 127:  // ERROR_PROC_NOT_FOUND
            return ErrorKind::kUnsupported;
        default: return ErrorKind::kOther;
    }
}

}  // namespace

Error::Error(ErrorKind kind,
             ErrorDomain domain,
             std::int64_t code,
             std::string_view call,
             std::string_view detail,
             std::uint32_t pid)
    : std::runtime_error(describe(domain, code, call, detail, pid)),
      kind_(kind),
      domain_(domain),
      code_(code),
      call_(call),
      detail_(detail),
      pid_(pid) {}

Error Error::from_errno(int code,
                        std::string_view call,
                        std::string_view detail,
                        std::uint32_t pid) {
    return {kind_of_errno(code), ErrorDomain::kErrno, code, call, detail, pid};
}

Error Error::from_win32(std::uint32_t code,
                        std::string_view call,
                        std::string_view detail,
                        std::uint32_t pid) {
    return {kind_of_win32(code), ErrorDomain::kWin32, code, call, detail, pid};
}

Error Error::from_hresult(std::uint32_t code,
                          std::string_view call,
                          std::string_view detail,
                          std::uint32_t pid) {
    return {kind_of_win32(win32_of_hresult(code)), ErrorDomain::kHresult, code, call, detail, pid};
}

Error Error::file_win32(std::uint32_t code, std::string_view call, std::string_view path) {
    return {ErrorKind::kFile, ErrorDomain::kWin32, code, call, path};
}

Error Error::file(int code, std::string_view call, std::string_view path) {
    return {ErrorKind::kFile, ErrorDomain::kErrno, code, call, path};
}

Error Error::invalid_argument(std::string_view message) {
    return {ErrorKind::kInvalidArgument, ErrorDomain::kNone, 0, {}, message};
}

Error Error::unsupported(std::string_view call, std::string_view detail, std::uint32_t pid) {
    return {ErrorKind::kUnsupported, ErrorDomain::kNone, 0, call, detail, pid};
}

const char* domain_name(ErrorDomain domain) {
    switch (domain) {
        case ErrorDomain::kErrno: return "errno";
        case ErrorDomain::kWin32: return "win32";
        case ErrorDomain::kHresult: return "hresult";
        case ErrorDomain::kNtStatus: return "ntstatus";
        case ErrorDomain::kFormat: return "format";
        case ErrorDomain::kNone: break;
    }
    return "";
}

}  // namespace snapcore
