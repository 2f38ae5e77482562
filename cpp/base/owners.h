// SPDX-License-Identifier: Apache-2.0
//
// Owners of OS things: move only, released once, never throwing.
#pragma once

#include <utility>

namespace snapcore {

// Traits: `using Type`, `static constexpr Type kInvalid`, `static void release(Type) noexcept`.
template <class Traits>
class Unique {
public:
    using Type = typename Traits::Type;

    Unique() = default;
    explicit Unique(Type value) : value_(value) {}
    Unique(Unique&& other) noexcept : value_(std::exchange(other.value_, Traits::kInvalid)) {}
    Unique& operator=(Unique&& other) noexcept {
        if (this != &other) reset(std::exchange(other.value_, Traits::kInvalid));
        return *this;
    }
    Unique(const Unique&) = delete;
    Unique& operator=(const Unique&) = delete;
    ~Unique() { reset(); }

    Type get() const { return value_; }
    explicit operator bool() const { return value_ != Traits::kInvalid; }
    Type release() { return std::exchange(value_, Traits::kInvalid); }
    void reset(Type value = Traits::kInvalid) {
        if (value_ != Traits::kInvalid) Traits::release(value_);
        value_ = value;
    }

private:
    Type value_ = Traits::kInvalid;
};

#if !defined(_WIN32)
struct DescriptorTraits {
    using Type = int;
    static constexpr int kInvalid = -1;
    static void release(int fd) noexcept;  // close(2), errno kept
};
using UniqueDescriptor = Unique<DescriptorTraits>;
#endif

}  // namespace snapcore
