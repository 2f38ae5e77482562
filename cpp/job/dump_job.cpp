// SPDX-License-Identifier: Apache-2.0
#include "job/dump_job.h"

#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "minidump/writer/whole.h"
#include "snapshot/policy.h"

namespace snapcore {
namespace {

struct Captured {
    std::shared_ptr<Snapshot> snapshot;
    Diagnostics diagnostics;  // why it is not what was asked for first
};

Captured capture_for(const DumpRequest& request, Control& control) {
    CaptureOptions options = request.capture;
    options.flags |= capture_flags_for_dump(request.dump.flags);
    options.for_dump = !request.capture_given;
    options.dump_flags = request.dump.flags;
    options.memory = request.method == Method::kLive ? MemorySource::kLive
                     : request.capture_given         ? MemorySource::kClone
                                                     : memory_for_dump(request.dump.flags);
    if (request.method != Method::kAuto) return {capture_process(options, control), {}};
    try {
        return {capture_process(options, control), {}};
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::kUnsupported) throw;
        options.memory = MemorySource::kLive;
        Captured captured{capture_process(options, control), {}};
        captured.diagnostics.push_back(
            {Severity::kWarning,
             "fell_back_to_live",
             std::string("the target stood still while the file was written: ") + error.what(),
             error.call(),
             error.domain(),
             error.code(),
             options.pid});
        return captured;
    }
}

// Lets the target have its clone's memory back, or go on, however the job ends; a snapshot that was
// handed in stays open.
class CloseAtEnd {
public:
    explicit CloseAtEnd(Snapshot* snapshot) : snapshot_(snapshot) {}
    ~CloseAtEnd() { close(); }
    CloseAtEnd(const CloseAtEnd&) = delete;
    CloseAtEnd& operator=(const CloseAtEnd&) = delete;
    void close() {
        if (snapshot_ != nullptr) std::exchange(snapshot_, nullptr)->close();
    }

private:
    Snapshot* snapshot_;
};

// Counts what goes through it.
class CountedStream final : public OutputStream {
public:
    explicit CountedStream(OutputStream& stream) : stream_(stream) {}
    void write(std::span<const std::byte> bytes, const std::function<void()>& check) override {
        stream_.write(bytes, check);
        count_ += bytes.size();
    }
    std::uint64_t count() const { return count_; }

private:
    OutputStream& stream_;
    std::uint64_t count_ = 0;
};

}  // namespace

DumpOutcome dump_process(const DumpRequest& request, Control& control) {
    const std::int64_t started_ns = monotonic_ns();
    if (request.timeout_ns) control.deadline_ns = started_ns + *request.timeout_ns;
    if (request.snapshot) {
        require_captured(
            request.dump.flags, request.snapshot->flags(), request.snapshot->memory_source());
    } else {
        validate_capture_flags(request.capture.flags | capture_flags_for_dump(request.dump.flags));
    }
    validate_user_streams(request.dump.streams);
    const std::unique_ptr<OutputFile> file =
        request.stream ? nullptr : create_output_file(request.path, request.overwrite);

    control.phase = Phase::kCapturing;
    Captured captured =
        request.snapshot ? Captured{request.snapshot, {}} : capture_for(request, control);
    Snapshot& snapshot = *captured.snapshot;
    CloseAtEnd own(request.snapshot ? nullptr : &snapshot);
    control.check();

    control.phase = Phase::kWriting;
    DumpOutcome outcome;
    DumpOptions options = request.dump;
    options.diagnostics.insert(
        options.diagnostics.end(), captured.diagnostics.begin(), captured.diagnostics.end());
    options.closes_snapshot = !request.snapshot;
    if (file) {
        outcome.stats = snapshot.write_dump(*file, options, control);
    } else {
        CountedStream counted(*request.stream);
        outcome.stats = snapshot.write_dump(counted, options, control);
        request.stream->finish();
        outcome.file_size = outcome.bytes_written = counted.count();
    }

    control.phase = Phase::kFinishing;
    own.close();
    control.check();
    if (file) {
        outcome.file_size = file->size();
        outcome.bytes_written = file->allocated_size();
        file->commit(request.overwrite);
    }
    outcome.path = request.path;
    outcome.pause_ns = snapshot.pause_ns();
    outcome.method =
        snapshot.memory_source() == MemorySource::kLive ? Method::kLive : Method::kSnapshot;
    outcome.flags = request.dump.flags;
    outcome.diagnostics = snapshot.diagnostics();
    outcome.of_snapshot = outcome.diagnostics.size();
    for (const Diagnostics* const more : {&captured.diagnostics, &outcome.stats.diagnostics}) {
        outcome.diagnostics.insert(outcome.diagnostics.end(), more->begin(), more->end());
    }
    outcome.elapsed_ns = monotonic_ns() - started_ns;
    return outcome;
}

DumpOutcome write_whole(const WholeRequest& request, Control& control) {
    const std::int64_t started_ns = monotonic_ns();
    DumpOutcome outcome;
    outcome.flags = request.dump->flags();
    control.phase = Phase::kWriting;
    if (request.stream) {
        CountedStream counted(*request.stream);
        outcome.stats = minidump::write_whole(*request.dump, counted, control);
        request.stream->finish();
        outcome.file_size = outcome.bytes_written = counted.count();
    } else {
        const auto file = create_output_file(request.path, request.overwrite);
        outcome.stats = minidump::write_whole(*request.dump, *file, control);
        control.phase = Phase::kFinishing;
        control.check();
        outcome.file_size = file->size();
        outcome.bytes_written = file->allocated_size();
        file->commit(request.overwrite);
        outcome.path = request.path;
    }
    outcome.elapsed_ns = monotonic_ns() - started_ns;
    return outcome;
}

}  // namespace snapcore
