// SPDX-License-Identifier: Apache-2.0
//
// Memory by the gibibyte, in small or huge pages, and threads that measure what a snapshot costs
// them. Arguments: MIB [huge] [threads=N] [mappings=N]
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "target.h"

namespace {

std::atomic<std::int64_t> largest_gap_ns{0};
std::atomic<std::uint64_t> looks{0};
std::atomic<bool> measuring{false};

// Spins and notes the longest time between two looks at the clock; idle, and so free of cost, while
// nothing is measured.
void meter() {
    for (;;) {
        measuring.wait(false);
        std::int64_t last = target::now_ns();
        while (measuring.load(std::memory_order_relaxed)) {
            const std::int64_t now = target::now_ns();
            if (now - last > largest_gap_ns.load(std::memory_order_relaxed)) {
                largest_gap_ns.store(now - last);
            }
            last = now;
            looks.fetch_add(1);
        }
    }
}

// What happened before the call has been seen by the meter after it, however late it gets a
// processor.
void wait_for_meter() {
    const std::uint64_t before = looks;
    while (looks < before + 2) sched_yield();
}

std::atomic<bool> writing{false};

// The first word is always incremented before the second: a copy of one instant holds them equal,
// or the first one ahead by one.
void writer(volatile std::uint64_t* first, volatile std::uint64_t* second) {
    for (;;) {
        while (!writing.load(std::memory_order_relaxed)) {
            timespec rest{0, 1'000'000};
            nanosleep(&rest, nullptr);
        }
        *first = *first + 1;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        *second = *second + 1;
    }
}

std::int64_t fork_ns() {
    const std::int64_t start = target::now_ns();
    const pid_t child = fork();
    if (child == 0) _exit(0);
    const std::int64_t elapsed = target::now_ns() - start;
    waitpid(child, nullptr, 0);
    return elapsed;
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t size = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 64) << 20;
    bool huge = false;
    int threads = 0;
    std::size_t mappings = 0;
    for (int i = 2; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "huge") huge = true;
        if (argument.starts_with("threads=")) threads = std::atoi(argv[i] + 8);
        if (argument.starts_with("mappings=")) mappings = std::strtoull(argv[i] + 9, nullptr, 10);
    }
    constexpr std::size_t kHuge = 2u << 20;
    auto* raw = static_cast<std::uint8_t*>(mmap(nullptr,
                                                size + kHuge,
                                                PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                                -1,
                                                0));
    if (raw == MAP_FAILED) return 3;
    auto* const memory = reinterpret_cast<std::uint8_t*>(
        (reinterpret_cast<std::uintptr_t>(raw) + kHuge - 1) / kHuge * kHuge);
    madvise(memory, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    // Every page differs, so that none is taken for zeros.
    for (std::size_t at = 0; at < size; at += 4096) {
        std::memset(memory + at, static_cast<int>(1 + at / 4096 % 250), 4096);
        std::memcpy(memory + at, &at, sizeof at);
    }
    auto* const first = reinterpret_cast<volatile std::uint64_t*>(memory + 64);
    auto* const second = reinterpret_cast<volatile std::uint64_t*>(memory + size - 64);
    *first = 0;
    *second = 0;
    if (mappings != 0) {
        constexpr std::size_t kPage = 4096;
        auto* const pages = static_cast<std::uint8_t*>(mmap(
            nullptr, mappings * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (pages == MAP_FAILED) return 3;
        std::memset(pages, 1, mappings * kPage);
        // Neighbours of one protection would be one mapping.
        for (std::size_t i = 0; i < mappings; i += 2) mprotect(pages + i * kPage, kPage, PROT_READ);
    }
    std::thread(writer, first, second).detach();
    std::thread(meter).detach();
    for (int i = 0; i < threads; ++i) {
        std::thread([] {
            for (;;) pause();
        }).detach();
    }
    target::Json()
        .add("pid", static_cast<std::uint64_t>(getpid()))
        .add("memory", reinterpret_cast<std::uintptr_t>(memory))
        .add("size", size)
        .add("first", reinterpret_cast<std::uintptr_t>(first))
        .add("second", reinterpret_cast<std::uintptr_t>(second))
        .print();
    target::serve([&](const std::string& command) {
        if (command == "measure") {
            measuring = true;
            measuring.notify_one();
            wait_for_meter();
            largest_gap_ns = 0;
            target::Json().print();
        } else if (command == "gap") {
            wait_for_meter();
            const std::int64_t gap = largest_gap_ns;
            measuring = false;
            target::Json().add("gap_ns", static_cast<std::uint64_t>(gap)).print();
        } else if (command == "write") {
            writing = true;
            target::Json().print();
        } else if (command == "rest") {
            writing = false;
            target::Json().print();
        } else if (command == "fork") {
            std::vector<std::int64_t> times;
            for (int i = 0; i < 5; ++i) times.push_back(fork_ns());
            std::sort(times.begin(), times.end());
            target::Json().add("fork_ns", static_cast<std::uint64_t>(times[2])).print();
        }
    });
}
