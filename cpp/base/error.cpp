// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace snapcore {
namespace {

std::string describe(ErrorDomain domain,
                     std::int64_t code,
                     std::string_view call,
                     std::string_view detail,
                     std::uint32_t pid) {
    std::string text(call);
    if (domain == ErrorDomain::kErrno && code != 0) {
        text += text.empty() ? "" : ": ";
        text += std::generic_category().message(static_cast<int>(code));
    } else if (domain != ErrorDomain::kNone && code != 0) {
        text += " failed with code " + std::to_string(code);
    }
    if (pid != 0) text += " (pid " + std::to_string(pid) + ")";
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

Error Error::file(int code, std::string_view call, std::string_view path) {
    return {ErrorKind::kFile, ErrorDomain::kErrno, code, call, path};
}

Error Error::invalid_argument(std::string_view message) {
    return {ErrorKind::kInvalidArgument, ErrorDomain::kNone, 0, {}, message};
}

Error Error::unsupported(std::string_view call, std::string_view detail, std::uint32_t pid) {
    return {ErrorKind::kUnsupported, ErrorDomain::kNone, 0, call, detail, pid};
}

}  // namespace snapcore
