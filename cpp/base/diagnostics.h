// SPDX-License-Identifier: Apache-2.0
//
// What went less than perfectly without losing the result. The list travels with a snapshot and
// into the dump.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace snapcore {

enum class Severity : std::uint8_t { kInfo, kWarning };

struct Diagnostic {
    Severity severity = Severity::kWarning;
    std::string code;     // stable, snake_case: "handles_not_atomic", "flag_without_meaning", ...
    std::string message;  // for people
    std::string call;     // the OS function's name, or empty
    ErrorDomain domain = ErrorDomain::kNone;
    std::int64_t error = 0;     // in `domain`
    std::uint64_t subject = 0;  // thread id, handle, address or flag that it is about
};

using Diagnostics = std::vector<Diagnostic>;

}  // namespace snapcore
