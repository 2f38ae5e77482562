// SPDX-License-Identifier: Apache-2.0
//
// clang-format off
// call               | purpose                                             | can block on
// MiniDumpWriteDump  | reads the clone, calls back with the file's bytes   | the disk, by way of the callback; asks every few pages whether to go on
// clang-format on
#include "windows/minidump_writer.h"

#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/text.h"
#include "generated/flags.h"
#include "minidump/raw.h"
#include "minidump/reader/summary.h"
#include "windows/system_api.h"

namespace snapcore::windows_os {
namespace {

constexpr int kMostTries = 5;
constexpr std::uint32_t kPartialCopy = 0x8007012b;
constexpr std::uint32_t kInvalidArgument = 0x80070057;
// What older dbghelp.dlls know; they refuse all when they are given one bit more.
constexpr std::uint64_t kKnownFlags[] = {0x07ffffff, 0x01ffffff, 0x001fffff};

// dbghelp is single-threaded, whoever calls it.
std::mutex& dbghelp_mutex() {
    static std::mutex mutex;
    return mutex;
}

// What the callback works with. It runs on the thread that called MiniDumpWriteDump.
struct Context {
    Context(const DumpSource& dump_source, OutputFile& output, Control& job, bool skip)
        : source(dump_source), file(output), control(job), skip_unreadable(skip) {}

