// SPDX-License-Identifier: Apache-2.0
#include "linux/peers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "linux/descriptors.h"
#include "linux/file_status.h"

namespace snapcore::linux_os {
namespace {

enum Role : std::uint8_t { kReads, kWrites, kSocket };

}  // namespace

std::vector<std::uint32_t> list_process_ids() {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), ::closedir);
    if (!directory) throw Error::from_errno(errno, "opendir", "/proc is not mounted");
    std::vector<std::uint32_t> out;
    while (const dirent* entry = ::readdir(directory.get())) {
        std::uint32_t pid = 0;
        const char* const end = entry->d_name + std::strlen(entry->d_name);
        const auto [stopped, error] = std::from_chars(entry->d_name, end, pid);
        if (error == std::errc() && stopped == end) out.push_back(pid);
    }
    std::sort(out.begin(), out.end());
    return out;
}

void Peers::offer(std::uint8_t role, const End& end) {
    Lowest& lowest = holders_[{everywhere_ ? 0 : end.pid, role, end.device, end.inode}];
    const Holder holder{end.pid, end.handle};
    if (lowest.first.pid == 0 || holder < lowest.first) {
        lowest.second = std::exchange(lowest.first, holder);
    } else if (lowest.second.pid == 0 || holder < lowest.second) {
        lowest.second = holder;
    }
}

void Peers::hold(const End& end) {
    if (end.is_socket) {
        offer(kSocket, end);
    } else {
        if (end.reads) offer(kReads, end);
        if (end.writes) offer(kWrites, end);
    }
}

void Peers::add(End end) {
    hold(end);
    ends_.push_back(std::move(end));
}

Peers::Holder Peers::find(std::uint8_t role,
                          const End& end,
                          std::uint64_t inode,
                          bool itself) const {
    const auto found = holders_.find({everywhere_ ? 0 : end.pid, role, end.device, inode});
    if (found == holders_.end()) return {};
    const Lowest& lowest = found->second;
    const bool is_first = lowest.first == Holder{end.pid, end.handle};
    return is_first && !itself ? lowest.second : lowest.first;
}

void Peers::resolve(Column<std::uint32_t>& peer_pid, Column<std::uint64_t>& peer_handle) const {
    const std::size_t rows = peer_pid.size();
    peer_pid = {};
    peer_handle = {};
    for (const End& end : ends_) {
        Holder peer;
        if (end.is_socket) {
            if (end.peer_inode != 0) peer = find(kSocket, end, end.peer_inode, true);
        } else {
            const auto consider = [&](Role role) {
                const Holder other = find(role, end, end.inode, false);
                if (other.pid != 0 && (peer.pid == 0 || other < peer)) peer = other;
            };
            if (end.reads) consider(kWrites);
            if (end.writes) consider(kReads);
        }
        if (peer.pid == 0) continue;
        peer_pid.set(end.row, peer.pid);
        peer_handle.set(end.row, peer.handle);
    }
    peer_pid.pad(rows);
    peer_handle.pad(rows);
}

std::uint64_t Peers::search_other_processes(std::uint32_t pid) {
    // Link text -> what it would be an end of.
    std::unordered_map<std::string, End> wanted;
    for (const End& end : ends_) {
        if (!end.is_socket) {
            wanted.try_emplace(end.link, end);
        } else if (end.peer_inode != 0) {
            End peer;
            peer.is_socket = true;
            peer.inode = end.peer_inode;
            wanted.try_emplace("socket:[" + std::to_string(end.peer_inode) + ']', peer);
        }
    }
    if (wanted.empty()) return 0;
    std::uint64_t refused = 0;
    std::string link;
    for (const std::uint32_t other : list_process_ids()) {
        if (other == pid) continue;
        const std::string path = "/proc/" + std::to_string(other) + "/fd";
        const UniqueDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory) {
            if (errno == EACCES || errno == EPERM) ++refused;
            continue;
        }
        const int error = for_each_descriptor(
            directory.get(), [&](int number, const char* name, std::string_view target) {
                link.assign(target);
                const auto found = wanted.find(link);
                if (found == wanted.end()) return true;
                End end = found->second;
                end.pid = other;
                end.handle = static_cast<std::uint64_t>(number);
                if (is_end(directory.get(), name, end)) hold(end);
                return true;
            });
        if (error == EACCES || error == EPERM) ++refused;
    }
    return refused;
}

bool is_end(int links, const char* name, End& end) {
    if (end.is_socket) return true;
    struct stat link{};
    if (::fstatat(links, name, &link, AT_SYMLINK_NOFOLLOW) < 0) return false;
    end.reads = (link.st_mode & S_IRUSR) != 0;
    end.writes = (link.st_mode & S_IWUSR) != 0;
    if (end.device == 0) return true;
    FileStatus file;
    return read_file_status(links, name, file) && S_ISFIFO(file.mode) && file.inode == end.inode &&
           file.device == end.device;
}

}  // namespace snapcore::linux_os
