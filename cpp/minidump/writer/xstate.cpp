// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/xstate.h"

#include <algorithm>
#include <cstring>

#include "generated/flags.h"

namespace snapcore::minidump {
namespace {

constexpr std::size_t kLegacySize = 512;  // x87 and SSE, which CONTEXT holds
constexpr std::size_t kHeaderSize = 64;
constexpr std::uint64_t kLegacyFeatures = 3;
constexpr std::uint32_t kAvx = 2;
// Where Windows puts the header, counted from CONTEXT_EX.
constexpr std::int32_t kStateOffset = 64;

std::uint64_t used_features(const ContextTable& contexts) {
    std::uint64_t used = 0;
    for (std::size_t row = 0; row < contexts.rows(); ++row) {
        std::uint64_t features = 0;
        std::memcpy(&features,
                    contexts.xsave.data() + row * contexts.xsave_stride + kLegacySize,
                    sizeof features);
        used |= features;
    }
    return used;
}

}  // namespace

XstateLayout::XstateLayout(const Contents& contents) : all_(contents.xstate) {
    const ContextTable& contexts = *contents.contexts;
    if ((contents.flags & MiniDumpType::WITH_AVX_XSTATE_CONTEXT) == 0) return;
    if (contexts.xsave_stride < kLegacySize + kHeaderSize) return;
    // AVX is what the flag is named for; others, AMX with its 8 KiB above all, where they are used.
    const std::uint64_t wanted = used_features(contexts) | 1u << kAvx;
    for (const XstateFeature& feature : all_) {
        const std::size_t end = std::size_t{feature.offset} + feature.size;
        if ((wanted >> feature.index & 1) == 0 || end > contexts.xsave_stride) continue;
        features_ |= std::uint64_t{1} << feature.index;
        size_ = std::max(size_, end);
    }
}

raw::XSTATE_CONFIG_FEATURE_MSC_INFO XstateLayout::configuration() const {
    raw::XSTATE_CONFIG_FEATURE_MSC_INFO out{};
    out.SizeOfInfo = sizeof out;
    out.ContextSize = static_cast<std::uint32_t>(size_);
    out.EnabledFeatures = features_ | kLegacyFeatures;
    out.Features[0] = {0, 160};  // x87
    out.Features[1] = {160, 256};
    for (const XstateFeature& feature : all_) {
        if ((features_ >> feature.index & 1) != 0) {
            out.Features[feature.index] = {feature.offset, feature.size};
        }
    }
    return out;
}

std::vector<std::byte> XstateLayout::extend(std::span<const std::byte> context,
                                            std::span<const std::byte> image) const {
    const auto legacy = static_cast<std::uint32_t>(context.size());
    const auto state = static_cast<std::uint32_t>(size_ - kLegacySize);
    std::vector<std::byte> out(legacy + kStateOffset + state);
    std::memcpy(out.data(), context.data(), legacy);
    std::uint32_t flags = 0;
    std::byte* const flags_at = out.data() + offsetof(raw::Amd64Context, ContextFlags);
    std::memcpy(&flags, flags_at, sizeof flags);
    flags |= ContextFlags::XSTATE;
    std::memcpy(flags_at, &flags, sizeof flags);
    const auto offset = -static_cast<std::int32_t>(legacy);
    const raw::CONTEXT_EX extension{
        {offset, legacy + kStateOffset + state}, {offset, legacy}, {kStateOffset, state}};
    std::memcpy(out.data() + legacy, &extension, sizeof extension);
    std::memcpy(out.data() + legacy + kStateOffset, image.data() + kLegacySize, state);
    // Only what the file holds, in the standard form.
    std::uint64_t header[2] = {};
    std::memcpy(header, image.data() + kLegacySize, sizeof header);
    header[0] &= features_ | kLegacyFeatures;
    header[1] = 0;
    std::memcpy(out.data() + legacy + kStateOffset, header, sizeof header);
    return out;
}

}  // namespace snapcore::minidump
