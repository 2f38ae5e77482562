// SPDX-License-Identifier: Apache-2.0
//
// Which descriptor has the other end of a pipe, FIFO or socket.
//
// clang-format off
// call                                      | purpose                          | can block on
// getdents64 /proc, /proc/PID/fd            | processes and their descriptors  | nothing
// readlinkat /proc/PID/fd/N                 | is it an end that is looked for  | a mutex of the file's dentry tree, not on I/O
// newfstatat /proc/PID/fd/N (the link)      | which end of a pipe it is        | nothing
// statx /proc/PID/fd/N                      | is it that FIFO                  | as in descriptors.h; only where the path is that of a FIFO looked for
// clang-format on
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tables/tables.h"

namespace snapcore::linux_os {

// Every process id in /proc, ascending.
std::vector<std::uint32_t> list_process_ids();

struct End {
    std::size_t row = 0;  // of the table
    std::uint32_t pid = 0;
    std::uint64_t handle = 0;
    bool is_socket = false;
    std::uint64_t device = 0;  // of a FIFO, else 0
    std::uint64_t inode = 0;
    bool reads = false, writes = false;  // of a pipe
    std::uint64_t peer_inode = 0;        // of a socket
    std::string link;                    // of a pipe, for a search
};

// Says which end of a pipe or FIFO a descriptor is; false where it is another file.
bool is_end(int links, const char* name, End& end);

class Peers {
public:
    // `everywhere` false: the other end counts only where the same process has it.
    explicit Peers(bool everywhere) : everywhere_(everywhere) {}

    void add(End end);
    // Looks through the descriptors of every process but `pid` for the other ends of those added.
    // Returns how many processes refuse.
    std::uint64_t search_other_processes(std::uint32_t pid);
    // Fills the columns of the table whose rows were added.
    void resolve(Column<std::uint32_t>& peer_pid, Column<std::uint64_t>& peer_handle) const;

private:
    struct Key {
        std::uint32_t pid;  // 0 for everywhere
        std::uint8_t role;  // reads, writes, socket
        std::uint64_t device, inode;
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<std::uint64_t>()(key.inode * 4 + key.role) ^ key.pid ^
                   key.device << 32;
        }
    };
    struct Holder {
        std::uint32_t pid = 0;
        std::uint64_t handle = 0;
        auto operator<=>(const Holder&) const = default;
    };
    // The two lowest: an end that reads and writes is not its own peer.
    struct Lowest {
        Holder first, second;  // of pid 0: nobody
    };

    void hold(const End& end);
    void offer(std::uint8_t role, const End& end);
    Holder find(std::uint8_t role, const End& end, std::uint64_t inode, bool itself) const;

    bool everywhere_;
    std::vector<End> ends_;
    std::unordered_map<Key, Lowest, KeyHash> holders_;
};

}  // namespace snapcore::linux_os
