// SPDX-License-Identifier: Apache-2.0
#include "fuzz/exercise.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "minidump/reader/summary.h"
#include "minidump/reader/zstd_input.h"
#include "minidump/writer/whole.h"

namespace snapcore::fuzz {
namespace {

using minidump::DumpFile;

class MemoryFile final : public InputFile {
public:
    explicit MemoryFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

    std::size_t read(std::uint64_t offset, std::span<std::byte> out) override {
        if (offset >= bytes_.size()) return 0;
        const std::size_t at = static_cast<std::size_t>(offset);
        const std::size_t n = std::min(out.size(), bytes_.size() - at);
        if (n != 0) std::memcpy(out.data(), bytes_.data() + at, n);
        return n;
    }
    std::uint64_t size() override { return bytes_.size(); }

private:
    std::span<const std::byte> bytes_;
};

// What a file that names any base gets: a dump with an identity and two ranges of memory.
// scripts/make_corpus.py has the same.
std::vector<std::byte> base_file() {
    namespace raw = minidump::raw;
    constexpr std::uint32_t kSystemAt = 128, kIdentityAt = 192, kListAt = 208, kMemoryAt = 256;
    std::vector<std::byte> out(1024);
    const auto put = [&out](std::size_t at, const auto& value) {
        std::memcpy(out.data() + at, &value, sizeof value);
    };
    raw::MINIDUMP_HEADER header{};
    header.Signature = raw::kSignature;
    header.Version = raw::kVersion;
    header.NumberOfStreams = 3;
    header.StreamDirectoryRva = sizeof header;
    put(0, header);
    put(32, raw::MINIDUMP_DIRECTORY{raw::SystemInfoStream, {56, kSystemAt}});
    put(44, raw::MINIDUMP_DIRECTORY{raw::SnapcoreIdentity, {16, kIdentityAt}});
    put(56, raw::MINIDUMP_DIRECTORY{raw::Memory64ListStream, {48, kListAt}});
    raw::SNAPCORE_IDENTITY identity{};
    for (std::uint8_t i = 0; i < 16; ++i) identity.Bytes[i] = i;
    put(kIdentityAt, identity);
    put(kListAt, raw::MINIDUMP_MEMORY64_LIST{2, kMemoryAt});
    put(kListAt + 16, raw::MINIDUMP_MEMORY_DESCRIPTOR64{0x10000, 512});
    put(kListAt + 32, raw::MINIDUMP_MEMORY_DESCRIPTOR64{0x20000, 256});
    for (std::size_t at = kMemoryAt; at < out.size(); ++at) out[at] = std::byte(at % 251);
    return out;
}

std::span<const std::byte> base_bytes() {
    static const std::vector<std::byte> bytes = base_file();
    return bytes;
}

std::unique_ptr<InputFile> open_base(const std::string& name) {
    if (name.empty() || name.find('/') != std::string::npos || name == "..") std::abort();
    if (name == "missing") throw Error::file(2, "open", name);
    return std::make_unique<MemoryFile>(base_bytes());
}

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "check failed: %s\n", what.c_str());
    std::abort();
}

void check(bool holds, const char* what) {
    if (!holds) fail(what);
}

// Each row of a table stands for bytes of the file.
void check_rows(std::size_t rows, std::size_t least_entry, std::span<const std::byte> bytes) {
    check(rows <= bytes.size() / least_entry, "a table has more rows than the file has room for");
}

template <class T>
void check_column(const Column<T>& column, std::size_t rows) {
    check(column.size() == rows || column.size() == 0, "a column has another length");
    check(column.is_unknown() || column.values().size() == column.size(), "a column lacks values");
    check(column.valid().empty() || column.valid().size() == column.size(), "a mask is short");
}

void check_column(const StringColumn& column, std::size_t rows) {
    check(column.size() == rows || column.size() == 0, "a column has another length");
    const auto count = static_cast<std::int32_t>(column.categories().size());
    for (const std::int32_t code : column.codes()) {
        check(code >= -1 && code < count, "a code names no string");
    }
}

template <class Table>
void check_table(const Table& table, std::size_t least_entry, std::span<const std::byte> bytes) {
    check_rows(table.rows(), least_entry, bytes);
    table.for_each_column(
        [&](const char*, const auto& column) { check_column(column, table.rows()); });
}

// A stream that a file does not have is a question of usage, never of the format.
template <class Ask>
auto if_there(Ask ask) -> decltype(ask()) {
    try {
        return ask();
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::kInvalidArgument) throw;
        return nullptr;
    }
}

