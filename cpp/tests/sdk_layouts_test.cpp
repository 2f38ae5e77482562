// SPDX-License-Identifier: Apache-2.0
//
// The layouts of windows/raw.h against a header that somebody else wrote: the SDK's with MSVC, a
// newer mingw-w64's in the cross build. It is enough that this compiles. The callback structures of
// minidumpapiset.h are compared with MSVC alone: mingw-w64 has them wrong.
#include <windows.h>
//
#include <processsnapshot.h>
#if defined(_MSC_VER)
#include <minidumpapiset.h>
#endif

#include <cstddef>
#include <cstdint>

#include "windows/raw.h"

namespace raw = snapcore::windows_os::raw;
using Pointer = std::uintptr_t;

#define SAME_SIZE(ours, theirs) static_assert(sizeof(ours) == sizeof(theirs))
#define SAME(ours, theirs, field)                                    \
    static_assert(offsetof(ours, field) == offsetof(theirs, field)); \
    static_assert(sizeof(ours::field) == sizeof(theirs::field))

using OurProcess = raw::PSS_PROCESS_INFORMATION<Pointer>;
SAME_SIZE(OurProcess, PSS_PROCESS_INFORMATION);
SAME(OurProcess, PSS_PROCESS_INFORMATION, ExitStatus);
SAME(OurProcess, PSS_PROCESS_INFORMATION, PebBaseAddress);
SAME(OurProcess, PSS_PROCESS_INFORMATION, AffinityMask);
SAME(OurProcess, PSS_PROCESS_INFORMATION, BasePriority);
SAME(OurProcess, PSS_PROCESS_INFORMATION, ProcessId);
SAME(OurProcess, PSS_PROCESS_INFORMATION, ParentProcessId);
SAME(OurProcess, PSS_PROCESS_INFORMATION, Flags);
SAME(OurProcess, PSS_PROCESS_INFORMATION, CreateTime);
SAME(OurProcess, PSS_PROCESS_INFORMATION, ExitTime);
SAME(OurProcess, PSS_PROCESS_INFORMATION, KernelTime);
SAME(OurProcess, PSS_PROCESS_INFORMATION, UserTime);
SAME(OurProcess, PSS_PROCESS_INFORMATION, PriorityClass);
SAME(OurProcess, PSS_PROCESS_INFORMATION, PeakVirtualSize);
SAME(OurProcess, PSS_PROCESS_INFORMATION, VirtualSize);
SAME(OurProcess, PSS_PROCESS_INFORMATION, PageFaultCount);
SAME(OurProcess, PSS_PROCESS_INFORMATION, PeakWorkingSetSize);
SAME(OurProcess, PSS_PROCESS_INFORMATION, WorkingSetSize);
SAME(OurProcess, PSS_PROCESS_INFORMATION, QuotaPeakPagedPoolUsage);
SAME(OurProcess, PSS_PROCESS_INFORMATION, QuotaPagedPoolUsage);
SAME(OurProcess, PSS_PROCESS_INFORMATION, QuotaPeakNonPagedPoolUsage);
SAME(OurProcess, PSS_PROCESS_INFORMATION, QuotaNonPagedPoolUsage);
SAME(OurProcess, PSS_PROCESS_INFORMATION, PagefileUsage);
SAME(OurProcess, PSS_PROCESS_INFORMATION, PeakPagefileUsage);
SAME(OurProcess, PSS_PROCESS_INFORMATION, PrivateUsage);
SAME(OurProcess, PSS_PROCESS_INFORMATION, ExecuteFlags);
SAME(OurProcess, PSS_PROCESS_INFORMATION, ImageFileName);

using OurClone = raw::PSS_VA_CLONE_INFORMATION<Pointer>;
SAME_SIZE(OurClone, PSS_VA_CLONE_INFORMATION);
SAME_SIZE(raw::PSS_COUNT_INFORMATION, PSS_AUXILIARY_PAGES_INFORMATION);
SAME_SIZE(raw::PSS_COUNT_INFORMATION, PSS_VA_SPACE_INFORMATION);
SAME_SIZE(raw::PSS_COUNT_INFORMATION, PSS_HANDLE_INFORMATION);
SAME_SIZE(raw::PSS_THREAD_INFORMATION, PSS_THREAD_INFORMATION);
SAME(raw::PSS_THREAD_INFORMATION, PSS_THREAD_INFORMATION, ThreadsCaptured);
SAME(raw::PSS_THREAD_INFORMATION, PSS_THREAD_INFORMATION, ContextLength);
using OurTrace = raw::PSS_HANDLE_TRACE_INFORMATION<Pointer>;
SAME_SIZE(OurTrace, PSS_HANDLE_TRACE_INFORMATION);
SAME(OurTrace, PSS_HANDLE_TRACE_INFORMATION, Size);
SAME_SIZE(raw::PSS_PERFORMANCE_COUNTERS, PSS_PERFORMANCE_COUNTERS);
SAME(raw::PSS_PERFORMANCE_COUNTERS, PSS_PERFORMANCE_COUNTERS, TotalWallClockPeriod);
SAME(raw::PSS_PERFORMANCE_COUNTERS, PSS_PERFORMANCE_COUNTERS, VaCloneWallClockPeriod);
SAME(raw::PSS_PERFORMANCE_COUNTERS, PSS_PERFORMANCE_COUNTERS, VaSpaceWallClockPeriod);
SAME(raw::PSS_PERFORMANCE_COUNTERS, PSS_PERFORMANCE_COUNTERS, AuxPagesWallClockPeriod);
SAME(raw::PSS_PERFORMANCE_COUNTERS, PSS_PERFORMANCE_COUNTERS, HandlesWallClockPeriod);
SAME(raw::PSS_PERFORMANCE_COUNTERS, PSS_PERFORMANCE_COUNTERS, ThreadsWallClockPeriod);

