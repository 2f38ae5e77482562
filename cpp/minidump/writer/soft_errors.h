// SPDX-License-Identifier: Apache-2.0
//
// What the writer could not do, as JSON inside the dump. Its length is settled before memory is
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
    explicit SoftErrors(Diagnostics diagnostics);
    std::size_t size() const { return size_; }
    // As long as size(), failures of reading included.
    std::string text(std::span<const Range> unreadable) const;

private:
    Diagnostics diagnostics_;
    std::size_t size_ = 0;
};

}  // namespace snapcore::minidump
