// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call                                              | purpose                                | can block on
// CreateToolhelp32Snapshot                          | process ids and names                  | nothing
// NtQuerySystemInformation SystemExtendedHandleInformation | every handle of the system      | nothing
// NtQuerySystemInformation SystemExtendedProcessInformation | every process and thread       | nothing
// DuplicateHandle, NtQueryObject (basic, type)      | facts of one handle                    | nothing
// NtQueryObject (name)                              | its name                               | a synchronous pipe or device, for ever: on a thread of its own
// clang-format on
#include <windows.h>
//
#include <tlhelp32.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

#include "base/clock.h"
#include "generated/flags.h"
#include "snapshot/snapshot.h"
#include "windows/convert.h"
#include "windows/owners.h"
#include "windows/snapshot.h"
#include "windows/system_api.h"

namespace snapcore {
namespace windows_os {
namespace {

constexpr LONG kLengthMismatch = static_cast<LONG>(0xc0000004);
constexpr LONG kInvalidClass = static_cast<LONG>(0xc0000003);
constexpr int kObjectBasic = 0, kObjectName = 1, kObjectType = 2;

struct SystemHandle {
    void* object;
    ULONG_PTR pid;
    ULONG_PTR handle;
    ULONG access;
    USHORT trace_index;
    USHORT type_index;
    ULONG attributes;
    ULONG reserved;
};
static_assert(sizeof(void*) != 8 || sizeof(SystemHandle) == 40);

struct ObjectBasic {
    ULONG attributes, access, handle_count, pointer_count, paged_charge, non_paged_charge;
    ULONG reserved[3];
    ULONG name_size, type_size, descriptor_size;
    raw::FILETIME creation_time;
};
static_assert(sizeof(ObjectBasic) == 56);

struct UnicodeString {
    USHORT bytes, capacity;
    const char16_t* text;
};

using QuerySystem = LONG(WINAPI*)(int, void*, ULONG, ULONG*);
using QueryObject = LONG(WINAPI*)(HANDLE, int, void*, ULONG, ULONG*);

// The whole answer to one class of questions; empty where this system does not know the class.
std::vector<std::byte> query_system(raw::SystemInformationClass what) {
    auto* const query = as<QuerySystem>(ntdll_function("NtQuerySystemInformation"));
    std::vector<std::byte> buffer(1 << 20);
    for (;;) {
        ULONG needed = 0;
        const LONG status = query(
            static_cast<int>(what), buffer.data(), static_cast<ULONG>(buffer.size()), &needed);
        if (status == kLengthMismatch) {
            // The answer grows while it is asked for.
            buffer.resize(std::max<std::size_t>(buffer.size() * 2, needed + (1 << 16)));
            continue;
        }
        if (status == kInvalidClass) return {};
        if (status < 0) {
            throw Error(ErrorKind::kOther,
                        ErrorDomain::kNtStatus,
                        static_cast<std::uint32_t>(status),
                        "NtQuerySystemInformation");
        }
        return buffer;
    }
}

std::vector<SystemHandle> all_handles() {
    const std::vector<std::byte> buffer = query_system(raw::kSystemExtendedHandles);
    ULONG_PTR count = 0;
    constexpr std::size_t kHeader = 2 * sizeof(ULONG_PTR);
    if (buffer.size() < kHeader) {
        throw Error(ErrorKind::kUnsupported,
                    ErrorDomain::kNtStatus,
                    static_cast<std::uint32_t>(kInvalidClass),
                    "NtQuerySystemInformation");
    }
    std::memcpy(&count, buffer.data(), sizeof count);
    count = std::min<ULONG_PTR>(count, (buffer.size() - kHeader) / sizeof(SystemHandle));
    std::vector<SystemHandle> out(count);
    std::memcpy(out.data(), buffer.data() + kHeader, count * sizeof(SystemHandle));
    return out;
}

std::string text_from(const std::vector<std::byte>& buffer) {
    UnicodeString string{};
    std::memcpy(&string, buffer.data(), sizeof string);
    if (string.text == nullptr) return {};
    return utf16_to_utf8({string.text, string.bytes / sizeof(char16_t)});
}

// Asks for names on a thread of its own, which is given up where an answer does not come: nothing
// can end a query that waits for a pipe.
class NameResolver {
public:
    ~NameResolver() {
        if (worker_) leave();
    }

