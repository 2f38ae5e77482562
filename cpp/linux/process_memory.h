// SPDX-License-Identifier: Apache-2.0
//
// Bytes of a snapshot: from /proc/PID/mem of the clone (or of a target that stands still), with
// what was copied in the stop in front.
//
// call                 | purpose                     | can block on
// pread /proc/PID/mem  | the bytes                   | page faults: swap, a network file system
// process_vm_readv     | module headers, of a target | the same
//
// Never process_vm_readv on a clone: it un-shares every page that it touches.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "linux/tracer_protocol.h"
#include "minidump/contents.h"

namespace snapcore::linux_os {

class ProcessMemory : public minidump::MemoryReader {
public:
    // `running`: the target itself where there is no clone, read by process_vm_readv where its mem
    // file belongs to somebody else. Else 0.
    ProcessMemory(UniqueDescriptor memory, std::vector<MemoryCopy> copies, pid_t running = 0)
        : memory_(std::move(memory)), copies_(std::move(copies)), running_(running) {}

    std::size_t read(std::uint64_t address, std::span<std::byte> out) override;
    void finished(const Range& range) override {
        if (give_back_) give_back_(range);
    }
    // Told of what is not read again; by two threads at a time.
    void set_give_back(std::function<void(const Range&)> give_back) {
        give_back_ = std::move(give_back);
    }
    // True where all of the range was copied in the stop.
    bool is_copied(Range range) const;
    const std::vector<MemoryCopy>& copies() const { return copies_; }
    // Past it (monotonic_ns()) the target may run again, and reads throw TimedOut. 0: never.
    void set_deadline(std::int64_t deadline_ns) { deadline_ns_ = deadline_ns; }

    // Ranges, ascending, that are read from another process: the target, where its clone lacks
    // them.
    void read_apart(UniqueDescriptor memory, std::vector<Range> ranges) {
        other_memory_ = std::move(memory);
        apart_ = std::move(ranges);
    }

private:
    std::size_t read_process(std::uint64_t address, std::span<std::byte> out);

    UniqueDescriptor memory_;
    UniqueDescriptor other_memory_;
    std::vector<Range> apart_;
    std::vector<MemoryCopy> copies_;  // ascending, not overlapping
    pid_t running_;
    std::function<void(const Range&)> give_back_;
    std::atomic<std::int64_t> deadline_ns_{0};
};

}  // namespace snapcore::linux_os
