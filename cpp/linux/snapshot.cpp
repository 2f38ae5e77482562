// SPDX-License-Identifier: Apache-2.0
#include "linux/snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "generated/flags.h"
#include "linux/access.h"
#include "linux/arch.h"
#include "linux/procmap.h"
#include "linux/regions.h"
#include "snapshot/policy.h"

namespace snapcore::linux_os {
namespace {

constexpr std::uint32_t kMeaninglessFlags[] = {
    CaptureFlags::HANDLE_TRACE,
    CaptureFlags::IPT_TRACE,
    CaptureFlags::CREATE_BREAKAWAY_OPTIONAL,
    CaptureFlags::CREATE_BREAKAWAY,
    CaptureFlags::CREATE_FORCE_BREAKAWAY,
    CaptureFlags::CREATE_USE_VM_ALLOCATIONS,
    CaptureFlags::CREATE_RELEASE_SECTION,
};

Error not_captured(const char* what, const char* flag) {
    return Error::invalid_argument(std::string(what) +
                                   " were not captured; capture with CaptureFlags." + flag);
}

}  // namespace

LinuxSnapshot::LinuxSnapshot(const CaptureOptions& options, Control& control)
    : options_(options), source_(options.memory), owner_(::getpid()) {
    validate_capture_flags(options.flags);
    if (source_ == MemorySource::kNone && captured(CaptureFlags::VA_CLONE))
        source_ = MemorySource::kClone;
    directory_ = open_target(options.pid);
    // Another thread of ours that captures this process has it traced: they take turns.
    const bool self = options.pid == static_cast<std::uint32_t>(owner_);
    check_target(directory_.get(), options.pid, needs_stop() && !self);
    if (source_ == MemorySource::kParts) {
        if (clone_is_quicker()) {
            source_ = MemorySource::kClone;
        } else {
            options_.flags &= ~CaptureFlags::VA_CLONE;
        }
    }
    if (needs_stop()) {
        trace(control);
    } else {
        look_without_stop();
    }
    report_flags_without_meaning();
}

bool LinuxSnapshot::needs_stop() const {
    constexpr std::uint32_t kStopping = CaptureFlags::VA_CLONE | CaptureFlags::THREADS |
                                        CaptureFlags::THREAD_CONTEXT | CaptureFlags::HANDLES |
                                        CaptureFlags::VA_SPACE;
    return options_.stop && ((options_.flags & kStopping) != 0 || source_ != MemorySource::kNone);
}

bool LinuxSnapshot::clone_is_quicker() const {
    if (!wants_parts(options_.dump_flags)) return false;
    // Copying moves some 4 GiB a second; a fork takes 20 ms for a GiB of anonymous memory, and as
    // long as copying 1 MiB at the least. More than that is not held in this process's memory.
    constexpr std::uint64_t kRatio = 12, kLeast = 1024 * 1024, kMost = 32 * 1024 * 1024;
    const std::uint64_t wanted =
        estimate_parts(options_.dump_flags, parse_maps(try_read_text(directory_.get(), "maps")));
    const Status status = parse_status(try_read_text(directory_.get(), "status"));
    return wanted > kMost || wanted > kLeast + status.rss_anon.value_or(0) / kRatio;
}

std::uint32_t LinuxSnapshot::tracer_needs() const {
    std::uint32_t needs = 0;
    constexpr std::uint32_t kExtended = ContextFlags::FLOATING_POINT | ContextFlags::XSTATE;
    if (captured(CaptureFlags::THREAD_CONTEXT)) {
        if ((options_.context_flags & kExtended) != 0) needs |= need::kExtendedState;
        if ((options_.context_flags & ContextFlags::DEBUG_REGISTERS) != 0)
            needs |= need::kDebugRegisters;
    }
    if (captured(CaptureFlags::THREAD_CONTEXT_EXTENDED)) needs |= need::kExtendedState;
    if (captured(CaptureFlags::HANDLES)) needs |= need::kHandles;
    if (source_ == MemorySource::kClone) needs |= need::kClone;
    if (source_ == MemorySource::kParts) needs |= need::kParts;
    if (source_ == MemorySource::kLive) needs |= need::kHold;
    // The clone has its own maps, read after the target was let go.
    if (captured(CaptureFlags::VA_SPACE) && source_ != MemorySource::kClone) needs |= need::kMaps;
    if (const char* const without = ::getenv("SNAPCORE_TRACER_WITHOUT");
        without != nullptr && std::string_view(without) == "close_range") {
        needs |= need::kOldKernel;
    }
    return needs;
}

// Who may trace need not be allowed to open these files, and without the page map memory that is
// there would be taken for memory that was never touched.
void LinuxSnapshot::must_read_memory() const {
    for (const char* const name : {"mem", "pagemap"}) {
        const UniqueDescriptor file(::openat(directory_.get(), name, O_RDONLY | O_CLOEXEC));
        if (!file) {
            const std::string call = std::string("open /proc/PID/") + name;
            throw attach_error(directory_.get(), options_.pid, errno, call);
        }
    }
}

void LinuxSnapshot::trace(Control& control) {
    if (const long size = ::sysconf(_SC_PAGESIZE); static_cast<std::uint64_t>(size) != kPageSize) {
        throw Error::unsupported("sysconf",
                                 "this kernel's pages are of " + std::to_string(size) +
                                     " bytes, and only those of 4096 are known; snapcore.handles() "
                                     "and snapcore.threads() work",
                                 options_.pid);
    }
    if (kArchitecture == Architecture::kArm64 && source_ == MemorySource::kClone &&
        ::getenv("SNAPCORE_CLONE_ON_AARCH64") == nullptr) {
        throw Error::unsupported("clone",
                                 "on AArch64 not every test of kills has passed yet "
                                 "(docs/aarch64.md); use method=\"live\", or set "
                                 "SNAPCORE_CLONE_ON_AARCH64=1 for a target that may be lost",
                                 options_.pid);
    }
    const bool parts = source_ == MemorySource::kParts && wants_parts(options_.dump_flags);
    if (source_ == MemorySource::kLive || parts) must_read_memory();
    tracer_ = std::make_unique<TracerClient>(options_.placement, options_.pid);
    TracerRequest request;
    request.pid = options_.pid;
    request.needs = tracer_needs();
    request.max_pause_ns = options_.max_pause_ns;
    request.shared_budget_bytes = options_.shared_budget_bytes;
    request.dump_flags = options_.dump_flags;
    const std::int64_t asked_ns = monotonic_ns();
    auto [record, descriptors] = tracer_->capture(request, control);
    const std::int64_t answered_ns = monotonic_ns();
    clone_ = std::move(descriptors);
    // The clone is for one dump of all memory.
    if (source_ == MemorySource::kClone &&
        (options_.dump_flags & MiniDumpType::WITH_FULL_MEMORY) != 0) {
        walk_.emplace(clone_.directory.get(), clone_.pagemap.get(), options_.pid);
    }
    captured_at_ns_ = record.captured_at_ns;
    pause_ns_ = record.pause_ns;
    diagnostics_ = std::move(record.diagnostics);
    maps_text_ = std::move(record.maps);
    copied_ = std::move(record.copied);
    if (pause_ns_ > options_.max_pause_ns) {
        note(Severity::kWarning,
             "pause_exceeded",
             "the target stood still for " + std::to_string(pause_ns_ / 1'000'000) +
                 " ms, longer than max_pause: all was done when the time was up, but letting go "
                 "took "
                 "longer; the machine is busy",
             static_cast<std::uint64_t>(pause_ns_));
    }

    // Soonest first: a thread may end at any moment now.
    read_threads(record);
    read_handles(record);
    process_ = process_info(directory_.get(), options_.pid);
    environment_ =
        environment_range(parse_stat(try_read_text(directory_.get(), "stat")).value_or(Stat{}));
    read_texts();

    const bool has_memory = source_ != MemorySource::kNone;
    memory_ = std::make_shared<ProcessMemory>(
        has_memory ? std::move(clone_.memory) : UniqueDescriptor(),
        std::move(record.memory),
        source_ == MemorySource::kParts ? static_cast<pid_t>(options_.pid) : 0);
    if (walk_) {
        memory_->set_give_back([this](const Range& range) { tracer_->give_back(range); });
    }
    if (source_ == MemorySource::kLive) memory_->set_deadline(asked_ns + options_.max_pause_ns);
    phases_ = std::move(record.phases);
    phases_.emplace_back("tracer", answered_ns - asked_ns);
    phases_.emplace_back("tables", monotonic_ns() - answered_ns);
}

void LinuxSnapshot::look_without_stop() {
    captured_at_ns_ = wall_clock_ns();
    CaptureRecord record;
    if (captured(CaptureFlags::THREADS)) {
        for (const std::uint32_t tid : list_tasks(directory_.get())) {
            record.threads.push_back({tid, {}});
        }
        read_threads(record);
    }
    if (captured(CaptureFlags::HANDLES)) {
        list_all_descriptors(record);
        read_handles(record);
    }
    process_ = process_info(directory_.get(), options_.pid);
}

void LinuxSnapshot::read_threads(const CaptureRecord& record) {
    const bool stopped = tracer_ != nullptr;
    const bool with_contexts = stopped && captured(CaptureFlags::THREAD_CONTEXT);
    auto contexts = std::make_shared<ContextTable>();
    contexts->architecture = kArchitecture;
    if (captured(CaptureFlags::THREAD_CONTEXT_EXTENDED)) {
        for (const ThreadSample& thread : record.threads) {
            contexts->xsave_stride = std::max(contexts->xsave_stride, xsave_size(thread.registers));
        }
    }
    // Without a clone the target's own: a thread that runs on keeps its stack.
    UniqueDescriptor of_target;
    if (stopped && !clone_.maps) {
        of_target = UniqueDescriptor(::openat(directory_.get(), "maps", O_RDONLY | O_CLOEXEC));
    }
    MappingQuery mappings(clone_.maps ? clone_.maps.get() : of_target.get());
    auto threads = std::make_shared<ThreadTable>();
    threads->reserve(record.threads.size());
    std::vector<const ThreadSample*> order;
    for (const ThreadSample& thread : record.threads) order.push_back(&thread);
    std::sort(
        order.begin(), order.end(), [](const auto* a, const auto* b) { return a->tid < b->tid; });

    std::size_t gone = 0;
    for (const ThreadSample* thread : order) {
        auto row = thread_row(directory_.get(), options_.pid, thread->tid);
        if (!row) {
            ++gone;
            if (!stopped) continue;
            row = ThreadRow{};
            row->tid = thread->tid;
            row->pid = options_.pid;
            row->captured_at_ns = captured_at_ns_;
        }
        if (stopped) {
            const UserRegisters& r = thread->registers.general;
            part_threads_.push_back(part_thread(r));
            row->teb = thread_pointer(r);
            row->instruction_pointer = instruction_pointer(r);
            row->stack_pointer = stack_pointer(r);
            if (static_cast<std::int64_t>(current_call(r)) >= 0) {
                row->last_syscall = static_cast<std::uint32_t>(current_call(r));
                row->last_syscall_argument = first_argument(r);
            }
            if (const auto mapping = mappings.find(stack_pointer(r))) {
                row->stack_start = mapping->start;
                row->stack_end = mapping->end;
            }
        }
        if (with_contexts)
            append_context(*contexts, thread->tid, &thread->registers, options_.context_flags);
        threads->append(*row);
    }
    if (stopped && gone > 0) {
        note(Severity::kInfo,
             "threads_gone",
             std::to_string(gone) +
                 " thread(s) ended right after the stop: their names and times are not known",
             gone);
    }
    if (with_contexts) contexts_ = std::move(contexts);
    threads_ = std::move(threads);
}

void LinuxSnapshot::list_all_descriptors(CaptureRecord& record) const {
    try {
        record.descriptors =
            list_descriptor_numbers(directory_.get(),
                                    !captured(CaptureFlags::HANDLE_NAME_INFORMATION) &&
                                        !captured(CaptureFlags::HANDLE_BASIC_INFORMATION) &&
                                        !captured(CaptureFlags::HANDLE_TYPE_SPECIFIC_INFORMATION));
        record.descriptors_complete = true;
    } catch (const Error& error) {
        refuse_descriptors(error);
    }
}

void LinuxSnapshot::refuse_descriptors(const Error& error) const {
    // A target that is held would seem to be refused because of its tracer, which is ours.
    if (tracer_) tracer_->release();
    // The numbers may be readable where the names are not; the reason is the same.
    throw attach_error(
        directory_.get(), options_.pid, static_cast<int>(error.code()), error.call());
}

void LinuxSnapshot::read_handles(CaptureRecord& record) {
    if (!captured(CaptureFlags::HANDLES)) return;
    if (!record.descriptors_complete) {
        const std::size_t in_stop = record.descriptors.size();
        list_all_descriptors(record);
        note(Severity::kInfo,
             "handles_not_atomic",
             "more than " + std::to_string(in_stop) +
                 " descriptors: the table was read right after the target was let go, not in the "
                 "stop",
             record.descriptors.size());
    }
    DescriptorDetail detail;
    detail.names = captured(CaptureFlags::HANDLE_NAME_INFORMATION);
    detail.basic = captured(CaptureFlags::HANDLE_BASIC_INFORMATION);
    detail.type_specific = captured(CaptureFlags::HANDLE_TYPE_SPECIFIC_INFORMATION);
    detail.peers = options_.handle_peers;
    try {
        handles_ =
            handle_table(directory_.get(), options_.pid, record.descriptors, detail, diagnostics_);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::kAccessDenied) throw;
        refuse_descriptors(error);
    }
}