    // Nothing where the object has no name or did not answer in time.
    std::optional<std::string> name_of(HANDLE handle) {
        if (!worker_) start();
        std::unique_lock lock(worker_->mutex);
        worker_->handle = handle;
        worker_->asked = true;
        worker_->answered = false;
        worker_->changed.notify_all();
        if (worker_->changed.wait_for(
                lock, std::chrono::milliseconds(200), [this] { return worker_->answered; })) {
            return worker_->name;
        }
        // Left to itself, with what it uses: it ends if it ever gets an answer.
        worker_->abandoned = true;
        lock.unlock();
        worker_.reset();
        ++given_up_;
        return std::nullopt;
    }
    std::uint64_t given_up() const { return given_up_; }

private:
    struct Worker {
        std::mutex mutex;
        std::condition_variable changed;
        HANDLE handle = nullptr;
        bool asked = false, answered = false, abandoned = false;
        std::optional<std::string> name;
    };

    static void run(const std::shared_ptr<Worker>& worker) {
        auto* const query = as<QueryObject>(ntdll_function("NtQueryObject"));
        std::vector<std::byte> buffer(65536 + sizeof(UnicodeString));
        std::unique_lock lock(worker->mutex);
        for (;;) {
            worker->changed.wait(lock, [&] { return worker->asked || worker->abandoned; });
            if (worker->abandoned) return;
            worker->asked = false;
            const HANDLE handle = worker->handle;
            lock.unlock();
            ULONG size = 0;
            const LONG status =
                query(handle, kObjectName, buffer.data(), static_cast<ULONG>(buffer.size()), &size);
            lock.lock();
            if (worker->abandoned) {
                ::CloseHandle(handle);
                return;
            }
            worker->name =
                status >= 0 ? std::optional<std::string>(text_from(buffer)) : std::nullopt;
            worker->answered = true;
            worker->changed.notify_all();
        }
    }

    void start() {
        worker_ = std::make_shared<Worker>();
        std::thread(run, worker_).detach();
    }

    void leave() {
        const std::lock_guard lock(worker_->mutex);
        worker_->abandoned = true;
        worker_->changed.notify_all();
    }

    std::shared_ptr<Worker> worker_;
    std::uint64_t given_up_ = 0;
};

// The names of processes by their ids.
class ProcessNames {
public:
    ProcessNames() {
        for (ProcessEntry& process : list_processes()) names_[process.pid] = process.name;
    }
    std::optional<std::string> of(std::uint32_t pid) const {
        const auto found = names_.find(pid);
        return found == names_.end() ? std::nullopt : std::optional<std::string>(found->second);
    }

private:
    std::unordered_map<std::uint32_t, std::string> names_;
};

class Collector {
public:
    explicit Collector(SystemHandleTable& table)
        : table_(table), query_(as<QueryObject>(ntdll_function("NtQueryObject"))) {}

    void add(const SystemHandle& entry) {
        SystemHandleRow row;
        row.pid = static_cast<std::uint32_t>(entry.pid);
        row.process_name = process_names_.of(*row.pid);
        row.handle = entry.handle;
        row.granted_access = entry.access;
        row.attributes = entry.attributes;
        row.captured_at_ns = wall_clock_ns();
        row.flags = HandleFlags::NONE;
        if (const HANDLE process = process_of(*row.pid)) {
            HANDLE copy = nullptr;
            if (::DuplicateHandle(process,
                                  reinterpret_cast<HANDLE>(entry.handle),
                                  ::GetCurrentProcess(),
                                  &copy,
                                  0,
                                  FALSE,
                                  DUPLICATE_SAME_ACCESS)) {
                describe(copy, entry.type_index, row);
            }
        }
        table_.append(row);
    }
    std::uint64_t refused() const { return refused_; }
    std::uint64_t given_up() const { return names_.given_up(); }

private:
    HANDLE process_of(std::uint32_t pid) {
        const auto [it, added] = processes_.try_emplace(pid);
        if (added) {
            it->second.reset(::OpenProcess(PROCESS_DUP_HANDLE, FALSE, pid));
            if (!it->second) ++refused_;
        }
        return it->second.get();
    }

