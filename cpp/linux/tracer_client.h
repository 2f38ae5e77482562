// SPDX-License-Identifier: Apache-2.0
//
// The caller's side of the tracer: starts it in one of its two placements and talks to it.
//
// clang-format off
// call                 | purpose                        | can block on
// posix_spawn          | the helper program             | its start
// poll, recvmsg        | its answers                    | polled to max_pause and a grace: see below
// kill, poll, waitpid  | its end                        | polled: one that does not end in time is killed
// prctl PR_SET_PTRACER | a snapshot of ourselves (Yama) | nothing
// clang-format on
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <thread>

#include "linux/tracer_protocol.h"
#include "snapshot/control.h"
#include "snapshot/options.h"

namespace snapcore::linux_os {

// The helper program, which lies beside the file that this code was loaded from; empty where that
// is not known.
std::string helper_path();

// Nothing here waits without end. A tracer that says nothing for max_pause and a grace, half a
// minute and more for a large target, is given up: the helper program is killed, which the target
// survives as any other death of its tracer; a thread is left to itself.
class TracerClient {
public:
    // kAuto: the helper program, unless Yama lets only an ancestor trace and this process is one.
    TracerClient(TracerPlacement placement, std::uint32_t target);
    ~TracerClient();
    TracerClient(const TracerClient&) = delete;
    TracerClient& operator=(const TracerClient&) = delete;

    // Throws what the tracer threw; ErrorKind::kOther when it was killed, kTimedOut when it does
    // not answer, what `control` says within a bounded time.
    std::pair<CaptureRecord, CaptureDescriptors> capture(const TracerRequest& request,
                                                         Control& control);
    // The clone need not keep this memory any more. The rest of the process, and the target, may.
    void give_back(const Range& range) const noexcept;
    // Ends clone or hold and waits for the tracer's end. If the tracer was killed, a second one
    // collects the clone's zombie. Never throws.
    ReleaseRecord release() noexcept;

    TracerPlacement placement() const { return placement_; }

private:
    void start_helper(std::uint32_t target);
    void start_thread();
    bool wait_for_answer(std::int64_t deadline_ns) const;
    // What does not end by itself until then is killed, or left to itself.
    void end(std::int64_t deadline_ns) noexcept;
    std::int64_t grace_ns() const;

    TracerPlacement placement_;
    UniqueDescriptor socket_;
    pid_t helper_ = 0;
    std::thread thread_;
    pid_t owner_;  // a fork of this process must not talk to its tracer
    std::uint32_t target_;
    std::int32_t clone_ = 0, clone_in_target_ = 0;
};

}  // namespace snapcore::linux_os