void exercise_tables(DumpFile& file, std::span<const std::byte> bytes) {
    const auto threads = file.threads();
    check_table(*threads, 48, bytes);
    check(file.threads() == threads, "a table is made twice");

    const auto contexts = file.contexts();
    check(contexts->records.size() == contexts->rows() * contexts->stride(),
          "a record of registers is not whole");
    check(contexts->rows() == threads->rows(), "threads and registers are not as many");
    for (std::size_t row = 0; row < contexts->rows(); ++row) {
        check(contexts->extension(row).tid == threads->tid.at(row), "registers of another thread");
    }

    check_table(*file.modules(), 108, bytes);
    if (const auto handles = if_there([&] { return file.handles(); })) {
        check_table(*handles, 32, bytes);
    }
    if (const auto regions = if_there([&] { return file.regions(); })) {
        // The shortest line of LinuxMaps.
        check_table(*regions, 16, bytes);
    }
}

void check_read(DumpFile& file,
                const minidump::FileRange& range,
                std::uint64_t inside,
                std::span<const std::byte> bytes) {
    std::byte out[256];
    const std::size_t got = file.read(range.address + inside, out);
    const std::uint64_t left = range.present - inside;
    if (range.in_base != 0) bytes = base_bytes();
    check(got >= std::min<std::uint64_t>(left, sizeof out), "memory that is there is not read");
    const std::size_t own = static_cast<std::size_t>(std::min<std::uint64_t>(left, got));
    const std::byte* const there = bytes.data() + range.offset + inside;
    check(own == 0 || std::memcmp(out, there, own) == 0, "memory is read from elsewhere");
}

void exercise_memory(DumpFile& file, std::span<const std::byte> bytes) {
    const std::vector<minidump::FileRange>& ranges = file.memory_ranges();
    // Of a base, what lies in the gaps between the file's own ranges.
    const std::size_t own = bytes.size() / 16;
    check(ranges.size() <= (file.base() == nullptr ? own : 3 * own + base_bytes().size() / 16),
          "there are more ranges than the file has room for");
    std::uint64_t last = 0;
    for (const minidump::FileRange& range : ranges) {
        check(range.size != 0, "a range is empty");
        check(range.address >= last, "ranges overlap or are not sorted");
        check(range.present <= range.size, "more of a range is there than it has");
        const std::size_t size = range.in_base != 0 ? base_bytes().size() : bytes.size();
        check(range.in_base == 0 || file.base() != nullptr, "there is no base for a range");
        check(range.present == 0 || (range.offset <= size && range.present <= size - range.offset),
              "a range lies outside the file");
        last = range.end();
    }
    // Enough of them to come to each kind of neighbour.
    constexpr std::size_t kMost = 64;
    for (std::size_t i = 0; i < std::min(ranges.size(), kMost); ++i) {
        const minidump::FileRange& range = ranges[i];
        if (range.present == 0) continue;
        check_read(file, range, 0, bytes);
        check_read(file, range, range.present - 1, bytes);
        std::byte before[32];
        file.read(range.address - std::min<std::uint64_t>(range.address, 16), before);
        file.read(range.end() - 1, before);
    }
    std::vector<std::byte> large(std::min<std::size_t>(bytes.size() * 2, 1 << 16));
    for (const std::uint64_t address : {std::uint64_t{0},
                                        ranges.empty() ? 0 : ranges.front().address,
                                        std::uint64_t{0x90000},
                                        ~std::uint64_t{0} - 16}) {
        check(file.read(address, large) <= large.size(), "more is read than was asked for");
    }
    check(file.read(0, {}) == 0, "something is read into nothing");
}

// Takes what is written and forgets it.
class Nowhere final : public OutputStream {
public:
    void write(std::span<const std::byte> bytes, const std::function<void()>&) override {
        constexpr std::uint64_t kMost = 1 << 24;
        size_ += bytes.size();
        if (size_ > kMost) throw Error(ErrorKind::kCancelled, ErrorDomain::kNone, 0, "", "enough");
    }

private:
    std::uint64_t size_ = 0;
};

void exercise_whole(DumpFile& file) {
    if (file.base() == nullptr) return;
    Nowhere out;
    Control control;
    try {
        minidump::write_whole(file, out, control);
    } catch (const Error&) {
        // Addresses that no file has room for, or no list of memory.
    }
}

}  // namespace

