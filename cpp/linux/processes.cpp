// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                        | purpose                          | can block on
// getdents64 /proc            | process ids                      | nothing
// readlinkat exe, read comm   | names                            | nothing
// what descriptors.h lists    | the descriptors of each process  | see there
// clang-format on
#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "linux/descriptors.h"
#include "linux/procfs.h"
#include "snapshot/snapshot.h"

namespace snapcore {
namespace {

std::vector<std::uint32_t> process_ids() {
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

std::string base_name(std::string path) {
    constexpr std::string_view kDeleted = " (deleted)";
    if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::vector<ProcessEntry> list_processes() {
    std::vector<ProcessEntry> out;
    for (const std::uint32_t pid : process_ids()) {
        try {
            const UniqueDescriptor directory = linux_os::open_process_directory(pid);
            std::string comm = linux_os::try_read_text(directory.get(), "comm");
            if (!comm.empty() && comm.back() == '\n') comm.pop_back();
            const std::string executable =
                base_name(linux_os::try_read_link(directory.get(), "exe"));
            out.push_back({pid, executable.empty() ? comm : executable, comm});
        } catch (const Error& error) {
            // /proc with hidepid=1 names processes that it does not open.
            const bool closed = error.kind() == ErrorKind::kAccessDenied;
            if (error.kind() != ErrorKind::kProcessGone && !closed) throw;
        }
    }
    return out;
}

std::shared_ptr<const SystemHandleTable> read_system_handles(Diagnostics& diagnostics) {
    auto table = std::make_shared<SystemHandleTable>();
    std::uint64_t refused = 0;
    for (const std::uint32_t pid : process_ids()) {
        try {
            const UniqueDescriptor directory = linux_os::open_process_directory(pid);
            bool complete = false;
            const auto links = linux_os::list_descriptors(
                directory.get(), static_cast<std::size_t>(-1), &complete);
            const auto handles = linux_os::handle_table(directory.get(), links, {});
            for (std::size_t row = 0; row < handles->rows(); ++row) {
                SystemHandleRow out{handles->row(row), pid};
                table->append(out);
            }
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
    if (refused != 0) {
        diagnostics.push_back(
            {Severity::kInfo,
             "processes_refused",
             std::to_string(refused) + " process(es) do not let this user see their descriptors",
             "readlinkat",
             ErrorDomain::kErrno,
             EACCES,
             refused});
    }
    return table;
}

}  // namespace snapcore
