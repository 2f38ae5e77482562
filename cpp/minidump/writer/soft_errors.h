// SPDX-License-Identifier: Apache-2.0
//
// What the writer could not do, as JSON inside the dump. Its length is settled before memory is
// read, so room for what fails then is kept, filled with blanks that JSON allows.
#pragma once

#include <span>

#include "base/diagnostics.h"
#include "base/range.h"
#include "minidump/writer/metadata.h"

namespace snapcore::minidump {

class SoftErrors {
public:
    SoftErrors(Metadata& out, Diagnostics diagnostics);
    // The bytes for the reserved place, failures of reading included.
    std::string text(std::span<const Range> unreadable) const;
    raw::RVA rva() const { return rva_; }

private:
    Diagnostics diagnostics_;
    raw::RVA rva_ = 0;
    std::size_t size_ = 0;
};

}  // namespace snapcore::minidump
