// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                | purpose                                       | can block on
// PssCaptureSnapshot  | suspends the target, copies, lets it go       | the target's memory and threads; no timeout can be set
// TerminateProcess    | the clone                                     | nothing; the clone never ran
// PssFreeSnapshot     | the copied tables                             | nothing
// clang-format on
#include "windows/pss_snapshot.h"

#include "base/clock.h"
#include "generated/flags.h"

namespace snapcore::windows_os {
namespace {

const char* advice(DWORD error) {
    switch (error) {
        case ERROR_ACCESS_DENIED:
            return "the process may be protected, or belong to another user; see debug_privilege";
        case ERROR_COMMITMENT_LIMIT:
        case ERROR_NOT_ENOUGH_MEMORY:
        case ERROR_NO_SYSTEM_RESOURCES:
            return "a clone is charged the whole commit of the target, and this system has not as "
                   "much left; method=\"live\" needs none";
        case ERROR_PARTIAL_COPY: return "the process is ending, or changes too fast; try again";
        default: return "";
    }
}

}  // namespace

PssSnapshot::PssSnapshot(HANDLE process,
                         std::uint32_t pid,
                         std::uint32_t flags,
                         std::uint32_t context_flags)
    : pid_(pid), flags_(flags) {
    const SnapshotApi& api = snapshot_api();
    const std::int64_t before = monotonic_ns();
    const DWORD error = api.capture(process, flags, context_flags, &snapshot_);
    capture_ns_ = monotonic_ns() - before;
    if (error != ERROR_SUCCESS) {
        snapshot_ = nullptr;
        throw Error::from_win32(error, "PssCaptureSnapshot", advice(error), pid);
    }
    try {
        clone_ = find_clone();
    } catch (...) {
        free();
        throw;
    }
}

HANDLE PssSnapshot::find_clone() const {
    raw::PSS_VA_CLONE_INFORMATION<Pointer> clone{};
    if ((flags_ & CaptureFlags::VA_CLONE) == 0 || !query(raw::kQueryVaClone, clone)) return nullptr;
    return reinterpret_cast<HANDLE>(clone.VaCloneHandle);
}

Diagnostics PssSnapshot::free() noexcept {
    Diagnostics diagnostics;
    if (snapshot_ == nullptr) return diagnostics;
    const auto note = [&](const char* call, DWORD error, const char* message) {
        diagnostics.push_back(
            {Severity::kWarning, "not_freed", message, call, ErrorDomain::kWin32, error, pid_});
    };
    // A clone that could not be asked for would be left running.
    if (clone_ == nullptr) {
        try {
            clone_ = find_clone();
        } catch (const Error& error) {
            note("PssQuerySnapshot",
                 static_cast<DWORD>(error.code()),
                 "the clone's handle could not be had, and the clone may be left running");
        }
    }
    // The handle is the snapshot's: it is used, not closed.
    if (clone_ != nullptr && !::TerminateProcess(clone_, 0)) {
        note("TerminateProcess", ::GetLastError(), "the clone could not be ended");
    }
    clone_ = nullptr;
    // Of the process whose memory the descriptor lies in: this one, whatever was captured.
    const DWORD error = snapshot_api().free(::GetCurrentProcess(), snapshot_);
    snapshot_ = nullptr;
    if (error != ERROR_SUCCESS) note("PssFreeSnapshot", error, "the snapshot could not be freed");
    return diagnostics;
}

PssSnapshot::Marker::Marker(std::uint32_t pid) {
    const DWORD error = snapshot_api().create_marker(nullptr, &marker_);
    if (error != ERROR_SUCCESS) throw Error::from_win32(error, "PssWalkMarkerCreate", {}, pid);
}

PssSnapshot::Marker::~Marker() {
    snapshot_api().free_marker(marker_);
}

}  // namespace snapcore::windows_os