void LinuxSnapshot::read_texts() {
    executable_ = try_read_link(directory_.get(), "exe");
    if (source_ == MemorySource::kNone) return;
    status_text_ = try_read_text(directory_.get(), "status");
    limits_text_ = try_read_text(directory_.get(), "limits");
    // Without a clone the target's mappings are read now or never.
    if (source_ == MemorySource::kParts && maps_text_.empty()) {
        maps_text_ = try_read_text(directory_.get(), "maps");
    }
}

void LinuxSnapshot::report_flags_without_meaning() {
    for (const std::uint32_t flag : kMeaninglessFlags) {
        if (!captured(flag)) continue;
        note(Severity::kInfo,
             "flag_without_meaning",
             "CaptureFlags." + std::string(CaptureFlags::name_of(flag)) +
                 " has no meaning on Linux and changes nothing",
             flag);
    }
}

void LinuxSnapshot::note(Severity severity,
                         std::string code,
                         std::string message,
                         std::uint64_t subject) {
    diagnostics_.push_back(
        {severity, std::move(code), std::move(message), "", ErrorDomain::kNone, 0, subject});
}

std::shared_ptr<const ThreadTable> LinuxSnapshot::threads() {
    if (!captured(CaptureFlags::THREADS)) throw not_captured("threads", "THREADS");
    return threads_;
}