using OurPage = raw::PSS_AUXILIARY_PAGE_ENTRY<Pointer>;
SAME_SIZE(OurPage, PSS_AUXILIARY_PAGE_ENTRY);
SAME(OurPage, PSS_AUXILIARY_PAGE_ENTRY, BasicInformation);
SAME(OurPage, PSS_AUXILIARY_PAGE_ENTRY, CaptureTime);
SAME(OurPage, PSS_AUXILIARY_PAGE_ENTRY, PageContents);
SAME(OurPage, PSS_AUXILIARY_PAGE_ENTRY, PageSize);
using OurBasic = raw::MEMORY_BASIC_INFORMATION<Pointer>;
SAME(OurBasic, MEMORY_BASIC_INFORMATION, AllocationProtect);
SAME(OurBasic, MEMORY_BASIC_INFORMATION, RegionSize);
SAME(OurBasic, MEMORY_BASIC_INFORMATION, Type);

using OurRegion = raw::PSS_VA_SPACE_ENTRY<Pointer>;
SAME_SIZE(OurRegion, PSS_VA_SPACE_ENTRY);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, BaseAddress);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, AllocationBase);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, AllocationProtect);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, RegionSize);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, State);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, Protect);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, Type);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, TimeDateStamp);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, SizeOfImage);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, ImageBase);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, CheckSum);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, MappedFileNameLength);
SAME(OurRegion, PSS_VA_SPACE_ENTRY, MappedFileName);

using OurHandle = raw::PSS_HANDLE_ENTRY<Pointer>;
SAME_SIZE(OurHandle, PSS_HANDLE_ENTRY);
SAME(OurHandle, PSS_HANDLE_ENTRY, Handle);
SAME(OurHandle, PSS_HANDLE_ENTRY, Flags);
SAME(OurHandle, PSS_HANDLE_ENTRY, ObjectType);
SAME(OurHandle, PSS_HANDLE_ENTRY, CaptureTime);
SAME(OurHandle, PSS_HANDLE_ENTRY, Attributes);
SAME(OurHandle, PSS_HANDLE_ENTRY, GrantedAccess);
SAME(OurHandle, PSS_HANDLE_ENTRY, HandleCount);
SAME(OurHandle, PSS_HANDLE_ENTRY, PointerCount);
SAME(OurHandle, PSS_HANDLE_ENTRY, PagedPoolCharge);
SAME(OurHandle, PSS_HANDLE_ENTRY, NonPagedPoolCharge);
SAME(OurHandle, PSS_HANDLE_ENTRY, CreationTime);
SAME(OurHandle, PSS_HANDLE_ENTRY, TypeNameLength);
SAME(OurHandle, PSS_HANDLE_ENTRY, TypeName);
SAME(OurHandle, PSS_HANDLE_ENTRY, ObjectNameLength);
SAME(OurHandle, PSS_HANDLE_ENTRY, ObjectName);
SAME(OurHandle, PSS_HANDLE_ENTRY, TypeSpecificInformation);
#define SAME_ARM(arm, field) SAME(OurHandle, PSS_HANDLE_ENTRY, TypeSpecificInformation.arm.field)
#undef SAME
#define SAME(ours, theirs, field) static_assert(offsetof(ours, field) == offsetof(theirs, field))
SAME_ARM(Process, PebBaseAddress);
SAME_ARM(Process, AffinityMask);
SAME_ARM(Process, BasePriority);
SAME_ARM(Process, ProcessId);
SAME_ARM(Process, ParentProcessId);
SAME_ARM(Process, Flags);
SAME_ARM(Thread, TebBaseAddress);
SAME_ARM(Thread, ProcessId);
SAME_ARM(Thread, ThreadId);
SAME_ARM(Thread, AffinityMask);
SAME_ARM(Thread, Priority);
SAME_ARM(Thread, BasePriority);
SAME_ARM(Thread, Win32StartAddress);
SAME_ARM(Mutant, CurrentCount);
SAME_ARM(Mutant, Abandoned);
SAME_ARM(Mutant, OwnerProcessId);
SAME_ARM(Mutant, OwnerThreadId);
SAME_ARM(Event, ManualReset);
SAME_ARM(Event, Signaled);
SAME_ARM(Section, AllocationAttributes);
SAME_ARM(Section, MaximumSize);
SAME_ARM(Semaphore, CurrentCount);
SAME_ARM(Semaphore, MaximumCount);

