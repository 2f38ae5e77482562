// SPDX-License-Identifier: Apache-2.0
//
// One process of each unusual kind, chosen by the first argument: memory that fork treats apart,
// threads that are not the program's own, a crowd of threads or mappings, and processes that never
// stand still.
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "target.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPages = 16;
constexpr std::size_t kHugePage = 2u << 20;

int argument_count;
char** arguments;

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    _exit(3);
}

std::uint8_t* map(std::size_t size, int flags, int fd = -1) {
    void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return static_cast<std::uint8_t*>(memory);
}

void fill(std::uint8_t* memory, std::size_t size, int value) {
    std::memset(memory, value, size);
}

// Says where the memory is; "fill N" fills it anew.
void serve_memory(std::uint8_t* memory, std::size_t size) {
    target::Json()
        .add("pid", static_cast<std::uint64_t>(getpid()))
        .add("memory", reinterpret_cast<std::uintptr_t>(memory))
        .add("size", size)
        .print();
    target::serve([=](const std::string& command) {
        if (command.starts_with("fill ")) fill(memory, size, std::atoi(command.c_str() + 5));
        target::Json().add("done", command).print();
    });
}

void private_memory(int advice) {
    constexpr std::size_t kSize = kPages * kPage;
    std::uint8_t* const memory = map(kSize, MAP_PRIVATE | MAP_ANONYMOUS);
    fill(memory, kSize, 0x11);
    if (madvise(memory, kSize, advice) != 0) fail("madvise");
    serve_memory(memory, kSize);
}

// Memory of the kernel's own that is mapped by page frame: the ring of a performance counter.
void device_memory() {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_SW_DUMMY;
    const int counter = static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
    if (counter < 0) fail("perf_event_open");
    constexpr std::size_t kSize = 9 * kPage;
    serve_memory(map(kSize, MAP_SHARED, counter), kSize);
}

// Where the first thread's stack lies.
std::pair<std::uint8_t*, std::uint8_t*> first_stack() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (!line.ends_with("[stack]")) continue;
        char* end = nullptr;
        const std::uint64_t from = std::strtoull(line.c_str(), &end, 16);
        const std::uint64_t to = std::strtoull(end + 1, nullptr, 16);
        return {reinterpret_cast<std::uint8_t*>(from), reinterpret_cast<std::uint8_t*>(to)};
    }
    fail("no stack");
}

// Its only thread runs on a stack that is none of the system's, as coroutines have it, and the
// system's was used to its end.
void coroutine() {
    for (std::size_t i = 0; i < 16; ++i)
        *static_cast<volatile std::uint8_t*>(first_stack().first + i * kPage) = 0x11;
    static ucontext_t own, other;
    constexpr std::size_t kSize = 64 * kPage;
    static std::uint8_t* const stack = map(kSize, MAP_PRIVATE | MAP_ANONYMOUS);
    getcontext(&other);
    other.uc_stack.ss_sp = stack;
    other.uc_stack.ss_size = kSize;
    other.uc_link = &own;
    makecontext(&other, [] { serve_memory(stack, kPage); }, 0);
    swapcontext(&own, &other);
}

// Its stack refers to more pages than a dump follows.
void referring_stack() {
    constexpr std::size_t kReferred = 5000;
    std::uint8_t* const memory = map(kReferred * kPage, MAP_PRIVATE | MAP_ANONYMOUS);
    std::uint8_t* volatile pages[kReferred];
    for (std::size_t i = 0; i < kReferred; ++i) pages[i] = memory + i * kPage;
    serve_memory(pages[0], kPage);
}

// A clone lacks the stack of its only thread.
void stack_kept_from_forks() {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) & -kPage;
    auto* const low = reinterpret_cast<std::uint8_t*>(here - 8 * kPage);
    const auto size = static_cast<std::size_t>(first_stack().second - low);
    if (madvise(low, size, MADV_DONTFORK) != 0) fail("madvise");
    serve_memory(map(kPage, MAP_PRIVATE | MAP_ANONYMOUS), kPage);
}

