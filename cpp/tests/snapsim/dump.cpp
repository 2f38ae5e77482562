// SPDX-License-Identifier: Apache-2.0
//
// MiniDumpWriteDump as it treats a snapshot: the callbacks in the order and with the handles that
// are known of Windows, memory from the clone. The file itself comes from the project's own writer;
// for a process, from Wine's dbghelp.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/file.h"
#include "minidump/contents.h"
#include "minidump/raw.h"
#include "minidump/writer/writer.h"
#include "sim.h"

namespace snapsim {
namespace {

constexpr LONG kNotImplemented = static_cast<LONG>(0x80004001);
constexpr DWORD kPartialCopy = 0x8007012b, kCancelled = 0x800704c7, kNotFound = 0x80070490,
                kInvalidHandle = 0x80070006, kInvalidArgument = 0x80070057, kFailed = 0x80004005;
constexpr std::uint32_t kCallersSoftErrors = 0x4d7aff04;  // until it is written
constexpr DWORD kFullMemory = 0x2, kHandleData = 0x4, kPrivateReadWrite = 0x200;

enum Kind : ULONG {
    kModule = 0,
    kThread = 1,
    kIncludeThread = 3,
    kIncludeModule = 4,
    kMemory = 5,
    kCancel = 6,
    kKernelDump = 7,
    kRemoveMemory = 9,
    kIncludeRegion = 10,
    kIoStart = 11,
    kIoWrite = 12,
    kIoFinish = 13,
    kReadFailure = 14,
    kSecondaryFlags = 15,
    kIsSnapshot = 16,
    kVmStart = 17,
    kVmQuery = 18,
    kVmPreRead = 19,
    kVmPostRead = 20,
};

// MINIDUMP_CALLBACK_INPUT and MINIDUMP_CALLBACK_OUTPUT of 64-bit Windows by their offsets: packed
// to 4, the union at 16; the output one union of 52 bytes.
class Call {
public:
    Call(Kind kind, ULONG pid, void* process) {
        put_in(0, pid);
        put_in(4, process);
        put_in(12, static_cast<ULONG>(kind));
        std::memset(output_ + kOutputSize, kGuard, sizeof output_ - kOutputSize);
    }
    template <class T>
    Call& in(std::size_t offset, T value) {
        put_in(16 + offset, value);
        return *this;
    }
    template <class T>
    Call& out(std::size_t offset, T value) {
        std::memcpy(output_ + offset, &value, sizeof value);
        return *this;
    }
    template <class T>
    T answer(std::size_t offset) const {
        T value;
        std::memcpy(&value, output_ + offset, sizeof value);
        return value;
    }
    void* input() { return input_; }
    void* output() { return output_; }
    ULONG kind() const {
        ULONG value;
        std::memcpy(&value, input_ + 12, sizeof value);
        return value;
    }
    bool guard_is_whole() const {
        return std::all_of(
            output_ + kOutputSize, std::end(output_), [](unsigned char c) { return c == kGuard; });
    }

private:
    static constexpr std::size_t kOutputSize = 52;
    static constexpr unsigned char kGuard = 0xe5;
    template <class T>
    void put_in(std::size_t offset, T value) {
        std::memcpy(input_ + offset, &value, sizeof value);
    }
    alignas(8) unsigned char input_[1296] = {};
    alignas(8) unsigned char output_[52 + 64] = {};
};

#pragma pack(push, 4)
struct CallbackInformation {
    BOOL(WINAPI* routine)(void*, void*, void*);
    void* parameter;
};
struct UserStream {
    ULONG type, size;
    void* buffer;
};
struct UserStreams {
    ULONG count;
    UserStream* array;
};
#pragma pack(pop)
static_assert(sizeof(CallbackInformation) == 16 && sizeof(UserStream) == 16 &&
              sizeof(UserStreams) == 12);

struct Failure {
    DWORD code;
};

// The finished file, before the caller gets it piece by piece.
class Buffer final : public snapcore::OutputFile {
public:
    void write(std::uint64_t offset, std::span<const std::byte> data) override {
        const std::lock_guard lock(mutex_);
        if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size());
        std::memcpy(bytes.data() + offset, data.data(), data.size());
    }
    std::size_t read(std::uint64_t, std::span<std::byte>) override { return 0; }
    std::intptr_t native_handle() override { return -1; }
    void allocate(std::uint64_t, std::uint64_t) override {}
    void release(std::uint64_t, std::uint64_t) override {}
    void set_size(std::uint64_t size) override { bytes.resize(size); }
    std::uint64_t size() override { return bytes.size(); }
    std::uint64_t allocated_size() override { return bytes.size(); }
    void commit(bool) override {}