std::shared_ptr<const HandleTable> LinuxSnapshot::handles() {
    if (!captured(CaptureFlags::HANDLES)) throw not_captured("handles", "HANDLES");
    return handles_;
}

std::shared_ptr<const ContextTable> LinuxSnapshot::contexts() {
    if (!contexts_) throw not_captured("contexts", "THREADS | CaptureFlags.THREAD_CONTEXT");
    return contexts_;
}

// Of a clone that has gone /proc says what it says of a process without memory.
void LinuxSnapshot::must_have_clone() const {
    if (source_ != MemorySource::kClone) return;
    const std::string size = try_read_text(clone_.directory.get(), "statm");
    if (!size.empty() && !size.starts_with("0 ")) return;
    throw Error(ErrorKind::kOther,
                ErrorDomain::kNone,
                0,
                "",
                "the clone was killed before its memory was read, with its tracer or by somebody; "
                "the target goes on, try again",
                options_.pid);
}

void LinuxSnapshot::must_be_open() const {
    if (closed_) throw Error::invalid_argument("the snapshot is closed");
}

const std::vector<Mapping>& LinuxSnapshot::mappings() {
    if (!mappings_) {
        if (!maps_text_.empty()) {
            mappings_ = parse_maps(maps_text_);
        } else {
            must_be_open();
            std::vector<Mapping> found = parse_maps(
                walk_ ? walk_->smaps() : read_text(clone_.directory.get(), "smaps", options_.pid));
            must_have_clone();
            if (source_ == MemorySource::kClone) add_kept_from_clone(found);
            mappings_ = std::move(found);
        }
    }
    return *mappings_;
}