void shared_memory(bool file) {
    constexpr std::size_t kSize = kPages * kPage;
    const int fd = file ? memfd_create("kinds", 0) : -1;
    if (file && ftruncate(fd, kSize) != 0) fail("ftruncate");
    std::uint8_t* const memory = map(kSize, file ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS, fd);
    fill(memory, kSize, 0x11);
    serve_memory(memory, kSize);
}

// The first page, a page without access, a guard where the kernel has it, then the rest.
void guarded_memory() {
    constexpr std::size_t kSize = kPages * kPage;
    std::uint8_t* const memory = map(kSize, MAP_PRIVATE | MAP_ANONYMOUS);
    fill(memory, kSize, 0x11);
    if (mprotect(memory + kPage, kPage, PROT_NONE) != 0) fail("mprotect");
    if (madvise(memory + 3 * kPage, kPage, MADV_GUARD_INSTALL) != 0) fail("MADV_GUARD_INSTALL");
    serve_memory(memory, kSize);
}

void huge_memory() {
    std::uint8_t* const memory = map(kHugePage, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
    fill(memory, kHugePage, 0x11);
    serve_memory(memory, kHugePage);
}

// Pages that a thread of this process fills when they are touched; the first one is.
void userfault_memory() {
    constexpr std::size_t kSize = kPages * kPage;
    const int faults = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
    if (faults < 0) fail("userfaultfd");
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = UFFD_FEATURE_EVENT_FORK;
    if (ioctl(faults, UFFDIO_API, &api) != 0) fail("UFFDIO_API");
    std::uint8_t* const memory = map(kSize, MAP_PRIVATE | MAP_ANONYMOUS);
    uffdio_register registration{};
    registration.range = {reinterpret_cast<std::uintptr_t>(memory), kSize};
    registration.mode = UFFDIO_REGISTER_MODE_MISSING;
    if (ioctl(faults, UFFDIO_REGISTER, &registration) != 0) fail("UFFDIO_REGISTER");
    std::thread([faults] {
        static std::uint8_t page[kPage];
        std::memset(page, 0x11, sizeof page);
        uffd_msg message;
        while (read(faults, &message, sizeof message) == sizeof message) {
            if (message.event != UFFD_EVENT_PAGEFAULT) fail("an event that is no fault");
            uffdio_copy copy{};
            copy.dst = message.arg.pagefault.address / kPage * kPage;
            copy.src = reinterpret_cast<std::uintptr_t>(page);
            copy.len = kPage;
            ioctl(faults, UFFDIO_COPY, &copy);
        }
    }).detach();
    if (*const_cast<volatile std::uint8_t*>(memory) != 0x11) fail("a page that was not filled");
    serve_memory(memory, kSize);
}

// A ring whose requests a kernel thread takes (iou-sqp), or one that works a request off in one
// (iou-wrk): a read of a pipe that stays empty.
void ring(bool polled) {
    io_uring_params parameters{};
    if (polled) {
        parameters.flags = IORING_SETUP_SQPOLL;
        parameters.sq_thread_idle = 600'000;
    }
    const int fd = static_cast<int>(syscall(SYS_io_uring_setup, 8, &parameters));
    if (fd < 0) fail("io_uring_setup");
    static int ends[2];
    static char byte;
    if (pipe(ends) != 0) fail("pipe");
    const auto area = [fd](std::uint64_t offset) {
        void* const at = mmap(nullptr,
                              16 * kPage,
                              PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_POPULATE,
                              fd,
                              static_cast<off_t>(offset));
        if (at == MAP_FAILED) fail("mmap of the ring");
        return static_cast<std::uint8_t*>(at);
    };
    std::uint8_t* const queue = area(IORING_OFF_SQ_RING);
    auto* const entries = reinterpret_cast<io_uring_sqe*>(area(IORING_OFF_SQES));
    entries[0] = {};
    entries[0].opcode = IORING_OP_READ;
    entries[0].flags = IOSQE_ASYNC;
    entries[0].fd = ends[0];
    entries[0].addr = reinterpret_cast<std::uintptr_t>(&byte);
    entries[0].len = 1;
    reinterpret_cast<std::uint32_t*>(queue + parameters.sq_off.array)[0] = 0;
    __atomic_store_n(
        reinterpret_cast<std::uint32_t*>(queue + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (!polled && syscall(SYS_io_uring_enter, fd, 1, 0, 0, nullptr, 0) != 1) {
        fail("io_uring_enter");
    }
    target::Json().add("pid", static_cast<std::uint64_t>(getpid())).print();
    // Whether the ring still works: the byte arrives, and the request is complete.
    target::serve([=](const std::string& command) {
        if (command == "complete") {
            if (write(ends[1], "x", 1) != 1) fail("write");
            auto* const tail = reinterpret_cast<std::uint32_t*>(queue + parameters.cq_off.tail);
            for (int i = 0; i < 5000 && __atomic_load_n(tail, __ATOMIC_ACQUIRE) == 0; ++i) {
                usleep(1000);
            }
            const auto* const done =
                reinterpret_cast<const io_uring_cqe*>(queue + parameters.cq_off.cqes);
            target::Json()
                .add("completions", __atomic_load_n(tail, __ATOMIC_ACQUIRE))
                .add("result", static_cast<std::uint64_t>(done->res))
                .add("byte", std::string(1, byte))
                .print();
        } else {
            target::Json().add("done", command).print();
        }
    });
}

// A thread in uninterruptible sleep until "wake".
void vfork_parent() {
    static std::atomic<pid_t> child{0};
    std::thread([] {
        const pid_t made = vfork();
        if (made == 0) {
            child = static_cast<pid_t>(syscall(SYS_getpid));
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;) pause();
        }
        waitpid(made, nullptr, 0);
        child = 0;
    }).detach();
    while (child == 0) usleep(1000);
    target::Json().add("pid", static_cast<std::uint64_t>(getpid())).print();
    target::serve([](const std::string& command) {
        if (command == "wake") {
            kill(child, SIGKILL);
            while (child != 0) usleep(1000);
        }
        target::Json().add("done", command).print();
    });
}

void crowd(int threads, int mappings) {
    static std::atomic<int> started{0};
    for (int i = 0; i < threads; ++i) {
        std::thread([] {
            ++started;
            for (;;) pause();
        }).detach();
    }
    while (started < threads) usleep(1000);
    // Neighbours differ in their rights, so that none are joined.
    std::uint8_t* const memory = map(static_cast<std::size_t>(mappings) * kPage + kPage,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    fill(memory, static_cast<std::size_t>(mappings) * kPage, 0x11);
    for (int i = 0; i < mappings; i += 2) {
        if (mprotect(memory + static_cast<std::size_t>(i) * kPage, kPage, PROT_READ) != 0) {
            fail("mprotect");
        }
    }
    target::Json()
        .add("pid", static_cast<std::uint64_t>(getpid()))
        .add("memory", reinterpret_cast<std::uintptr_t>(memory))
        .print();
    target::serve([](const std::string& command) {
        if (command == "fork") {
            const std::int64_t begin = target::now_ns();
            const pid_t child = fork();
            if (child == 0) _exit(0);
            const std::int64_t elapsed = target::now_ns() - begin;
            waitpid(child, nullptr, 0);
            target::Json().add("fork_ns", static_cast<std::uint64_t>(elapsed)).print();
        } else {
            target::Json().add("done", command).print();
        }
    });
}

std::atomic<std::uint64_t> rounds{0}, violations{0};

void serve_rounds() {
    target::Json().add("pid", static_cast<std::uint64_t>(getpid())).print();
    target::serve([](const std::string&) {
        target::Json().add("rounds", rounds.load()).add("violations", violations.load()).print();
    });
}

void fork_without_end() {
    std::thread([] {
        for (;; ++rounds) {
            const pid_t child = fork();
            if (child == 0) _exit(7);
            int status = 0;
            if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7) ++violations;
        }
    }).detach();
    serve_rounds();
}

void spawn_without_end() {
    std::thread([] {
        for (;; ++rounds) {
            char name[] = "true";
            char* const argv[] = {name, nullptr};
            pid_t child = 0;
            int status = -1;
            if (posix_spawnp(&child, name, nullptr, nullptr, argv, environ) != 0 ||
                waitpid(child, &status, 0) != child || status != 0) {
                ++violations;
            }
        }
    }).detach();
    serve_rounds();
}

void create_threads_without_end() {
    for (int i = 0; i < 2; ++i) {
        std::thread([] {
            for (;; ++rounds) {
                std::vector<std::thread> some;
                std::atomic<int> ran{0};
                for (int k = 0; k < 4; ++k) some.emplace_back([&ran] { ++ran; });
                for (std::thread& thread : some) thread.join();
                if (ran != 4) ++violations;
            }
        }).detach();
    }
    serve_rounds();
}

// The only thread runs on a stack in a heap, with neighbours above and below.
void run_on_a_heap_stack() {
    constexpr std::size_t kPart = 8 * kPage;
    static std::uint8_t* const memory = map(3 * kPart, MAP_PRIVATE | MAP_ANONYMOUS);
    fill(memory, 3 * kPart, 0x11);
    static ucontext_t here, there;
    getcontext(&there);
    there.uc_stack.ss_sp = memory + kPart;
    there.uc_stack.ss_size = kPart;
    there.uc_link = &here;
    makecontext(
        &there,
        [] {
            target::Json().add("pid", static_cast<std::uint64_t>(getpid())).print();
            target::serve([](const std::string&) {
                const auto changed = [](const std::uint8_t* from) {
                    std::uint64_t count = 0;
                    for (std::size_t i = 0; i < kPart; ++i) count += from[i] != 0x11;
                    return count;
                };
                violations = changed(memory) + changed(memory + 2 * kPart);
                target::Json()
                    .add("rounds", ++rounds)
                    .add("violations", violations.load())
                    .add("report", std::string("bytes of a neighbour were changed"))
                    .print();
            });
        },
        0);
    swapcontext(&here, &there);
}

// Counts its lives in a file; the execve comes from the first thread and from another in turn.
void exec_without_end(int threads) {
    const int fd = open(arguments[2], O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, kPage) != 0) fail(arguments[2]);
    auto* const lives = reinterpret_cast<volatile std::uint64_t*>(map(kPage, MAP_SHARED, fd));
    close(fd);
    if (*lives == 0) target::Json().add("pid", static_cast<std::uint64_t>(getpid())).print();
    *lives = *lives + 1;
    for (int i = 0; i < threads; ++i) {
        std::thread([] {
            for (;;) pause();
        }).detach();
    }
    const auto again = [] {
        execv("/proc/self/exe", arguments);
        fail("execv");
    };
    if (threads > 0 && *lives % 2 == 0) std::thread(again).join();
    again();
}

int number(int index) {
    return argument_count > index ? std::atoi(arguments[index]) : 0;
}

}  // namespace

