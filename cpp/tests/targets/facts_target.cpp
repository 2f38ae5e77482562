// SPDX-License-Identifier: Apache-2.0
//
// A process that knows the truth about itself: threads and names, descriptors, sentinel bytes in
// every kind of memory, and a thread whose registers hold known values while it spins. Arguments:
// FOLDER [undumpable]
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include "target.h"

namespace {

char data_sentinel[64] = "snapcore: initialised data sentinel";
char bss_sentinel[64];
const char constant_sentinel[64] = "snapcore: constant sentinel";

std::atomic<int> parked_tid{0}, stack_tid{0};
std::atomic<char*> stack_address{nullptr};

alignas(64) std::array<std::array<std::uint64_t, 4>,
                       8> vectors;  // into ymm8-15, or their halves into v8-15
#if defined(__x86_64__)
constexpr std::uint32_t kFloatControl = 0x1f80 | 0x2000;  // MXCSR: round down
#else
constexpr std::uint64_t kFloatControl = 2u << 22;  // FPCR: the same
#endif

void park() {
    pthread_setname_np(pthread_self(), "parked");
    for (std::size_t i = 0; i < vectors.size(); ++i) {
        for (std::size_t k = 0; k < 4; ++k) vectors[i][k] = 0x1111111111111111ull * (i + 1) + k;
    }
    parked_tid = target::tid();
#if defined(__x86_64__)
    asm volatile(
        "ldmxcsr %[control]\n"
        "vmovdqu 0(%[v]), %%ymm8\n vmovdqu 32(%[v]), %%ymm9\n vmovdqu 64(%[v]), %%ymm10\n"
        "vmovdqu 96(%[v]), %%ymm11\n vmovdqu 128(%[v]), %%ymm12\n vmovdqu 160(%[v]), %%ymm13\n"
        "vmovdqu 192(%[v]), %%ymm14\n vmovdqu 224(%[v]), %%ymm15\n"
        "movabs $0x5b5b5b5b00000001, %%rbx\n movabs $0x5b5b5b5b0000000c, %%r12\n"
        "movabs $0x5b5b5b5b0000000d, %%r13\n movabs $0x5b5b5b5b0000000e, %%r14\n"
        "movabs $0x5b5b5b5b0000000f, %%r15\n"
        "1: pause\n jmp 1b\n"
        :
        : [control] "m"(kFloatControl), [v] "r"(vectors.data())
        : "rbx", "r12", "r13", "r14", "r15", "memory");
#elif defined(__aarch64__)
    asm volatile(
        "msr fpcr, %[control]\n"
        "ldr q8, [%[v], #0]\n ldr q9, [%[v], #32]\n ldr q10, [%[v], #64]\n"
        "ldr q11, [%[v], #96]\n ldr q12, [%[v], #128]\n ldr q13, [%[v], #160]\n"
        "ldr q14, [%[v], #192]\n ldr q15, [%[v], #224]\n"
        "ldr x19, =0x5b5b5b5b00000001\n ldr x20, =0x5b5b5b5b0000000c\n"
        "ldr x21, =0x5b5b5b5b0000000d\n ldr x22, =0x5b5b5b5b0000000e\n"
        "ldr x23, =0x5b5b5b5b0000000f\n"
        "1: yield\n b 1b\n"
        ".ltorg\n"
        :
        : [control] "r"(kFloatControl), [v] "r"(vectors.data())
        : "x19", "x20", "x21", "x22", "x23", "memory");
#endif
}

void hold_stack() {
    pthread_setname_np(pthread_self(), "stack-holder");
    char bytes[64];
    std::strcpy(bytes, "snapcore: stack sentinel");
    stack_tid = target::tid();
    stack_address = bytes;
    int ends[2];
    if (pipe(ends) != 0) _exit(3);
    char c;
    (void)!read(ends[0], &c, 1);
    asm volatile("" : : "r"(bytes) : "memory");
}

std::string hex(const void* address) {
    std::ostringstream out;
    out << reinterpret_cast<std::uintptr_t>(address);
    return out.str();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string folder = argc > 1 ? argv[1] : "/tmp";
    if (argc > 2 && std::string_view(argv[2]) == "undumpable") prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    pthread_setname_np(pthread_self(), "facts-main");
    std::thread(park).detach();
    std::thread(hold_stack).detach();
    while (parked_tid == 0 || stack_address == nullptr) sched_yield();

    std::strcpy(bss_sentinel, "snapcore: bss sentinel");
    char* const heap = static_cast<char*>(std::malloc(100));
    std::strcpy(heap, "snapcore: heap sentinel");
    constexpr std::size_t kSparse = 64u << 20;
    char* const sparse = static_cast<char*>(mmap(nullptr,
                                                 kSparse,
                                                 PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                                 -1,
                                                 0));
    std::strcpy(sparse + kSparse / 2, "snapcore: sparse sentinel");
    char* const shared = static_cast<char*>(
        mmap(nullptr, 1u << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    std::strcpy(shared, "snapcore: shared sentinel");

    const std::string path = folder + "/facts-file.txt";
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0600);
    if (write(file, "0123456789", 10) != 10) return 3;
    lseek(file, 7, SEEK_SET);
    const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY);
    int pipes[2], sockets[2];
    if (pipe(pipes) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) return 3;
    const int event = eventfd(42, 0);
    const int epoll = epoll_create1(0);
    const int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    const int memory = memfd_create("facts", 0);
    if (ftruncate(memory, 12345) != 0) return 3;
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));

    target::Json fds;
    const std::pair<const char*, int> known[] = {
        {"File", file},
        {"Directory", directory},
        {"Pipe", pipes[0]},
        {"Socket", sockets[0]},
        {"EventFd", event},
        {"EventPoll", epoll},
        {"TimerFd", timer},
        {"MemFd", memory},
        {"PidFd", pidfd},
    };
    for (const auto& [name, fd] : known) fds.add(name, static_cast<std::uint64_t>(fd));

    target::Json sentinels;
    sentinels.raw("initialised data sentinel", hex(data_sentinel))
        .raw("constant sentinel", hex(constant_sentinel))
        .raw("bss sentinel", hex(bss_sentinel))
        .raw("heap sentinel", hex(heap))
        .raw("sparse sentinel", hex(sparse + kSparse / 2))
        .raw("shared sentinel", hex(shared))
        .raw("stack sentinel", hex(stack_address.load()));
    target::Json names;
    names.add(std::to_string(getpid()), std::string("facts-main"))
        .add(std::to_string(parked_tid), std::string("parked"))
        .add(std::to_string(stack_tid), std::string("stack-holder"));
    target::Json()
        .add("pid", static_cast<std::uint64_t>(getpid()))
        .raw("threads", names.str())
        .raw("descriptors", fds.str())
        .raw("sentinels", sentinels.str())
        .add("file", path)
        .add("parked", static_cast<std::uint64_t>(parked_tid.load()))
        .add("float_control", kFloatControl)
        .add("sparse", reinterpret_cast<std::uintptr_t>(sparse))
        .add("sparse_size", kSparse)
        .print();
    target::serve([&](const std::string& command) {
        if (command == "change") {
            std::strcpy(heap, "CHANGED CHANGED CHANGED");
            std::strcpy(shared, "CHANGED CHANGED CHANGED");
        } else if (command == "close pipe") {
            close(pipes[0]);
            close(pipes[1]);
        }
        target::Json().add("done", command).print();
    });
}