void exercise(DumpFile& file, std::span<const std::byte> bytes) {
    static_cast<void>(file.process());
    static_cast<void>(file.system());
    static_cast<void>(file.flags());
    static_cast<void>(file.captured_at_ns());
    for (const minidump::StreamEntry& entry : file.streams()) {
        const auto stream = file.stream(entry.type);
        check(stream.has_value(), "a stream of the directory is not there");
        check(stream->size() <= bytes.size(), "a stream is larger than the file");
    }
    check(!file.stream(0).has_value(), "an unused entry is a stream");
    exercise_tables(file, bytes);
    exercise_memory(file, bytes);
    for (const minidump::ExceptionInfo& info : file.exceptions()) {
        check(info.parameters.size() <= 15, "an exception has too many parameters");
    }
    check(file.exception_contexts()->rows() == file.exceptions().size(),
          "exceptions and their registers are not as many");
    check_rows(file.unloaded_modules().size(), 24, bytes);
    std::size_t information = 0;
    for (const auto& info : file.handle_information()) information += 12 + info.bytes.size();
    check(information <= bytes.size(), "objects have more information than the file has bytes");
    check_rows(file.handle_operations().size(), 288, bytes);
    check_rows(file.tokens().size(), 16, bytes);
    check_rows(file.auxiliary_vector().size(), 8, bytes);
    static_cast<void>(file.misc());
    static_cast<void>(file.system_memory());
    static_cast<void>(file.breakpad());
    static_cast<void>(file.crashpad());
    check(file.mac_crash_info().size() <= 20, "a module has too many records");
    static_cast<void>(file.mac_boot_arguments());
    static_cast<void>(file.dso_debug());
    static_cast<void>(file.comment());
    exercise_whole(file);
    check(file.diagnostics().size() <= 1000, "there is no end of diagnostics");
}

void exercise(std::span<const std::byte> bytes) {
    bool opened = false, found_nothing = false;
    try {
        DumpFile file(std::make_unique<MemoryFile>(bytes), false, open_base);
        opened = true;
        exercise(file, bytes);
        found_nothing = file.diagnostics().empty();
    } catch (const Error& error) {
        if (opened || error.kind() != ErrorKind::kFormat) fail(error.what());
    }
    bool refused = false;
    try {
        DumpFile file(std::make_unique<MemoryFile>(bytes), true, open_base);
        exercise(file, bytes);
        check(file.diagnostics().empty(), "a strict reader goes on");
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::kFormat) fail(error.what());
        refused = true;
    }
    check(refused != found_nothing, "strict and lenient readers differ in what is wrong");

    MemoryFile file(bytes);
    try {
        minidump::summarize(
            [&](std::uint64_t offset, std::span<std::byte> out) { return file.read(offset, out); },
            bytes.size());
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::kFormat) fail(error.what());
    }
}

void exercise_packed(std::span<const std::byte> bytes) {
    std::vector<std::byte> content;
    bool whole = false;
    try {
        const auto input = minidump::unpacked(std::make_unique<MemoryFile>(bytes));
        if (!input->is_packed()) return;
        check(input->stored_size() == bytes.size(), "the compressed file has another size");
        constexpr std::size_t kMost = 4 << 20, kPiece = 4099;
        whole = input->size() <= kMost;
        content.resize(static_cast<std::size_t>(std::min<std::uint64_t>(input->size(), kMost)));
        check(input->read(0, content) == content.size(), "the unpacked file is short");
        check(input->read(input->size(), std::span(content).first(content.empty() ? 0 : 1)) == 0,
              "there is something behind the unpacked file");
        // Frames that are kept give what they gave when they were unpacked.
        std::vector<std::byte> piece(kPiece);
        for (std::size_t at = 0; at < content.size(); at += kPiece) {
            const std::size_t n = std::min(kPiece, content.size() - at);
            check(input->read(at, std::span(piece).first(n)) == n, "a piece is short");
            check(std::equal(piece.begin(),
                             piece.begin() + static_cast<std::ptrdiff_t>(n),
                             content.begin() + static_cast<std::ptrdiff_t>(at)),
                  "a piece differs");
        }
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::kFormat) fail(error.what());
        return;
    }
    try {
        DumpFile file(minidump::unpacked(std::make_unique<MemoryFile>(bytes)), false);
        if (whole) {
            exercise(file, content);
        } else {
            // Tables hold no more than a hundred times the compressed file, and so less than this.
            exercise_tables(file, content);
            static_cast<void>(file.memory_ranges());
        }
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::kFormat) fail(error.what());
    }
}

}  // namespace snapcore::fuzz