int main(int argc, char** argv) {
    argument_count = argc;
    arguments = argv;
    const std::map<std::string, std::function<void()>> kinds = {
        {"dontfork", [] { private_memory(MADV_DONTFORK); }},
        {"wipeonfork", [] { private_memory(MADV_WIPEONFORK); }},
        {"dontdump", [] { private_memory(MADV_DONTDUMP); }},
        {"device", device_memory},
        {"coroutine", coroutine},
        {"refers", referring_stack},
        {"dontfork_stack", stack_kept_from_forks},
        {"shared", [] { shared_memory(false); }},
        {"memfd", [] { shared_memory(true); }},
        {"guards", guarded_memory},
        {"hugetlb", huge_memory},
        {"userfaultfd", userfault_memory},
        {"io_uring_polled", [] { ring(true); }},
        {"io_uring_worker", [] { ring(false); }},
        {"vfork", vfork_parent},
        {"crowd", [] { crowd(number(2), number(3)); }},
        {"heap_stack", run_on_a_heap_stack},
        {"forks", fork_without_end},
        {"spawns", spawn_without_end},
        {"threads", create_threads_without_end},
        {"execs", [] { exec_without_end(0); }},
        {"execs_threaded", [] { exec_without_end(8); }},
        {"execs_crowd", [] { exec_without_end(60); }},
    };
    const auto kind = kinds.find(argc > 1 ? argv[1] : "");
    if (kind == kinds.end()) return 2;
    kind->second();
}