    const DumpSource& source;
    OutputFile& file;
    Control& control;
    bool skip_unreadable;
    bool asked_for_snapshot = false;
    std::uint64_t unreadable_blocks = 0;
    std::uint64_t unreadable_bytes = 0;
    std::exception_ptr file_error;
};

bool must_stop(const Control& control) {
    const std::int64_t deadline = control.deadline_ns.load(std::memory_order_relaxed);
    return control.cancelled.load(std::memory_order_relaxed) ||
           (deadline != 0 && monotonic_ns() > deadline);
}

HRESULT write_bytes(Context& context, const raw::MINIDUMP_IO_CALLBACK<Pointer>& io) noexcept {
    try {
        context.file.write(io.Offset,
                           {reinterpret_cast<const std::byte*>(io.Buffer), io.BufferBytes});
        context.control.done_bytes.fetch_add(io.BufferBytes, std::memory_order_relaxed);
        return S_OK;
    } catch (...) {
        context.file_error = std::current_exception();
        return E_FAIL;
    }
}

BOOL WINAPI callback(void* parameter,
                     const raw::MINIDUMP_CALLBACK_INPUT<Pointer>* input,
                     raw::MINIDUMP_CALLBACK_OUTPUT* output) {
    auto& context = *static_cast<Context*>(parameter);
    switch (input->CallbackType) {
        case raw::kIsProcessSnapshotCallback:
            context.asked_for_snapshot = true;
            // S_FALSE: the handle is a snapshot's.
            if (context.source.is_snapshot) output->Status = S_FALSE;
            break;
        case raw::kCancelCallback:
            output->Cancel.CheckCancel = TRUE;
            output->Cancel.Cancel = must_stop(context.control) ? TRUE : FALSE;
            break;
        case raw::kIoStartCallback: output->Status = S_FALSE; break;
        case raw::kIoWriteAllCallback: output->Status = write_bytes(context, input->Io); break;
        case raw::kIoFinishCallback: output->Status = S_OK; break;
        case raw::kReadMemoryFailureCallback:
            ++context.unreadable_blocks;
            context.unreadable_bytes += input->ReadMemoryFailure.Bytes;
            if (context.skip_unreadable) output->Status = S_OK;
            break;
        case raw::kIncludeVmRegionCallback:
            // The region as it is; without this it is not asked again, or the dump fails.
            output->Region.Continue = TRUE;
            break;
        case raw::kVmStartCallback:
            if (context.source.live_fallback != nullptr) output->Status = S_FALSE;
            break;
        case raw::kVmPreReadCallback:
            if (context.source.live_fallback != nullptr) {
                const std::size_t n = context.source.live_fallback->read_live(
                    input->VmPreRead.Offset,
                    {reinterpret_cast<std::byte*>(input->VmPreRead.Buffer), input->VmPreRead.Size});
                if (n != 0) {
                    output->VmRead.VmReadStatus = S_OK;
                    output->VmRead.VmReadBytesCompleted = static_cast<std::uint32_t>(n);
                }
            }
            break;
        default: break;
    }
    return TRUE;
}

struct Attempt {
    bool done = false;
    std::uint32_t error = 0;  // an HRESULT, mostly
};

Attempt try_once(Context& context, std::uint64_t flags, const DumpOptions& options) {
    const std::u16string text =
        options.comment ? utf8_to_utf16(*options.comment) : std::u16string();
    std::vector<raw::MINIDUMP_USER_STREAM<Pointer>> own;
    const auto add = [&](std::uint32_t type, const void* bytes, std::size_t size) {
        raw::MINIDUMP_USER_STREAM<Pointer> stream{};
        stream.Type = type;
        stream.BufferSize = static_cast<std::uint32_t>(size);
        stream.Buffer = reinterpret_cast<Pointer>(bytes);
        own.push_back(stream);
    };
    if (options.comment) {
        add(minidump::raw::CommentStreamW, text.c_str(), (text.size() + 1) * sizeof(char16_t));
    }
    for (const UserStream& stream : options.streams) {
        add(stream.type, stream.bytes.data(), stream.bytes.size());
    }
    raw::MINIDUMP_USER_STREAM_INFORMATION<Pointer> streams{};
    streams.UserStreamCount = static_cast<std::uint32_t>(own.size());
    streams.UserStreamArray = reinterpret_cast<Pointer>(own.data());
    raw::MINIDUMP_CALLBACK_INFORMATION<Pointer> information{};
    information.CallbackRoutine = reinterpret_cast<Pointer>(&callback);
    information.CallbackParam = reinterpret_cast<Pointer>(&context);

    const MiniDumpWriter write = minidump_writer();
    const std::lock_guard lock(dbghelp_mutex());
    ::SetLastError(ERROR_SUCCESS);
    Attempt out;
    out.done = write(context.source.process,
                     context.source.pid,
                     reinterpret_cast<HANDLE>(context.file.native_handle()),
                     static_cast<int>(flags),
                     nullptr,
                     own.empty() ? nullptr : &streams,
                     &information) != FALSE;
    if (!out.done) out.error = ::GetLastError();
    return out;
}

const char* advice(std::uint32_t error) {
    switch (error) {
        case kPartialCopy:
            return "the process is ending, or its memory changes faster than it can be read; try "
                   "again, or with MiniDumpType.IGNORE_INACCESSIBLE_MEMORY";
        case 0x80070490: return "the snapshot lacks what this dump needs";
        default: return "";
    }
}

Error failure(std::uint32_t error, std::uint32_t pid) {
    // An HRESULT by its documentation; some implementations leave a Win32 error.
    return (error & 0x80000000) != 0
               ? Error::from_hresult(error, "MiniDumpWriteDump", advice(error), pid)
               : Error::from_win32(error, "MiniDumpWriteDump", advice(error), pid);
}

// Files with an empty directory have been written with success reported.
DumpStats check(OutputFile& file, std::uint32_t pid) {
    try {
        return minidump::summarize(
            [&](std::uint64_t offset, std::span<std::byte> out) { return file.read(offset, out); },
            file.size());
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::kFormat) throw;
        throw Error(ErrorKind::kOther,
                    ErrorDomain::kNone,
                    0,
                    "MiniDumpWriteDump",
                    "it reported success, but " + error.detail(),
                    pid);
    }
}

void note_flags(std::uint64_t asked, std::uint64_t given, Diagnostics& diagnostics) {
    for (std::uint64_t bit = 1; bit <= asked; bit <<= 1) {
        if ((asked & ~given & bit) == 0) continue;
        diagnostics.push_back({Severity::kWarning,
                               "flag_without_effect",
                               "MiniDumpType." + std::string(MiniDumpType::name_of(bit)) +
                                   " is not known to this system's dbghelp.dll and was left out",
                               "MiniDumpWriteDump",
                               ErrorDomain::kNone,
                               0,
                               bit});
    }
}

}  // namespace

