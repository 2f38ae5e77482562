// SPDX-License-Identifier: Apache-2.0
//
// What the kernel keeps of a process beside its memory, and what a program would notice if it were
// lost: timers, an alternate signal stack, robust mutexes, restartable sequences, handlers, and a
// page that is shared with whatever is forked off. Arguments: none.
#include <linux/rseq.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <thread>

#include "target.h"

namespace {

// Shared with a clone, which must never write to it.
struct Shared {
    std::atomic<std::uint64_t> foreign_handlers, foreign_work;
};

Shared* shared;
pid_t own_pid;
std::atomic<std::uint64_t> rounds{0}, violations{0}, posix_expirations{0}, itimer_expirations{0},
    timerfd_expirations{0}, handlers_off_stack{0}, owner_deaths{0}, sequences{0}, aborts{0};
std::mutex report_mutex;
std::string report;
std::int64_t start_ns;

constexpr std::int64_t kPeriod = 5'000'000;
constexpr std::size_t kStack = 64 * 1024;

void violation(const std::string& text) {
    ++violations;
    const std::lock_guard lock(report_mutex);
    if (report.size() < 2000) report += text + "; ";
}

// Asked of the kernel, since a C library may remember what it was told before a fork.
bool is_own_process() {
    return syscall(SYS_getpid) == own_pid;
}

// Every handler: in a clone it must not run at all, and here on the alternate stack alone.
void on_signal(int signal, siginfo_t* info, void*) {
    if (!is_own_process()) ++shared->foreign_handlers;
    stack_t stack{};
    sigaltstack(nullptr, &stack);
    if ((stack.ss_flags & SS_ONSTACK) == 0) ++handlers_off_stack;
    if (signal == SIGALRM) ++itimer_expirations;
    if (signal == SIGRTMIN && info->si_code == SI_TIMER) {
        posix_expirations += 1 + static_cast<std::uint64_t>(info->si_overrun);
    }
}

void give_stack() {
    stack_t stack{};
    stack.ss_sp = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack.ss_size = kStack;
    sigaltstack(&stack, nullptr);
}

bool has_stack() {
    stack_t stack{};
    sigaltstack(nullptr, &stack);
    return stack.ss_size == kStack && (stack.ss_flags & SS_DISABLE) == 0;
}

void start_timers() {
    const itimerval interval{{0, kPeriod / 1000}, {0, kPeriod / 1000}};
    setitimer(ITIMER_REAL, &interval, nullptr);
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN;
    timer_t timer;
    const itimerspec period{{0, kPeriod}, {0, kPeriod}};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) _exit(3);
    do {  // as long as it was held up in between
        start_ns = target::now_ns();
        if (timer_settime(timer, 0, &period, nullptr) != 0) _exit(3);
    } while (target::now_ns() - start_ns > kPeriod / 2);
    std::thread([period] {
        const int fd = timerfd_create(CLOCK_MONOTONIC, 0);
        const std::int64_t before_start = target::now_ns();
        timerfd_settime(fd, 0, &period, nullptr);
        const std::int64_t after_start = target::now_ns();
        for (;;) {
            const std::int64_t before = target::now_ns();
            std::uint64_t expired = 0;
            if (read(fd, &expired, sizeof expired) != sizeof expired) {
                violation("read of a timerfd: errno " + std::to_string(errno));
            }
            // All that had expired when it was called, and no more than have when it returns.
            timerfd_expirations += expired;
            const auto count = static_cast<std::int64_t>(timerfd_expirations.load());
            if (count < (before - after_start) / kPeriod - 1 ||
                count > (target::now_ns() - before_start) / kPeriod) {
                violation("a timerfd has expired " + std::to_string(count) + " times");
            }
        }
    }).detach();
}

// A thread dies with the mutex; whoever comes next must be told, and nobody else.
void robust_mutexes() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    static pthread_mutex_t dying, living;
    pthread_mutex_init(&dying, &attributes);
    pthread_mutex_init(&living, &attributes);
    for (;; ++rounds) {
        std::thread([] { pthread_mutex_lock(&dying); }).join();
        if (pthread_mutex_lock(&dying) != EOWNERDEAD)
            violation("the death of an owner is not told");
        ++owner_deaths;
        pthread_mutex_consistent(&dying);
        pthread_mutex_unlock(&dying);
        // Held for longer than a snapshot takes: were it told of a clone's end, the owner would be
        // called dead.
        std::thread other([] {
            if (pthread_mutex_lock(&living) != 0) violation("an owner that lives is called dead");
            usleep(500);
            pthread_mutex_unlock(&living);
        });
        if (pthread_mutex_lock(&living) != 0) violation("an owner that lives is called dead");
        usleep(500);
        pthread_mutex_unlock(&living);
        other.join();
    }
}

