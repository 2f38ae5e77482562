// SPDX-License-Identifier: Apache-2.0
//
// A process under a seccomp filter that knows nothing of the calls that a snapshot makes in it, and
// answers them with an error, a trap or a kill; or in strict mode, which allows read and write
// alone. Argument: errno | trap | kill | strict.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "target.h"

namespace {

bool filter(std::uint32_t answer) {
    const int refused[] = {
        SYS_clone,
        SYS_clone3,
#if defined(SYS_fork)  // a newer processor has clone alone
        SYS_fork,
        SYS_vfork,
#endif
        SYS_wait4,
        SYS_close_range,
    };
    std::vector<sock_filter> code{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    };
    for (const int call : refused) {
        code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1));
        code.push_back(BPF_STMT(BPF_RET | BPF_K, answer));
    }
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// The library would ask for memory or for the kind of a descriptor, which ends the process here.
[[noreturn]] void serve_strictly() {
    char line[64];
    for (;;) {
        const ssize_t size = read(0, line, sizeof line);
        if (size <= 1) syscall(SYS_exit, 0);
        constexpr std::string_view kBefore = "{\"done\":\"", kAfter = "\"}\n";
        char answer[128];
        char* end = std::copy(kBefore.begin(), kBefore.end(), answer);
        end = std::copy(line, line + size - 1, end);
        end = std::copy(kAfter.begin(), kAfter.end(), end);
        (void)!write(1, answer, static_cast<std::size_t>(end - answer));
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view mode = argc > 1 ? argv[1] : "errno";
    const target::Json facts = target::Json().add("pid", static_cast<std::uint64_t>(getpid()));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 3;
    if (mode == "strict") {
        const std::string line = facts.str() + "\n";
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return 3;
        (void)!write(1, line.data(), line.size());
        serve_strictly();
    }
    const std::uint32_t answer = mode == "trap"   ? SECCOMP_RET_TRAP
                                 : mode == "kill" ? SECCOMP_RET_KILL_PROCESS
                                                  : SECCOMP_RET_ERRNO | EPERM;
    if (!filter(answer)) return 3;
    facts.print();
    target::serve([](const std::string& command) { target::Json().add("done", command).print(); });
}
