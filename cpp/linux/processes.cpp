// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                        | purpose                          | can block on
// getdents64 /proc, /proc/PID/task | process and thread ids      | nothing
// readlinkat exe; comm, stat  | names, parents                   | nothing
// what descriptors.h lists    | the descriptors of each process  | see there
// read task/TID/stat          | facts of a thread                | nothing
// sched_getaffinity           | its processors                   | nothing
// clang-format on
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>

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

std::string short_name_of(int process_directory) {
    std::string comm = linux_os::try_read_text(process_directory, "comm");
    if (!comm.empty() && comm.back() == '\n') comm.pop_back();
    return comm;
}

// Nothing where neither can be read.
std::string name_of(int process_directory) {
    std::string name = base_name(linux_os::try_read_link(process_directory, "exe"));
    return name.empty() ? short_name_of(process_directory) : name;
}

std::optional<std::string> known(std::string text) {
    return text.empty() ? std::nullopt : std::optional<std::string>(std::move(text));
}

// Calls `f` with the id and the open directory of each process. One that has ended, or belongs to
// somebody else, is no reason to lose the others; returns how many of these refused.
template <class F>
std::uint64_t for_each_process(F&& f) {
    std::uint64_t refused = 0;
    for (const std::uint32_t pid : linux_os::list_process_ids()) {
        try {
            const UniqueDescriptor directory = linux_os::open_process_directory(pid);
            f(pid, directory.get());
        } catch (const Error& error) {
            const bool gone = error.kind() == ErrorKind::kProcessGone || error.code() == ENOENT;
            if (error.kind() == ErrorKind::kAccessDenied) {
                ++refused;
            } else if (!gone) {
                throw;
            }
        }
    }
    return refused;
}

}  // namespace

std::vector<ProcessEntry> list_processes() {
    std::vector<ProcessEntry> out;
    for_each_process([&](std::uint32_t pid, int directory) {
        // /proc with hidepid=1 names processes that it does not open.
        const auto stat = linux_os::parse_stat(linux_os::try_read_text(directory, "stat"));
        out.push_back(
            {pid, name_of(directory), short_name_of(directory), stat ? stat->parent_pid : 0});
    });
    return out;
}

std::shared_ptr<const SystemHandleTable> read_system_handles(bool peers, Diagnostics& diagnostics) {
    auto table = std::make_shared<SystemHandleTable>();
    linux_os::DescriptorDetail detail;
    detail.peers = peers;
    linux_os::DescriptorReader reader(detail);
    const std::uint64_t refused = for_each_process([&](std::uint32_t pid, int directory) {
        const auto links = linux_os::list_descriptor_numbers(directory, false);
        if (links.empty()) return;
        const auto name = known(name_of(directory));
        reader.read(directory, pid, links, table->rows(), [&](const HandleRow& row) {
            table->append(SystemHandleRow{row, pid, name});
        });
    });
    reader.resolve_peers(*table);
    linux_os::note_processes_refused(refused, diagnostics);
    linux_os::note_seals_refused(reader.seals_refused(), diagnostics);
    return table;
}

std::shared_ptr<const SystemThreadTable> read_system_threads(Diagnostics& diagnostics) {
    auto table = std::make_shared<SystemThreadTable>();
    const std::uint64_t refused = for_each_process([&](std::uint32_t pid, int directory) {
        const auto name = known(name_of(directory));
        for (const std::uint32_t tid : linux_os::list_tasks(directory)) {
            if (const auto row = linux_os::thread_row(directory, pid, tid))
                table->append(SystemThreadRow{*row, name});
        }
    });
    if (refused != 0) {
        diagnostics.push_back(
            {Severity::kInfo,
             "processes_refused",
             std::to_string(refused) + " process(es) do not let this user see their threads",
             "open",
             ErrorDomain::kErrno,
             EACCES,
             refused});
    }
    return table;
}

}  // namespace snapcore
