// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "generated/flags.h"
#include "linux/descriptor_details.h"
#include "linux/descriptors.h"
#include "linux/elf_image.h"
#include "linux/modules.h"
#include "linux/pagemap.h"
#include "linux/peers.h"
#include "linux/procfs.h"
#include "linux/procmap.h"
#include "linux/regions.h"
#include "linux/sockets.h"

using namespace snapcore;
using namespace snapcore::linux_os;

TEST_CASE("maps: names with spaces, escapes and torn lines") {
    const auto maps = parse_maps(
        "555500000000-555500001000 r-xp 00002000 08:11 42                         /tmp/a b "
        "(deleted)\n"
        "7f0000000000-7f0000002000 rw-s 00000000 00:01 7 /a\\012b\n"
        "7ffff0000000-7ffff0001000 ---p 00000000 00:00 0 \n"
        "garbage\n"
        "7ffff0002000-7ffff0003000 rw-p 00000000 00:00 0 [torn");
    REQUIRE(maps.size() == 3);
    CHECK(maps[0].name == "/tmp/a b (deleted)");
    CHECK(maps[0].offset == 0x2000);
    CHECK(maps[0].inode == 42);
    CHECK(maps[0].device == 0x811);
    CHECK(maps[0].executable);
    CHECK_FALSE(maps[0].writable);
    CHECK(maps[1].name == "/a\nb");
    CHECK(maps[1].shared);
    CHECK_FALSE(maps[2].readable);
    CHECK(parse_maps("").empty());
}

TEST_CASE("maps: folders go, names and all else stay") {
    CHECK(without_folders("1000-2000 r-xp 00000000 08:11 42    /home/a b/lib.so (deleted)\n"
                          "3000-4000 rw-p 00000000 00:00 0     [heap]\n"
                          "5000-6000 rw-p 00000000 00:00 0 \n"
                          "7000-8000 rw-p 00000000 00:00 0 /torn/li") ==
          "1000-2000 r-xp 00000000 08:11 42    lib.so (deleted)\n"
          "3000-4000 rw-p 00000000 00:00 0     [heap]\n"
          "5000-6000 rw-p 00000000 00:00 0 \n"
          "7000-8000 rw-p 00000000 00:00 0 li");
    CHECK(without_folders("").empty());
}

