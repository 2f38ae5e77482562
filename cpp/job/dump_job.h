// SPDX-License-Identifier: Apache-2.0
//
// One dump from start to end: capture, write, name. OS-free; once for both systems.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "job/job.h"
#include "minidump/reader/dump_file.h"
#include "snapshot/snapshot.h"

namespace snapcore {

enum class Method : std::uint8_t { kSnapshot, kLive, kAuto };

struct DumpRequest {
    CaptureOptions capture;      // flags as the caller gave them; the job adds what the dump needs
    bool capture_given = false;  // the caller named capture flags: do what they say, clone included
    DumpOptions dump;
    std::string path;
    bool overwrite = false;
    std::shared_ptr<OutputStream> stream;  // instead of a file
    Method method = Method::kSnapshot;
    std::optional<std::int64_t> timeout_ns;  // of the whole call
    std::shared_ptr<Snapshot> snapshot;      // dump this one instead of capturing
};

struct DumpOutcome {
    std::string path;  // empty for a stream
    std::uint64_t file_size = 0;
    std::uint64_t bytes_written = 0;  // on the disk, holes not counted
    std::int64_t pause_ns = 0;
    std::int64_t elapsed_ns = 0;
    Method method = Method::kSnapshot;  // kSnapshot or kLive
    std::uint64_t flags = 0;
    DumpStats stats;
    Diagnostics diagnostics;      // but for those of the request
    std::size_t of_snapshot = 0;  // how many of them, from the first, are the snapshot's
};

// The work of a Job<DumpOutcome>. A file is made before any target is stopped, and appears under
// its name whole or not at all. A stream has got what it got when this throws.
DumpOutcome dump_process(const DumpRequest& request, Control& control);

// A dump file and what its base holds, as one plain minidump: into a new file, or a stream.
struct WholeRequest {
    std::shared_ptr<minidump::DumpFile> dump;
    std::string path;
    bool overwrite = false;
    std::shared_ptr<OutputStream> stream;  // instead of a file
};
DumpOutcome write_whole(const WholeRequest& request, Control& control);

using DumpJob = Job<DumpOutcome>;
using CaptureJob = Job<std::shared_ptr<Snapshot>>;

}  // namespace snapcore
