// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "generated/flags.h"
#include "minidump/writer/streams.h"

namespace snapcore::minidump {
namespace {

std::uint64_t hundreds_of_ns(const std::optional<std::int64_t>& ns) {
    return static_cast<std::uint64_t>(ns.value_or(0)) / 100;
}

class ContextIndex {
public:
    explicit ContextIndex(const ContextTable& table) : table_(table) {
        for (std::size_t row = 0; row < table.rows(); ++row) {
            const ContextExtension extension = table.extension(row);
            if (extension.valid != 0) rows_.emplace(extension.tid, row);
        }
    }
    // Empty where the thread's registers could not be had.
    std::span<const std::byte> find(std::uint32_t tid) const {
        const auto row = rows_.find(tid);
        if (row == rows_.end()) return {};
        return {table_.context(row->second), table_.context_size};
    }
    // The XSAVE image of a thread that find() knows.
    std::span<const std::byte> state(std::uint32_t tid) const {
        return {table_.xsave.data() + rows_.at(tid) * table_.xsave_stride, table_.xsave_stride};
    }

private:
    const ContextTable& table_;
    std::unordered_map<std::uint32_t, std::size_t> rows_;
};

// Breakpad's record, which every reader of ARM64 dumps from Linux knows; debug registers have no
// place in it.
std::vector<std::byte> breakpad_form(std::span<const std::byte> record) {
    raw::Arm64Context from{};
    std::memcpy(&from, record.data(), std::min(record.size(), sizeof from));
    constexpr std::uint64_t kArm64 = 0x80000000, kIntegerAndFloat = 6;
    raw::BreakpadArm64Context to{};
    to.ContextFlags = kArm64 | (from.ContextFlags & kIntegerAndFloat);
    std::memcpy(to.X, from.X, sizeof to.X);
    to.Sp = from.Sp;
    to.Pc = from.Pc;
    to.Cpsr = from.Cpsr;
    to.Fpsr = from.Fpsr;
    to.Fpcr = from.Fpcr;
    std::memcpy(to.V, from.V, sizeof to.V);
    const auto bytes = std::as_bytes(std::span(&to, 1));
    return {bytes.begin(), bytes.end()};
}

// A thread without registers still gets a record: some readers refuse one of size 0.
std::vector<std::byte> empty_record(const ContextTable& contexts) {
    std::vector<std::byte> out(contexts.context_size);
    if (contexts.architecture == Architecture::kArm64) return breakpad_form(out);
    const std::uint32_t flags = ContextFlags::AMD64;
    std::memcpy(out.data() + offsetof(raw::Amd64Context, ContextFlags), &flags, sizeof flags);
    return out;
}

}  // namespace

void add_thread_list(Metadata& out,
                     const Contents& contents,
                     const MemoryLayout& layout,
                     const XstateLayout& xstate) {
    constexpr std::size_t kContextAlignment = 16;
    const ThreadTable& threads = *contents.threads;
    const ContextIndex contexts(*contents.contexts);
    std::unordered_map<std::uint32_t, Range> stacks;
    for (const ThreadStack& stack : contents.stacks) stacks.emplace(stack.tid, stack.range);

    const std::size_t size = 4 + threads.rows() * sizeof(raw::MINIDUMP_THREAD);
    const raw::RVA list = out.reserve(size);
    out.write(list, narrow(threads.rows(), "threads"));
    for (std::size_t row = 0; row < threads.rows(); ++row) {
        const raw::RVA at = static_cast<raw::RVA>(list + 4 + row * sizeof(raw::MINIDUMP_THREAD));
        raw::MINIDUMP_THREAD thread{};
        thread.ThreadId = threads.tid.at(row).value_or(0);
        thread.SuspendCount = threads.suspend_count.at(row).value_or(0);
        thread.Priority = static_cast<std::uint32_t>(threads.priority.at(row).value_or(0));
        thread.Teb = threads.teb.at(row).value_or(0);
        thread.Stack.StartOfMemoryRange = threads.stack_pointer.at(row).value_or(0);
        const auto stack = stacks.find(thread.ThreadId);
        const auto offset = stack == stacks.end() ? std::nullopt : layout.find(stack->second);
        // The field is 32 bits wide; stacks lie first in memory, so only gigabytes of stacks come
        // this far.
        if (offset && *offset + stack->second.size < 0xf0000000) {
            thread.Stack.StartOfMemoryRange = stack->second.address;
            thread.Stack.Memory.DataSize = static_cast<std::uint32_t>(stack->second.size);
            out.refer_to_memory32(
                static_cast<raw::RVA>(at + offsetof(raw::MINIDUMP_THREAD, Stack.Memory.Rva)),
                *offset);
        }
        std::span<const std::byte> context = contexts.find(thread.ThreadId);
        std::vector<std::byte> other;
        if (context.empty()) {
            context = other = empty_record(*contents.contexts);
        } else if (contents.contexts->architecture == Architecture::kArm64) {
            context = other = breakpad_form(context);
        } else if (xstate.size() != 0) {
            context = other = xstate.extend(context, contexts.state(thread.ThreadId));
        }
        thread.ThreadContext = {static_cast<std::uint32_t>(context.size()),
                                out.append(context, kContextAlignment)};
        out.write(at, thread);
    }
    out.add_stream(raw::ThreadListStream, list, size);
}

void add_thread_names(Metadata& out, const Contents& contents) {
    const ThreadTable& threads = *contents.threads;
    std::vector<raw::MINIDUMP_THREAD_NAME> names;
    for (std::size_t row = 0; row < threads.rows(); ++row) {
        const auto name = threads.name.at(row);
        if (!name || name->empty()) continue;
        names.push_back({threads.tid.at(row).value_or(0), out.string(*name)});
    }
    if (names.empty()) return;
    const auto bytes = std::as_bytes(std::span(names));
    const raw::RVA list = out.reserve(4 + bytes.size());
    out.write(list, static_cast<std::uint32_t>(names.size()));
    out.write_bytes(list + 4, bytes);
    out.add_stream(raw::ThreadNamesStream, list, 4 + bytes.size());
}

void add_thread_info_list(Metadata& out, const Contents& contents) {
    const ThreadTable& threads = *contents.threads;
    const ContextIndex contexts(*contents.contexts);
    raw::MINIDUMP_THREAD_INFO_LIST header{};
    header.SizeOfHeader = sizeof header;
    header.SizeOfEntry = sizeof(raw::MINIDUMP_THREAD_INFO);
    header.NumberOfEntries = narrow(threads.rows(), "threads");
    const std::size_t size = sizeof header + threads.rows() * sizeof(raw::MINIDUMP_THREAD_INFO);
    const raw::RVA list = out.reserve(size);
    out.write(list, header);
    for (std::size_t row = 0; row < threads.rows(); ++row) {
        raw::MINIDUMP_THREAD_INFO info{};
        info.ThreadId = threads.tid.at(row).value_or(0);
        info.ExitStatus = threads.exit_status.at(row).value_or(0);
        if (contexts.find(info.ThreadId).empty())
            info.DumpFlags = raw::MINIDUMP_THREAD_INFO_INVALID_CONTEXT;
        if (const auto created = threads.created_at_ns.at(row))
            info.CreateTime = to_filetime(*created);
        if (const auto exited = threads.exited_at_ns.at(row)) info.ExitTime = to_filetime(*exited);
        info.KernelTime = hundreds_of_ns(threads.kernel_time_ns.at(row));
        info.UserTime = hundreds_of_ns(threads.user_time_ns.at(row));
        info.StartAddress = threads.start_address.at(row).value_or(0);
        info.Affinity = threads.affinity.at(row).value_or(0);
        out.write(static_cast<raw::RVA>(list + sizeof header + row * sizeof info), info);
    }
    out.add_stream(raw::ThreadInfoListStream, list, size);
}

}  // namespace snapcore::minidump