TEST_CASE("mappings are found again and again where the kernel cannot be asked for one") {
    // The request is refused for what is no file of /proc, as by a kernel that does not know it.
    const UniqueDescriptor maps(::memfd_create("maps", 0));
    const std::string_view text =
        "1000-2000 r-xp 00000000 08:11 42    lib.so\n"
        "3000-4000 rw-p 00000000 00:00 0     [heap]\n"
        "5000-6000 rw-p 00000000 00:00 0 \n";
    REQUIRE(::pwrite(maps.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    MappingQuery mappings(maps.get());
    for (int again = 0; again < 2; ++again) {
        for (const std::uint64_t address : {0x5000u, 0x1fffu, 0x3800u}) {
            const auto found = mappings.find(address);
            REQUIRE(found);
            CHECK(found->start == address / 0x1000 * 0x1000);
            CHECK(found->end == found->start + 0x1000);
        }
        CHECK_FALSE(mappings.find(0xfff));
        CHECK_FALSE(mappings.find(0x2000));
        CHECK_FALSE(mappings.find(0x4800));
        CHECK_FALSE(mappings.find(0x6000));
    }
}

TEST_CASE("credentials: the lines of status that say who a process is") {
    const std::string text =
        credentials(-1, "Name:\tx\nUid:\t1\t2\t3\t4\nCapEff:\t00ff\nVmRSS:\t1 kB\n");
    CHECK(text == "Uid:\t1\t2\t3\t4\nCapEff:\t00ff\n");
}

TEST_CASE("smaps: resident bytes and flags go to their mapping") {
    const auto maps = parse_maps(
        "1000-3000 rw-p 00000000 00:00 0 [heap]\nSize: 8 kB\nRss:                   4 kB\nVmFlags: "
        "rd wr mr dd \n"
        "5000-6000 r--p 00000000 00:00 0 \nRss: 0 kB\nVmFlags: rd\n");
    REQUIRE(maps.size() == 2);
    CHECK(maps[0].resident == 4096);
    CHECK(maps[0].has_vm_flag("dd"));
    CHECK_FALSE(maps[0].has_vm_flag("d "));
    CHECK_FALSE(maps[1].has_vm_flag("dd"));
}

TEST_CASE("stat: a name may hold anything") {
    const auto stat = parse_stat(
        "7 (a) R (b) S 3 1 1 0 -1 4194560 10 0 12 0 100 200 0 0 20 5 4 0 999 1 2 3 4 5 6 7 8 9 0 0 "
        "0 0 0 0 17 1 0 0\n");
    REQUIRE(stat);
    CHECK(stat->comm == "a) R (b");
    CHECK(stat->state == 'S');
    CHECK(stat->parent_pid == 3);
    CHECK(stat->user_ticks == 100);
    CHECK(stat->nice == 5);
    CHECK(stat->threads == 4);
    CHECK(stat->start_ticks == 999);
    CHECK_FALSE(parse_stat(""));
    CHECK_FALSE(parse_stat("7 (x"));
    CHECK_FALSE(parse_stat("7 (x) S 1"));
}

TEST_CASE("status: what is known of signals, sizes and processors") {
    const Status status = parse_status(
        "Name:\ta\\nb\nState:\tS (sleeping)\nTracerPid:\t12\nUid:\t1\t2\t3\t4\nVmRSS:\t  5 "
        "kB\nShdPnd:\t0000000000000200\n"
        "Cpus_allowed:\tff,80000001\nSeccomp:\t2\nNSpid:\t9\t1\n");
    CHECK(status.state == 'S');
    CHECK(status.tracer_pid == 12);
    CHECK(status.uid == 1);
    CHECK(status.effective_uid == 2);
    CHECK(status.vm_rss == 5 * 1024);
    CHECK_FALSE(status.vm_size);
    CHECK(status.shared_signals_pending == 0x200);
    CHECK(status.cpus_allowed == 0xff80000001);
    CHECK(status.seccomp == 2);
    CHECK(status.namespace_pids == std::vector<std::uint32_t>{9, 1});
}

TEST_CASE("regions: kinds and protections") {
    const auto maps = parse_maps(
        "1000-2000 r--p 00000000 08:01 5 /bin/x\n2000-3000 r-xp 00001000 08:01 5 /bin/x\n"
        "3000-4000 rw-p 00000000 00:00 0 \n4000-5000 rw-s 00000000 00:05 6 /memfd:y "
        "(deleted)\n5000-6000 ---p 00000000 00:00 0 \n");
    const auto table = region_table(maps, true, true);
    REQUIRE(table->rows() == 5);
    CHECK(table->type.at(0) == MemoryType::IMAGE);
    CHECK(table->allocation_base.at(1) == 0x1000);
    CHECK(table->protect.at(1) == PageProtection::EXECUTE_READ);
    CHECK(table->type.at(2) == MemoryType::PRIVATE);
    CHECK(table->type.at(3) == MemoryType::MAPPED);
    CHECK(table->in_clone.at(3) == Boolean::kFalse);
    CHECK(table->state.at(4) == MemoryState::RESERVE);
    CHECK(region_table(maps, false, false)->mapped_file.at(0) == std::nullopt);
}

TEST_CASE("memory plan: populated pages, short gaps, known zeros") {
    constexpr std::size_t kMiB = 1 << 20;
    auto* const memory = static_cast<char*>(::mmap(nullptr,
                                                   16 * kMiB,
                                                   PROT_READ | PROT_WRITE,
                                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                                   -1,
                                                   0));
    REQUIRE(memory != MAP_FAILED);
    ::madvise(memory, 16 * kMiB, MADV_NOHUGEPAGE);
    memory[4 * kMiB] = 1;
    memory[4 * kMiB + 64 * 4096] = 1;  // a short gap
    memory[12 * kMiB] = 1;
    const auto base = reinterpret_cast<std::uint64_t>(memory);
    const int pagemap = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    const auto runs = populated_runs(pagemap, base, base + 16 * kMiB, true);
    CHECK(runs == std::vector<Range>{{base + 4 * kMiB, 4096},
                                     {base + 4 * kMiB + 64 * 4096, 4096},
                                     {base + 12 * kMiB, 4096}});

    Mapping mapping;
    mapping.start = base;
    mapping.end = base + 16 * kMiB;
    mapping.readable = mapping.writable = true;
    MemoryPlan plan = plan_full_memory(std::span(&mapping, 1), -1, pagemap);
    REQUIRE(plan.ranges.size() == 2);
    CHECK(plan.ranges[0].range == Range{base + 4 * kMiB, 65 * 4096});
    CHECK(plan.ranges[1].range == Range{base + 12 * kMiB, 4096});
    std::uint64_t zero = 0;
    for (const Range& range : plan.known_zero) zero += range.size;
    CHECK(zero + 66 * 4096 == 16 * kMiB);

    mapping.vm_flags = "rd wr dd";
    plan = plan_full_memory(std::span(&mapping, 1), -1, pagemap);
    CHECK(plan.ranges.empty());
    REQUIRE(plan.diagnostics.size() == 1);
    CHECK(plan.diagnostics[0].code == "dontdump_left_out");
    ::close(pagemap);
    ::munmap(memory, 16 * kMiB);
}

namespace {

class Bytes final : public minidump::MemoryReader {
public:
    explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) {}
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override {
        if (address >= bytes_.size()) return 0;
        const std::size_t n = std::min(out.size(), bytes_.size() - address);
        if (n != 0) std::memcpy(out.data(), bytes_.data() + address, n);
        return n;
    }

private:
    std::string bytes_;
};

}  // namespace

TEST_CASE("ELF: hostile images are no modules and never read out of bounds") {
    std::string image(4096, '\0');
    const auto parse = [](const std::string& bytes) {
        Bytes memory(bytes);
        return read_elf_image(0, {0, bytes.size()}, memory);
    };
    CHECK_FALSE(parse("").has_value());
    CHECK_FALSE(parse(image).has_value());
    std::memcpy(image.data(),
                "\x7f"
                "ELF\2\1\1",
                7);
    CHECK_FALSE(parse(image).has_value());
    for (std::size_t i = 16; i < 64; ++i) {
        std::string broken = image;
        for (const char byte : {'\1', '\x38', '\xff'}) {
            broken[i] = byte;
            (void)parse(broken);
        }
    }
    std::string all(4096, '\xff');
    std::memcpy(all.data(),
                "\x7f"
                "ELF\2\1\1",
                7);
    all[54] = 56;
    all[55] = 0;
    CHECK_FALSE(parse(all).has_value());
}

namespace {

std::shared_ptr<const HandleTable> own_handles(const std::vector<DescriptorLink>& links,
                                               const DescriptorDetail& detail = {}) {
    const auto pid = static_cast<std::uint32_t>(::getpid());
    const UniqueDescriptor self = open_process_directory(pid);
    Diagnostics diagnostics;
    auto table = handle_table(self.get(), pid, links, detail, diagnostics);
    CHECK(diagnostics.empty());
    return table;
}

}  // namespace

TEST_CASE("descriptors: a limit is kept and said") {
    const UniqueDescriptor self = open_process_directory(static_cast<std::uint32_t>(::getpid()));
    const int opened = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool complete = false;
    const auto all = list_descriptors(self.get(), 1000, &complete);
    CHECK(complete);
    CHECK(list_descriptors(self.get(), all.size(), &complete).size() == all.size());
    CHECK(complete);
    CHECK(list_descriptors(self.get(), 2, &complete).size() == 2);
    CHECK_FALSE(complete);
    const auto table = own_handles(all);
    CHECK(table->rows() == all.size());
    bool found = false;
    for (std::size_t row = 0; row < table->rows(); ++row) {
        if (table->handle.at(row) != static_cast<std::uint64_t>(opened)) continue;
        found = true;
        CHECK(table->type_name.at(row) == "CharacterDevice");
        CHECK(table->object_name.at(row) == "/dev/null");
    }
    CHECK(found);
    ::close(opened);
}

TEST_CASE("descriptors: a number that names another file by now keeps its link alone") {
    const int number = ::memfd_create("now", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    REQUIRE(::ftruncate(number, 100) == 0);
    const char* const link = "/memfd:now (deleted)";
    const auto now = own_handles({{number, link, 1}});
    CHECK(now->section_size.at(0) == 100);
    CHECK(now->seals.at(0) == 0);
    CHECK(now->inode.is_valid(0));
    for (const char* const then : {"/memfd:then (deleted)", "pipe:[7]", "socket:[7]", "/a"}) {
        const auto table = own_handles({{number, then, 1}});
        CHECK(table->object_name.at(0) == then);
        CHECK(table->captured_at_ns.at(0) == 1);
        CHECK_FALSE(table->section_size.is_valid(0));
        CHECK_FALSE(table->seals.is_valid(0));
        CHECK_FALSE(table->granted_access.is_valid(0));
        CHECK_FALSE(table->attributes.is_valid(0));
        CHECK_FALSE(table->position.is_valid(0));
        CHECK_FALSE(table->peer_pid.is_valid(0));
        CHECK(table->flags.at(0) == (HandleFlags::HAVE_TYPE | HandleFlags::HAVE_NAME));
    }
    ::close(number);
    const auto gone = own_handles({{number, link, 1}});
    CHECK(gone->type_name.at(0) == "MemFd");
    CHECK_FALSE(gone->section_size.is_valid(0));
}

TEST_CASE("descriptors: what is not asked for is not known") {
    const int number = ::memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    const std::vector<DescriptorLink> links = {{number, "/memfd:x (deleted)", 1}};
    DescriptorDetail detail;
    detail.type_specific = false;
    CHECK_FALSE(own_handles(links, detail)->seals.is_valid(0));
    CHECK(own_handles(links, detail)->granted_access.is_valid(0));
    detail = {};
    detail.basic = false;
    CHECK(own_handles(links, detail)->seals.is_valid(0));
    CHECK_FALSE(own_handles(links, detail)->granted_access.is_valid(0));
    CHECK_FALSE(own_handles(links, detail)->inode.is_valid(0));
    detail = {};
    detail.names = false;
    CHECK_FALSE(own_handles(links, detail)->object_name.is_valid(0));
    ::close(number);
}

TEST_CASE("fdinfo: each kind has its own facts") {
    const auto file = parse_fdinfo(
        "pos:\t7\nflags:\t0102002\nmnt_id:\t28\nino:\t1234\n"
        "lock:\t1: FLOCK  ADVISORY  WRITE 679 00:2f:1234 0 EOF\n"
        "lock:\t2: POSIX  ADVISORY  READ  679 00:2f:1234 10 19\n"
        "lock:\t3: LEASE  ACTIVE\n",
        true);
    CHECK(file.position == 7);
    CHECK(file.open_flags == 0102002);
    CHECK(file.locks == "FLOCK ADVISORY WRITE 0 EOF; POSIX ADVISORY READ 10 19");
    CHECK(file.rest.empty());

    const auto event = parse_fdinfo(
        "pos:\t0\nflags:\t02\neventfd-count:               2a\neventfd-id: 1\n"
        "eventfd-semaphore: 0\n",
        true);
    CHECK(event.event_count == 42);
    CHECK(event.rest == "eventfd-id=1;eventfd-semaphore=0");
    CHECK_FALSE(parse_fdinfo("eventfd-count: 2a\n", false).event_count);
    CHECK(parse_fdinfo("eventfd-count: ffffffffffffffff\n", true).event_count == UINT64_MAX);

    const auto timer = parse_fdinfo(
        "clockid: 7\nticks: 2\nsettime flags: 01\nit_value: (3600, 5)\nit_interval: (7, "
        "500000000)\n",
        true);
    CHECK(clock_name(*timer.clock) == "CLOCK_BOOTTIME");
    CHECK(clock_name(99) == "99");
    CHECK(timer.ticks == 2);
    CHECK(timer.expires_in_ns == 3'600'000'000'005);
    CHECK(timer.interval_ns == 7'500'000'000);
    CHECK(parse_fdinfo("it_value: (9223372036854775807, 0)\n", true).expires_in_ns == INT64_MAX);
    CHECK_FALSE(parse_fdinfo("it_value: (1 2)\n", true).expires_in_ns);

    const auto epoll = parse_fdinfo(
        "tfd:       57 events:       19 data:               39  pos:0 ino:a sdev:b\n"
        "tfd:        4 events:       19 data:                0  pos:0 ino:a sdev:b\n",
        true);
    CHECK(epoll.watch_count == 2);
    CHECK(epoll.watched == "4,57");
    CHECK(
        parse_fdinfo("inotify wd:2 ino:1 sdev:5\ninotify wd:1 ino:2 sdev:5\n", true).watch_count ==
        2);
    const auto fanotify = parse_fdinfo(
        "fanotify flags:0 event-flags:8000\nfanotify ino:4f sdev:5 mflags:0 mask:20\n", true);
    CHECK(fanotify.watch_count == 1);

    CHECK(parse_fdinfo("sigmask:\t8000000000000200\n", true).signal_mask == 0x8000000000000200);
    CHECK(parse_fdinfo("Pid:\t-1\nNSpid:\t-1\n", true).target_pid == -1);
    CHECK(parse_fdinfo("size:\t8192\ncount:\t2\nexp_name:\tudmabuf\n", true).size == 8192);
    CHECK(parse_fdinfo("UserFiles:\t1\n    0: /a\nPollList:\n", true).rest == "UserFiles=1");
    CHECK(parse_fdinfo("", true).rest.empty());
    CHECK(parse_fdinfo("no colon\n:\n\nlock:\t1:", true).locks.empty());

    std::string many;
    for (int i = 0; i < 1000; ++i) many += "key" + std::to_string(i) + ":\tvalue\n";
    CHECK(parse_fdinfo(many, true).rest.size() < 1000);
}

namespace {

template <class T>
void put(std::vector<std::byte>& out, const T& value) {
    const std::size_t at = out.size();
    out.resize(at + sizeof value);
    std::memcpy(out.data() + at, &value, sizeof value);
}

std::vector<std::byte> message(std::uint16_t type, const std::vector<std::byte>& body) {
    nlmsghdr header{};
    header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
    header.nlmsg_type = type;
    std::vector<std::byte> out;
    put(out, header);
    out.insert(out.end(), body.begin(), body.end());
    out.resize((out.size() + 3) & ~std::size_t{3});
    return out;
}

void put_attribute(std::vector<std::byte>& out, std::uint16_t type, std::string_view value) {
    put(out, nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), type});
    for (const char c : value) out.push_back(static_cast<std::byte>(c));
    out.resize((out.size() + 3) & ~std::size_t{3});
}

std::vector<std::byte> unix_message(std::uint32_t inode,
                                    std::uint8_t state,
                                    std::string_view name,
                                    std::uint32_t peer) {
    std::vector<std::byte> body;
    unix_diag_msg head{};
    head.udiag_family = AF_UNIX;
    head.udiag_type = SOCK_STREAM;
    head.udiag_state = state;
    head.udiag_ino = inode;
    put(body, head);
    if (!name.empty()) put_attribute(body, UNIX_DIAG_NAME, name);
    if (peer != 0)
        put_attribute(body, UNIX_DIAG_PEER, {reinterpret_cast<const char*>(&peer), sizeof peer});
    return message(SOCK_DIAG_BY_FAMILY, body);
}

std::vector<std::byte> inet_message(std::uint32_t inode, std::uint16_t from, std::uint16_t to) {
    std::vector<std::byte> body;
    inet_diag_msg head{};
    head.idiag_family = AF_INET;
    head.idiag_state = 1;
    head.idiag_inode = inode;
    head.id.idiag_sport = htons(from);
    head.id.idiag_dport = htons(to);
    head.id.idiag_src[0] = head.id.idiag_dst[0] = htonl(0x7f000001);
    put(body, head);
    return message(SOCK_DIAG_BY_FAMILY, body);
}

std::vector<std::byte> joined(std::initializer_list<std::vector<std::byte>> parts) {
    std::vector<std::byte> out;
    for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

}  // namespace

TEST_CASE("sock_diag: messages become sockets") {
    std::vector<Socket> sockets;
    using namespace std::string_view_literals;
    CHECK(parse_socket_diag(joined({unix_message(5, 10, "/run/x.sock\0"sv, 0),
                                    unix_message(6, 1, "\0a\0b"sv, 7),
                                    unix_message(7, 1, "", 6)}),
                            0,
                            sockets) == Dump::kMore);
    REQUIRE(sockets.size() == 3);
    CHECK(describe(sockets[0], nullptr).name == "unix /run/x.sock");
    CHECK(describe(sockets[0], nullptr).state == "LISTEN");
    CHECK(sockets[1].name == "@a@b");
    CHECK(sockets[1].peer_inode == 7);
    CHECK(describe(sockets[2], &sockets[1]).name == "unix -> @a@b");
    CHECK(describe(sockets[2], nullptr).name.empty());

    sockets.clear();
    CHECK(parse_socket_diag(joined({inet_message(9, 80, 4711),
                                    inet_message(0, 80, 4712),
                                    message(NLMSG_DONE, std::vector<std::byte>(4))}),
                            IPPROTO_TCP,
                            sockets) == Dump::kDone);
    REQUIRE(sockets.size() == 1);
    const SocketText text = describe(sockets[0], nullptr);
    CHECK(text.name == "tcp 127.0.0.1:80 -> 127.0.0.1:4711");
    CHECK(text.family == "AF_INET");
    CHECK(text.type == "SOCK_STREAM");
    CHECK(text.state == "ESTABLISHED");
}

TEST_CASE("sock_diag: a refusal and what is cut short") {
    std::vector<Socket> sockets;
    std::vector<std::byte> refusal;
    put(refusal, std::int32_t{-2});
    CHECK(parse_socket_diag(message(NLMSG_DONE, refusal), 0, sockets) == Dump::kFailed);
    CHECK(parse_socket_diag(message(NLMSG_ERROR, refusal), 0, sockets) == Dump::kFailed);
    const auto whole = joined({unix_message(5, 1, "/a", 6), unix_message(6, 1, "/b", 5)});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        sockets.clear();
        const Dump state = parse_socket_diag({whole.data(), size}, 0, sockets);
        CHECK(state != Dump::kDone);
        CHECK(sockets.size() <= 1);
    }
    // Lengths that lie.
    auto lying = unix_message(5, 1, "/a", 6);
    for (const std::uint32_t length : {0u, 1u, 15u, 17u, 0xffffffffu}) {
        std::memcpy(lying.data(), &length, sizeof length);
        sockets.clear();
        (void)parse_socket_diag(lying, 0, sockets);
        CHECK(sockets.empty());
    }
    auto attribute = unix_message(5, 1, "/a", 0);
    const std::uint16_t long_attribute = 0xffff;
    std::memcpy(attribute.data() + sizeof(nlmsghdr) + sizeof(unix_diag_msg), &long_attribute, 2);
    sockets.clear();
    CHECK(parse_socket_diag(attribute, 0, sockets) == Dump::kMore);
    REQUIRE(sockets.size() == 1);
    CHECK(sockets[0].name.empty());
}

TEST_CASE("/proc/net: lines become the same sockets") {
    std::vector<Socket> sockets;
    parse_net_inet(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
        "timeout "
        "inode\n"
        "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        "
        "0 "
        "34 1 0000000000000000 100 0 0 10 0\n"
        "   1: 0100007F:0050 0100007F:1267 01 00000000:00000000 02:0000 00000000     0        0 35 "
        "1 0000000000000000\n"
        "   2: 0100007F:0050 0100007F:1268 06 00000000:00000000 03:0000 00000000     0        0 0 "
        "3 "
        "0000000000000000\n"
        "   3: torn\n",
        AF_INET,
        IPPROTO_TCP,
        sockets);
    REQUIRE(sockets.size() == 2);
    CHECK(describe(sockets[0], nullptr).name == "tcp 127.0.0.1:80");
    CHECK(describe(sockets[0], nullptr).state == "LISTEN");
    CHECK(describe(sockets[0], nullptr).remote.empty());
    CHECK(describe(sockets[1], nullptr).name == "tcp 127.0.0.1:80 -> 127.0.0.1:4711");
    std::vector<Socket> dumped;
    parse_socket_diag(inet_message(35, 80, 4711), IPPROTO_TCP, dumped);
    CHECK(dumped[0] == sockets[1]);

    sockets.clear();
    parse_net_inet(
        "head\n 0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 07 "
        "00000000:00000000 00:00000000 00000000 0 0 36 2 0 0\n",
        AF_INET6,
        IPPROTO_UDP,
        sockets);
    REQUIRE(sockets.size() == 1);
    CHECK(describe(sockets[0], nullptr).name == "udp [::1]:80");
    CHECK(describe(sockets[0], nullptr).state == "UNCONNECTED");

    sockets.clear();
    parse_net_inet(
        "head\n 1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 37 2 "
        "0 "
        "0\n",
        AF_INET,
        IPPROTO_RAW,
        sockets);
    REQUIRE(sockets.size() == 1);
    CHECK(describe(sockets[0], nullptr).name == "raw icmp 0.0.0.0");
    CHECK(describe(sockets[0], nullptr).type == "SOCK_RAW");
    CHECK(describe(sockets[0], nullptr).protocol == "icmp");

    sockets.clear();
    parse_net_unix(
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "000000005b2ad72b: 00000002 00000000 00010000 0001 01  1057 /run/a b.sock\n"
        "000000005b2ad72b: 00000003 00000000 00000000 0005 03  1058\n"
        "000000005b2ad72b: 00000003 00000000 00000000 0002 01  1059 @abstract\n"
        "000000005b2ad72b: 00000003",
        sockets);
    REQUIRE(sockets.size() == 3);
    CHECK(describe(sockets[0], nullptr).name == "unix /run/a b.sock");
    CHECK(describe(sockets[0], nullptr).state == "LISTEN");
    CHECK(describe(sockets[1], nullptr).type == "SOCK_SEQPACKET");
    CHECK(describe(sockets[1], nullptr).state == "ESTABLISHED");
    CHECK(describe(sockets[2], nullptr).local == "@abstract");

    sockets.clear();
    parse_net_netlink(
        "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"
        "0000000000000000 15  4711       00000001 0        0        0     2        0        12\n",
        sockets);
    REQUIRE(sockets.size() == 1);
    CHECK(describe(sockets[0], nullptr).name == "netlink kobject_uevent 4711");
    CHECK(describe(sockets[0], nullptr).type.empty());

    sockets.clear();
    parse_net_packet(
        "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"
        "0000000000000000 3      3    88cc   2     1 0      0      13\n"
        "0000000000000000 3      2    0003   0     1 0      0      14\n",
        sockets);
    REQUIRE(sockets.size() == 2);
    CHECK(describe(sockets[0], nullptr).name == "packet 0x88cc if2");
    CHECK(describe(sockets[1], nullptr).name == "packet 0x0003");
    CHECK(describe(sockets[1], nullptr).type == "SOCK_DGRAM");
}

TEST_CASE("sockets: the kernel's names of protocols") {
    CHECK(describe_protocol("TCPv6").family == "AF_INET6");
    CHECK(describe_protocol("UNIX-STREAM").type == "SOCK_STREAM");
    CHECK(describe_protocol("SOMETHING").protocol == "SOMETHING");
    CHECK(describe_protocol("SOMETHING").family.empty());
    CHECK(describe_protocol("TCP").name.empty());
}

TEST_CASE("sockets: a table of our namespace, and what /proc says of the same") {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    struct stat a{}, b{};
    ::fstat(pair[0], &a);
    ::fstat(pair[1], &b);
    SocketTable own{UniqueDescriptor()};
    const Socket* const socket = own.find(a.st_ino);
    REQUIRE(socket);
    CHECK(own.peer_of(*socket) == b.st_ino);
    CHECK(own.known(b.st_ino));
    CHECK(own.find(1) == nullptr);
    SocketTable text(open_process_directory(static_cast<std::uint32_t>(::getpid())));
    const Socket* const same = text.find(a.st_ino);
    REQUIRE(same);
    CHECK(same->state == 1);
    CHECK(text.peer_of(*same) == 0);
    ::close(pair[0]);
    ::close(pair[1]);
}

TEST_CASE("sockets: one table for each network namespace, whoever is in it") {
    // Two processes in a network namespace of their own; each ends when its pipe is closed.
    int ready[2], end[2];
    REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(end, O_CLOEXEC) == 0);
    const auto wait_for_end = [&] {
        ::close(end[1]);
        char byte = 0;
        (void)!::read(end[0], &byte, 1);
        ::_exit(0);
    };
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        pid_t other = ::unshare(CLONE_NEWNET) == 0 ? ::fork() : -1;
        if (other == 0) wait_for_end();
        (void)!::write(ready[1], &other, sizeof other);
        wait_for_end();
    }
    pid_t grandchild = -1;
    REQUIRE(::read(ready[0], &grandchild, sizeof grandchild) == sizeof grandchild);
    REQUIRE(grandchild > 0);
    const UniqueDescriptor self = open_process_directory(static_cast<std::uint32_t>(::getpid()));
    const UniqueDescriptor one = open_process_directory(static_cast<std::uint32_t>(child));
    const UniqueDescriptor two = open_process_directory(static_cast<std::uint32_t>(grandchild));
    SocketTables tables;
    CHECK(&tables.of(self.get()) == &tables.own());
    CHECK(&tables.of(one.get()) != &tables.own());
    CHECK(&tables.of(one.get()) == &tables.of(two.get()));
    for (const int each : {ready[0], ready[1], end[0], end[1]}) ::close(each);
    CHECK(::waitpid(child, nullptr, 0) == child);
}

