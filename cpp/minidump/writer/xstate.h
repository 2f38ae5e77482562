// SPDX-License-Identifier: Apache-2.0
//
// Extended processor state behind a CONTEXT, as CONTEXT_XSTATE has it: CONTEXT_EX, then the XSAVE
// image from its header on, in the standard form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "minidump/contents.h"
#include "minidump/raw.h"

namespace snapcore::minidump {

class XstateLayout {
public:
    // Of the features that a thread uses; none where the flags do not ask for them or the contexts
    // lack them.
    explicit XstateLayout(const Contents& contents);

    // Bytes of the XSAVE image that are kept, its first 512 included; 0: there is no such state.
    std::size_t size() const { return size_; }
    raw::XSTATE_CONFIG_FEATURE_MSC_INFO configuration() const;
    // A whole context record: `context` with the flag set, and the state of the same row.
    std::vector<std::byte> extend(std::span<const std::byte> context,
                                  std::span<const std::byte> image) const;

private:
    std::uint64_t features_ = 0;
    std::size_t size_ = 0;
    std::span<const XstateFeature> all_;
};

}  // namespace snapcore::minidump
