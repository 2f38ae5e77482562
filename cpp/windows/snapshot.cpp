// SPDX-License-Identifier: Apache-2.0
#include "windows/snapshot.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "generated/flags.h"
#include "minidump/raw.h"
#include "minidump/reader/summary.h"
#include "minidump/writer/column_stream.h"
#include "minidump/writer/soft_errors.h"
#include "snapshot/policy.h"
#include "windows/convert.h"
#include "windows/minidump_writer.h"
#include "windows/modules.h"
#include "windows/target.h"
#include "windows/walk.h"

namespace snapcore::windows_os {
namespace {

constexpr std::uint32_t kCreateFlags =
    CaptureFlags::CREATE_BREAKAWAY_OPTIONAL | CaptureFlags::CREATE_BREAKAWAY |
    CaptureFlags::CREATE_FORCE_BREAKAWAY | CaptureFlags::CREATE_USE_VM_ALLOCATIONS |
    CaptureFlags::CREATE_MEASURE_PERFORMANCE | CaptureFlags::CREATE_RELEASE_SECTION;

Error not_captured(const char* what, const char* flag) {
    return Error::invalid_argument(std::string(what) +
                                   " were not captured; capture with CaptureFlags." + flag);
}

std::uint32_t thread_context_flags(const CaptureOptions& options) {
    if ((options.flags & CaptureFlags::THREAD_CONTEXT) == 0) return 0;
    std::uint32_t flags = options.context_flags;
    if (options.for_dump && (options.flags & CaptureFlags::THREAD_CONTEXT_EXTENDED) != 0) {
        flags |= ContextFlags::XSTATE;
    }
    // CONTEXT_AMD64 and its kin: the bit of the architecture goes with every group.
#if defined(_M_ARM64)
    return flags | ContextFlags::ARM64;
#elif defined(_M_IX86)
    return flags | ContextFlags::I386;
#else
    return flags | ContextFlags::AMD64;
#endif
}

// The 32-bit side of a process under WOW64: NtQueryInformationProcess(ProcessWow64Information).
std::uint64_t wow64_peb(HANDLE process) {
    using Query = LONG(WINAPI*)(HANDLE, int, void*, ULONG, ULONG*);
    static auto* const query = as<Query>(ntdll_function("NtQueryInformationProcess"));
    constexpr int kWow64Information = 26;
    ULONG_PTR peb = 0;
    if (query == nullptr || query(process, kWow64Information, &peb, sizeof peb, nullptr) < 0) {
        return 0;
    }
    return peb;
}

}  // namespace

WindowsSnapshot::WindowsSnapshot(const CaptureOptions& options) : options_(options) {
    validate_capture_flags(options.flags);
    source_ = options.memory;
    // MiniDumpWriteDump takes memory from the clone alone, stacks included.
    if (source_ == MemorySource::kParts) source_ = MemorySource::kClone;
    if (source_ == MemorySource::kNone && captured(CaptureFlags::VA_CLONE)) {
        source_ = MemorySource::kClone;
    }
    if (source_ == MemorySource::kClone) {
        options_.flags |= CaptureFlags::VA_CLONE;
        if (options_.for_dump && (options_.flags & kCreateFlags) == 0) {
            options_.flags |= CaptureFlags::DOCUMENTED & kCreateFlags;
        }
    }
    const DebugPrivilege privilege(options_.debug_privilege);
    if (options_.debug_privilege) {
        note(Severity::kInfo,
             "debug_privilege_used",
             "SeDebugPrivilege was enabled for the capture and put back",
             "AdjustTokenPrivileges",
             options_.pid);
    }
    if (options_.handle_peers) note(Severity::kInfo, "peers_unknown", kPeersUnknown, "", 0);
    if (source_ == MemorySource::kLive) {
        target_ = open_target(
            options_.pid,
            PROCESS_QUERY_INFORMATION | PROCESS_VM_READ | PROCESS_DUP_HANDLE | SYNCHRONIZE);
        check_bitness(target_.get(), options_.pid, diagnostics_);
        captured_at_ns_ = wall_clock_ns();
        process_.pid = options_.pid;
        process_.image_path = image_path(target_.get());
        return;
    }
    snapshot_api();  // says what is missing before anything is opened
    try {
        open_and_capture();
        read_tables();
    } catch (...) {
        close();
        throw;
    }
}

void WindowsSnapshot::open_and_capture() {
    const DWORD least = rights_for_capture(options_.flags);
    // Which rights a capture needs is not documented: the least that the work takes, then what a
    // full capture takes, then all.
    const DWORD steps[] = {least,
                           least | PROCESS_CREATE_PROCESS | PROCESS_DUP_HANDLE | PROCESS_VM_READ |
                               PROCESS_VM_OPERATION | PROCESS_SUSPEND_RESUME,
                           PROCESS_ALL_ACCESS};
    DWORD tried = 0;
    for (const DWORD rights : steps) {
        if (rights == tried) continue;
        const bool first = std::exchange(tried, rights) == 0;
        const bool last = rights == PROCESS_ALL_ACCESS;
        try {
            target_ = open_target(options_.pid, rights);
        } catch (const Error&) {
            if (first) throw;
            // The refusal of the capture says more than that of wider rights.
            throw Error::from_win32(
                ERROR_ACCESS_DENIED,
                "PssCaptureSnapshot",
                "this user may open the process, but not with the rights that a "
                "capture takes; see debug_privilege",
                options_.pid);
        }
        if (first) check_bitness(target_.get(), options_.pid, diagnostics_);
        try {
            capture();
        } catch (const Error& error) {
            if (last || error.kind() != ErrorKind::kAccessDenied) throw;
            continue;
        }
        if (!first) {
            note(Severity::kInfo,
                 "wider_rights_needed",
                 "the capture was refused with the least rights and done with wider ones",
                 "OpenProcess",
                 rights);
        }
        return;
    }
}

void WindowsSnapshot::capture() {
    captured_at_ns_ = wall_clock_ns();
    snapshot_ = std::make_unique<PssSnapshot>(
        target_.get(), options_.pid, options_.flags, thread_context_flags(options_));
    pause_ns_ = snapshot_->capture_ns();
    phases_.emplace_back("capture", pause_ns_);
}

void WindowsSnapshot::read_tables() {
    const std::int64_t before = monotonic_ns();
    std::int64_t names_ns = 0;
    std::optional<std::uint32_t> running;
    if (snapshot_->clone() != nullptr) {
        memory_ = std::make_unique<ProcessMemory>(snapshot_->clone(),
                                                  options_.live_fallback ? target_.get() : nullptr);
    }
    if (captured(CaptureFlags::VA_SPACE)) {
        Regions regions = walk_regions(*snapshot_);
        std::uint64_t bytes = 0;
        for (const Range& range : regions.missing) bytes += range.size;
        if (bytes != 0) {
            note(
                Severity::kInfo,
                "not_in_clone",
                std::to_string(bytes) +
                    " bytes of the target are not in the clone (views of sections without a file); "
                    "live_fallback=True reads them from the running process",
                "VirtualQueryEx",
                bytes);
        }
        if (memory_) memory_->set_missing(std::move(regions.missing));
        regions_ = std::move(regions.table);
    }
    if (captured(CaptureFlags::THREADS)) {
        Threads threads = walk_threads(*snapshot_, memory_.get());
        if (threads.ended != 0) {
            note(Severity::kInfo,
                 "ended_threads",
                 std::to_string(threads.ended) +
                     " thread(s) have ended and are kept by a handle; their flags say so",
                 "PssWalkSnapshot",
                 threads.ended);
        }
        names_ns = threads.names_ns;
        running = static_cast<std::uint32_t>(threads.table->rows() - threads.ended);
        threads_ = std::move(threads.table);
        if (captured(CaptureFlags::THREAD_CONTEXT)) contexts_ = std::move(threads.contexts);
    }
    if (captured(CaptureFlags::HANDLES)) handles_ = walk_handles(*snapshot_);
    process_ = process_info(*snapshot_, memory_.get());
    process_.thread_count = running;
    const std::string path = image_path(target_.get());
    if (!path.empty()) {
        // The captured one is cut at 260 characters.
        process_.image_path = path;
        process_.name = path.substr(path.find_last_of("\\/") + 1);
    }
    phases_.emplace_back("thread_names", names_ns);
    phases_.emplace_back("tables", monotonic_ns() - before - names_ns);
}

void WindowsSnapshot::note(Severity severity,
                           std::string code,
                           std::string message,
                           const char* call,
                           std::uint64_t subject) {
    diagnostics_.push_back(
        {severity, std::move(code), std::move(message), call, ErrorDomain::kNone, 0, subject});
}

void WindowsSnapshot::must_be_open() const {
    if (!target_) throw Error::invalid_argument("the snapshot is closed");
}

PssSnapshot& WindowsSnapshot::open_snapshot() {
    if (!snapshot_) throw Error::invalid_argument("the snapshot is closed");
    return *snapshot_;
}

std::shared_ptr<const ThreadTable> WindowsSnapshot::threads() {
    if (!threads_) throw not_captured("threads", "THREADS");
    return threads_;
}

std::shared_ptr<const HandleTable> WindowsSnapshot::handles() {
    if (!handles_) throw not_captured("handles", "HANDLES");
    return handles_;
}

std::shared_ptr<const RegionTable> WindowsSnapshot::regions() {
    if (!regions_) throw not_captured("regions", "VA_SPACE");
    return regions_;
}

std::shared_ptr<const ContextTable> WindowsSnapshot::contexts() {
    if (!contexts_) throw not_captured("contexts", "THREADS | CaptureFlags.THREAD_CONTEXT");
    return contexts_;
}

std::shared_ptr<const ModuleTable> WindowsSnapshot::modules() {
    if (source_ != MemorySource::kClone) throw not_captured("modules", "VA_CLONE");
    const std::lock_guard lock(mutex_);
    if (!modules_) {
        open_snapshot();
        modules_ = read_modules(
            *memory_, process_.peb.value_or(0), wow64_peb(target_.get()), diagnostics_);
    }
    return modules_;
}

std::size_t WindowsSnapshot::read(std::uint64_t address, std::span<std::byte> out) {
    if (source_ != MemorySource::kClone) throw not_captured("bytes of memory", "VA_CLONE");
    const std::lock_guard lock(mutex_);
    open_snapshot();
    return memory_->read(address, out);
}

std::int64_t WindowsSnapshot::pause_ns() const {
    const std::lock_guard lock(mutex_);
    return pause_ns_;
}

Diagnostics WindowsSnapshot::diagnostics() const {
    const std::lock_guard lock(mutex_);
    return diagnostics_;
}

std::vector<std::pair<std::string, std::int64_t>> WindowsSnapshot::performance() const {
    const std::lock_guard lock(mutex_);
    auto out = phases_;
    raw::PSS_PERFORMANCE_COUNTERS counters{};
    if (!snapshot_ || !snapshot_->query(raw::kQueryPerformance, counters)) return out;
    // The documentation says 100 ns, the header microseconds: whichever comes nearer to what the
    // call took, which it cannot exceed.
    const auto total = static_cast<double>(counters.TotalWallClockPeriod);
    const auto distance = [&](double unit) {
        return std::abs(std::log((total * unit + 1) / (static_cast<double>(pause_ns_) + 1)));
    };
    const std::int64_t unit = distance(100) <= distance(1000) ? 100 : 1000;
    const auto add = [&](const char* name, std::uint64_t value) {
        out.emplace_back(name, static_cast<std::int64_t>(value) * unit);
    };
    add("total", counters.TotalWallClockPeriod);
    add("va_clone", counters.VaCloneWallClockPeriod);
    add("va_space", counters.VaSpaceWallClockPeriod);
    add("auxiliary_pages", counters.AuxPagesWallClockPeriod);
    add("handles", counters.HandlesWallClockPeriod);
    add("threads", counters.ThreadsWallClockPeriod);
    return out;
}

std::shared_ptr<const AuxiliaryPageTable> WindowsSnapshot::auxiliary_pages() {
    const std::lock_guard lock(mutex_);
    auto table = walk_auxiliary_pages(open_snapshot());
    if (!table) {
        throw Error::unsupported(
            "PssWalkSnapshot",
            "this snapshot has no auxiliary pages; no public capture flag asks "
            "for them",
            options_.pid);
    }
    return table;
}

std::string WindowsSnapshot::handle_trace() {
    const std::lock_guard lock(mutex_);
    raw::PSS_HANDLE_TRACE_INFORMATION<Pointer> trace{};
    if (!open_snapshot().query(raw::kQueryHandleTrace, trace)) {
        throw Error::unsupported(
            "PssQuerySnapshot",
            "this snapshot has no handle trace; capture with "
            "CaptureFlags.HANDLE_TRACE a process in which handle tracing is on",
            options_.pid);
    }
    auto* const section = reinterpret_cast<HANDLE>(trace.SectionHandle);
    const void* const view = ::MapViewOfFile(section, FILE_MAP_READ, 0, 0, trace.Size);
    if (view == nullptr) {
        throw Error::from_win32(::GetLastError(), "MapViewOfFile", {}, options_.pid);
    }
    std::string out(static_cast<const char*>(view), trace.Size);
    ::UnmapViewOfFile(view);
    return out;
}

DumpStats WindowsSnapshot::write_dump(OutputFile& file,
                                      const DumpOptions& options,
                                      Control& control) {
    const std::lock_guard use(use_);
    DumpSource source;
    DumpOptions with_columns = options;
    // What dbghelp meets with is known when the file is written, and then put into this stream.
    constexpr std::size_t kRoomForLate = 8192;
    std::optional<minidump::SoftErrors> soft_errors;
    {
        const std::lock_guard lock(mutex_);
        must_be_open();
        require_captured(options.flags, options_.flags, source_);
        std::string columns = minidump::column_stream(
            minidump::kept_tables(
                options.flags, &process_, threads_.get(), handles_.get(), regions_.get()),
            options.flags);
        if (!columns.empty()) {
            with_columns.streams.push_back({minidump::raw::SnapcoreColumns, std::move(columns)});
        }
        Diagnostics known = diagnostics_;
        known.insert(known.end(), options.diagnostics.begin(), options.diagnostics.end());
        soft_errors.emplace(std::move(known), kRoomForLate);
        with_columns.streams.push_back({minidump::raw::MozSoftErrors, soft_errors->text()});
        source.pid = options_.pid;
        source.is_snapshot = source_ == MemorySource::kClone;
        source.process =
            source.is_snapshot ? reinterpret_cast<HANDLE>(snapshot_->get()) : target_.get();
        if (options_.live_fallback && memory_) source.live_fallback = memory_.get();
        if (regions_ && (options.flags & MiniDumpType::WITH_FULL_MEMORY) != 0) {
            for (std::size_t row = 0; row < regions_->rows(); ++row) {
                if (regions_->state.at(row) == MemoryState::COMMIT) {
                    source.expected_bytes += regions_->size.at(row).value_or(0);
                }
            }
        }
    }
    const std::uint64_t live_before = memory_ ? memory_->live_bytes() : 0;
    const std::int64_t before = monotonic_ns();
    DumpReport report = windows_os::write_dump(source, with_columns, file, control);
    const std::int64_t elapsed = monotonic_ns() - before;
    if (memory_) report.stats.bytes_not_of_the_instant = memory_->live_bytes() - live_before;
    const std::lock_guard lock(mutex_);
    // The target's threads are held while it is written.
    if (source_ == MemorySource::kLive) pause_ns_ += elapsed;
    report.stats.diagnostics = report.diagnostics;
    Diagnostics& late = report.diagnostics;
    if (options.closes_snapshot) {
        const auto known = static_cast<std::ptrdiff_t>(diagnostics_.size());
        free_all();
        late.insert(late.end(), diagnostics_.begin() + known, diagnostics_.end());
    }
    if (late.empty()) return report.stats;
    const auto at = minidump::stream_offset(
        [&](std::uint64_t offset, std::span<std::byte> out) { return file.read(offset, out); },
        file.size(),
        minidump::raw::MozSoftErrors);
    const std::string text = soft_errors->text(late);
    if (at) file.write(*at, std::as_bytes(std::span(text)));
    return report.stats;
}

DumpStats WindowsSnapshot::write_dump(OutputStream& stream,
                                      const DumpOptions& options,
                                      Control& control) {
    // dbghelp writes the header and the directory last, and reads nothing back: nothing can be
    // handed on before it has ended.
    const std::unique_ptr<OutputFile> spool = create_spool_file();
    const DumpStats stats = write_dump(*spool, options, control);
    constexpr std::size_t kPiece = 1 << 20;
    std::vector<std::byte> buffer(kPiece);
    for (std::uint64_t done = 0;;) {
        const std::size_t n = spool->read(done, buffer);
        if (n == 0) return stats;
        control.check();
        stream.write(std::span(buffer).first(n), [&] { control.check(); });
        done += n;
    }
}

void WindowsSnapshot::close() {
    const std::lock_guard use(use_);
    const std::lock_guard lock(mutex_);
    free_all();
}

void WindowsSnapshot::free_all() {
    memory_.reset();
    if (snapshot_) {
        for (Diagnostic& diagnostic : snapshot_->free()) {
            diagnostics_.push_back(std::move(diagnostic));
        }
        snapshot_.reset();
    }
    target_.reset();
}

}  // namespace snapcore::windows_os

namespace snapcore {

std::shared_ptr<Snapshot> capture_process(const CaptureOptions& options, Control& control) {
    control.check();
    return std::make_shared<windows_os::WindowsSnapshot>(options);
}

}  // namespace snapcore
