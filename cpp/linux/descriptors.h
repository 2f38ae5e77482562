// SPDX-License-Identifier: Apache-2.0
//
// The descriptor table of a process as the handle table.
//
// clang-format off
// call                         | purpose                         | can block on
// fstat, lseek, getdents64 /proc/PID/fd | how many, and their numbers | nothing
// readlinkat /proc/PID/fd/N    | name and kind                   | a mutex of the file's dentry tree, not on I/O
// statx /proc/PID/fd/N         | mode, inode, device             | a network file system's server, where it looks at the file anew in spite of AT_STATX_DONT_SYNC
// read /proc/PID/fdinfo/N      | position, open flags, locks, and what the kinds have | an epoll's or inotify group's mutex, which they hold for moments; io_uring's is only tried
// openat O_PATH, fstatfs       | is it a message queue           | a network file system's server; so only of what is 80 bytes long and lies in a root folder
// getxattr system.sockprotoname | protocol of a socket in no table | nothing, of a socket: the link is read again just before
// pidfd_open, pidfd_getfd, fcntl F_GET_SEALS, close | seals of a memfd | its execve, where it is within one; the last to close frees its pages
// what sockets.h lists         | addresses, only where there is a socket | see there
// what peers.h lists           | other ends in other processes, only where asked for | see there
// clang-format on
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostics.h"
#include "linux/peers.h"
#include "linux/sockets.h"
#include "tables/tables.h"

namespace snapcore::linux_os {

struct DescriptorLink {
    int number = 0;
    std::string link;                 // as readlink gives it
    std::int64_t captured_at_ns = 0;  // 0: the link has not been read yet
};

// Up to `limit` numbers and links; `*complete` says whether that was all. Cheap enough for the
// stop: one getdents64 a few hundred entries, one readlinkat each.
std::vector<DescriptorLink> list_descriptors(int process_directory,
                                             std::size_t limit,
                                             bool* complete);

// All numbers, without their links, for whom it may read these. One getdents64 a few hundred
// entries. `exact` false: where the kernel says how many there are, the first so many numbers are
// taken for open, as most or all of them are, and only those behind them are listed.
std::vector<DescriptorLink> list_descriptor_numbers(int process_directory, bool exact);

// Calls `f` with the number, its text and its link for each descriptor below an open /proc/PID/fd,
// as the kernel lists them, until `f` says false. Returns 0 or an errno.
int for_each_descriptor(int links,
                        const std::function<bool(int, const char*, std::string_view)>& f);

// What the capture flags ask for, beyond number and link.
struct DescriptorDetail {
    bool names = true;  // HANDLE_NAME_INFORMATION
    bool basic = true;  // HANDLE_BASIC_INFORMATION: mode, inode, device, position, open flags
    bool type_specific = true;  // HANDLE_TYPE_SPECIFIC_INFORMATION: all the rest
    // With type_specific: the other ends of pipes and sockets in every process, not in the same
    // alone.
    bool peers = false;
};

// Links -> rows, of one process or of several, with what these share: the sockets of a network
// namespace are read once, when the first socket is met.
class DescriptorReader {
public:
    explicit DescriptorReader(const DescriptorDetail& detail)
        : detail_(detail), peers_(detail.peers) {}

    // Details are read now, and links that have not been; a descriptor whose link has changed since
    // keeps its link and no details, and one that has gone before its link was read has no row.
    // `append` takes the rows in order; the first is row `first_row` of the table. Of many, half
    // are read on a second thread.
    void read(int process_directory,
              std::uint32_t pid,
              const std::vector<DescriptorLink>& links,
              std::size_t first_row,
              const std::function<void(const HandleRow&)>& append);
    // After the last read(): looks for other ends in the processes that were not read.
    std::uint64_t search_other_processes(std::uint32_t pid) {
        return peers_.search_other_processes(pid);
    }
    template <class Table>
    void resolve_peers(Table& table) const {
        if (detail_.type_specific) peers_.resolve(table.peer_pid, table.peer_handle);
    }
    // Memory files whose seals may not be asked for.
    std::uint64_t seals_refused() const { return seals_refused_; }

private:
    DescriptorDetail detail_;
    SocketTables sockets_;
    Peers peers_;
    std::uint64_t seals_refused_ = 0;
};

// The table of one process; what was refused is counted in `diagnostics`.
std::shared_ptr<const HandleTable> handle_table(int process_directory,
                                                std::uint32_t pid,
                                                const std::vector<DescriptorLink>& links,
                                                const DescriptorDetail& detail,
                                                Diagnostics& diagnostics);

void note_seals_refused(std::uint64_t count, Diagnostics& diagnostics);
void note_processes_refused(std::uint64_t count, Diagnostics& diagnostics);

}  // namespace snapcore::linux_os