    std::vector<std::byte> bytes;

private:
    std::mutex mutex_;
};

class Memory final : public snapcore::minidump::MemoryReader {
public:
    std::map<std::uint64_t, std::vector<std::byte>> ranges;

    std::size_t read(std::uint64_t address, std::span<std::byte> out) override {
        auto next = ranges.upper_bound(address);
        if (next == ranges.begin()) return 0;
        --next;
        const std::uint64_t offset = address - next->first;
        if (offset >= next->second.size()) return 0;
        const std::size_t n = std::min<std::size_t>(out.size(), next->second.size() - offset);
        std::memcpy(out.data(), next->second.data() + offset, n);
        return n;
    }
};

std::string utf8(const std::wstring& text) {
    std::string out(text.size() * 3, '\0');
    const int n = WideCharToMultiByte(CP_UTF8,
                                      0,
                                      text.data(),
                                      static_cast<int>(text.size()),
                                      out.data(),
                                      static_cast<int>(out.size()),
                                      nullptr,
                                      nullptr);
    out.resize(static_cast<std::size_t>(n));
    return out;
}

std::int64_t unix_ns(const FILETIME& time) {
    const std::uint64_t ticks =
        static_cast<std::uint64_t>(time.dwHighDateTime) << 32 | time.dwLowDateTime;
    return static_cast<std::int64_t>(ticks - 116'444'736'000'000'000ull) * 100;
}

class Dump {
public:
    Dump(Snapshot& snapshot,
         HANDLE handle,
         HANDLE file,
         DWORD type,
         const UserStreams* streams,
         const CallbackInformation& callback)
        : snapshot_(snapshot),
          handle_(handle),
          file_(file),
          type_(type),
          streams_(streams),
          callback_(callback) {}

    void write() {
        negotiate();
        if (const DWORD code = injected("MiniDumpWriteDump")) throw Failure{code};
        const DWORD known = behaviour("known flags");
        if ((type_ & ~(known != 0 ? known : 0x07ffffff)) != 0) throw Failure{kInvalidArgument};
        if (snapshot_.clone == nullptr) throw Failure{kNotFound};
        check_cancel();
        enumerate();
        gather();
        Buffer buffer;
        snapcore::Control control;
        snapcore::minidump::write_minidump(contents_, memory_, buffer, control);
        leave_soft_errors_to_caller(buffer.bytes);
        // A failure late in the work, after bytes were written.
        emit(buffer.bytes);
    }

private:
    BOOL ask(Call& call) {
        const BOOL answer = callback_.routine(callback_.parameter, call.input(), call.output());
        if (!call.guard_is_whole()) {
            violation("callback %lu: bytes behind the output were written", call.kind());
        }
        if (!answer) violation("callback %lu: answered FALSE", call.kind());
        return answer;
    }

    void negotiate() {
        Call is_snapshot(kIsSnapshot, 0, handle_);
        if (behaviour("old dbghelp") == 0) ask(is_snapshot);
        if (is_snapshot.answer<LONG>(0) != S_FALSE) throw Failure{kInvalidHandle};
        called("IsProcessSnapshotCallback S_FALSE");
        Call vm(kVmStart, 0, handle_);
        ask(vm);
        serve_vm_ = vm.answer<LONG>(0) == S_FALSE;
        Call io(kIoStart, 0, nullptr);
        io.out(0, kNotImplemented);
        ask(io);
        take_io_ = io.answer<LONG>(0) == S_FALSE;
        Call secondary(kSecondaryFlags, snapshot_.pid, handle_);
        ask(secondary);
        Call kernel(kKernelDump, 0, nullptr);
        kernel.out(0, static_cast<void*>(nullptr));
        ask(kernel);
    }

    void check_cancel() {
        if (!check_cancel_) return;
        Call cancel(kCancel, snapshot_.pid, handle_);
        ask(cancel);
        check_cancel_ = cancel.answer<LONG>(0) != FALSE;
        if (cancel.answer<LONG>(4) != FALSE) throw Failure{kCancelled};
    }

    void enumerate() {
        for (const ThreadFacts& thread : snapshot_.threads) {
            Call include(kIncludeThread, snapshot_.pid, handle_);
            ask(include.in(0, thread.entry.ThreadId));
        }
        for (const RegionFacts& region : snapshot_.regions) {
            if (region.entry.Type != MEM_IMAGE ||
                region.entry.BaseAddress != region.entry.AllocationBase) {
                continue;
            }
            Call include(kIncludeModule, snapshot_.pid, handle_);
            ask(include.in(0, reinterpret_cast<ULONG64>(region.entry.BaseAddress)));
            Call module(kModule, snapshot_.pid, handle_);
            ask(module.in(0, region.file.c_str())
                    .in(8, reinterpret_cast<ULONG64>(region.entry.BaseAddress)));
        }
        for (const ThreadFacts& thread : snapshot_.threads) {
            Call callback(kThread, snapshot_.pid, handle_);
            ask(callback.in(0, thread.entry.ThreadId));
        }
    }

    // The bytes of a range from the clone; what cannot be read is asked for, or left out.
    void add_memory(std::uint64_t address, std::uint64_t size) {
        constexpr std::uint64_t kPiece = 65536;
        for (std::uint64_t at = address; at < address + size; at += kPiece) {
            const std::uint64_t piece = std::min(kPiece, address + size - at);
            std::vector<std::byte> bytes(piece);
            SIZE_T n = 0;
            // Wine reads zeros where there is nothing.
            MEMORY_BASIC_INFORMATION there{};
            VirtualQueryEx(snapshot_.clone, reinterpret_cast<void*>(at), &there, sizeof there);
            const bool fail = injected("read memory") != 0 || there.State != MEM_COMMIT;
            if (fail ||
                !ReadProcessMemory(
                    snapshot_.clone, reinterpret_cast<void*>(at), bytes.data(), piece, &n)) {
                if (!read_elsewhere(at, bytes)) continue;
            }
            auto& last = memory_.ranges;
            if (!last.empty() && last.rbegin()->first + last.rbegin()->second.size() == at) {
                last.rbegin()->second.insert(
                    last.rbegin()->second.end(), bytes.begin(), bytes.end());
            } else {
                last[at] = std::move(bytes);
            }
            check_cancel();
        }
    }

    bool read_elsewhere(std::uint64_t address, std::vector<std::byte>& bytes) {
        if (serve_vm_) {
            Call query(kVmQuery, snapshot_.pid, handle_);
            query.in(0, address).out(0, kNotImplemented);
            ask(query);
            Call read(kVmPreRead, snapshot_.pid, handle_);
            read.in(0, address)
                .in(8, static_cast<void*>(bytes.data()))
                .in(16, static_cast<ULONG>(bytes.size()))
                .out(0, kNotImplemented);
            ask(read);
            if (read.answer<LONG>(0) == S_OK && read.answer<ULONG>(4) == bytes.size()) return true;
        }
        Call failure(kReadFailure, snapshot_.pid, handle_);
        failure.in(0, address)
            .in(8, static_cast<ULONG>(bytes.size()))
            .in(12, kPartialCopy)
            .out(0, static_cast<LONG>(kPartialCopy));
        ask(failure);
        if (failure.answer<LONG>(0) != S_OK) throw Failure{kPartialCopy};
        return false;
    }

    void gather() {
        contents_.flags = type_;
        contents_.pid = snapshot_.pid;
        contents_.captured_at_ns = unix_ns(snapshot_.process.CreateTime);
        contents_.system.platform_id = 2;
        contents_.system.major = 10;
        contents_.system.processors = 2;
        contents_.system.cpu_vendor = "GenuineIntel";
        contents_.process.pid = snapshot_.pid;
        gather_threads();
        gather_modules();
        if (snapshot_.has(PSS_CAPTURE_HANDLES)) gather_handles();
        if ((type_ & kHandleData) != 0 && !contents_.handles) {
            contents_.handles = std::make_shared<snapcore::HandleTable>();
        }
        gather_regions();
        for (ULONG i = 0; streams_ != nullptr && i < streams_->count; ++i) {
            const UserStream& stream = streams_->array[i];
            const bool soft_errors = stream.type == snapcore::minidump::raw::MozSoftErrors;
            contents_.streams.push_back(
                {soft_errors ? kCallersSoftErrors : stream.type,
                 std::string(static_cast<const char*>(stream.buffer), stream.size)});
        }
        for (auto& [address, bytes] : memory_.ranges) {
            contents_.memory.push_back({{address, bytes.size()}, true});
        }
    }

    void gather_threads() {
        auto threads = std::make_shared<snapcore::ThreadTable>();
        auto contexts = std::make_shared<snapcore::ContextTable>();
        for (const ThreadFacts& facts : snapshot_.threads) {
            snapcore::ThreadRow row;
            row.tid = facts.entry.ThreadId;
            row.pid = facts.entry.ProcessId;
            row.suspend_count = facts.entry.SuspendCount;
            row.priority = facts.entry.Priority;
            row.teb = reinterpret_cast<std::uint64_t>(facts.entry.TebBaseAddress);
            const std::size_t at = contexts->records.size();
            contexts->records.resize(at + contexts->stride());
            snapcore::ContextExtension extension;
            extension.tid = facts.entry.ThreadId;
            if (!facts.context.empty()) {
                extension.valid = 1;
                std::memcpy(
                    contexts->records.data() + at, facts.context.data(), contexts->context_size);
                CONTEXT context;
                std::memcpy(&context, facts.context.data(), sizeof context);
                row.stack_pointer = context.Rsp;
                row.instruction_pointer = context.Rip;
                // Stacks are private memory.
                if ((type_ & (kFullMemory | kPrivateReadWrite)) == 0) {
                    add_stack(facts, context.Rsp);
                }
            }
            std::memcpy(contexts->records.data() + at + contexts->context_size,
                        &extension,
                        sizeof extension);
            threads->append(row);
        }
        contents_.threads = threads;
        contents_.contexts = contexts;
    }

    void add_stack(const ThreadFacts& facts, std::uint64_t stack_pointer) {
        std::uint64_t base = 0;
        SIZE_T n = 0;
        ReadProcessMemory(snapshot_.clone,
                          static_cast<char*>(facts.entry.TebBaseAddress) + 8,
                          &base,
                          sizeof base,
                          &n);
        const std::uint64_t begin = stack_pointer & ~std::uint64_t{15};
        if (base <= begin || base - begin > (64u << 20)) return;
        add_memory(begin, base - begin);
        contents_.stacks.push_back({facts.entry.ThreadId, {begin, base - begin}});
    }

    void gather_modules() {
        auto modules = std::make_shared<snapcore::ModuleTable>();
        for (const RegionFacts& region : snapshot_.regions) {
            const PSS_VA_SPACE_ENTRY& entry = region.entry;
            if (entry.Type != MEM_IMAGE || entry.BaseAddress != entry.AllocationBase) continue;
            snapcore::ModuleRow row;
            row.base = reinterpret_cast<std::uint64_t>(entry.BaseAddress);
            row.size = entry.SizeOfImage != 0 ? entry.SizeOfImage : entry.RegionSize;
            row.timestamp = entry.TimeDateStamp;
            row.checksum = entry.CheckSum;
            row.path = utf8(region.file);
            modules->append(row);
        }
        contents_.modules = modules;
        contents_.build_ids.resize(modules->rows());
    }

    void gather_handles() {
        auto handles = std::make_shared<snapcore::HandleTable>();
        for (const HandleFacts& facts : snapshot_.handles) {
            snapcore::HandleRow row;
            row.handle = reinterpret_cast<std::uint64_t>(facts.entry.Handle);
            row.type_name = utf8(facts.type);
            row.object_name = utf8(facts.name);
            row.granted_access = facts.entry.GrantedAccess;
            row.attributes = facts.entry.Attributes;
            row.handle_count = facts.entry.HandleCount;
            row.pointer_count = facts.entry.PointerCount;
            handles->append(row);
        }
        contents_.handles = handles;
    }

    void gather_regions() {
        auto regions = std::make_shared<snapcore::RegionTable>();
        for (const RegionFacts& region : snapshot_.regions) {
            const PSS_VA_SPACE_ENTRY& entry = region.entry;
            snapcore::RegionRow row;
            row.base = reinterpret_cast<std::uint64_t>(entry.BaseAddress);
            row.size = entry.RegionSize;
            row.allocation_base = reinterpret_cast<std::uint64_t>(entry.AllocationBase);
            row.allocation_protect = entry.AllocationProtect;
            row.state = entry.State;
            row.protect = entry.Protect;
            row.type = entry.Type;
            regions->append(row);
            const bool readable =
                entry.State == MEM_COMMIT && (entry.Protect & (PAGE_NOACCESS | PAGE_GUARD)) == 0;
            const bool is_private = entry.Type == MEM_PRIVATE && entry.Protect == PAGE_READWRITE;
            const bool wanted =
                (type_ & kFullMemory) != 0 || ((type_ & kPrivateReadWrite) != 0 && is_private);
            if (!wanted || !readable) continue;
            for (int pass = 0; pass < 2; ++pass) {
                Call include(kIncludeRegion, snapshot_.pid, handle_);
                include.out(0, *row.base)
                    .out(8, *row.allocation_base)
                    .out(24, *row.size)
                    .out(48, FALSE);
                ask(include);
                if (include.answer<LONG>(48) == FALSE) {
                    violation("callback 10: Continue was not set");
                }
            }
            add_memory(*row.base, *row.size);
        }
        contents_.regions = regions;
    }

    // dbghelp has no such stream of its own; the writer that stands in for it has.
    static void leave_soft_errors_to_caller(std::vector<std::byte>& bytes) {
        namespace raw = snapcore::minidump::raw;
        raw::MINIDUMP_HEADER header;
        std::memcpy(&header, bytes.data(), sizeof header);
        std::size_t end = bytes.size();
        for (std::uint32_t i = 0; i < header.NumberOfStreams; ++i) {
            std::byte* const entry =
                bytes.data() + header.StreamDirectoryRva + i * sizeof(raw::MINIDUMP_DIRECTORY);
            raw::MINIDUMP_DIRECTORY stream;
            std::memcpy(&stream, entry, sizeof stream);
            if (stream.StreamType == raw::MozSoftErrors) {
                const raw::RVA at = stream.Location.Rva;
                if (at + stream.Location.DataSize == bytes.size()) end = at;
                stream = {};
            }
            if (stream.StreamType == kCallersSoftErrors) stream.StreamType = raw::MozSoftErrors;
            std::memcpy(entry, &stream, sizeof stream);
        }
        bytes.resize(end);
    }

    void emit(const std::vector<std::byte>& bytes) {
        constexpr std::size_t kPiece = 65536;
        for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
            const std::size_t piece = std::min(kPiece, bytes.size() - at);
            if (const DWORD delay = behaviour("slow")) Sleep(delay);
            if (const DWORD code = injected("MiniDumpWriteDump late")) throw Failure{code};
            check_cancel();
            if (!take_io_) {
                DWORD n = 0;
                if (!WriteFile(file_, bytes.data() + at, static_cast<DWORD>(piece), &n, nullptr)) {
                    throw Failure{static_cast<DWORD>(HRESULT_FROM_WIN32(GetLastError()))};
                }
                continue;
            }
            Call io(kIoWrite, snapshot_.pid, handle_);
            io.in(0, file_)
                .in(8, static_cast<ULONG64>(at))
                .in(16, static_cast<const void*>(bytes.data() + at))
                .in(24, static_cast<ULONG>(piece))
                .out(0, kNotImplemented);
            ask(io);
            if (io.answer<LONG>(0) != S_OK) throw Failure{static_cast<DWORD>(io.answer<LONG>(0))};
        }
        if (behaviour("empty directory") != 0) {
            // As was seen on Windows: success, and a file whose directory holds nothing.
            const std::vector<std::byte> zeros(32);
            Call io(kIoWrite, snapshot_.pid, handle_);
            io.in(0, file_)
                .in(8, ULONG64{0})
                .in(16, static_cast<const void*>(zeros.data()))
                .in(24, static_cast<ULONG>(zeros.size()))
                .out(0, kNotImplemented);
            ask(io);
        }
        if (take_io_) {
            Call finish(kIoFinish, snapshot_.pid, handle_);
            finish.out(0, kNotImplemented);
            ask(finish);
            if (finish.answer<LONG>(0) != S_OK) throw Failure{kFailed};
        }
    }

    Snapshot& snapshot_;
    HANDLE handle_;
    HANDLE file_;
    DWORD type_;
    const UserStreams* streams_;
    const CallbackInformation& callback_;
    bool serve_vm_ = false, take_io_ = false, check_cancel_ = true;
    Memory memory_;
    snapcore::minidump::Contents contents_;
};

std::atomic<int> inside{0};

class Inside {
public:
    Inside() {
        if (inside.fetch_add(1) != 0) violation("MiniDumpWriteDump: two threads are in dbghelp");
    }
    ~Inside() { inside.fetch_sub(1); }
};

// Wine's own.
BOOL write_process(HANDLE process,
                   DWORD pid,
                   HANDLE file,
                   DWORD type,
                   const void* exception,
                   const UserStreams* streams,
                   const CallbackInformation* callback) {
    using Writer =
        BOOL(WINAPI*)(HANDLE, DWORD, HANDLE, DWORD, const void*, const void*, const void*);
    const HMODULE module = LoadLibraryW(L"dbghelp.dll");
    const auto writer = reinterpret_cast<Writer>(
        reinterpret_cast<void*>(GetProcAddress(module, "MiniDumpWriteDump")));
    return writer(process, pid, file, type, exception, streams, callback);
}

}  // namespace
}  // namespace snapsim

