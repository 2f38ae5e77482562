// SPDX-License-Identifier: Apache-2.0
#include "linux/tracer.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "linux/access.h"
#include "linux/clone_child.h"
#include "linux/gadgets.h"
#include "linux/injection.h"
#include "linux/memory_parts.h"
#include "linux/pagemap.h"
#include "linux/procfs.h"
#include "linux/procmap.h"
#include "linux/regions.h"
#include "linux/remote_memory.h"
#include "linux/second_thread.h"
#include "linux/stopped_process.h"
#include "linux/tracer_protocol.h"

namespace snapcore::linux_os {
namespace {

constexpr std::size_t kMostDescriptorsInStop = 256;
constexpr std::uint64_t kPage = 4096;
constexpr int kGadgetAttempts = 3;
// Threads of the target from which on two of ours stop them sooner than one does.
constexpr std::uint32_t kManyThreads = 32;
constexpr std::int64_t kReleaseNs = 1'000'000'000;  // for what no kernel makes wait
// The tracer itself keeps the deadline wherever it can.
constexpr std::int64_t kWatchdogMarginNs = 250'000'000;

UniqueDescriptor open_at(int directory, const char* name) {
    return UniqueDescriptor(::openat(directory, name, O_RDONLY | O_CLOEXEC));
}

class AtEnd {
public:
    explicit AtEnd(std::function<void()> work) : work_(std::move(work)) {}
    ~AtEnd() { work_(); }
    AtEnd(const AtEnd&) = delete;
    AtEnd& operator=(const AtEnd&) = delete;

private:
    std::function<void()> work_;
};

class TargetMemory final : public minidump::MemoryReader {
public:
    explicit TargetMemory(std::uint32_t pid) : pid_(pid) {}
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override {
        return read_remote(static_cast<pid_t>(pid_), address, out);
    }

private:
    std::uint32_t pid_;
};

// Reads what is there; less where a page is missing.
std::vector<std::byte> read_target(std::uint32_t pid, Range range) {
    std::vector<std::byte> bytes(range.size);
    bytes.resize(TargetMemory(pid).read(range.address, bytes));
    return bytes;
}

Error held_up(std::uint32_t pid) {
    const auto stat =
        parse_stat(try_read_text(AT_FDCWD, ("/proc/" + std::to_string(pid) + "/stat").c_str()));
    return {ErrorKind::kTimedOut,
            ErrorDomain::kErrno,
            ETIMEDOUT,
            "ptrace",
            "the kernel did not answer within max_pause" +
                (stat ? std::string(" (the target's state is ") + stat->state + ")" : "") +
                ": an execve of the target that waits for a slow disk, or memory that nobody fills "
                "(userfaultfd, a dead file system). What was stopped was let go, by the helper "
                "program at once, by a tracer thread (SNAPCORE_TRACER=thread) when the kernel "
                "answers; try again later",
            pid};
}

class Tracer {
public:
    Tracer(const TracerRequest& request, Watchdog& watchdog)
        : request_(request), watchdog_(watchdog) {
        directory_ = open_process_directory(request.pid);
    }

    void capture();
    CaptureRecord& record() { return record_; }
    CaptureDescriptors descriptors();

    // Lets a held target go at the latest at max_pause.
    bool holding() const { return target_ != nullptr; }
    std::int64_t hold_deadline_ns() const { return started_ns_ + request_.max_pause_ns; }
    void let_go();

    // Of the clone, which goes on without it.
    void give_back(const Range& range) noexcept;
    void finish(ReleaseRecord& release) noexcept;

private:
    bool needs(std::uint32_t bit) const { return (request_.needs & bit) != 0; }
    void refuse_seccomp(const Status& status);
    void refuse_userfaultfd();
    void start_second_thread();
    void clone(StoppedProcess& target);
    // On the thread of the tracer that has these, the other one letting go of its own meanwhile.
    void clone_by(StoppedThreads& threads, Event& cloned, Event& others_released);
    ThreadSample sample(const StoppedThread& thread) const;
    void sample_all(StoppedProcess& target);
    void list_handles();
    // Calls `work` on the thread of the tracer that traces the clone.
    void for_clone(const std::function<void()>& work);
    void copy_parts();
    void copy_shared(std::uint64_t budget);
    void phase(const char* name);
    // No thread is kept any more; throws where the watchdog has said so already.
    void released();

