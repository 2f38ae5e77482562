// SPDX-License-Identifier: Apache-2.0
#include "linux/page_compare.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/owners.h"

using namespace snapcore;
using namespace snapcore::linux_os;

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kPages = 64;

// A fork that does nothing, as a clone does.
class Clone {
public:
    Clone() : pid_(::fork()) {
        if (pid_ == 0) {
            for (;;) ::pause();
        }
        const std::string name = "/proc/" + std::to_string(pid_) + "/pagemap";
        pagemap_ = UniqueDescriptor(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    }
    ~Clone() { end(); }
    Clone(const Clone&) = delete;
    Clone& operator=(const Clone&) = delete;
    void end() {
        if (pid_ == 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    int pagemap() const { return pagemap_.get(); }

private:
    pid_t pid_;
    UniqueDescriptor pagemap_;
};

class Memory final : public minidump::MemoryReader {
public:
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override {
        const std::size_t n =
            address >= end
                ? 0
                : std::min<std::size_t>(out.size(), static_cast<std::size_t>(end - address));
        std::memcpy(out.data(), reinterpret_cast<const void*>(address), n);
        return n;
    }
    std::uint64_t end = ~std::uint64_t{0};  // behind it nothing can be read
};

// What memory was, as a file has it.
class Kept final : public ProcessView {
public:
    explicit Kept(Range range) : range_(range), bytes_(range.size) {
        std::memcpy(bytes_.data(), reinterpret_cast<const void*>(range.address), range.size);
    }
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override {
        if (!range_.contains(address)) return 0;
        const auto inside = static_cast<std::size_t>(address - range_.address);
        const std::size_t n = std::min(out.size(), bytes_.size() - inside);
        std::memcpy(out.data(), bytes_.data() + inside, n);
        return n;
    }
    const ProcessInfo& process() const override { return process_; }
    std::shared_ptr<const ThreadTable> threads() override { return nullptr; }
    std::shared_ptr<const HandleTable> handles() override { return nullptr; }
    std::shared_ptr<const RegionTable> regions() override { return nullptr; }
    std::shared_ptr<const ModuleTable> modules() override { return nullptr; }
    std::shared_ptr<const ContextTable> contexts() override { return nullptr; }

private:
    Range range_;
    std::vector<std::byte> bytes_;
    ProcessInfo process_;
};

struct Pages {
    Pages() {
        void* const at = ::mmap(
            nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(at != MAP_FAILED);
        ::madvise(at, kPages * kPage, MADV_NOHUGEPAGE);
        bytes = static_cast<std::uint8_t*>(at);
        for (std::size_t i = 0; i < kPages / 2; ++i)
            bytes[i * kPage] = static_cast<std::uint8_t>(i + 1);
    }
    ~Pages() { ::munmap(bytes, kPages * kPage); }
    std::uint64_t address(std::size_t page) const {
        return reinterpret_cast<std::uintptr_t>(bytes) + page * kPage;
    }
    Range range(std::size_t page, std::size_t count) const {
        return {address(page), count * kPage};
    }
    std::uint8_t* bytes = nullptr;
};

std::vector<Range> ranges_of(const Compared& compared) {
    std::vector<Range> out;
    for (const minidump::MemoryRange& range : compared.changed) out.push_back(range.range);
    return out;
}

}  // namespace

TEST_CASE("what has changed, by frames and by content") {
    Pages pages;
    const Range all = pages.range(0, kPages);
    Kept file(all);
    Clone before;
    pages.bytes[3 * kPage] = 200;
    pages.bytes[4 * kPage + 9] = 200;
    pages.bytes[7 * kPage] = 8;   // as it was, in another frame
    pages.bytes[40 * kPage] = 1;  // not touched before
    Clone now;
    Memory memory;
    Control control;
    const std::vector<minidump::MemoryRange> whole = {{pages.range(0, 20), true},
                                                      {pages.range(20, kPages - 20), true}};
    const std::vector<Range> base = {all}, stacks = {{pages.address(10) + 100, 8}};
    const std::vector<Range> expected = {pages.range(3, 2), pages.range(10, 1), pages.range(40, 1)};
    CompareSource source{whole, memory, base, file, -1, -1, base, stacks};
    const Compared by_content = compare_memory(source, control);
    CHECK(ranges_of(by_content) == expected);
    CHECK(by_content.compared_bytes == all.size);
    CHECK(by_content.held_bytes == 0);
    if (!sees_page_frames()) return;
    source.pagemap = now.pagemap();
    source.base_pagemap = before.pagemap();
    const Compared by_frames = compare_memory(source, control);
    CHECK(ranges_of(by_frames) == expected);
    // Two clones of a process that runs on: what it wrote between them and after the second.
    CHECK(by_frames.compared_bytes <= 8 * kPage);
    CHECK(by_frames.held_bytes >= 3 * kPage);
    before.end();
    const Compared without = compare_memory(source, control);
    CHECK(ranges_of(without) == expected);
    CHECK(without.compared_bytes == all.size);
}

TEST_CASE("what the base lacks, and what cannot be read, has changed") {
    Pages pages;
    Kept file(pages.range(0, 8));
    Memory memory;
    memory.end = pages.address(5) + 10;
    Control control;
    const std::vector<minidump::MemoryRange> whole = {{pages.range(0, 12), true}};
    const std::vector<Range> base = {{pages.address(0) + 100, kPage}, pages.range(3, 9)};
    const Compared found = compare_memory({whole, memory, base, file, -1, -1, {}, {}}, control);
    CHECK(ranges_of(found) == std::vector<Range>{{pages.address(0), 100},
                                                 {pages.address(1) + 100, 2 * kPage - 100},
                                                 pages.range(5, 7)});
}

TEST_CASE("ranges in both") {
    const std::vector<Range> a = {{0, 10}, {20, 10}, {40, 5}}, b = {{5, 20}, {28, 1}, {44, 100}};
    CHECK(intersection(a, b) == std::vector<Range>{{5, 5}, {20, 5}, {28, 1}, {44, 1}});
    CHECK(intersection(a, {}).empty());
}