extern "C" const unsigned __rseq_size;
extern "C" const std::ptrdiff_t __rseq_offset;

// A restartable sequence that counts in two steps: cut in the middle it must begin again, or the
// second count would be behind. Its memory is this thread's alone.
void restartable_sequences() {
    if (__rseq_size == 0) {
        violation("the C library has registered no restartable sequences");
        return;
    }
    auto* const area = reinterpret_cast<rseq*>(reinterpret_cast<char*>(__builtin_thread_pointer()) +
                                               __rseq_offset);
    std::uint64_t value = 0, restarts = 0;
    for (;; ++sequences) {
        const std::uint64_t before = value;
        std::uint64_t turns = 0;
#if defined(__x86_64__)
        asm volatile(R"(
            .pushsection __rseq_table, "aw"
            .balign 32
        9:  .long 0, 0
            .quad 1f, 2f - 1f, 4f
            .popsection
            jmp 5f
            .pushsection .text.rseq_abort, "ax"
            .byte 0x0f, 0xb9, 0x3d
            .long 0x53053053
        4:  incq %[restarts]
            jmp 5f
            .popsection
        5:  movq $300, %[turns]
            leaq 9b(%%rip), %%rax
            movq %%rax, %[section]
        1:  decq %[turns]
            jnz 1b
            incq %[value]
        2:  movq $0, %[section]
        )"
                     : [value] "+m"(value),
                       [restarts] "+m"(restarts),
                       [turns] "+r"(turns),
                       [section] "=m"(area->rseq_cs)
                     :
                     : "rax", "memory", "cc");
#elif defined(__aarch64__)
        asm volatile(R"(
            .pushsection __rseq_table, "aw"
            .balign 32
        9:  .long 0, 0
            .quad 1f, 2f - 1f, 4f
            .popsection
            b 5f
            .pushsection .text.rseq_abort, "ax"
            .inst 0xd428bc00
        4:  ldr x10, %[restarts]
            add x10, x10, #1
            str x10, %[restarts]
            b 5f
            .popsection
        5:  mov %[turns], #300
            adrp x10, 9b
            add x10, x10, :lo12:9b
            str x10, %[section]
        1:  sub %[turns], %[turns], #1
            cbnz %[turns], 1b
            ldr x10, %[value]
            add x10, x10, #1
            str x10, %[value]
        2:  str xzr, %[section]
        )"
                     : [value] "+m"(value),
                       [restarts] "+m"(restarts),
                       [turns] "+r"(turns),
                       [section] "=m"(area->rseq_cs)
                     :
                     : "x10", "memory", "cc");
#endif
        if (value != before + 1) violation("a restartable sequence was not done once");
        aborts = restarts;
    }
}

void check() {
    const std::int64_t elapsed = target::now_ns() - start_ns;
    syscall(SYS_getppid);  // a signal that is due is delivered before it returns
    target::Json()
        .add("violations", violations.load())
        .add("report", report)
        .add("rounds", rounds.load())
        .add("foreign_handlers", shared->foreign_handlers.load())
        .add("foreign_work", shared->foreign_work.load())
        .add("handlers_off_stack", handlers_off_stack.load())
        .add("has_stack", std::uint64_t{has_stack()})
        .add("expected", static_cast<std::uint64_t>(elapsed / kPeriod))
        .add("posix", posix_expirations.load())
        .add("itimer", itimer_expirations.load())
        .add("timerfd", timerfd_expirations.load())
        .add("owner_deaths", owner_deaths.load())
        .add("sequences", sequences.load())
        .add("restarts", aborts.load())
        .print();
}

}  // namespace

int main() {
    own_pid = getpid();
    shared = static_cast<Shared*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &unlimited);
    // The leader alone takes signals. Every one that can be has a handler: that of a clone's death
    // or fault would be seen in the shared page.
    give_stack();
    struct sigaction action{};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    for (int signal = 1; signal <= SIGRTMAX; ++signal) sigaction(signal, &action, nullptr);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    std::thread(robust_mutexes).detach();
    std::thread(restartable_sequences).detach();
    // In user code, so it is where a clone is made, and where one would go on.
    std::thread([] {
        for (;;) {
            if (!is_own_process()) ++shared->foreign_work;
            for (int i = 0; i < 1000; ++i) asm volatile("" ::: "memory");
        }
    }).detach();
    start_timers();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    target::Json().add("pid", static_cast<std::uint64_t>(own_pid)).print();
    target::serve([](const std::string&) { check(); });
}
