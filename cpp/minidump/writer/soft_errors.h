// SPDX-License-Identifier: Apache-2.0
//
// What went less than perfectly, as JSON inside the dump. Its length is settled before memory is
// read, so room for what fails then is kept, filled with blanks that JSON allows.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/diagnostics.h"
#include "base/range.h"

namespace snapcore::minidump {

class SoftErrors {
public:
    static constexpr std::size_t kRoom = 4096;

    explicit SoftErrors(Diagnostics diagnostics, std::size_t room = kRoom);
    std::size_t size() const { return size_; }
    // As long as size(), with what became known since and what could not be read.
    std::string text(const Diagnostics& late = {}, std::span<const Range> unreadable = {}) const;

private:
    Diagnostics diagnostics_;
    std::size_t size_ = 0;
};

}  // namespace snapcore::minidump