TEST_CASE("descriptors: what is listed is the same, whether the kernel's count is used or not") {
    // With holes, and with a number beyond the count.
    std::vector<int> opened;
    for (int i = 0; i < 40; ++i) opened.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    for (std::size_t i = 0; i < opened.size(); i += 2) ::close(opened[i]);
    const int far = ::fcntl(opened[1], F_DUPFD_CLOEXEC, 900);
    REQUIRE(far >= 900);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) ::pause();
    }
    const auto pid = static_cast<std::uint32_t>(child);
    const UniqueDescriptor directory = open_process_directory(pid);
    const auto numbers_of = [&](const std::vector<DescriptorLink>& links) {
        std::vector<std::uint64_t> out;
        DescriptorReader reader(DescriptorDetail{});
        reader.read(directory.get(), pid, links, 0, [&](const HandleRow& row) {
            out.push_back(*row.handle);
        });
        return out;
    };
    const auto listed = list_descriptor_numbers(directory.get(), true);
    const auto numbers = numbers_of(listed);
    CHECK(numbers.size() == listed.size());
    CHECK(numbers == numbers_of(list_descriptor_numbers(directory.get(), false)));
    CHECK(numbers.back() == static_cast<std::uint64_t>(far));
    CHECK(std::ranges::is_sorted(numbers));
    for (std::size_t i = 1; i < opened.size(); i += 2) ::close(opened[i]);
    ::close(far);
    CHECK(::kill(child, SIGKILL) == 0);
    CHECK(::waitpid(child, nullptr, 0) == child);
}