using namespace snapsim;

extern "C" BOOL WINAPI SimWriteDump(HANDLE process,
                                    DWORD pid,
                                    HANDLE file,
                                    DWORD type,
                                    const void* exception,
                                    const UserStreams* streams,
                                    const CallbackInformation* callback) {
    const Inside guard;
    Snapshot* const snapshot = find_snapshot(static_cast<HPSS>(process));
    called("MiniDumpWriteDump %s %#lx", snapshot == nullptr ? "process" : "snapshot", type);
    if (snapshot == nullptr) {
        if (const DWORD code = injected("MiniDumpWriteDump")) {
            SetLastError(code);
            return FALSE;
        }
        return write_process(process, pid, file, type, exception, streams, callback);
    }
    DWORD error = 0;
    if (!snapshot->alive) {
        violation("MiniDumpWriteDump: the snapshot is freed");
        error = kInvalidHandle;
    } else if (callback == nullptr) {
        violation("MiniDumpWriteDump: a snapshot without a callback that says so");
        error = kInvalidHandle;
    } else {
        if (pid != snapshot->pid) {
            violation("MiniDumpWriteDump: pid %lu, but the snapshot is of %lu", pid, snapshot->pid);
        }
        if (exception != nullptr) violation("MiniDumpWriteDump: an exception with a snapshot");
        snapshot->in_use_by_dump = true;
        try {
            Dump(*snapshot, process, file, type, streams, *callback).write();
        } catch (const Failure& failure) {
            error = failure.code;
        } catch (const std::exception& exception_) {
            violation("MiniDumpWriteDump: %s", exception_.what());
            error = kFailed;
        }
        snapshot->in_use_by_dump = false;
    }
    if (error == 0) return TRUE;
    SetLastError(error);
    return FALSE;
}