    TracerRequest request_;
    Watchdog& watchdog_;
    UniqueDescriptor directory_;
    Gadgets gadgets_;
    bool suspend_seccomp_ = false;
    std::int64_t started_ns_ = 0;
    std::int64_t phase_ns_ = 0;
    CaptureRecord record_;
    std::unique_ptr<SecondThread> second_;  // where the target has many threads
    CloneChild clone_;
    bool clone_is_of_second_ = false;
    std::unique_ptr<StoppedProcess> target_;  // while it is held
    std::int64_t pause_ns_ = 0;
};

void Tracer::phase(const char* name) {
    const std::int64_t now = monotonic_ns();
    record_.phases.emplace_back(name, now - phase_ns_);
    phase_ns_ = now;
}

void Tracer::released() {
    if (!watchdog_.set_limit(0)) throw held_up(request_.pid);
}

void Tracer::refuse_seccomp(const Status& status) {
    if (status.seccomp == 0) return;
    suspend_seccomp_ = status.seccomp == 2;
    // Without that a filter may answer an unexpected clone by killing the target, so it is not
    // tried.
    const std::string missing =
        suspend_seccomp_ ? missing_to_suspend_seccomp() : "run it without strict mode";
    if (missing.empty()) return;
    throw Error::unsupported(
        "seccomp",
        "the target runs under a seccomp filter, which might answer the injected clone by killing "
        "it; " +
            missing + ", or use method=\"live\"",
        request_.pid);
}

// With a handler of faults in the target itself, fork would wait for it, and it stands still.
void Tracer::refuse_userfaultfd() {
    bool complete = false;
    std::vector<DescriptorLink> links;
    try {
        links = list_descriptors(directory_.get(), static_cast<std::size_t>(-1), &complete);
    } catch (const Error&) {
        return;  // not to be seen; a fork that waits ends at max_pause
    }
    const bool handles = std::any_of(links.begin(), links.end(), [](const DescriptorLink& link) {
        return link.link == "anon_inode:[userfaultfd]";
    });
    if (!handles) return;
    for (const Mapping& mapping : parse_maps(try_read_text(directory_.get(), "smaps"))) {
        if (!mapping.has_vm_flag("um") && !mapping.has_vm_flag("uw") && !mapping.has_vm_flag("ui"))
            continue;
        throw Error::unsupported(
            "userfaultfd",
            "the target handles page faults of its own (userfaultfd), and a clone of it would wait "
            "for the handler, which stands still; use method=\"live\"",
            request_.pid);
    }
}

void Tracer::capture() {
    const int directory = directory_.get();
    check_target(directory, request_.pid, true);
    if (needs(need::kClone)) {
        refuse_seccomp(parse_status(try_read_text(directory, "status")));
        for (int attempt = 0; attempt < kGadgetAttempts; ++attempt) {
            const UniqueDescriptor memory = open_at(directory, "mem");
            if (!memory) throw attach_error(directory, request_.pid, errno, "open /proc/PID/mem");
            gadgets_ = find_gadgets(directory, memory.get());
            // Nothing is found in the middle of an execve.
            if (gadgets_.call != 0 || gadgets_.plain_call != 0) break;
            const timespec step{0, 1'000'000};
            ::nanosleep(&step, nullptr);
        }
        refuse_userfaultfd();
    }

    start_second_thread();
    started_ns_ = phase_ns_ = monotonic_ns();
    watchdog_.set_limit(hold_deadline_ns() + kWatchdogMarginNs);
    auto target = std::make_unique<StoppedProcess>(
        request_.pid, directory, hold_deadline_ns(), watchdog_, second_.get());
    target->stop_all();
    record_.captured_at_ns = wall_clock_ns();
    phase("stop");
    record_.threads.reserve(target->size());
    if (needs(need::kClone)) {
        clone(*target);
    } else {
        sample_all(*target);
        phase("registers");
    }
    if (needs(need::kParts)) {
        copy_parts();
        phase("memory");
    }
    if (needs(need::kMaps) && record_.maps.empty()) {
        record_.maps = try_read_text(directory, "maps");
        phase("maps");
    }
    if (const std::uint32_t count = target->interrupted_timed_calls(); count > 0) {
        record_.diagnostics.push_back(
            {Severity::kInfo,
             "timed_call_interrupted",
             std::to_string(count) + " thread(s) saw a timed epoll_wait, io_getevents, semtimedop "
                                     "or rt_sigtimedwait return EINTR because of the stop",
             "PTRACE_INTERRUPT",
             ErrorDomain::kErrno,
             EINTR,
             count});
    }
    if (needs(need::kHold)) {
        target_ = std::move(target);
        return;
    }
    if (clone_.pid() != 0) return;  // clone() let it go as soon as it could
    target->release();
    released();
    phase("release");
    record_.pause_ns = pause_ns_ = phase_ns_ - started_ns_;
}

void Tracer::start_second_thread() {
    const Status status = parse_status(try_read_text(directory_.get(), "status"));
    if (status.threads < kManyThreads) return;
    try {
        second_ = std::make_unique<SecondThread>();
    } catch (const std::system_error&) {
        // At the limit of processes: one thread does it as well.
    }
}

void Tracer::for_clone(const std::function<void()>& work) {
    if (!clone_is_of_second_) return work();
    second_->start(work);
    second_->wait();
}

void Tracer::clone(StoppedProcess& target) {
    const StoppedThreads& injecting = target.best_to_inject();
    clone_is_of_second_ = target.is_of_second(injecting);
    Event cloned, others_released;
    if (second_ == nullptr) others_released.set();
    std::vector<ThreadSample> others;
    target.each_share([&](StoppedThreads& threads) {
        const bool injects = &threads == &injecting;
        const AtEnd tell([&] { (injects ? cloned : others_released).set(); });
        if (injects) return clone_by(threads, cloned, others_released);
        for (const StoppedThread& thread : threads.threads()) others.push_back(sample(thread));
        cloned.wait_until(threads.deadline_ns());
        threads.release();
    });
    record_.threads.insert(record_.threads.end(),
                           std::make_move_iterator(others.begin()),
                           std::make_move_iterator(others.end()));
}

void Tracer::clone_by(StoppedThreads& threads, Event& cloned, Event& others_released) {
    bool overdue = false;
    Injection injection(threads, gadgets_, suspend_seccomp_);
    const auto sample_where = [&](bool is_injecting) {
        for (const StoppedThread& thread : threads.threads()) {
            if ((thread.tracee.tid() == injection.tid()) != is_injecting) continue;
            record_.threads.push_back(sample(thread));
        }
    };
    // Its registers are about to be exchanged; the others' are read while the kernel copies.
    sample_where(true);
    if (request_.shared_budget_bytes > 0) copy_shared(request_.shared_budget_bytes);
    phase("prepare");
    clone_.make(
        threads,
        injection,
        [&] {
            sample_where(false);
            list_handles();
        },
        [&] {
            overdue = true;
            threads.release(injection.tid());
            watchdog_.set_limit(0);  // the call itself cannot be abandoned
        },
        suspend_seccomp_);
    phase("clone");
    if (overdue) {
        throw Error(ErrorKind::kTimedOut,
                    ErrorDomain::kErrno,
                    ETIMEDOUT,
                    "clone",
                    "copying the target's page tables took longer than max_pause; raise max_pause, "
                    "or use huge pages in the target",
                    request_.pid);
    }
    record_.clone = clone_.pid();
    record_.clone_in_target = clone_.pid_in_target();
    cloned.set();
    threads.release();
    others_released.wait_until(monotonic_ns() + kReleaseNs);
    released();
    phase("release");
    record_.pause_ns = pause_ns_ = phase_ns_ - started_ns_;
    clone_.settle(injection, !needs(need::kOldKernel), record_.diagnostics);
}

ThreadSample Tracer::sample(const StoppedThread& thread) const {
    ThreadSample out;
    out.tid = static_cast<std::uint32_t>(thread.tracee.tid());
    out.registers.general = thread.found;
    if (needs(need::kExtendedState)) out.registers.extended = thread.tracee.extended_state();
    if (needs(need::kDebugRegisters)) out.registers.debug = thread.tracee.debug_registers();
    return out;
}

void Tracer::sample_all(StoppedProcess& target) {
    std::vector<ThreadSample> of_second;
    target.each_share([&](StoppedThreads& threads) {
        std::vector<ThreadSample>& out = target.is_of_second(threads) ? of_second : record_.threads;
        for (const StoppedThread& thread : threads.threads()) out.push_back(sample(thread));
    });
    record_.threads.insert(record_.threads.end(),
                           std::make_move_iterator(of_second.begin()),
                           std::make_move_iterator(of_second.end()));
    list_handles();
}

void Tracer::list_handles() {
    if (!needs(need::kHandles)) return;
    try {
        record_.descriptors = list_descriptors(
            directory_.get(), kMostDescriptorsInStop, &record_.descriptors_complete);
    } catch (const Error&) {
        // The target's thread is in the middle of its call: the client finds the reason
        // afterwards.
        record_.descriptors_complete = false;
    }
}

void Tracer::copy_parts() {
    std::vector<PartThread> threads;
    for (const ThreadSample& thread : record_.threads) {
        threads.push_back(part_thread(thread.registers.general));
    }
    const Range environment =
        environment_range(parse_stat(try_read_text(directory_.get(), "stat")).value_or(Stat{}));
    const auto copy = [this](const Range& range) {
        std::vector<std::byte> bytes = read_target(request_.pid, range);
        if (!bytes.empty()) record_.memory.push_back({range.address, std::move(bytes)});
    };
    if (!wants_parts(request_.dump_flags)) {
        const UniqueDescriptor maps = open_at(directory_.get(), "maps");
        MappingQuery mappings(maps.get());
        const auto find = [&](std::uint64_t address) { return mappings.find(address); };
        for (const Range& slice : stack_slices(threads, request_.dump_flags, environment, find))
            copy(slice);
        return;
    }
    record_.maps = try_read_text(directory_.get(), "maps");
    const std::vector<Mapping> mappings = parse_maps(record_.maps);
    const UniqueDescriptor pagemap = open_at(directory_.get(), "pagemap");
    TargetMemory memory(request_.pid);
    MemoryPlan plan = plan_parts(
        {request_.dump_flags, mappings, threads, memory, pagemap.get(), environment, true});
    for (const minidump::MemoryRange& range : plan.ranges) copy(range.range);
    record_.diagnostics.insert(
        record_.diagnostics.end(), plan.diagnostics.begin(), plan.diagnostics.end());
}

void Tracer::copy_shared(std::uint64_t budget) {
    const UniqueDescriptor pagemap = open_at(directory_.get(), "pagemap");
    for (const Mapping& mapping : parse_maps(try_read_text(directory_.get(), "maps"))) {
        if (!mapping.shared || !mapping.writable || !mapping.readable) continue;
        bool whole = true;
        // Reading a page of shared memory that nobody touched would allocate it, so only what is
        // there is read.
        for (const Range& run : populated_runs(pagemap.get(), mapping.start, mapping.end, false)) {
            const std::uint64_t size = std::min(run.size, budget / kPage * kPage);
            if (size == 0) return;
            std::vector<std::byte> bytes = read_target(request_.pid, {run.address, size});
            budget -= bytes.size();
            whole = whole && bytes.size() == run.size;
            if (!bytes.empty()) record_.memory.push_back({run.address, std::move(bytes)});
        }
        if (whole) record_.copied.push_back({mapping.start, mapping.end - mapping.start});
    }
}

CaptureDescriptors Tracer::descriptors() {
    CaptureDescriptors out;
    out.directory = clone_.pid() != 0
                        ? open_process_directory(static_cast<std::uint32_t>(clone_.pid()))
                        : UniqueDescriptor(::fcntl(directory_.get(), F_DUPFD_CLOEXEC, 0));
    out.memory = open_at(out.directory.get(), "mem");
    out.pagemap = open_at(out.directory.get(), "pagemap");
    out.maps = open_at(out.directory.get(), "maps");
    return out;
}

void Tracer::let_go() {
    target_->release();
    target_.reset();
    watchdog_.set_limit(0);
    pause_ns_ = monotonic_ns() - started_ns_;
}

void Tracer::give_back(const Range& range) noexcept {
    if (clone_.pid() == 0) return;
    for_clone([&] { clone_.give_back(range); });
}

void Tracer::finish(ReleaseRecord& release) noexcept {
    if (target_ != nullptr) let_go();
    release.pause_ns = pause_ns_;
    if (clone_.pid() == 0) return;
    for_clone([this] { clone_.kill(); });
    reap_clone(request_.pid,
               directory_.get(),
               clone_.pid(),
               clone_.pid_in_target(),
               watchdog_,
               release.diagnostics);
}

// Until the client says release, hangs up or dies. False when max_pause came first.
bool wait_for_release(int socket, int client, std::int64_t deadline_ns) {
    pollfd watched[2] = {{socket, POLLIN, 0}, {client, POLLIN, 0}};
    for (;;) {
        int timeout_ms = -1;
        if (deadline_ns != 0) {
            const std::int64_t left = deadline_ns - monotonic_ns();
            if (left <= 0) return false;
            timeout_ms = static_cast<int>(left / 1'000'000) + 1;
        }
        const int ready = ::poll(watched, 2, timeout_ms);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return true;
    }
}

void serve_capture(int socket, int client, const TracerRequest& request, Watchdog& watchdog) {
    Tracer tracer(request, watchdog);
    ReleaseRecord release;
    try {
        tracer.capture();
        send_capture(socket, tracer.record(), tracer.descriptors());
    } catch (...) {
        watchdog.set_limit(0);
        tracer.finish(release);
        throw;
    }
    // The client has its copy: thousands of threads' registers need not stay here twice.
    tracer.record() = {};
    if (tracer.holding() && !wait_for_release(socket, client, tracer.hold_deadline_ns())) {
        tracer.let_go();
        release.held_to_the_end = false;
    }
    for (;;) {
        wait_for_release(socket, client, 0);
        const auto next = receive_request(socket, false);
        if (!next || next->kind != RequestKind::kGiveBack) break;
        tracer.give_back(next->range);
    }
    tracer.finish(release);
    send_release(socket, release);
}

}  // namespace

void serve_tracer(int socket, int client) noexcept {
    try {
        const auto request = receive_request(socket);
        if (!request) return;
        try {
            Watchdog watchdog([&] {
                try {
                    send_error(socket, held_up(request->pid));
                } catch (const std::exception&) {
                    // The other side has gone.
                }
                if (client >= 0) ::_exit(0);
            });
            if (request->kind == RequestKind::kReap) {
                ReleaseRecord release;
                const UniqueDescriptor directory = open_process_directory(request->pid);
                reap_clone(request->pid,
                           directory.get(),
                           request->clone,
                           request->clone_in_target,
                           watchdog,
                           release.diagnostics);
                send_release(socket, release);
            } else {
                serve_capture(socket, client, *request, watchdog);
            }
        } catch (const Error& error) {
            send_error(socket, error);
        } catch (const std::exception& error) {
            send_error(socket, Error(ErrorKind::kOther, ErrorDomain::kNone, 0, "", error.what()));
        }
    } catch (const std::exception&) {
        // The other side has gone; everything is released already.
    }
}

}  // namespace snapcore::linux_os
