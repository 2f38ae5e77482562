// SPDX-License-Identifier: Apache-2.0
//
// What /proc/PID/fdinfo/N says. Pure: text in, facts out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace snapcore::linux_os {

struct DescriptorInfo {
    std::optional<std::int64_t> position;
    std::optional<std::uint32_t> open_flags;
    std::optional<std::uint64_t> inode;  // since Linux 5.14
    // Below: only where the details are asked for.
    std::optional<std::uint64_t> event_count;  // eventfd
    std::optional<std::int64_t> target_pid;    // pidfd; -1 where it has been waited for
    std::optional<std::uint64_t> signal_mask;  // signalfd
    std::optional<int> clock;                  // timerfd, CLOCK_*
    std::optional<std::uint64_t> ticks;
    std::optional<std::int64_t> expires_in_ns, interval_ns;
    std::optional<std::int64_t> size;  // dma-buf
    std::uint32_t watch_count = 0;     // epoll, inotify, fanotify
    std::string watched;               // epoll: "3,5,7"
    std::string locks;                 // "FLOCK ADVISORY WRITE 0 EOF; ..."
    std::string rest;                  // "name=value;...", cut at about 1,000 bytes
};
DescriptorInfo parse_fdinfo(std::string_view text, bool details);

// "CLOCK_MONOTONIC", else the number.
std::string clock_name(int clock);

}  // namespace snapcore::linux_os
