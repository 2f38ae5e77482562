// SPDX-License-Identifier: Apache-2.0
//
// Threads asleep in system calls, each of which checks what it is told on waking, and one that
// counts. A snapshot must be seen by none of them. Arguments: FOLDER [tiles|crowd|busy|asleep]
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <thread>

#include "held_registers.h"
#include "target.h"

namespace {

std::atomic<std::uint64_t> counter{0}, rounds{0}, violations{0}, interrupted{0}, signals_handled{0},
    child_signals{0}, queued_signals{0};
std::atomic<bool> disorder{false};
std::atomic<int> counter_tid{0};
bool with_tiles = false;
int crowd = 0;
int busy = 0;
bool with_counter = true;
std::mutex report_mutex;
std::string report;

void violation(const std::string& text) {
    ++violations;
    const std::lock_guard lock(report_mutex);
    if (report.size() < 2000) report += text + "; ";
}

void name(const char* text) {
    pthread_setname_np(pthread_self(), text);
}

constexpr std::int64_t kSleep = 40'000'000;

// Sent to the counter with the numbers 1, 2, 3 ...
int queued_signal() {
    return SIGRTMIN + 1;
}

// No lock and no allocation: it runs as a signal handler.
void count_queued(int, siginfo_t* info, void*) {
    if (info->si_value.sival_int != static_cast<int>(++queued_signals)) {
        ++violations;
        disorder = true;
    }
}

// Runs `call` for ever; it must return `expected` with no error and not before kSleep.
template <class Call>
void sleeper(const char* text, long expected, Call call) {
    name(text);
    for (;;) {
        errno = 0;
        const std::int64_t start = target::now_ns();
        const long result = call();
        const int error = errno;
        const std::int64_t elapsed = target::now_ns() - start;
        if (result != expected) {
            violation(std::string(text) + " returned " + std::to_string(result) + " errno " +
                      std::to_string(error));
        } else if (elapsed < kSleep - 1'000'000) {
            violation(std::string(text) + " ended after " + std::to_string(elapsed) + " ns");
        }
        ++rounds;
    }
}

// Sleeps until something that never happens.
template <class Call>
void forever(const char* text, Call call) {
    name(text);
    for (;;) {
        errno = 0;
        const long result = call();
        if (result == -1 && errno == EINTR) {
            ++interrupted;
            continue;
        }
        violation(std::string(text) + " returned " + std::to_string(result) + " errno " +
                  std::to_string(errno));
    }
}

const timespec kShort{0, kSleep};

// Descriptors are opened here and not by the threads: all are there when the target says that it is
// ready.
void start() {
    std::thread([] {
        sleeper("nanosleep", 0, [] { return syscall(SYS_nanosleep, &kShort, nullptr); });
    }).detach();
    std::thread([] {
        sleeper("clock_nanosleep", 0, [] {
            return clock_nanosleep(CLOCK_MONOTONIC, 0, &kShort, nullptr);
        });
    }).detach();
    std::thread([] {
        sleeper("poll", 0, [] { return poll(nullptr, 0, kSleep / 1'000'000); });
    }).detach();
    std::thread([] {
        sleeper(
            "pselect", 0, [] { return pselect(0, nullptr, nullptr, nullptr, &kShort, nullptr); });
    }).detach();
    std::thread([] {
        static std::uint32_t word = 0;
        sleeper("futex-timed", -1, [] {
            const long result =
                syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &kShort, nullptr, 0);
            if (result != -1 || errno != ETIMEDOUT) return result == -1 ? -1000L - errno : result;
            return -1L;
        });
    }).detach();
    std::thread([] {
        static std::uint32_t word = 0;
        forever("futex", [] {
            return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
        });
    }).detach();
    static int ends[2];
    if (pipe(ends) != 0) _exit(3);
    std::thread([] {
        forever("read", [] {
            char c;
            return read(ends[0], &c, 1);
        });
    }).detach();
    static const int epoll = epoll_create1(0);
    std::thread([] {
        forever("epoll_wait", [] {
            epoll_event event;
            return epoll_wait(epoll, &event, 1, -1);
        });
    }).detach();
    static const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener, 1) != 0)
        _exit(3);
    std::thread([] {
        forever("accept", [] { return accept(listener, nullptr, nullptr); });
    }).detach();
    std::thread([] {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        forever("sigwaitinfo",
                [set] { return syscall(SYS_rt_sigtimedwait, &set, nullptr, nullptr, 8); });
    }).detach();
    // Enough for two threads of a tracer; the counter is of the second one's half.
    for (int i = 0; i < crowd; ++i) {
        std::thread([] {
            forever("read of a crowd", [] {
                char c;
                return read(ends[0], &c, 1);
            });
        }).detach();
    }
    // In user code and with a lock that they share.
    for (int i = 0; i < busy; ++i) {
        std::thread([] {
            static std::mutex mutex;
            static volatile std::uint64_t both[2];
            name("busy");
            for (;;) {
                const std::lock_guard lock(mutex);
                if (both[0] != both[1]) violation("two that are changed together differ");
                both[0] = both[0] + 1;
                both[1] = both[1] + 1;
            }
        }).detach();
    }
    if (!with_counter) return;
    std::thread([] {
        name("counter");
        // In user code, so it is the thread that a tracer would have make calls, and the only one
        // that takes signals of its own.
        sigset_t queued;
        sigemptyset(&queued);
        sigaddset(&queued, queued_signal());
        pthread_sigmask(SIG_UNBLOCK, &queued, nullptr);
        counter_tid = target::tid();
        for (std::uint64_t round = 1;; ++round) {
            const auto hold = [round] { return target::registers_hold(round); };
            // Every other round, so that both states of the processor are met.
            const bool held =
                with_tiles && round % 2 == 0 ? target::tile_holds(round, hold) : hold();
            if (!held) {
                violation(std::string("registers of the counter changed: ") +
                          target::changed_registers);
            }
            counter.store(round, std::memory_order_relaxed);
        }
    }).detach();
    while (counter_tid == 0) sched_yield();
}

