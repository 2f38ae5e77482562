// SPDX-License-Identifier: Apache-2.0
#include "linux/remote_memory.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/owners.h"

namespace snapcore::linux_os {
namespace {

// Container profiles of some years ago refuse the calls to everybody without CAP_SYS_PTRACE.
bool is_filtered(ssize_t result) {
    return result < 0 && (errno == EPERM || errno == ENOSYS);
}

UniqueDescriptor open_memory(pid_t tid, int mode) {
    const std::string path = "/proc/" + std::to_string(tid) + "/mem";
    return UniqueDescriptor(::open(path.c_str(), mode | O_CLOEXEC));
}

std::size_t count(ssize_t result) {
    return result > 0 ? static_cast<std::size_t>(result) : 0;
}

}  // namespace

std::size_t read_remote(pid_t tid, std::uint64_t address, std::span<std::byte> out) {
    iovec local{out.data(), out.size()};
    iovec remote{reinterpret_cast<void*>(address), out.size()};
    const ssize_t n = ::process_vm_readv(tid, &local, 1, &remote, 1, 0);
    if (!is_filtered(n)) return count(n);
    const UniqueDescriptor memory = open_memory(tid, O_RDONLY);
    return count(::pread(memory.get(), out.data(), out.size(), static_cast<off_t>(address)));
}

std::size_t write_remote(pid_t tid, std::uint64_t address, std::span<const std::byte> bytes) {
    iovec local{const_cast<std::byte*>(bytes.data()), bytes.size()};
    iovec remote{reinterpret_cast<void*>(address), bytes.size()};
    const ssize_t n = ::process_vm_writev(tid, &local, 1, &remote, 1, 0);
    if (!is_filtered(n)) return count(n);
    const UniqueDescriptor memory = open_memory(tid, O_RDWR);
    return count(::pwrite(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(address)));
}

}  // namespace snapcore::linux_os
