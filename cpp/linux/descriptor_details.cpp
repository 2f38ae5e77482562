// SPDX-License-Identifier: Apache-2.0
#include "linux/descriptor_details.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <vector>

namespace snapcore::linux_os {
namespace {

constexpr std::size_t kLongestRest = 1000;

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

template <class T>
std::optional<T> number(std::string_view text, int base = 10) {
    T out{};
    if (std::from_chars(text.data(), text.data() + text.size(), out, base).ec != std::errc{})
        return std::nullopt;
    return out;
}

// "(1, 500)": seconds and nanoseconds.
std::optional<std::int64_t> duration_ns(std::string_view text) {
    const auto comma = text.find(',');
    if (!text.starts_with('(') || comma == std::string_view::npos) return std::nullopt;
    const auto seconds = number<std::int64_t>(text.substr(1));
    const auto rest = number<std::int64_t>(trimmed(text.substr(comma + 1)));
    constexpr std::int64_t kSecond = 1'000'000'000;
    if (!seconds || !rest) return std::nullopt;
    if (*seconds > INT64_MAX / kSecond - 1) return INT64_MAX;
    return *seconds * kSecond + *rest;
}

// "1: POSIX  ADVISORY  WRITE 4711 00:2f:1234 0 EOF" less number, process and inode.
void add_lock(std::string_view text, std::string& locks) {
    std::array<std::string_view, 8> fields;
    std::size_t count = 0;
    while (count < fields.size() && !(text = trimmed(text)).empty()) {
        fields[count++] = text.substr(0, text.find(' '));
        text.remove_prefix(fields[count - 1].size());
    }
    if (count < fields.size()) return;
    if (!locks.empty()) locks += "; ";
    for (const std::size_t i : {1u, 2u, 3u, 6u, 7u}) {
        if (i != 1) locks += ' ';
        locks += fields[i];
    }
}

}  // namespace

DescriptorInfo parse_fdinfo(std::string_view text, bool details) {
    DescriptorInfo out;
    std::vector<int> watched;  // the kernel lists them in no order
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        const std::string_view key = line.substr(0, colon);
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (key == "pos") {
            out.position = number<std::int64_t>(value);
        } else if (key == "flags") {
            out.open_flags = number<std::uint32_t>(value, 8);
        } else if (key == "ino") {
            out.inode = number<std::uint64_t>(value);
        } else if (!details || key == "mnt_id") {
            continue;
        } else if (key == "lock") {
            add_lock(value, out.locks);
        } else if (key == "tfd") {
            ++out.watch_count;
            if (const auto target = number<int>(value)) watched.push_back(*target);
        } else if (key.starts_with("inotify ") ||
                   (key.starts_with("fanotify ") && key != "fanotify flags")) {
            ++out.watch_count;
        } else if (key == "eventfd-count") {
            out.event_count = number<std::uint64_t>(value, 16);
        } else if (key == "sigmask") {
            out.signal_mask = number<std::uint64_t>(value, 16);
        } else if (key == "Pid") {
            out.target_pid = number<std::int64_t>(value);
        } else if (key == "clockid") {
            out.clock = number<int>(value);
        } else if (key == "ticks") {
            out.ticks = number<std::uint64_t>(value);
        } else if (key == "it_value") {
            out.expires_in_ns = duration_ns(value);
        } else if (key == "it_interval") {
            out.interval_ns = duration_ns(value);
        } else if (!key.starts_with(' ') && !value.empty() &&
                   out.rest.size() + line.size() < kLongestRest) {
            if (key == "size") out.size = number<std::int64_t>(value);
            if (!out.rest.empty()) out.rest += ';';
            out.rest.append(key).append("=").append(value);
        }
    }
    std::sort(watched.begin(), watched.end());
    for (const int target : watched) {
        if (!out.watched.empty()) out.watched += ',';
        out.watched += std::to_string(target);
    }
    return out;
}

std::string clock_name(int clock) {
    switch (clock) {
        case CLOCK_REALTIME: return "CLOCK_REALTIME";
        case CLOCK_MONOTONIC: return "CLOCK_MONOTONIC";
        case CLOCK_BOOTTIME: return "CLOCK_BOOTTIME";
        case CLOCK_REALTIME_ALARM: return "CLOCK_REALTIME_ALARM";
        case CLOCK_BOOTTIME_ALARM: return "CLOCK_BOOTTIME_ALARM";
        default: return std::to_string(clock);
    }
}

}  // namespace snapcore::linux_os