// Things that a copy of the descriptor table elsewhere would disturb.
target::Json probe_descriptors() {
    target::Json out;
    int ends[2];
    if (pipe(ends) != 0) _exit(3);
    const int epoll = epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
    if (write(ends[1], "x", 1) != 1) _exit(3);
    close(ends[0]);
    out.add("stale_events", static_cast<std::uint64_t>(epoll_wait(epoll, &event, 1, 0)));
    close(ends[1]);
    close(epoll);
    return out;
}

int kept_listener = -1, kept_lock = -1, kept_pipe[2], kept_epoll = -1;
sockaddr_in kept_address{};
std::string lock_path;

void open_kept() {
    kept_listener = socket(AF_INET, SOCK_STREAM, 0);
    kept_address.sin_family = AF_INET;
    kept_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof kept_address;
    if (bind(kept_listener, reinterpret_cast<sockaddr*>(&kept_address), sizeof kept_address) != 0 ||
        listen(kept_listener, 1) != 0 ||
        getsockname(kept_listener, reinterpret_cast<sockaddr*>(&kept_address), &size) != 0) {
        _exit(3);
    }
    kept_lock = open(lock_path.c_str(), O_RDWR | O_CREAT, 0600);
    if (flock(kept_lock, LOCK_EX) != 0 || pipe(kept_pipe) != 0) _exit(3);
    kept_epoll = epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(kept_epoll, EPOLL_CTL_ADD, kept_pipe[0], &event);
}

// Called while a clone lives, with descriptors that were open when it was made.
target::Json close_kept() {
    target::Json out;
    if (write(kept_pipe[1], "x", 1) != 1) _exit(3);
    close(kept_pipe[0]);
    epoll_event event;
    out.add("stale_events", static_cast<std::uint64_t>(epoll_wait(kept_epoll, &event, 1, 0)));
    close(kept_listener);
    const int again = socket(AF_INET, SOCK_STREAM, 0);
    out.add("bind_errno",
            bind(again, reinterpret_cast<sockaddr*>(&kept_address), sizeof kept_address) == 0
                ? 0
                : static_cast<std::uint64_t>(errno));
    close(again);
    close(kept_lock);
    const int other = open(lock_path.c_str(), O_RDWR);
    out.add("flock_errno",
            flock(other, LOCK_EX | LOCK_NB) == 0 ? 0 : static_cast<std::uint64_t>(errno));
    close(other);
    close(kept_pipe[1]);
    close(kept_epoll);
    return out;
}

void check() {
    errno = 0;
    const pid_t child = waitpid(-1, nullptr, WNOHANG);
    const int wait_errno = child < 0 ? errno : 0;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    std::uint64_t blocked = 0;
    for (int s = 1; s < 32; ++s)
        blocked |= static_cast<std::uint64_t>(sigismember(&mask, s) == 1) << s;
    const std::lock_guard lock(report_mutex);
    target::Json()
        .add("violations", violations.load())
        .add("report", report)
        .add("interrupted", interrupted.load())
        .add("counter", counter.load())
        .add("rounds", rounds.load())
        .add("signals", signals_handled.load())
        .add("queued_signals", queued_signals.load())
        .add("disorder", std::uint64_t{disorder.load()})
        .add("child_signals", child_signals.load())
        .add("children", static_cast<std::uint64_t>(child < 0 ? 0 : 1))
        .add("wait_errno", static_cast<std::uint64_t>(wait_errno))
        .add("blocked", blocked)
        .print();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view option = argc > 2 ? argv[2] : "";
    with_tiles = option == "tiles" && target::ask_for_tiles();
    if (option == "crowd") crowd = 60;
    if (option == "busy") busy = 3;
    with_counter = option != "asleep";
    lock_path = std::string(argc > 1 ? argv[1] : "/tmp") + "/sleepers.lock";
    // Of the threads only this one takes signals, so that no sleeper is woken by one that it should
    // see.
    sigset_t all, usr2;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    struct sigaction numbered{};
    numbered.sa_flags = SA_SIGINFO | SA_RESTART;
    numbered.sa_sigaction = count_queued;
    sigaction(queued_signal(), &numbered, nullptr);
    start();
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigaddset(&usr2, queued_signal());
    pthread_sigmask(SIG_SETMASK, &usr2, nullptr);
    struct sigaction action{};
    action.sa_flags = SA_RESTART;
    action.sa_handler = [](int) { ++signals_handled; };
    sigaction(SIGUSR1, &action, nullptr);
    // Queued one by one, where an ordinary signal sent twice is one.
    sigaction(SIGRTMIN, &action, nullptr);
    action.sa_handler = [](int) { ++child_signals; };
    sigaction(SIGCHLD, &action, nullptr);
    target::Json()
        .add("pid", static_cast<std::uint64_t>(getpid()))
        .add("counter", static_cast<std::uint64_t>(counter_tid.load()))
        .add("queued", static_cast<std::uint64_t>(queued_signal()))
        .print();
    target::serve([](const std::string& command) {
        if (command == "check") {
            check();
        } else if (command == "probe") {
            probe_descriptors().print();
        } else if (command == "open kept") {
            open_kept();
            target::Json().add("port", ntohs(kept_address.sin_port)).print();
        } else if (command == "close kept") {
            close_kept().print();
        }
    });
}
