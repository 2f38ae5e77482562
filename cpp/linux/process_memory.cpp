// SPDX-License-Identifier: Apache-2.0
#include "linux/process_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "linux/remote_memory.h"

namespace snapcore::linux_os {

std::size_t ProcessMemory::read(std::uint64_t address, std::span<std::byte> out) {
    if (deadline_ns_ != 0 && monotonic_ns() > deadline_ns_) {
        throw Error(ErrorKind::kTimedOut,
                    ErrorDomain::kErrno,
                    ETIMEDOUT,
                    "",
                    "the target stood still for max_pause and was let go before its memory was "
                    "written; raise max_pause, or "
                    "use method=\"snapshot\"");
    }
    std::size_t done = 0;
    while (done < out.size()) {
        const std::uint64_t at = address + done;
        const auto next = std::upper_bound(
            copies_.begin(), copies_.end(), at, [](std::uint64_t a, const MemoryCopy& copy) {
                return a < copy.address;
            });
        if (next != copies_.begin()) {
            const MemoryCopy& copy = *(next - 1);
            const std::uint64_t inside = at - copy.address;
            if (inside < copy.bytes.size()) {
                const std::size_t n =
                    std::min<std::size_t>(copy.bytes.size() - inside, out.size() - done);
                std::memcpy(out.data() + done, copy.bytes.data() + inside, n);
                done += n;
                continue;
            }
        }
        std::size_t limit = out.size() - done;
        if (next != copies_.end()) limit = std::min<std::uint64_t>(limit, next->address - at);
        const std::size_t n = read_process(at, out.subspan(done, limit));
        done += n;
        if (n < limit) break;
    }
    return done;
}

std::size_t ProcessMemory::read_process(std::uint64_t address, std::span<std::byte> out) {
    if (!memory_ && running_ != 0) return read_remote(running_, address, out);
    std::size_t done = 0;
    while (memory_ && done < out.size()) {
        const std::uint64_t at = address + done;
        std::uint64_t limit = out.size() - done;
        const auto next = std::find_if(
            apart_.begin(), apart_.end(), [&](const Range& range) { return range.end() > at; });
        const bool apart = next != apart_.end() && next->address <= at;
        if (next != apart_.end()) {
            limit = std::min(limit, (apart ? next->end() : next->address) - at);
        }
        const int memory = apart ? other_memory_.get() : memory_.get();
        const ssize_t n = ::pread(memory, out.data() + done, limit, static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += static_cast<std::size_t>(n);
    }
    return done;
}

bool ProcessMemory::is_copied(Range range) const {
    std::uint64_t at = range.address;
    for (const MemoryCopy& copy : copies_) {
        if (copy.address > at) break;
        at = std::max(at, copy.address + copy.bytes.size());
    }
    return at >= range.end();
}

}  // namespace snapcore::linux_os
