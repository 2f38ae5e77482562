// SPDX-License-Identifier: Apache-2.0
//
// From what Windows counts in to what the tables say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"
#include "windows/raw.h"

namespace snapcore::windows_os {

inline constexpr std::uint64_t kTicksTo1970 = 116'444'736'000'000'000;  // 100 ns since 1601

// Nothing for 0: a time that has not come, or is not known.
inline std::optional<std::int64_t> time_of(const raw::FILETIME& time) {
    if (time.ticks() < kTicksTo1970) return std::nullopt;
    return static_cast<std::int64_t>(time.ticks() - kTicksTo1970) * 100;
}

inline std::int64_t duration_of(const raw::FILETIME& time) {
    return static_cast<std::int64_t>(time.ticks()) * 100;
}

// A string of the walk marker's memory: counted in bytes, no NUL.
inline std::string text_of(std::uint64_t address, std::uint16_t bytes) {
    if (address == 0) return {};
    const auto* const units = reinterpret_cast<const char16_t*>(address);
    return utf16_to_utf8({units, bytes / sizeof(char16_t)});
}

inline std::string narrow(std::wstring_view text) {
    return utf16_to_utf8({reinterpret_cast<const char16_t*>(text.data()), text.size()});
}

}  // namespace snapcore::windows_os
