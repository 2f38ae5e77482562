// SPDX-License-Identifier: Apache-2.0
//
// A process under a seccomp filter that answers clone with an error, a trap or a kill. Argument:
// errno | trap | kill.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <iterator>

#include "target.h"

int main(int argc, char** argv) {
    const std::string_view mode = argc > 1 ? argv[1] : "errno";
    const std::uint32_t answer = mode == "trap"   ? SECCOMP_RET_TRAP
                                 : mode == "kill" ? SECCOMP_RET_KILL_PROCESS
                                                  : SECCOMP_RET_ERRNO | EPERM;
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 3;
    target::Json().add("pid", static_cast<std::uint64_t>(getpid())).print();
    target::serve([](const std::string& command) { target::Json().add("done", command).print(); });
}