// What the target keeps from its forks is read from the target itself, as shared memory is in
// effect: of a later instant, but not zeros.
void LinuxSnapshot::add_kept_from_clone(std::vector<Mapping>& mappings) {
    const auto in_clone = [&mappings](const Mapping& m) {
        const auto next = std::ranges::upper_bound(mappings, m.start, {}, &Mapping::end);
        return next != mappings.end() && next->start < m.end;
    };
    std::vector<Mapping> others = parse_maps(try_read_text(directory_.get(), "maps"));
    std::erase_if(others, in_clone);
    // Marked, or mapped since; the flags, which cost a walk of the page tables, tell.
    if (!others.empty()) {
        others = parse_maps(try_read_text(directory_.get(), "smaps"));
        std::erase_if(others,
                      [&](const Mapping& m) { return !m.has_vm_flag("dc") || in_clone(m); });
        mappings.insert(mappings.end(), others.begin(), others.end());
        std::ranges::sort(mappings, {}, &Mapping::start);
    }
    std::vector<Range> apart;
    std::uint64_t bytes = 0;
    for (const Mapping& m : mappings) {
        if (!is_kept_from_clone(m)) continue;
        apart.push_back({m.start, m.end - m.start});
        bytes += m.end - m.start;
    }
    if (apart.empty()) return;
    memory_->read_apart(UniqueDescriptor(::openat(directory_.get(), "mem", O_RDONLY | O_CLOEXEC)),
                        std::move(apart));
    note(Severity::kInfo,
         "memory_kept_from_clone",
         std::to_string(bytes) +
             " bytes are marked MADV_DONTFORK or MADV_WIPEONFORK by the target: "
             "they are read from it while it runs on, not from the snapshot",
         bytes);
}