TEST_CASE("peers: the lowest other end, and never the same descriptor") {
    const auto end =
        [](std::size_t row, std::uint32_t pid, std::uint64_t handle, const char* mode) {
            End out;
            out.row = row;
            out.pid = pid;
            out.handle = handle;
            out.inode = 77;
            out.reads = std::strchr(mode, 'r') != nullptr;
            out.writes = std::strchr(mode, 'w') != nullptr;
            return out;
        };
    const auto resolve = [](bool everywhere, const std::vector<End>& ends) {
        Peers peers(everywhere);
        for (const End& each : ends) peers.add(each);
        Column<std::uint32_t> pid;
        Column<std::uint64_t> handle;
        pid.pad(ends.size());
        handle.pad(ends.size());
        peers.resolve(pid, handle);
        CHECK(pid.size() == ends.size());
        std::vector<std::pair<std::uint32_t, std::uint64_t>> out;
        for (std::size_t i = 0; i < ends.size(); ++i)
            out.emplace_back(pid.at(i).value_or(0), handle.at(i).value_or(0));
        return out;
    };
    using Out = std::vector<std::pair<std::uint32_t, std::uint64_t>>;
    const std::vector<End> ends = {
        end(0, 9, 3, "r"), end(1, 9, 5, "w"), end(2, 9, 4, "w"), end(3, 8, 7, "w")};
    CHECK(resolve(true, ends) == Out{{8, 7}, {9, 3}, {9, 3}, {9, 3}});
    CHECK(resolve(false, ends) == Out{{9, 4}, {9, 3}, {9, 3}, {0, 0}});
    CHECK(resolve(true, {end(0, 9, 3, "rw")}) == Out{{0, 0}});
    CHECK(resolve(true, {end(0, 9, 3, "rw"), end(1, 9, 4, "rw")}) == Out{{9, 4}, {9, 3}});
    CHECK(resolve(true, {end(0, 9, 3, "rw"), end(1, 9, 4, "r")}) == Out{{9, 4}, {9, 3}});
    CHECK(resolve(true, {end(0, 9, 3, "r"), end(1, 9, 4, "r")}) == Out{{0, 0}, {0, 0}});
    auto fifo = end(1, 9, 4, "w");
    fifo.device = 1;
    CHECK(resolve(true, {end(0, 9, 3, "r"), fifo}) == Out{{0, 0}, {0, 0}});
    CHECK(resolve(true, {}).empty());

    End a, b;
    a.is_socket = b.is_socket = true;
    a.pid = b.pid = 9;
    a.handle = 3;
    b.handle = 4;
    b.row = 1;
    a.inode = b.peer_inode = 100;
    b.inode = a.peer_inode = 101;
    CHECK(resolve(true, {a, b}) == Out{{9, 4}, {9, 3}});
    a.peer_inode = 100;  // a datagram socket that is connected to itself
    CHECK(resolve(true, {a, b}) == Out{{9, 3}, {9, 3}});
}
