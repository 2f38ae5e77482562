// SPDX-License-Identifier: Apache-2.0
//
// The caller's side of the tracer: starts it in one of its two placements and talks to it.
//
// clang-format off
// call                 | purpose                        | can block on
// posix_spawn, waitpid | the helper program             | its start and its end
// recvmsg, poll        | its answers                    | max_pause, the copying of page tables, reading /proc
// prctl PR_SET_PTRACER | a snapshot of ourselves (Yama) | nothing
// clang-format on
#pragma once

#include <sys/types.h>

#include <optional>
#include <thread>

#include "linux/tracer_protocol.h"
#include "snapshot/control.h"
#include "snapshot/options.h"

namespace snapcore::linux_os {

class TracerClient {
public:
    // kAuto: the helper program, unless Yama lets only an ancestor trace and this process is one.
    TracerClient(TracerPlacement placement, std::uint32_t target);
    ~TracerClient();
    TracerClient(const TracerClient&) = delete;
    TracerClient& operator=(const TracerClient&) = delete;

    // Throws what the tracer threw; ErrorKind::kOther when it was killed.
    std::pair<CaptureRecord, CaptureDescriptors> capture(const TracerRequest& request,
                                                         Control& control);
    // Ends clone or hold and waits for the tracer's end. If the tracer was killed, a second one
    // collects the clone's zombie. Never throws.
    ReleaseRecord release() noexcept;

    TracerPlacement placement() const { return placement_; }

private:
    void start_helper(std::uint32_t target);
    void start_thread();
    void end() noexcept;

    TracerPlacement placement_;
    UniqueDescriptor socket_;
    pid_t helper_ = 0;
    std::thread thread_;
    pid_t owner_;  // a fork of this process must not talk to its tracer
    std::uint32_t target_;
    std::int32_t clone_ = 0, clone_in_target_ = 0;
};

}  // namespace snapcore::linux_os
