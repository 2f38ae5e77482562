// SPDX-License-Identifier: Apache-2.0
//
// Memory of the instant, from the clone; what the clone lacks, from the running process, only where
// that was asked for.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "windows/owners.h"

namespace snapcore::windows_os {

class ProcessMemory {
public:
    // Both handles are the caller's and stay open as long as this lives.
    ProcessMemory(HANDLE clone, HANDLE live) : clone_(clone), live_(live) {}

    // Ranges that the clone lacks although the target has them; ascending.
    void set_missing(std::vector<Range> missing) { missing_ = std::move(missing); }
    const std::vector<Range>& missing() const { return missing_; }
    // Bytes that came from the running process so far.
    std::uint64_t live_bytes() const { return live_bytes_; }

    // Bytes read from the start of the range.
    std::size_t read(std::uint64_t address, std::span<std::byte> out);
    // The same from the running process alone, for a range that is missing; 0 elsewhere.
    std::size_t read_live(std::uint64_t address, std::span<std::byte> out);

    // The object at an address; false where it cannot be read.
    template <class T>
    bool read_object(std::uint64_t address, T& out) {
        return address != 0 &&
               read(address, std::as_writable_bytes(std::span(&out, 1))) == sizeof out;
    }
    // A UNICODE_STRING's contents as UTF-8; empty where they cannot be read.
    std::string read_text(std::uint64_t address, std::uint16_t bytes);

private:
    // The missing range that an address lies in, or the next one behind it; null where there is
    // none.
    const Range* missing_from(std::uint64_t address) const;

    HANDLE clone_;
    HANDLE live_;
    std::vector<Range> missing_;
    std::atomic<std::uint64_t> live_bytes_{0};
};

}  // namespace snapcore::windows_os
