// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/soft_errors.h"

#include <cstdio>
#include <utility>

#include "base/text.h"

namespace snapcore::minidump {
namespace {

std::string render(const Diagnostic& d) {
    return "{\"code\":" + json_quote(d.code) +
           ",\"severity\":" + (d.severity == Severity::kWarning ? "\"warning\"" : "\"info\"") +
           ",\"message\":" + json_quote(d.message) + ",\"call\":" + json_quote(d.call) +
           ",\"domain\":" + json_quote(domain_name(d.domain)) +
           ",\"error\":" + std::to_string(d.error) + ",\"subject\":" + std::to_string(d.subject) +
           "}";
}

std::string render(const Range& range) {
    char text[96];
    std::snprintf(text,
                  sizeof text,
                  "{\"code\":\"unreadable_memory\",\"address\":\"0x%llx\",\"size\":%llu}",
                  static_cast<unsigned long long>(range.address),
                  static_cast<unsigned long long>(range.size));
    return text;
}

std::string join(const Diagnostics& diagnostics) {
    std::string out;
    for (const Diagnostic& d : diagnostics) {
        if (!out.empty()) out += ',';
        out += render(d);
    }
    return out;
}

}  // namespace

SoftErrors::SoftErrors(Diagnostics diagnostics, std::size_t room)
    : diagnostics_(std::move(diagnostics)) {
    size_ = join(diagnostics_).size() + 2 + room;
}

std::string SoftErrors::text(const Diagnostics& late, std::span<const Range> unreadable) const {
    constexpr std::size_t kRoomForRest = 96;
    std::string body = join(diagnostics_);
    for (const Diagnostic& diagnostic : late) {
        const std::string item = render(diagnostic);
        if (body.size() + item.size() + kRoomForRest > size_) break;
        body += (body.empty() ? "" : ",") + item;
    }
    std::size_t told = 0;
    for (const Range& range : unreadable) {
        const std::string item = render(range);
        if (body.size() + item.size() + kRoomForRest > size_) break;
        body += (body.empty() ? "" : ",") + item;
        ++told;
    }
    if (told < unreadable.size()) {
        body += (body.empty() ? "" : ",") +
                std::string("{\"code\":\"more_unreadable_ranges\",\"count\":") +
                std::to_string(unreadable.size() - told) + "}";
    }
    std::string out = "[" + body + "]";
    out.resize(size_, ' ');
    return out;
}

}  // namespace snapcore::minidump
