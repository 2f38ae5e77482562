// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "base/error.h"
#include "generated/flags.h"
#include "minidump/raw.h"
#include "minidump/reader/summary.h"
#include "minidump/writer/writer.h"

using namespace snapcore;
using namespace snapcore::minidump;

namespace {

class MemoryFile final : public OutputFile {
public:
    void write(std::uint64_t offset, std::span<const std::byte> data) override {
        const std::lock_guard lock(mutex_);
        if (fail_at != 0 && offset + data.size() > fail_at) throw Error::file(28, "pwrite", "full");
        REQUIRE(offset + data.size() <= bytes.size());
        std::memcpy(bytes.data() + offset, data.data(), data.size());
        written += data.size();
    }
    std::size_t read(std::uint64_t offset, std::span<std::byte> out) override {
        const std::size_t n =
            offset >= bytes.size() ? 0 : std::min<std::size_t>(out.size(), bytes.size() - offset);
        std::memcpy(out.data(), bytes.data() + offset, n);
        return n;
    }
    std::intptr_t native_handle() override { return -1; }
    void allocate(std::uint64_t, std::uint64_t) override {}
    void release(std::uint64_t, std::uint64_t) override {}
    void set_size(std::uint64_t size) override { bytes.resize(size); }
    std::uint64_t size() override { return bytes.size(); }
    std::uint64_t allocated_size() override { return written; }
    void commit(bool) override {}

    template <class T>
    T at(std::uint64_t offset) const {
        T value;
        REQUIRE(offset + sizeof value <= bytes.size());
        std::memcpy(&value, bytes.data() + offset, sizeof value);
        return value;
    }

    std::vector<std::byte> bytes;
    std::uint64_t written = 0;
    std::uint64_t fail_at = 0;

private:
    std::mutex mutex_;
};

// Byte at address a is a / 4096 % 251 + 1, but for pages that are zero or cannot be read.
class Pattern final : public MemoryReader {
public:
    std::size_t read(std::uint64_t address, std::span<std::byte> out) override {
        for (std::size_t i = 0; i < out.size(); ++i) {
            const std::uint64_t page = (address + i) / 4096;
            if (unreadable.contains(page * 4096)) return i;
            out[i] = zero.contains(page * 4096) ? std::byte{0} : value(address + i);
        }
        return out.size();
    }
    static std::byte value(std::uint64_t address) {
        return static_cast<std::byte>(address / 4096 % 251 + 1);
    }
    std::map<std::uint64_t, bool> unreadable, zero;
};

constexpr std::uint64_t kStack = 0x7f0000010000, kHeap = 0x555500000000;

Contents contents(std::uint64_t flags) {
    Contents c;
    c.flags = flags;
    c.pid = 0x1234;
    c.captured_at_ns = 1'700'000'000'000'000'000;
    auto threads = std::make_shared<ThreadTable>();
    auto contexts = std::make_shared<ContextTable>();
    for (const std::uint32_t tid : {77u, 78u}) {
        ThreadRow row;
        row.tid = tid;
        row.name = "same name";
        row.stack_pointer = kStack + 0x100;
        row.user_time_ns = 12'300;
        threads->append(row);
        contexts->records.resize(contexts->records.size() + contexts->stride());
    }
    ContextExtension extension;
    extension.tid = 77;  // 78 has no registers
    extension.valid = 1;
    std::byte* const record = contexts->records.data();
    const std::uint64_t rip = 0x1122334455667788;
    std::memcpy(record + offsetof(raw::Amd64Context, Rip), &rip, sizeof rip);
    std::memcpy(record + kAmd64ContextSize, &extension, sizeof extension);
    auto modules = std::make_shared<ModuleTable>();
    ModuleRow module;
    module.base = 0x400000;
    module.size = 0x5000;
    module.path = "/bin/\xc3\xa9";
    modules->append(module);
    c.build_ids = {std::string("\x01\x02\x03", 3)};
    auto handles = std::make_shared<HandleTable>();
    auto regions = std::make_shared<RegionTable>();
    RegionRow region;
    region.base = kHeap;
    region.size = 0x10000;
    regions->append(region);
    c.threads = threads;
    c.contexts = contexts;
    c.modules = modules;
    c.handles = handles;
    c.regions = regions;
    c.memory = {{{kHeap + 0x2000, 0x4000}, true}, {{kStack, 0x2000}, false}};
    c.stacks = {{77, {kStack + 0x80, 0x1f80}}};
    return c;
}

struct Written {
    MemoryFile file;
    Pattern memory;
    Control control;
    DumpStats stats;