using OurThread = raw::PSS_THREAD_ENTRY<Pointer>;
SAME_SIZE(OurThread, PSS_THREAD_ENTRY);
SAME(OurThread, PSS_THREAD_ENTRY, ExitStatus);
SAME(OurThread, PSS_THREAD_ENTRY, TebBaseAddress);
SAME(OurThread, PSS_THREAD_ENTRY, ProcessId);
SAME(OurThread, PSS_THREAD_ENTRY, ThreadId);
SAME(OurThread, PSS_THREAD_ENTRY, AffinityMask);
SAME(OurThread, PSS_THREAD_ENTRY, Priority);
SAME(OurThread, PSS_THREAD_ENTRY, BasePriority);
SAME(OurThread, PSS_THREAD_ENTRY, LastSyscallFirstArgument);
SAME(OurThread, PSS_THREAD_ENTRY, LastSyscallNumber);
SAME(OurThread, PSS_THREAD_ENTRY, CreateTime);
SAME(OurThread, PSS_THREAD_ENTRY, ExitTime);
SAME(OurThread, PSS_THREAD_ENTRY, KernelTime);
SAME(OurThread, PSS_THREAD_ENTRY, UserTime);
SAME(OurThread, PSS_THREAD_ENTRY, Win32StartAddress);
SAME(OurThread, PSS_THREAD_ENTRY, CaptureTime);
SAME(OurThread, PSS_THREAD_ENTRY, Flags);
SAME(OurThread, PSS_THREAD_ENTRY, SuspendCount);
SAME(OurThread, PSS_THREAD_ENTRY, SizeOfContextRecord);
SAME(OurThread, PSS_THREAD_ENTRY, ContextRecord);

static_assert(raw::kQueryPerformance == static_cast<int>(PSS_QUERY_PERFORMANCE_COUNTERS));
static_assert(raw::kQueryHandleTrace == static_cast<int>(PSS_QUERY_HANDLE_TRACE_INFORMATION));
static_assert(raw::kWalkThreads == static_cast<int>(PSS_WALK_THREADS));
static_assert(raw::kWalkAuxiliaryPages == static_cast<int>(PSS_WALK_AUXILIARY_PAGES));

#if defined(_MSC_VER)
SAME_SIZE(raw::MINIDUMP_CALLBACK_OUTPUT, ::MINIDUMP_CALLBACK_OUTPUT);
using OurInput = raw::MINIDUMP_CALLBACK_INPUT<Pointer>;
SAME(OurInput, ::MINIDUMP_CALLBACK_INPUT, CallbackType);
SAME(OurInput, ::MINIDUMP_CALLBACK_INPUT, Status);
SAME(OurInput, ::MINIDUMP_CALLBACK_INPUT, Io);
using OurIo = raw::MINIDUMP_IO_CALLBACK<Pointer>;
SAME_SIZE(OurIo, ::MINIDUMP_IO_CALLBACK);
SAME(OurIo, ::MINIDUMP_IO_CALLBACK, Buffer);
SAME_SIZE(raw::MINIDUMP_READ_MEMORY_FAILURE_CALLBACK, ::MINIDUMP_READ_MEMORY_FAILURE_CALLBACK);
using OurRead = raw::MINIDUMP_VM_PRE_READ_CALLBACK<Pointer>;
SAME_SIZE(OurRead, ::MINIDUMP_VM_PRE_READ_CALLBACK);
SAME_SIZE(raw::MINIDUMP_MEMORY_INFO, ::MINIDUMP_MEMORY_INFO);
using OurInformation = raw::MINIDUMP_CALLBACK_INFORMATION<Pointer>;
SAME_SIZE(OurInformation, ::MINIDUMP_CALLBACK_INFORMATION);
using OurStream = raw::MINIDUMP_USER_STREAM<Pointer>;
SAME_SIZE(OurStream, ::MINIDUMP_USER_STREAM);
static_assert(raw::kIsProcessSnapshotCallback == static_cast<int>(IsProcessSnapshotCallback));
static_assert(raw::kVmPreReadCallback == static_cast<int>(VmPreReadCallback));
static_assert(raw::kIoWriteAllCallback == static_cast<int>(IoWriteAllCallback));
#endif