DumpReport write_dump(const DumpSource& source,
                      const DumpOptions& options,
                      OutputFile& file,
                      Control& control) {
    std::uint64_t flags = options.flags;
    // A clone has pages that cannot be read; without this the first of them ends a full dump.
    if (source.is_snapshot && (flags & MiniDumpType::WITH_FULL_MEMORY) != 0 &&
        (flags & MiniDumpType::NO_IGNORE_INACCESSIBLE_MEMORY) == 0) {
        flags |= MiniDumpType::IGNORE_INACCESSIBLE_MEMORY;
    }
    DumpReport report;
    std::size_t known = 0;
    for (int tries = 1;; ++tries) {
        control.check();
        control.done_bytes = 0;
        control.total_bytes = source.expected_bytes;
        file.set_size(0);
        Context context(
            source, file, control, (flags & MiniDumpType::IGNORE_INACCESSIBLE_MEMORY) != 0);
        const Attempt attempt = try_once(context, flags, options);
        if (context.file_error) std::rethrow_exception(context.file_error);
        if (source.is_snapshot && !context.asked_for_snapshot) {
            throw Error::unsupported(
                "MiniDumpWriteDump",
                "this system's dbghelp.dll never asked whether it is given a snapshot: it is too "
                "old to read one; method=\"live\" writes a dump without",
                source.pid);
        }
        if (attempt.done) {
            report.stats = check(file, source.pid);
            // The size was a guess: some memory cannot be read.
            control.total_bytes = control.done_bytes.load();
            if (tries > 1) {
                report.diagnostics.push_back({Severity::kInfo,
                                              "dump_retried",
                                              "memory changed or went away while it was read; this "
                                              "is try " +
                                                  std::to_string(tries),
                                              "MiniDumpWriteDump",
                                              ErrorDomain::kHresult,
                                              kPartialCopy,
                                              static_cast<std::uint64_t>(tries)});
            }
            if (context.unreadable_blocks != 0) {
                report.diagnostics.push_back(
                    {Severity::kInfo,
                     "unreadable_memory_left_out",
                     std::to_string(context.unreadable_bytes) + " bytes could not be read",
                     "MiniDumpWriteDump",
                     ErrorDomain::kNone,
                     0,
                     context.unreadable_bytes});
            }
            break;
        }
        control.check();  // cancelled, or out of time: that says more than the HRESULT
        if (attempt.error == kInvalidArgument || attempt.error == ERROR_INVALID_PARAMETER) {
            while (known < std::size(kKnownFlags) && (flags & ~kKnownFlags[known]) == 0) ++known;
            if (known < std::size(kKnownFlags)) {
                flags &= kKnownFlags[known];
                continue;
            }
        }
        if (attempt.error != kPartialCopy || tries >= kMostTries) {
            throw failure(attempt.error, source.pid);
        }
    }
    note_flags(options.flags, flags, report.diagnostics);
    if (options.environment && (flags & MiniDumpType::WITH_PROCESS_THREAD_DATA) == 0) {
        report.diagnostics.push_back({Severity::kWarning,
                                      "environment_not_kept",
                                      "on Windows the environment lies in the memory that "
                                      "MiniDumpType.WITH_PROCESS_THREAD_DATA adds",
                                      "MiniDumpWriteDump",
                                      ErrorDomain::kNone,
                                      0,
                                      0});
    }
    return report;
}

}  // namespace snapcore::windows_os
