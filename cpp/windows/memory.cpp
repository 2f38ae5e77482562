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

bool ProcessMemory::is_missing(std::uint64_t address) const {
    const auto next = std::upper_bound(
        missing_.begin(), missing_.end(), address, [](std::uint64_t a, const Range& range) {
            return a < range.address;
        });
    return next != missing_.begin() && (next - 1)->contains(address);
}

std::size_t ProcessMemory::read(std::uint64_t address, std::span<std::byte> out) {
    std::size_t done = clone_ != nullptr ? read_from(clone_, address, out) : 0;
    while (done < out.size()) {
        const std::size_t from_live = read_live(address + done, out.subspan(done));
        if (from_live == 0) break;
        done += from_live;
        if (done < out.size()) done += read_from(clone_, address + done, out.subspan(done));
    }
    return done;
}

std::size_t ProcessMemory::read_live(std::uint64_t address, std::span<std::byte> out) {
    if (live_ == nullptr || !is_missing(address)) return 0;
    const auto next = std::upper_bound(
        missing_.begin(), missing_.end(), address, [](std::uint64_t a, const Range& range) {
            return a < range.address;
        });
    const std::uint64_t end = (next - 1)->end();
    const std::size_t size = std::min<std::uint64_t>(out.size(), end - address);
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
