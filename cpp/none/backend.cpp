// SPDX-License-Identifier: Apache-2.0
//
// Where no process can be captured. Dump files of all systems are read.
#include "base/error.h"
#include "snapshot/doctor.h"
#include "snapshot/snapshot.h"

namespace snapcore {
namespace {

[[noreturn]] void refuse(std::uint32_t pid = 0) {
    throw Error::unsupported("",
                             "this build of snapcore reads dump files and looks at no process: "
                             "capture on Linux or on Windows, and open the file here",
                             pid);
}

}  // namespace

std::shared_ptr<Snapshot> capture_process(const CaptureOptions& options,
                                          Control& control [[maybe_unused]]) {
    refuse(options.pid);
}

std::vector<ProcessEntry> list_processes() {
    refuse();
}

std::shared_ptr<const SystemHandleTable> read_system_handles(bool peers [[maybe_unused]],
                                                             Diagnostics& diagnostics
                                                             [[maybe_unused]]) {
    refuse();
}

std::shared_ptr<const SystemThreadTable> read_system_threads(Diagnostics& diagnostics
                                                             [[maybe_unused]]) {
    refuse();
}

SystemFacts system_facts() {
    refuse();
}

std::vector<AccessCheck> check_access(std::uint32_t pid) {
    refuse(pid);
}

}  // namespace snapcore
