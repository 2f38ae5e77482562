// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                        | purpose                          | can block on
// getdents64 /proc            | process ids                      | nothing
// readlinkat exe; comm, stat  | names, parents                   | nothing
// what descriptors.h lists    | the descriptors of each process  | see there
// clang-format on
#include <cerrno>
#include <memory>

#include "base/error.h"
#include "linux/descriptors.h"
#include "linux/procfs.h"
#include "snapshot/snapshot.h"

namespace snapcore {
namespace {

std::string base_name(std::string path) {
    constexpr std::string_view kDeleted = " (deleted)";
    if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::vector<ProcessEntry> list_processes() {
    std::vector<ProcessEntry> out;
    for (const std::uint32_t pid : linux_os::list_process_ids()) {
        try {
            const UniqueDescriptor directory = linux_os::open_process_directory(pid);
            std::string comm = linux_os::try_read_text(directory.get(), "comm");
            if (!comm.empty() && comm.back() == '\n') comm.pop_back();
            const std::string executable =
                base_name(linux_os::try_read_link(directory.get(), "exe"));
            const auto stat =
                linux_os::parse_stat(linux_os::try_read_text(directory.get(), "stat"));
            out.push_back(
                {pid, executable.empty() ? comm : executable, comm, stat ? stat->parent_pid : 0});
        } catch (const Error& error) {
            // /proc with hidepid=1 names processes that it does not open.
            const bool closed = error.kind() == ErrorKind::kAccessDenied;
            if (error.kind() != ErrorKind::kProcessGone && !closed) throw;
        }
    }
    return out;
}

std::shared_ptr<const SystemHandleTable> read_system_handles(bool peers, Diagnostics& diagnostics) {
    auto table = std::make_shared<SystemHandleTable>();
    linux_os::DescriptorDetail detail;
    detail.peers = peers;
    linux_os::DescriptorReader reader(detail);
    std::uint64_t refused = 0;
    for (const std::uint32_t pid : linux_os::list_process_ids()) {
        try {
            const UniqueDescriptor directory = linux_os::open_process_directory(pid);
            bool complete = false;
            const auto links = linux_os::list_descriptors(
                directory.get(), static_cast<std::size_t>(-1), &complete);
            reader.read(directory.get(), pid, links, table->rows(), [&](const HandleRow& row) {
                table->append(SystemHandleRow{row, pid});
            });
        } catch (const Error& error) {
            // One that has ended, or belongs to somebody else, is no reason to lose the others.
            const bool gone = error.kind() == ErrorKind::kProcessGone || error.code() == ENOENT;
            if (error.kind() == ErrorKind::kAccessDenied) {
                ++refused;
            } else if (!gone) {
                throw;
            }
        }
    }
    reader.resolve_peers(*table);
    linux_os::note_processes_refused(refused, diagnostics);
    linux_os::note_seals_refused(reader.seals_refused(), diagnostics);
    return table;
}

}  // namespace snapcore