    const std::string& type_of(HANDLE handle, USHORT index) {
        auto [it, added] = types_.try_emplace(index);
        if (added) {
            std::vector<std::byte> buffer(4096);
            ULONG size = 0;
            if (query_(
                    handle, kObjectType, buffer.data(), static_cast<ULONG>(buffer.size()), &size) >=
                0) {
                it->second = text_from(buffer);
            }
        }
        return it->second;
    }

    // Owns the handle from here on, unless the query for its name was given up.
    void describe(HANDLE copy, USHORT type_index, SystemHandleRow& row) {
        UniqueHandle handle(copy);
        std::uint32_t known = HandleFlags::HAVE_TYPE;
        const std::string& type = type_of(copy, type_index);
        row.type_name = type;
        row.type = object_type(type);
        ObjectBasic basic{};
        ULONG size = 0;
        if (query_(copy, kObjectBasic, &basic, sizeof basic, &size) >= 0) {
            known |= HandleFlags::HAVE_BASIC_INFORMATION;
            row.handle_count = basic.handle_count;
            row.pointer_count = basic.pointer_count;
            row.paged_pool_charge = basic.paged_charge;
            row.non_paged_pool_charge = basic.non_paged_charge;
            row.created_at_ns = time_of(basic.creation_time);
        }
        const std::uint64_t before = names_.given_up();
        if (auto name = names_.name_of(copy)) {
            known |= HandleFlags::HAVE_NAME;
            row.object_name = std::move(*name);
        }
        if (names_.given_up() != before) (void)handle.release();
        row.flags = known;
    }

    static std::uint32_t object_type(const std::string& name) {
        static const std::unordered_map<std::string, std::uint32_t> kTypes = {
            {"Process", ObjectType::PROCESS},
            {"Thread", ObjectType::THREAD},
            {"Mutant", ObjectType::MUTANT},
            {"Event", ObjectType::EVENT},
            {"Section", ObjectType::SECTION},
            {"Semaphore", ObjectType::SEMAPHORE},
        };
        const auto found = kTypes.find(name);
        return found == kTypes.end() ? std::uint32_t{ObjectType::UNKNOWN} : found->second;
    }

