// SPDX-License-Identifier: Apache-2.0
//
// A process that has a descriptor of every kind that this kernel gives it, and publishes what it
// knows of each. Arguments: a folder; "netns" for a network namespace of its own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/udmabuf.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "target.h"

namespace {

target::Json descriptors, refused, ports;

// Publishes a descriptor, or the number of the error where the kernel refuses.
int have(const std::string& name, long descriptor) {
    if (descriptor < 0) {
        refused.add(name, static_cast<std::uint64_t>(errno));
    } else {
        descriptors.add(name, static_cast<std::uint64_t>(descriptor));
    }
    return static_cast<int>(descriptor);
}

// The rest of the program needs this one.
int must(const std::string& name, long descriptor) {
    if (descriptor < 0) {
        std::perror(name.c_str());
        _exit(3);
    }
    return have(name, descriptor);
}

void must_do(const char* what, long result) {
    if (result >= 0) return;
    std::perror(what);
    _exit(3);
}

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address internet(int family, const char* text, int port) {
    Address out;
    if (family == AF_INET) {
        auto& address = reinterpret_cast<sockaddr_in&>(out.storage);
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        inet_pton(AF_INET, text, &address.sin_addr);
        out.size = sizeof address;
    } else {
        auto& address = reinterpret_cast<sockaddr_in6&>(out.storage);
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(static_cast<std::uint16_t>(port));
        inet_pton(AF_INET6, text, &address.sin6_addr);
        out.size = sizeof address;
    }
    return out;
}

Address local(const std::string& name) {
    Address out;
    auto& address = reinterpret_cast<sockaddr_un&>(out.storage);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    return out;
}

int port_of(int socket) {
    Address out;
    out.size = sizeof out.storage;
    must_do("getsockname", getsockname(socket, out.get(), &out.size));
    return ntohs(reinterpret_cast<sockaddr_in&>(out.storage).sin_port);
}

int bound(const std::string& name, int family, int type, Address address) {
    const int out = must(name, socket(family, type, 0));
    must_do(name.c_str(), bind(out, address.get(), address.size));
    if (type == SOCK_STREAM) must_do(name.c_str(), listen(out, 8));
    if (family != AF_UNIX) ports.add(name, static_cast<std::uint64_t>(port_of(out)));
    return out;
}

// NAME_client and NAME_accepted.
void connected(const std::string& name, int family, int listener, Address address) {
    const int client = must(name + "_client", socket(family, SOCK_STREAM, 0));
    must_do("connect", connect(client, address.get(), address.size));
    must(name + "_accepted", accept(listener, nullptr, nullptr));
    if (family != AF_UNIX) ports.add(name + "_client", static_cast<std::uint64_t>(port_of(client)));
}

void files(const std::string& folder) {
    const auto create = [&](const std::string& name) {
        return must(name, open((folder + '/' + name).c_str(), O_RDWR | O_CREAT, 0600));
    };
    must_do("flock", flock(create("flock_file"), LOCK_EX));
    struct flock range{};
    range.l_type = F_WRLCK;
    range.l_start = 10;
    range.l_len = 10;
    const int posix = create("posix_file");
    must_do("F_SETLK", fcntl(posix, F_SETLK, &range));
    range.l_type = F_RDLCK;
    range.l_start = 100;
    range.l_len = 0;
    must_do("F_SETLK", fcntl(posix, F_SETLK, &range));
    range.l_type = F_RDLCK;
    range.l_start = 0;
    must_do("F_OFD_SETLK", fcntl(create("ofd_file"), F_OFD_SETLK, &range));
    create("deleted_file");
    unlink((folder + "/deleted_file").c_str());
    must("directory", open(folder.c_str(), O_RDONLY | O_DIRECTORY));
    must("path_only", open(folder.c_str(), O_PATH));
    const std::string shared = "/snapcore-test-" + std::to_string(getpid());
    must("shared_memory", shm_open(shared.c_str(), O_RDWR | O_CREAT, 0600));
    shm_unlink(shared.c_str());
    must("null", open("/dev/null", O_RDWR));
    int pty[2];
    must_do("openpty", openpty(&pty[0], &pty[1], nullptr, nullptr, nullptr));
    must("pty_master", pty[0]);
    must("pty_slave", pty[1]);
    int pipes[2];
    must_do("pipe", pipe(pipes));
    must("pipe_read", pipes[0]);
    must("pipe_write", pipes[1]);
    const std::string fifo = folder + "/fifo";
    must_do("mkfifo", mkfifo(fifo.c_str(), 0600));
    must("fifo_read", open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
    must("fifo_write", open(fifo.c_str(), O_WRONLY));
    const std::string lonely = folder + "/lonely_fifo";
    must_do("mkfifo", mkfifo(lonely.c_str(), 0600));
    must("lonely_fifo", open(lonely.c_str(), O_RDWR));

    std::ifstream partitions("/proc/partitions");
    std::string line;
    unsigned major = 0, minor = 0;
    while (std::getline(partitions, line) &&
           std::sscanf(line.c_str(), "%u %u", &major, &minor) != 2) {
    }
    const std::string device = folder + "/block_device";
    long block = mknod(device.c_str(), S_IFBLK | 0600, makedev(major, minor));
    if (block == 0) block = open(device.c_str(), O_RDONLY | O_NONBLOCK);
    if (block < 0) block = open("/dev/loop0", O_RDONLY | O_NONBLOCK);
    have("block_device", block);

    const std::string queue = "/snapcore-test-" + std::to_string(getpid());
    have("message_queue", mq_open(queue.c_str(), O_RDWR | O_CREAT, 0600, nullptr));
    mq_unlink(queue.c_str());
    for (const char* const kind : {"net", "mnt", "user", "uts", "ipc", "cgroup", "time", "pid"}) {
        have(std::string("namespace_") + kind,
             open((std::string("/proc/self/ns/") + kind).c_str(), O_RDONLY));
    }
}

void sockets(const std::string& folder) {
    int pair[2];
    must_do("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    must("pair_a", pair[0]);
    must("pair_b", pair[1]);
    must_do("socketpair", socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    must("datagram_pair_a", pair[0]);
    must("datagram_pair_b", pair[1]);

    const int tcp = bound("tcp", AF_INET, SOCK_STREAM, internet(AF_INET, "127.0.0.1", 0));
    connected("tcp", AF_INET, tcp, internet(AF_INET, "127.0.0.1", port_of(tcp)));
    const int tcp6 = bound("tcp6", AF_INET6, SOCK_STREAM, internet(AF_INET6, "::1", 0));
    connected("tcp6", AF_INET6, tcp6, internet(AF_INET6, "::1", port_of(tcp6)));
    // IPv4 on one side, the same within IPv6 on the other.
    const int both = bound("both", AF_INET6, SOCK_STREAM, internet(AF_INET6, "::", 0));
    connected("both", AF_INET, both, internet(AF_INET, "127.0.0.1", port_of(both)));
    must("tcp_unbound", socket(AF_INET, SOCK_STREAM, 0));
    must("tcp6_unbound", socket(AF_INET6, SOCK_STREAM, 0));

    const int udp = bound("udp", AF_INET, SOCK_DGRAM, internet(AF_INET, "127.0.0.1", 0));
    Address other = internet(AF_INET, "127.0.0.1", port_of(udp));
    const int udp_client = must("udp_client", socket(AF_INET, SOCK_DGRAM, 0));
    must_do("connect", connect(udp_client, other.get(), other.size));
    ports.add("udp_client", static_cast<std::uint64_t>(port_of(udp_client)));
    bound("udp6", AF_INET6, SOCK_DGRAM, internet(AF_INET6, "::1", 0));

    const Address stream = local(folder + "/stream.sock");
    connected("unix", AF_UNIX, bound("unix", AF_UNIX, SOCK_STREAM, stream), stream);
    bound("unix_datagram", AF_UNIX, SOCK_DGRAM, local(folder + "/datagram.sock"));
    const Address abstract = local(std::string(1, '\0') + "snapcore-" + std::to_string(getpid()));
    connected("abstract", AF_UNIX, bound("abstract", AF_UNIX, SOCK_STREAM, abstract), abstract);

    const int netlink = must("netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    sockaddr_nl port{};
    port.nl_family = AF_NETLINK;
    must_do("bind", bind(netlink, reinterpret_cast<sockaddr*>(&port), sizeof port));
    socklen_t size = sizeof port;
    must_do("getsockname", getsockname(netlink, reinterpret_cast<sockaddr*>(&port), &size));
    ports.add("netlink", port.nl_pid);
    have("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    have("raw6", socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
    const int packet = have("packet", socket(AF_PACKET, SOCK_DGRAM, 0));
    if (packet >= 0) {
        sockaddr_ll link{};
        link.sll_family = AF_PACKET;
        link.sll_protocol = htons(0x88b5);  // for experiments
        link.sll_ifindex = static_cast<int>(if_nametoindex("lo"));
        must_do("bind", bind(packet, reinterpret_cast<sockaddr*>(&link), sizeof link));
        ports.add("packet", static_cast<std::uint64_t>(link.sll_ifindex));
    }
    have("alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
}

void timers() {
    const auto timer = [](const char* name, int clock, itimerspec setting) {
        const int out = must(name, timerfd_create(clock, 0));
        must_do(name, timerfd_settime(out, 0, &setting, nullptr));
        return out;
    };
    timer("timer", CLOCK_MONOTONIC, {{7, 500'000'000}, {3600, 0}});
    timer("disarmed_timer", CLOCK_REALTIME, {});
    pollfd expired{timer("expired_timer", CLOCK_BOOTTIME, {{3600, 0}, {0, 1000}}), POLLIN, 0};
    must_do("poll", poll(&expired, 1, -1));
}

void special(const std::string& folder) {
    const int event = must("event", eventfd(42, 0));
    must("zero_event", eventfd(0, 0));
    must("semaphore", eventfd(3, EFD_SEMAPHORE));
    const int epoll = must("epoll", epoll_create1(0));
    must("empty_epoll", epoll_create1(0));
    for (const int watched : {event, 0}) {
        epoll_event what{};
        what.events = EPOLLIN;
        what.data.fd = watched;
        must_do("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, watched, &what));
    }
    timers();
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGRTMAX);
    must("signal", signalfd(-1, &signals, 0));
    const int inotify = must("inotify", inotify_init1(0));
    must_do("inotify", inotify_add_watch(inotify, folder.c_str(), IN_CREATE));
    must_do("inotify", inotify_add_watch(inotify, "/proc", IN_CREATE));
    const int fanotify = have("fanotify", fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));
    if (fanotify >= 0)
        must_do("fanotify",
                fanotify_mark(fanotify, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, folder.c_str()));
    have("pidfd", syscall(SYS_pidfd_open, getppid(), 0));
    const int memory = must("memory", memfd_create("sealed", MFD_ALLOW_SEALING));
    must_do("ftruncate", ftruncate(memory, 12345));
    must_do("F_ADD_SEALS", fcntl(memory, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
    must("unsealed_memory", memfd_create("unsealed", MFD_ALLOW_SEALING));
    have("userfault", syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY));
    io_uring_params ring{};
    have("ring", syscall(SYS_io_uring_setup, 8, &ring));
    perf_event_attr event_attributes{};
    event_attributes.size = sizeof event_attributes;
    event_attributes.type = PERF_TYPE_SOFTWARE;
    event_attributes.config = PERF_COUNT_SW_TASK_CLOCK;
    event_attributes.disabled = 1;
    event_attributes.exclude_kernel = 1;
    have("perf", syscall(SYS_perf_event_open, &event_attributes, 0, -1, -1, 0));
    bpf_attr map{};
    map.map_type = BPF_MAP_TYPE_ARRAY;
    map.key_size = 4;
    map.value_size = 8;
    map.max_entries = 16;
    have("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map));
    have("kvm", open("/dev/kvm", O_RDWR));
    const int allocator = open("/dev/udmabuf", O_RDWR);
    long buffer = allocator;
    if (allocator >= 0) {
        const int pages = memfd_create("pages", MFD_ALLOW_SEALING);
        must_do("ftruncate", ftruncate(pages, 8192));
        must_do("F_ADD_SEALS", fcntl(pages, F_ADD_SEALS, F_SEAL_SHRINK));
        udmabuf_create create{};
        create.memfd = static_cast<std::uint32_t>(pages);
        create.size = 8192;
        buffer = ioctl(allocator, UDMABUF_CREATE, &create);
        close(pages);
        close(allocator);
    }
    have("dma_buffer", buffer);
}

void raise_loopback() {
    const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    must_do("SIOCSIFFLAGS", ioctl(s, SIOCSIFFLAGS, &request));
    close(s);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string folder = argc > 1 ? argv[1] : "/tmp";
    if (argc > 2 && std::strcmp(argv[2], "netns") == 0) {
        // Made in the namespace of who started us.
        must("foreign_udp",
             bound("foreign", AF_INET, SOCK_DGRAM, internet(AF_INET, "127.0.0.1", 0)));
        must_do("unshare", unshare(CLONE_NEWNET));
        raise_loopback();
    }
    files(folder);
    sockets(folder);
    special(folder);
    target::Json()
        .add("pid", static_cast<std::uint64_t>(getpid()))
        .raw("descriptors", descriptors.str())
        .raw("refused", refused.str())
        .raw("ports", ports.str())
        .print();
    target::serve([&](const std::string& command) {
        target::Json answer;
        if (command.starts_with("accept ")) {
            answer.add("descriptor",
                       static_cast<std::uint64_t>(
                           accept(std::atoi(command.c_str() + 7), nullptr, nullptr)));
        } else if (command.starts_with("open ")) {
            for (int n = std::atoi(command.c_str() + 5); n > 0; --n)
                must_do("dup", open("/dev/null", O_RDONLY));
        }
        answer.add("done", command).print();
    });
}
