// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/dump_file.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "minidump/reader/region_table.h"
#include "minidump/reader/thread_table.h"

namespace snapcore::minidump {

DumpFile::DumpFile(std::unique_ptr<InputFile> file, bool strict, const OpenBase& open_base)
    : source_(std::move(file), strict),
      system_(read_system(source_)),
      identity_(read_identity(source_)),
      base_reference_(read_base_reference(source_)) {
    if (base_reference_ && open_base)
        base_ = find_base(source_, *base_reference_, open_base, strict);
}

const ProcessInfo& DumpFile::process() const {
    const std::lock_guard lock(mutex_);
    if (!process_) process_ = read_process(source_, system_);
    return *process_;
}

template <class T, class Make>
T DumpFile::cached(T& kept, Make&& make) {
    const std::lock_guard lock(mutex_);
    if (!kept) kept = make();
    return kept;
}

std::shared_ptr<const ThreadTable> DumpFile::threads() {
    return cached(threads_, [&] { return read_threads(source_, system_); });
}

std::shared_ptr<const ContextTable> DumpFile::contexts() {
    return cached(contexts_, [&] { return read_contexts(source_, system_); });
}

std::shared_ptr<const ModuleTable> DumpFile::modules() {
    return cached(modules_, [&] { return read_modules(source_, system_); });
}

std::shared_ptr<const HandleTable> DumpFile::handles() {
    return cached(handles_, [&] { return read_handles(source_, system_); });
}

std::shared_ptr<const RegionTable> DumpFile::regions() {
    return cached(regions_, [&] { return read_regions(source_); });
}

const MemoryIndex& DumpFile::memory() {
    if (memory_) return *memory_;
    BaseMemory base;
    if (base_) {
        const std::lock_guard lock(base_->mutex_);
        base = {&base_->source_.input, &base_->memory()};
    }
    memory_.emplace(source_, base);
    return *memory_;
}

const std::vector<FileRange>& DumpFile::memory_ranges() {
    const std::lock_guard lock(mutex_);
    return memory().ranges();
}

std::vector<Range> DumpFile::stands_for() {
    const std::lock_guard lock(mutex_);
    return base_ranges(source_);
}

std::size_t DumpFile::read(std::uint64_t address, std::span<std::byte> out) {
    const MemoryIndex* index = nullptr;
    {
        const std::lock_guard lock(mutex_);
        index = &memory();
    }
    // The index does not change any more, and reading a file at an offset needs no lock.
    return index->read(source_.input, address, out);
}

std::int64_t DumpFile::captured_at_ns() const {
    constexpr std::int64_t kSecond = 1'000'000'000;
    return std::int64_t{source_.directory.header().TimeDateStamp} * kSecond;
}

std::optional<std::vector<std::byte>> DumpFile::stream(std::uint32_t type) const {
    return source_.stream(type);
}

std::vector<ExceptionInfo> DumpFile::exceptions() {
    std::vector<ExceptionInfo> out;
    for (const StreamEntry& stream : source_.directory.streams()) {
        if (stream.type != raw::ExceptionStream) continue;
        const auto found = source_.input.get<raw::MINIDUMP_EXCEPTION_STREAM>(stream.offset);
        if (!found || stream.present < sizeof *found) continue;
        const raw::MINIDUMP_EXCEPTION& record = found->ExceptionRecord;
        // The array is not aligned.
        std::vector<std::uint64_t> parameters(std::min<std::size_t>(record.NumberParameters, 15));
        const std::size_t at = offsetof(raw::MINIDUMP_EXCEPTION, ExceptionInformation);
        const auto bytes = std::as_bytes(std::span(&record, 1)).subspan(at);
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            parameters[i] = take<std::uint64_t>(bytes, 8 * i);
        }
        out.push_back({found->ThreadId,
                       record.ExceptionCode,
                       record.ExceptionFlags,
                       record.ExceptionRecord,
                       record.ExceptionAddress,
                       std::move(parameters)});
    }
    return out;
}

std::shared_ptr<const ContextTable> DumpFile::exception_contexts() {
    const std::lock_guard lock(mutex_);
    return read_exception_contexts(source_, system_);
}

std::vector<UnloadedModule> DumpFile::unloaded_modules() {
    const std::lock_guard lock(mutex_);
    return read_unloaded_modules(source_);
}

std::vector<HandleInformation> DumpFile::handle_information() {
    const std::lock_guard lock(mutex_);
    return read_handle_information(source_);
}

std::vector<raw::AVRF_HANDLE_OPERATION> DumpFile::handle_operations() {
    const std::lock_guard lock(mutex_);
    return read_handle_operations(source_);
}

std::optional<MiscInfo> DumpFile::misc() {
    const std::lock_guard lock(mutex_);
    return read_misc(source_);
}

std::optional<SystemMemoryFacts> DumpFile::system_memory() {
    const std::lock_guard lock(mutex_);
    return read_system_memory(source_);
}

std::vector<Token> DumpFile::tokens() {
    const std::lock_guard lock(mutex_);
    return read_tokens(source_);
}

std::optional<BreakpadFacts> DumpFile::breakpad() {
    const std::lock_guard lock(mutex_);
    return read_breakpad(source_);
}

std::optional<CrashpadFacts> DumpFile::crashpad() {
    const std::lock_guard lock(mutex_);
    return read_crashpad(source_);
}

std::vector<MacCrashInfo> DumpFile::mac_crash_info() {
    const std::lock_guard lock(mutex_);
    return read_mac_crash_info(source_);
}

std::optional<std::string> DumpFile::mac_boot_arguments() {
    const std::lock_guard lock(mutex_);
    return read_mac_boot_arguments(source_);
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> DumpFile::auxiliary_vector() {
    const std::lock_guard lock(mutex_);
    return read_auxiliary_vector(source_, system_.architecture != Architecture::kX86);
}

std::optional<DsoDebug> DumpFile::dso_debug() {
    const std::lock_guard lock(mutex_);
    return read_dso_debug(source_);
}

std::optional<std::string> DumpFile::comment() const {
    std::optional<std::string> text;
    if (const auto bytes = source_.stream(raw::CommentStreamW)) {
        text = utf16_to_utf8(*bytes);
    } else {
        text = source_.text(raw::CommentStreamA);
    }
    if (text) text->resize(std::min(text->find('\0'), text->size()));
    return text;
}

Diagnostics DumpFile::diagnostics() const {
    const std::lock_guard lock(mutex_);
    Diagnostics out = source_.findings.all();
    if (!base_) return out;
    for (Diagnostic& found : base_->diagnostics()) {
        found.message = "in the base: " + found.message;
        out.push_back(std::move(found));
    }
    return out;
}

}  // namespace snapcore::minidump