    SystemHandleTable& table_;
    QueryObject query_;
    std::map<std::uint32_t, UniqueHandle> processes_;
    std::map<USHORT, std::string> types_;
    ProcessNames process_names_;
    NameResolver names_;
    std::uint64_t refused_ = 0;
};

// By KTHREAD_STATE.
constexpr const char* kThreadStates[] = {"Initialized",
                                         "Ready",
                                         "Running",
                                         "Standby",
                                         "Terminated",
                                         "Waiting",
                                         "Transition",
                                         "DeferredReady",
                                         "GateWait",
                                         "WaitingForProcessInSwap"};

raw::FILETIME file_time(std::uint64_t ticks) {
    return {static_cast<std::uint32_t>(ticks), static_cast<std::uint32_t>(ticks >> 32)};
}

std::optional<std::uint64_t> known_address(Pointer address) {
    return address == 0 ? std::nullopt : std::optional<std::uint64_t>(address);
}

using SystemThread = raw::SYSTEM_THREAD_INFORMATION<Pointer>;
using ExtendedThread = raw::SYSTEM_EXTENDED_THREAD_INFORMATION<Pointer>;
using SystemProcess = raw::SYSTEM_PROCESS_INFORMATION<Pointer>;

void fill(SystemThreadRow& row, const SystemThread& thread) {
    row.tid = static_cast<std::uint32_t>(thread.UniqueThread);
    row.pid = static_cast<std::uint32_t>(thread.UniqueProcess);
    row.flags = ThreadFlags::NONE;
    if (thread.ThreadState < std::size(kThreadStates))
        row.state = kThreadStates[thread.ThreadState];
    row.priority = thread.Priority;
    row.base_priority = thread.BasePriority;
    row.created_at_ns = time_of(file_time(thread.CreateTime));
    row.kernel_time_ns = duration_of(file_time(thread.KernelTime));
    row.user_time_ns = duration_of(file_time(thread.UserTime));
    row.start_address = known_address(thread.StartAddress);
}

void fill(SystemThreadRow& row, const ExtendedThread& thread) {
    fill(row, thread.ThreadInfo);
    if (thread.Win32StartAddress != 0) row.start_address = thread.Win32StartAddress;
    row.teb = known_address(thread.TebBase);
    // The limits are the kernel stack's.
}

template <class Thread>
void append_threads(const std::vector<std::byte>& buffer, SystemThreadTable& table) {
    const std::int64_t now = wall_clock_ns();
    for (std::size_t at = 0; at + sizeof(SystemProcess) <= buffer.size();) {
        SystemProcess process;
        std::memcpy(&process, buffer.data() + at, sizeof process);
        const std::size_t room = (buffer.size() - at - sizeof process) / sizeof(Thread);
        const std::size_t count = std::min<std::size_t>(process.NumberOfThreads, room);
        const std::string name = text_of(process.ImageName.Buffer, process.ImageName.Length);
        // Process 0 is what processors do that have nothing to do.
        for (std::size_t i = 0; i < count && process.UniqueProcessId != 0; ++i) {
            Thread thread;
            std::memcpy(
                &thread, buffer.data() + at + sizeof process + i * sizeof thread, sizeof thread);
            SystemThreadRow row;
            if (!name.empty()) row.process_name = name;
            fill(row, thread);
            row.captured_at_ns = now;
            table.append(row);
        }
        if (process.NextEntryOffset == 0) return;
        at += process.NextEntryOffset;
    }
}

}  // namespace
}  // namespace windows_os

std::vector<ProcessEntry> list_processes() {
    const HANDLE made = ::CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    if (made == INVALID_HANDLE_VALUE) {
        throw Error::from_win32(::GetLastError(), "CreateToolhelp32Snapshot");
    }
    const windows_os::UniqueHandle list(made);
    std::vector<ProcessEntry> out;
    PROCESSENTRY32W entry{};
    entry.dwSize = sizeof entry;
    for (BOOL more = ::Process32FirstW(made, &entry); more; more = ::Process32NextW(made, &entry)) {
        out.push_back({entry.th32ProcessID,
                       windows_os::narrow(entry.szExeFile),
                       "",
                       entry.th32ParentProcessID});
    }
    return out;
}

std::shared_ptr<const SystemHandleTable> read_system_handles(bool peers, Diagnostics& diagnostics) {
    using namespace windows_os;
    auto table = std::make_shared<SystemHandleTable>();
    const std::vector<SystemHandle> handles = all_handles();
    table->reserve(handles.size());
    Collector collector(*table);
    for (const SystemHandle& handle : handles) collector.add(handle);
    if (collector.refused() != 0) {
        diagnostics.push_back({Severity::kInfo,
                               "processes_refused",
                               std::to_string(collector.refused()) +
                                   " process(es) do not let this user duplicate their handles: "
                                   "names and types are not known",
                               "OpenProcess",
                               ErrorDomain::kWin32,
                               ERROR_ACCESS_DENIED,
                               collector.refused()});
    }
    if (collector.given_up() != 0) {
        diagnostics.push_back(
            {Severity::kWarning,
             "handle_names_given_up",
             std::to_string(collector.given_up()) + " handle(s) did not say their name in time",
             "NtQueryObject",
             ErrorDomain::kNone,
             0,
             collector.given_up()});
    }
    if (peers) {
        diagnostics.push_back(
            {Severity::kInfo, "peers_unknown", kPeersUnknown, "", ErrorDomain::kNone, 0, 0});
    }
    return table;
}

std::shared_ptr<const SystemThreadTable> read_system_threads(Diagnostics&) {
    using namespace windows_os;
    auto table = std::make_shared<SystemThreadTable>();
    const std::vector<std::byte> extended = query_system(raw::kSystemExtendedProcesses);
    if (!extended.empty()) {
        append_threads<ExtendedThread>(extended, *table);
    } else {
        append_threads<SystemThread>(query_system(raw::kSystemProcesses), *table);
    }
    return table;
}

}  // namespace snapcore
