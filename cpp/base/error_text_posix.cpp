// SPDX-License-Identifier: Apache-2.0
#include <system_error>

#include "base/error.h"

namespace snapcore {

std::string os_error_text(ErrorDomain domain, std::int64_t code) {
    if (domain != ErrorDomain::kErrno) return {};
    return std::generic_category().message(static_cast<int>(code));
}

}  // namespace snapcore
