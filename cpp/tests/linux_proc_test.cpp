// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "generated/flags.h"
#include "linux/descriptors.h"
#include "linux/elf_image.h"
#include "linux/modules.h"
#include "linux/pagemap.h"
#include "linux/procfs.h"
#include "linux/regions.h"

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
        std::memcpy(out.data(), bytes_.data() + address, n);
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

TEST_CASE("descriptors: a limit is kept and said") {
    const UniqueDescriptor self = open_process_directory(static_cast<std::uint32_t>(::getpid()));
    const int opened = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool complete = false;
    const auto all = list_descriptors(self.get(), 1000, &complete);
    CHECK(complete);
    CHECK(list_descriptors(self.get(), 2, &complete).size() == 2);
    CHECK_FALSE(complete);
    const auto table = handle_table(self.get(), all, {});
    CHECK(table->rows() == all.size());
    for (std::size_t row = 0; row < table->rows(); ++row) {
        if (table->handle.at(row) != static_cast<std::uint64_t>(opened)) continue;
        CHECK(table->type_name.at(row) == "CharacterDevice");
        CHECK(table->object_name.at(row) == "/dev/null");
    }
    ::close(opened);
}
