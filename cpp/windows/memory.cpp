// SPDX-License-Identifier: Apache-2.0
#include "windows/memory.h"

#include <algorithm>

#include "base/text.h"

namespace snapcore::windows_os {
namespace {

constexpr std::size_t kPage = 4096;

// ReadProcessMemory reads all or says how much; where it gives up at once, page by page.
std::size_t read_from(HANDLE process, std::uint64_t address, std::span<std::byte> out) {
    std::size_t done = 0;
    while (done < out.size()) {
        const auto* const at = reinterpret_cast<const void*>(address + done);
        SIZE_T n = 0;
        if (::ReadProcessMemory(process, at, out.data() + done, out.size() - done, &n)) {
            done += n;
            break;
        }
        if (n == 0) {
            const std::size_t piece = std::min<std::size_t>(
                out.size() - done, kPage - static_cast<std::size_t>((address + done) % kPage));
            if (!::ReadProcessMemory(process, at, out.data() + done, piece, &n) || n == 0) break;
        }
        done += n;
    }
    return done;
}

}  // namespace

const Range* ProcessMemory::missing_from(std::uint64_t address) const {
    const auto next = std::upper_bound(
        missing_.begin(), missing_.end(), address, [](std::uint64_t a, const Range& range) {
            return a < range.end();
        });
    return next == missing_.end() ? nullptr : &*next;
}

std::size_t ProcessMemory::read(std::uint64_t address, std::span<std::byte> out) {
    std::size_t done = 0;
    while (done < out.size()) {
        const std::uint64_t at = address + done;
        std::span<std::byte> rest = out.subspan(done);
        const Range* const missing = missing_from(at);
        if (missing != nullptr && missing->contains(at)) {
            const std::size_t n = read_live(at, rest);
            if (n == 0) break;
            done += n;
            continue;
        }
        // What the clone has at a missing address is its own affair.
        if (missing != nullptr) {
            rest = rest.first(std::min<std::uint64_t>(rest.size(), missing->address - at));
        }
        const std::size_t n = read_from(clone_, at, rest);
        done += n;
        if (n < rest.size()) break;
    }
    return done;
}

std::size_t ProcessMemory::read_live(std::uint64_t address, std::span<std::byte> out) {
    const Range* const missing = missing_from(address);
    if (live_ == nullptr || missing == nullptr || !missing->contains(address)) return 0;
    const std::size_t size = std::min<std::uint64_t>(out.size(), missing->end() - address);
    const std::size_t n = read_from(live_, address, out.first(size));
    live_bytes_ += n;
    return n;
}

std::string ProcessMemory::read_text(std::uint64_t address, std::uint16_t bytes) {
    std::u16string text(bytes / sizeof(char16_t), u'\0');
    const auto whole = std::as_writable_bytes(std::span(text));
    if (address == 0 || read(address, whole) != whole.size()) return {};
    return utf16_to_utf8(text);
}

}  // namespace snapcore::windows_os