    raw::MINIDUMP_LOCATION_DESCRIPTOR stream(std::uint32_t type) const {
        const auto header = file.at<raw::MINIDUMP_HEADER>(0);
        raw::MINIDUMP_LOCATION_DESCRIPTOR found{};
        int count = 0;
        for (std::uint32_t i = 0; i < header.NumberOfStreams; ++i) {
            const auto entry = file.at<raw::MINIDUMP_DIRECTORY>(header.StreamDirectoryRva + i * 12);
            CHECK(entry.Location.Rva + std::uint64_t{entry.Location.DataSize} <= file.bytes.size());
            if (entry.StreamType == type) {
                found = entry.Location;
                ++count;
            }
        }
        CHECK(count <= 1);
        return found;
    }
    std::string text(raw::RVA at) const {
        std::string out;
        for (std::uint32_t i = 0; i < file.at<std::uint32_t>(at); i += 2) {
            out += static_cast<char>(file.at<std::uint16_t>(at + 4 + i));
        }
        return out;
    }
    void write(const Contents& c) { stats = write_minidump(c, memory, file, control); }
};

}  // namespace

TEST_CASE("writer: header and directory") {
    Written w;
    w.write(contents(0x4000000 | 2));
    const auto header = w.file.at<raw::MINIDUMP_HEADER>(0);
    CHECK(header.Signature == 0x504d444d);
    CHECK((header.Version & 0xffff) == 0xa793);
    CHECK(header.TimeDateStamp == 1'700'000'000);
    CHECK(header.Flags == 2);  // readers refuse what lies beyond 0x1fffff
}

TEST_CASE("writer: threads, names, and a thread without registers") {
    Written w;
    w.write(contents(MiniDumpType::WITH_THREAD_INFO));
    const auto list = w.stream(raw::ThreadListStream);
    CHECK(list.DataSize == 4 + 2 * 48);
    const auto first = w.file.at<raw::MINIDUMP_THREAD>(list.Rva + 4);
    const auto second = w.file.at<raw::MINIDUMP_THREAD>(list.Rva + 52);
    CHECK(first.ThreadContext.DataSize == 1232);
    CHECK(first.ThreadContext.Rva % 16 == 0);
    CHECK(w.file.at<raw::Amd64Context>(first.ThreadContext.Rva).Rip == 0x1122334455667788);
    CHECK(w.file.at<raw::Amd64Context>(second.ThreadContext.Rva).Rip == 0);
    CHECK(w.file.at<raw::Amd64Context>(second.ThreadContext.Rva).ContextFlags == 0x100000);
    CHECK(first.Stack.StartOfMemoryRange == kStack + 0x80);
    CHECK(first.Stack.Memory.DataSize == 0x1f80);
    CHECK(w.file.at<std::byte>(first.Stack.Memory.Rva) == Pattern::value(kStack));
    CHECK(second.Stack.Memory.DataSize == 0);

    const auto names = w.stream(raw::ThreadNamesStream);
    CHECK(names.DataSize == 4 + 2 * 12);
    const auto name = w.file.at<raw::MINIDUMP_THREAD_NAME>(names.Rva + 4);
    // By value: CHECK takes references, which a packed member may not be aligned for.
    const raw::RVA64 where = name.RvaOfThreadName;
    CHECK(w.text(static_cast<raw::RVA>(where)) == "same name");
    CHECK(raw::RVA64{w.file.at<raw::MINIDUMP_THREAD_NAME>(names.Rva + 16).RvaOfThreadName} ==
          where);

    const auto infos = w.stream(raw::ThreadInfoListStream);
    CHECK(infos.DataSize == 12 + 2 * 64);
    CHECK(w.file.at<raw::MINIDUMP_THREAD_INFO>(infos.Rva + 12).UserTime == 123);
    CHECK(w.file.at<raw::MINIDUMP_THREAD_INFO>(infos.Rva + 76).DumpFlags == 0x10);
}

TEST_CASE("writer: of ARM64, Breakpad's record, with and without registers") {
    Contents c = contents(MiniDumpType::WITH_AVX_XSTATE_CONTEXT);
    c.system.architecture = Architecture::kArm64;
    auto contexts = std::make_shared<ContextTable>();
    contexts->architecture = Architecture::kArm64;
    contexts->context_size = sizeof(raw::Arm64Context);
    contexts->records.resize(2 * contexts->stride());
    ContextExtension extension;
    extension.tid = 77;
    extension.valid = 1;
    raw::Arm64Context known{};
    known.ContextFlags = ContextFlags::ARM64 | 0xf;
    known.Cpsr = 0x60000000;
    known.X[0] = 1;
    known.X[30] = 31;
    known.Sp = kStack + 0x100;
    known.Pc = 0x1122334455667788;
    known.V[31][15] = 0xab;
    known.Fpcr = 5;
    known.Fpsr = 6;
    std::memcpy(contexts->records.data(), &known, sizeof known);
    std::memcpy(contexts->records.data() + sizeof known, &extension, sizeof extension);
    c.contexts = contexts;
    Written w;
    w.write(c);
    const auto system = w.file.at<raw::MINIDUMP_SYSTEM_INFO>(w.stream(raw::SystemInfoStream).Rva);
    CHECK(std::uint16_t{system.ProcessorArchitecture} == 0x8003);
    const auto list = w.stream(raw::ThreadListStream);
    const auto first = w.file.at<raw::MINIDUMP_THREAD>(list.Rva + 4).ThreadContext;
    CHECK(first.DataSize == 796);
    const auto record = w.file.at<raw::BreakpadArm64Context>(first.Rva);
    CHECK(std::uint64_t{record.ContextFlags} == 0x80000006);
    CHECK(std::uint64_t{record.X[0]} == 1);
    CHECK(std::uint64_t{record.X[30]} == 31);
    CHECK(std::uint64_t{record.Sp} == kStack + 0x100);
    CHECK(std::uint64_t{record.Pc} == 0x1122334455667788);
    CHECK(std::uint32_t{record.Cpsr} == 0x60000000);
    CHECK(std::uint32_t{record.Fpcr} == 5);
    CHECK(std::uint32_t{record.Fpsr} == 6);
    CHECK(record.V[31][15] == 0xab);
    const auto second = w.file.at<raw::MINIDUMP_THREAD>(list.Rva + 52).ThreadContext;
    CHECK(second.DataSize == 796);
    CHECK(std::uint64_t{w.file.at<raw::BreakpadArm64Context>(second.Rva).ContextFlags} ==
          0x80000000);
}

TEST_CASE("writer: extended state of the features that a thread uses") {
    Contents c = contents(MiniDumpType::WITH_AVX_XSTATE_CONTEXT);
    c.xstate = {{2, 576, 256}, {9, 2688, 8}, {18, 2816, 8192}};
    auto contexts = std::make_shared<ContextTable>(*c.contexts);
    contexts->xsave_stride = 11008;
    contexts->xsave.resize(2 * contexts->xsave_stride);
    const std::uint64_t used = 0x7 | 1 << 9;
    std::memcpy(contexts->xsave.data() + 512, &used, sizeof used);
    contexts->xsave[576] = std::byte{0xab};
    c.contexts = contexts;
    Written w;
    w.write(c);
    const auto list = w.stream(raw::ThreadListStream);
    const auto first = w.file.at<raw::MINIDUMP_THREAD>(list.Rva + 4).ThreadContext;
    // Up to the protection keys; the tiles, which nobody uses, are left out.
    CHECK(first.DataSize == 1232 + 64 + (2696 - 512));
    CHECK(w.file.at<raw::Amd64Context>(first.Rva).ContextFlags == 0x40);
    const auto extension = w.file.at<raw::CONTEXT_EX>(first.Rva + 1232);
    CHECK(extension.All.Offset == -1232);
    CHECK(extension.All.Length == first.DataSize);
    CHECK(extension.XState.Offset == 64);
    CHECK(extension.XState.Length == 2696 - 512);
    CHECK(w.file.at<std::uint64_t>(first.Rva + 1296) == used);
    CHECK(w.file.at<std::byte>(first.Rva + 1296 + 576 - 512) == std::byte{0xab});
    const auto second = w.file.at<raw::MINIDUMP_THREAD>(list.Rva + 52).ThreadContext;
    CHECK(second.DataSize == 1232);  // no registers, no state
    const auto misc = w.stream(raw::MiscInfoStream);
    const auto info = w.file.at<raw::MINIDUMP_MISC_INFO_5>(misc.Rva);
    CHECK(misc.DataSize == sizeof info);
    CHECK(info.XStateData.EnabledFeatures == (0x7 | 1 << 9));
    CHECK(info.XStateData.Features[9].Offset == 2688);
    CHECK(info.XStateData.Features[18].Size == 0);
}

TEST_CASE("writer: of a filtered stack only pointers are left") {
    Contents c = contents(MiniDumpType::FILTER_MEMORY);
    c.filtered = {{kStack + 4, 0x1000}};
    Written w;
    // Every word of the pattern's first page is the same; it points into the one range.
    std::uint64_t word = 0;
    std::memset(&word, static_cast<int>(Pattern::value(kStack)), sizeof word);
    SUBCASE("kept") {
        c.pointed_to = {{word, 1}};
    }
    SUBCASE("wiped") {
        c.pointed_to = {{word + 1, 1}};
    }
    w.write(c);
    const auto stack =
        w.file.at<raw::MINIDUMP_MEMORY_DESCRIPTOR>(w.stream(raw::MemoryListStream).Rva + 4 + 16);
    REQUIRE(stack.StartOfMemoryRange == kStack);
    const bool kept = c.pointed_to[0].address == word;
    CHECK(w.file.at<std::uint32_t>(stack.Memory.Rva) == static_cast<std::uint32_t>(word));
    CHECK(w.file.at<std::uint32_t>(stack.Memory.Rva + 4) == 0);  // half a word is no pointer
    CHECK(w.file.at<std::uint64_t>(stack.Memory.Rva + 8) == (kept ? word : 0));
    CHECK(w.file.at<std::uint64_t>(stack.Memory.Rva + 0x1008) != 0);
}

TEST_CASE("writer: heaps may be larger than a MemoryList reaches") {
    Written w;
    w.write(contents(MiniDumpType::WITH_PRIVATE_READ_WRITE_MEMORY));
    CHECK(w.stream(raw::Memory64ListStream).DataSize == 16 + 2 * 16);
    CHECK(w.stream(raw::MemoryListStream).DataSize == 0);
}

TEST_CASE("writer: paths, object names, counters") {
    Contents c = contents(MiniDumpType::FILTER_MODULE_PATHS | MiniDumpType::FILTER_TRIAGE |
                          MiniDumpType::WITH_HANDLE_DATA);
    auto handles = std::make_shared<HandleTable>();
    HandleRow row;
    row.handle = 3;
    row.type_name = "File";
    row.object_name = "/home/somebody/secret";
    handles->append(row);
    c.handles = handles;
    c.process.working_set_size = 0x5000;
    c.process.page_faults = 7;
    c.system_memory = SystemMemory{4096, 8 * 4096, 4 * 4096, 3 * 4096, 16 * 4096, 4096};
    Written w;
    w.write(c);
    const auto module =
        w.file.at<raw::MINIDUMP_MODULE>(w.stream(raw::ModuleListStream).Rva + 4).ModuleNameRva;
    CHECK(w.file.at<std::uint32_t>(module) == 2);  // the one letter of its name
    const auto handle =
        w.file.at<raw::MINIDUMP_HANDLE_DESCRIPTOR>(w.stream(raw::HandleDataStream).Rva + 16);
    CHECK(w.text(handle.TypeNameRva) == "File");
    CHECK(handle.ObjectNameRva == 0);
    const auto counters =
        w.file.at<raw::MINIDUMP_PROCESS_VM_COUNTERS_2>(w.stream(raw::ProcessVmCountersStream).Rva);
    CHECK(std::uint64_t{counters.WorkingSetSize} == 0x5000);
    CHECK(counters.PageFaultCount == 7);
    const auto memory =
        w.file.at<raw::MINIDUMP_SYSTEM_MEMORY_INFO_1>(w.stream(raw::SystemMemoryInfoStream).Rva);
    CHECK(memory.BasicInfo.NumberOfPhysicalPages == 8);
    CHECK(std::uint64_t{memory.BasicPerfInfo.CommitLimit} == 16);
}

TEST_CASE("writer: a stream of a user must not be one of ours") {
    Contents c = contents(0);
    c.streams = {{0x20000, "mine"}, {raw::MiscInfoStream, "not mine"}};
    Written w;
    CHECK_THROWS_AS(w.write(c), const Error&);
}

TEST_CASE("writer: modules with their build ids") {
    Written w;
    w.write(contents(0));
    const auto list = w.stream(raw::ModuleListStream);
    CHECK(list.DataSize == 4 + 108);
    const auto module = w.file.at<raw::MINIDUMP_MODULE>(list.Rva + 4);
    CHECK(module.CvRecord.DataSize == 7);
    CHECK(w.file.at<std::uint32_t>(module.CvRecord.Rva) == 0x4270454c);
    CHECK(w.text(module.ModuleNameRva) == "/bin/\xe9");
}

TEST_CASE("writer: full memory, stacks first, split regions") {
    Written w;
    w.write(contents(0x802));
    const auto list = w.stream(raw::Memory64ListStream);
    CHECK(list.DataSize == 16 + 2 * 16);
    CHECK(w.stream(raw::MemoryListStream).DataSize == 0);
    const auto header = w.file.at<raw::MINIDUMP_MEMORY64_LIST>(list.Rva);
    CHECK(header.BaseRva % 4096 == 0);
    CHECK(w.file.at<raw::MINIDUMP_MEMORY_DESCRIPTOR64>(list.Rva + 16).StartOfMemoryRange == kStack);
    CHECK(w.file.at<raw::MINIDUMP_MEMORY_DESCRIPTOR64>(list.Rva + 32).StartOfMemoryRange ==
          kHeap + 0x2000);
    CHECK(w.file.bytes.size() == header.BaseRva + 0x6000 + w.stream(raw::MozSoftErrors).DataSize);
    for (std::uint64_t i = 0; i < 0x4000; i += 0x1000) {
        CHECK(w.file.at<std::byte>(header.BaseRva + 0x2000 + i) ==
              Pattern::value(kHeap + 0x2000 + i));
    }
    CHECK(w.stats.bytes_not_of_the_instant == 0x2000);
    CHECK(w.stats.memory_bytes == 0x6000);

    const auto info = w.stream(raw::MemoryInfoListStream);
    CHECK(w.file.at<raw::MINIDUMP_MEMORY_INFO_LIST>(info.Rva).NumberOfEntries == 3);
    const auto middle = w.file.at<raw::MINIDUMP_MEMORY_INFO>(info.Rva + 16 + 48);
    CHECK(middle.BaseAddress == kHeap + 0x2000);
    CHECK(middle.RegionSize == 0x4000);
}

TEST_CASE("writer: a range of more than 64 MiB is split in a MemoryList") {
    Written w;
    Contents c = contents(0);
    c.memory = {{{kHeap, (64u << 20) + 4096}, true}};
    c.stacks.clear();
    w.write(c);
    CHECK(w.file.at<std::uint32_t>(w.stream(raw::MemoryListStream).Rva) == 2);
}

TEST_CASE("writer: zero pages and pages that cannot be read are not written") {
    Written w;
    Contents c = contents(2);
    c.memory = {{{kHeap, 64 * 4096}, true}};
    c.stacks.clear();
    for (std::uint64_t page = 8; page < 40; ++page) w.memory.zero[kHeap + page * 4096] = true;
    w.memory.unreadable[kHeap + 50 * 4096] = true;
    w.memory.unreadable[kHeap + 51 * 4096] = true;
    w.write(c);
    const auto base =
        w.file.at<raw::MINIDUMP_MEMORY64_LIST>(w.stream(raw::Memory64ListStream).Rva).BaseRva;
    CHECK(w.file.written < base + 36 * 4096 + 8192);
    for (std::uint64_t page = 0; page < 64; ++page) {
        const bool hole = (page >= 8 && page < 40) || page == 50 || page == 51;
        CHECK(w.file.at<std::byte>(base + page * 4096 + 77) ==
              (hole ? std::byte{0} : Pattern::value(kHeap + page * 4096)));
    }
    const auto errors = w.stream(raw::MozSoftErrors);
    const std::string text(reinterpret_cast<const char*>(w.file.bytes.data()) + errors.Rva,
                           errors.DataSize);
    CHECK(text.find("\"address\":\"0x555500032000\",\"size\":8192") != std::string::npos);
    CHECK(text.front() == '[');
    CHECK(text.find(']') < text.size());
}

TEST_CASE("writer: known zeros and late bytes are listed") {
    Written w;
    Contents c = contents(2);
    c.known_zero = {{kHeap + 0x100000, 0x200000}};
    w.write(c);
    const auto ranges = w.stream(raw::SnapcoreRanges);
    CHECK(ranges.DataSize == 16 + 2 * 24);
    const auto zero = w.file.at<raw::SNAPCORE_RANGE>(ranges.Rva + 16);
    CHECK(zero.Kind == raw::SNAPCORE_RANGE_KNOWN_ZERO);
    CHECK(zero.Size == 0x200000);
    CHECK(w.file.at<raw::SNAPCORE_RANGE>(ranges.Rva + 40).StartOfRange == kStack);
}

TEST_CASE("writer: no handles, one handle, many with shared names") {
    for (const std::uint32_t count : {0u, 1u, 1000u}) {
        Written w;
        Contents c = contents(MiniDumpType::WITH_HANDLE_DATA);
        auto handles = std::make_shared<HandleTable>();
        for (std::uint32_t i = 0; i < count; ++i) {
            HandleRow row;
            row.handle = i;
            row.type_name = "Pipe";
            row.granted_access = 0x8001;
            handles->append(row);
        }
        c.handles = handles;
        w.write(c);
        const auto list = w.stream(raw::HandleDataStream);
        CHECK(list.DataSize == 16 + count * 32);
        if (count > 0) {
            const auto last =
                w.file.at<raw::MINIDUMP_HANDLE_DESCRIPTOR>(list.Rva + 16 + (count - 1) * 32);
            CHECK(last.Handle == count - 1);
            CHECK(last.GrantedAccess == 0x8001);
            CHECK(last.ObjectNameRva == 0);
            CHECK(w.text(last.TypeNameRva) == "Pipe");
        }
    }
}

TEST_CASE("writer: a full disk and a cancel reach the caller, and there is no signature") {
    Contents c = contents(2);
    c.memory = {{{kHeap, 8u << 20}, true}};
    c.stacks.clear();
    Written full;
    full.file.fail_at = 1u << 20;
    CHECK_THROWS_AS(full.write(c), const Error&);
    CHECK(full.file.at<std::uint32_t>(0) == 0);
    Written cancelled;
    cancelled.control.cancelled = true;
    CHECK_THROWS_AS(cancelled.write(c), const Error&);
    CHECK(cancelled.file.at<std::uint32_t>(0) == 0);
}

namespace {

class Gathered final : public OutputStream {
public:
    void write(std::span<const std::byte> data, const std::function<void()>& check) override {
        if (fail_at != 0 && bytes.size() + data.size() > fail_at)
            throw Error::file(32, "write", "");
        if (blocked) {
            for (;;) check();
        }
        bytes.insert(bytes.end(), data.begin(), data.end());
    }
    std::vector<std::byte> bytes;
    std::uint64_t fail_at = 0;
    bool blocked = false;
};

}  // namespace

TEST_CASE("writer: a stream gets the bytes of the file") {
    for (const std::uint64_t flags : {0x1800U, 0x802U}) {
        Contents c = contents(flags);
        // Sizes that are no multiple of anything: what lies behind memory is aligned all the same.
        c.memory = {{{kHeap + 0x2001, 3 * (1 << 20) + 5}, true}, {{kStack, 0x2003}, false}};
        Written w;
        w.memory.unreadable[kHeap + 0x5000] = true;
        w.memory.unreadable[kHeap + 0x100000] = true;
        w.write(c);
        Gathered stream;
        Control control;
        const DumpStats stats = write_minidump(c, w.memory, stream, control);
        CHECK(stream.bytes == w.file.bytes);
        CHECK(stats.unreadable_bytes == 2 * 4096);
        CHECK(control.done_bytes == stats.memory_bytes);
        const auto errors = w.stream(raw::MozSoftErrors);
        CHECK(errors.Rva + errors.DataSize == w.file.bytes.size());
    }
}

TEST_CASE("writer: beyond 4 GiB soft errors come before memory") {
    // Not written, but planned: the stream ends with the tables.
    Contents c = contents(0x802);
    c.memory = {{{kHeap, std::uint64_t{5} << 30}, true}, {{kStack, 0x2000}, false}};
    c.diagnostics.push_back(
        {Severity::kWarning, "known_before", "a message", "", ErrorDomain::kNone, 0, 0});
    Pattern memory;
    Gathered stream;
    stream.fail_at = 64 * 1024;
    Control control;
    CHECK_THROWS_AS(write_minidump(c, memory, stream, control), const Error&);
    const std::string text(reinterpret_cast<const char*>(stream.bytes.data()), stream.bytes.size());
    CHECK(text.substr(0, 4) == "MDMP");
    CHECK(text.find("known_before") != std::string::npos);
}

TEST_CASE("writer: a stream that fails or is given up ends the dump, and no thread waits") {
    Contents c = contents(2);
    c.memory = {{{kHeap, 64u << 20}, true}};
    c.stacks.clear();
    Pattern memory;
    Gathered broken;
    broken.fail_at = 10u << 20;
    Control control;
    CHECK_THROWS_AS(write_minidump(c, memory, broken, control), const Error&);
    Gathered blocked;
    blocked.blocked = true;
    control.deadline_ns = monotonic_ns() + 50'000'000;
    CHECK_THROWS_AS(write_minidump(c, memory, blocked, control), const Error&);
}

namespace {

DumpStats summary(MemoryFile& file) {
    return summarize(
        [&](std::uint64_t offset, std::span<std::byte> out) { return file.read(offset, out); },
        file.size());
}

}  // namespace

TEST_CASE("summary: what was written is counted by the file's own numbers") {
    for (const std::uint64_t flags : {0x1800U, 0x802U}) {
        Written w;
        w.write(contents(flags));
        const DumpStats stats = summary(w.file);
        CHECK(stats.threads == w.stats.threads);
        CHECK(stats.modules == w.stats.modules);
        CHECK(stats.memory_ranges == w.stats.memory_ranges);
        CHECK(stats.memory_bytes == w.stats.memory_bytes);
    }
}

TEST_CASE("summary: a file that is cut, empty or hostile is refused and never read beyond") {
    Written w;
    w.write(contents(0x802));
    const std::vector<std::byte> whole = w.file.bytes;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{31}, std::size_t{100}, whole.size() - 1}) {
        w.file.bytes.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK_THROWS_AS(summary(w.file), const Error&);
    }
    // Every byte of header and directory, all ones: an exception or an answer, nothing else.
    for (std::size_t at = 0; at < 512; ++at) {
        w.file.bytes = whole;
        w.file.bytes[at] = std::byte{0xff};
        try {
            summary(w.file);
        } catch (const Error& error) {
            CHECK(error.kind() == ErrorKind::kFormat);
        }
    }
}