std::shared_ptr<const RegionTable> LinuxSnapshot::regions() {
    if (!captured(CaptureFlags::VA_SPACE)) throw not_captured("regions", "VA_SPACE");
    const std::lock_guard lock(mutex_);
    if (!regions_) {
        regions_ = region_table(mappings(),
                                captured(CaptureFlags::VA_SPACE_SECTION_INFORMATION),
                                source_ == MemorySource::kClone,
                                copied_);
    }
    return regions_;
}

const Modules& LinuxSnapshot::read_module_table() {
    if (!modules_) {
        must_be_open();
        if (source_ == MemorySource::kNone) throw not_captured("modules", "VA_CLONE");
        modules_ = read_modules(mappings(), executable_, *memory_);
    }
    return *modules_;
}

std::shared_ptr<const ModuleTable> LinuxSnapshot::modules() {
    const std::lock_guard lock(mutex_);
    return read_module_table().table;
}

std::size_t LinuxSnapshot::read(std::uint64_t address, std::span<std::byte> out) {
    std::shared_ptr<ProcessMemory> memory;
    {
        const std::lock_guard lock(mutex_);
        must_be_open();
        if (source_ != MemorySource::kClone) {
            throw Error::invalid_argument(
                "memory was not captured; capture with CaptureFlags.VA_CLONE");
        }
        mappings();  // they tell what is read from elsewhere
        memory = memory_;
    }
    return memory->read(address, out);
}

std::int64_t LinuxSnapshot::pause_ns() const {
    const std::lock_guard lock(mutex_);
    return pause_ns_;
}

Diagnostics LinuxSnapshot::diagnostics() const {
    const std::lock_guard lock(mutex_);
    return diagnostics_;
}

std::vector<std::pair<std::string, std::int64_t>> LinuxSnapshot::performance() const {
    const std::lock_guard lock(mutex_);
    return phases_;
}

void LinuxSnapshot::close() {
    // A fork of the process that made the snapshot owns nothing of it.
    if (::getpid() != owner_) return;
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    memory_.reset();
    walk_.reset();
    clone_ = {};
    directory_.reset();
    if (!tracer_) return;
    const bool held = source_ == MemorySource::kLive;
    const ReleaseRecord released = tracer_->release();
    if (held) {
        pause_ns_ = released.pause_ns;
        held_to_the_end_ = released.held_to_the_end;
    }
    diagnostics_.insert(
        diagnostics_.end(), released.diagnostics.begin(), released.diagnostics.end());
}

}  // namespace snapcore::linux_os

namespace snapcore {

std::shared_ptr<Snapshot> capture_process(const CaptureOptions& options, Control& control) {
    return std::make_shared<linux_os::LinuxSnapshot>(options, control);
}

}  // namespace snapcore
