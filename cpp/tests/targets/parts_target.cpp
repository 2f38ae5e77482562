// SPDX-License-Identifier: Apache-2.0
//
// Known bytes in every part of memory that a dump may hold by itself: data, code and headers of two
// modules (one of which no stack refers to), thread-local variables, heap that a stack refers to
// and heap that nothing does, private mappings of a file, secrets on a stack and in the
// environment. Arguments: FOLDER LIBRARY
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/rseq.h>

#include <atomic>
#include <cstring>
#include <map>
#include <thread>

#include "target.h"

namespace {

constexpr std::size_t kPage = 4096;

char data[64] = "snapcore: data";
char bss[64];
const char constant[64] = "snapcore: constant";
thread_local char local[64] = "snapcore: thread-local";

std::map<std::string, std::uintptr_t> places;
std::uintptr_t kernels_own[2];
std::atomic<bool> ready{false};

void note(const std::string& name, const void* address) {
    places[name] = reinterpret_cast<std::uintptr_t>(address);
}

// Where the kernel notes on which processor this thread runs: the only bytes that change while it
// sleeps and is stopped.
std::uintptr_t rseq_area() {
    return reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer()) +
           static_cast<std::uintptr_t>(__rseq_offset);
}

char* map(int fd, int flags, std::size_t size) {
    void* const out = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (out == MAP_FAILED) _exit(3);
    return static_cast<char*>(out);
}

char* anonymous(std::size_t pages) {
    return map(-1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, pages * kPage);
}

// Sleeps with a secret and two addresses on its stack; `known` is what it was told not to forget.
[[gnu::noinline]] void hold(char* known) {
    char secret[64];
    std::strcpy(secret, "snapcore: secret on the stack");
    char* volatile kept = known;
    note("stack", secret);
    note("kept", const_cast<char**>(&kept));
    note("local", local);
    note("return", __builtin_return_address(0));
    kernels_own[1] = rseq_area();
    ready = true;
    asm volatile("" : : "r"(secret), "r"(&kept) : "memory");
    for (;;) pause();
}

int describe(dl_phdr_info* info, std::size_t, void* wanted) {
    const std::string name = info->dlpi_name;
    if (name.find(static_cast<const char*>(wanted)) == std::string::npos) return 0;
    note("library", reinterpret_cast<void*>(info->dlpi_addr));
    return 1;
}

// In a frame of its own, which is gone and scrubbed when the dump is made: nothing on the first
// thread's stack shall refer to what only the other one knows.
[[gnu::noinline]] void arrange(const std::string& folder, char* library_path) {
    std::strcpy(bss, "snapcore: bss");
    note("data", data);
    note("bss", bss);
    note("constant", constant);
    note("code", reinterpret_cast<void*>(&hold));

    char* const referenced = anonymous(3) + kPage;
    std::strcpy(referenced + 128, "snapcore: referenced");
    std::strcpy(referenced + kPage, "snapcore: the page behind it");
    char* const forgotten = anonymous(1);
    std::strcpy(forgotten, "snapcore: forgotten");
    char* const sparse = anonymous(4096);  // 16 MiB
    std::strcpy(sparse + 2048 * kPage, "snapcore: sparse");
    char* const shared = map(-1, MAP_SHARED | MAP_ANONYMOUS, kPage);
    std::strcpy(shared, "snapcore: shared");
    const std::string path = folder + "/parts-file";
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int page = 0; page < 4; ++page) {
        char bytes[kPage] = {};
        std::snprintf(bytes, sizeof bytes, "snapcore: file page %d", page);
        if (write(file, bytes, sizeof bytes) != static_cast<ssize_t>(sizeof bytes)) _exit(3);
    }
    // One more than the file has: reading that one fails.
    char* const copy = map(file, MAP_PRIVATE, 5 * kPage);
    std::strcpy(copy + kPage, "snapcore: written copy");
    note("forgotten", forgotten);
    note("sparse", sparse + 2048 * kPage);
    note("shared", shared);
    note("copy", copy);
    note("referenced", referenced + 128);

    void* const library = dlopen(library_path, RTLD_NOW);
    if (library == nullptr) _exit(4);
    note("library_data", dlsym(library, "library_data"));
    note("library_code", dlsym(library, "library_code"));
    dl_iterate_phdr(describe, library_path);
    for (const ElfW(Dyn)* entry = _DYNAMIC; entry->d_tag != DT_NULL; ++entry) {
        if (entry->d_tag == DT_DEBUG) note("r_debug", reinterpret_cast<void*>(entry->d_un.d_ptr));
    }
    std::thread(hold, referenced + 128).detach();
    while (!ready) sched_yield();
    note("main_local", local);
    kernels_own[0] = rseq_area();
    target::Json addresses;
    for (const auto& [name, address] : places) addresses.add(name, address);
    places.clear();
    target::Json()
        .add("pid", static_cast<std::uint64_t>(getpid()))
        .raw("places", addresses.str())
        .raw("rseq",
             "[" + std::to_string(kernels_own[0]) + "," + std::to_string(kernels_own[1]) + "]")
        .print();
}

[[gnu::noinline]] void scrub() {
    volatile char dead[128 * 1024];
    for (volatile char& byte : dead) byte = 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    arrange(argv[1], argv[2]);
    scrub();
    for (;;) pause();
}
