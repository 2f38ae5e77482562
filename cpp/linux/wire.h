// SPDX-License-Identifier: Apache-2.0
//
// Records as bytes between the tracer and its client: two halves of one build on one machine, so
// plain copies do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace snapcore::linux_os {

class WireWriter {
public:
    template <class T>
        requires std::is_trivially_copyable_v<T>
    void put(const T& value) {
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void put(std::string_view text) {
        put<std::uint64_t>(text.size());
        bytes_.append(text);
    }
    void put(const std::string& text) { put(std::string_view(text)); }
    template <class T>
    void put(const std::vector<T>& values) {
        static_assert(std::is_trivially_copyable_v<T>);
        put(std::string_view(reinterpret_cast<const char*>(values.data()),
                             values.size() * sizeof(T)));
    }
    const std::string& bytes() const { return bytes_; }

private:
    std::string bytes_;
};

class WireReader {
public:
    explicit WireReader(std::string_view bytes) : bytes_(bytes) {}

    template <class T>
    T get() {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        std::memcpy(&value, std::as_bytes(std::span(take(sizeof value))).data(), sizeof value);
        return value;
    }
    std::string_view text() { return take(get<std::uint64_t>()); }
    template <class T>
    std::vector<T> values() {
        const auto raw = std::as_bytes(std::span(text()));
        std::vector<T> out(raw.size() / sizeof(T));
        if (!out.empty()) std::memcpy(out.data(), raw.data(), out.size() * sizeof(T));
        return out;
    }

private:
    std::string_view take(std::uint64_t size) {
        if (size > bytes_.size()) {
            throw Error(
                ErrorKind::kOther, ErrorDomain::kNone, 0, "", "the tracer's answer is cut short");
        }
        const std::string_view out = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return out;
    }

    std::string_view bytes_;
};

}  // namespace snapcore::linux_os
