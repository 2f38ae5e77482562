// SPDX-License-Identifier: Apache-2.0
//
// Types of the columns in a SnapcoreColumns stream, and the keys that its rows are found by.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "minidump/raw.h"
#include "tables/tables.h"

namespace snapcore::minidump {

template <class T>
constexpr std::uint32_t column_type() {
    if constexpr (std::is_same_v<T, std::string>) {
        return raw::SNAPCORE_TYPE_TEXT | sizeof(std::int32_t);
    } else if constexpr (std::is_same_v<T, Boolean>) {
        return raw::SNAPCORE_TYPE_BOOLEAN | sizeof(T);
    } else if constexpr (std::is_signed_v<T>) {
        return raw::SNAPCORE_TYPE_SIGNED | sizeof(T);
    } else {
        return raw::SNAPCORE_TYPE_UNSIGNED | sizeof(T);
    }
}

struct ThreadColumns {
    static constexpr std::uint32_t kTable = raw::SNAPCORE_TABLE_THREADS;
    static constexpr const char* kKeyName = "tid";
    static const auto& key(const ThreadTable& table) { return table.tid; }
};
struct HandleColumns {
    static constexpr std::uint32_t kTable = raw::SNAPCORE_TABLE_HANDLES;
    static constexpr const char* kKeyName = "handle";
    static const auto& key(const HandleTable& table) { return table.handle; }
};
struct RegionColumns {
    static constexpr std::uint32_t kTable = raw::SNAPCORE_TABLE_REGIONS;
    static constexpr const char* kKeyName = "base";
    static const auto& key(const RegionTable& table) { return table.base; }
};

}  // namespace snapcore::minidump
