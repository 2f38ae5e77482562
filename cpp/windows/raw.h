// SPDX-License-Identifier: Apache-2.0
//
// Layouts of processsnapshot.h and of the callback part of minidumpapiset.h, declared here and not
// taken from a header: mingw-w64's dbghelp.h closes a union too early, and older SDKs lack half of
// this. No OS header, so it is compiled on Linux as well; for 64-bit and 32-bit Windows by the
// width of a pointer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace snapcore::windows_os::raw {

// --- processsnapshot.h: functions return a Win32 error.

enum QueryClass : std::uint32_t {
    kQueryProcess = 0,
    kQueryVaClone = 1,
    kQueryAuxiliaryPages = 2,
    kQueryVaSpace = 3,
    kQueryHandles = 4,
    kQueryThreads = 5,
    kQueryHandleTrace = 6,
    kQueryPerformance = 7,
};

enum WalkClass : std::uint32_t {
    kWalkAuxiliaryPages = 0,
    kWalkVaSpace = 1,
    kWalkHandles = 2,
    kWalkThreads = 3,
};

// Two DWORDs: aligned to 4, unlike a 64-bit integer.
struct FILETIME {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::uint64_t ticks() const { return std::uint64_t{high} << 32 | low; }  // 100 ns since 1601
};
static_assert(sizeof(FILETIME) == 8 && alignof(FILETIME) == 4);

template <class Pointer>
struct PSS_PROCESS_INFORMATION {
    std::uint32_t ExitStatus;
    Pointer PebBaseAddress;
    Pointer AffinityMask;
    std::int32_t BasePriority;
    std::uint32_t ProcessId;
    std::uint32_t ParentProcessId;
    std::uint32_t Flags;
    FILETIME CreateTime;
    FILETIME ExitTime;
    FILETIME KernelTime;
    FILETIME UserTime;
    std::uint32_t PriorityClass;
    Pointer PeakVirtualSize;
    Pointer VirtualSize;
    std::uint32_t PageFaultCount;
    Pointer PeakWorkingSetSize;
    Pointer WorkingSetSize;
    Pointer QuotaPeakPagedPoolUsage;
    Pointer QuotaPagedPoolUsage;
    Pointer QuotaPeakNonPagedPoolUsage;
    Pointer QuotaNonPagedPoolUsage;
    Pointer PagefileUsage;
    Pointer PeakPagefileUsage;
    Pointer PrivateUsage;
    std::uint32_t ExecuteFlags;
    char16_t ImageFileName[260];
};

template <class Pointer>
struct PSS_VA_CLONE_INFORMATION {
    Pointer VaCloneHandle;
};

// Of auxiliary pages, regions and handles.
struct PSS_COUNT_INFORMATION {
    std::uint32_t Count;
};

struct PSS_THREAD_INFORMATION {
    std::uint32_t ThreadsCaptured;
    std::uint32_t ContextLength;
};

template <class Pointer>
struct PSS_HANDLE_TRACE_INFORMATION {
    Pointer SectionHandle;
    std::uint32_t Size;
};

struct PSS_PERFORMANCE_COUNTERS {
    std::uint64_t TotalCycleCount;
    std::uint64_t TotalWallClockPeriod;
    std::uint64_t VaCloneCycleCount;
    std::uint64_t VaCloneWallClockPeriod;
    std::uint64_t VaSpaceCycleCount;
    std::uint64_t VaSpaceWallClockPeriod;
    std::uint64_t AuxPagesCycleCount;
    std::uint64_t AuxPagesWallClockPeriod;
    std::uint64_t HandlesCycleCount;
    std::uint64_t HandlesWallClockPeriod;
    std::uint64_t ThreadsCycleCount;
    std::uint64_t ThreadsWallClockPeriod;
};

template <class Pointer>
struct MEMORY_BASIC_INFORMATION {
    Pointer BaseAddress;
    Pointer AllocationBase;
    std::uint32_t AllocationProtect;
    // 64-bit Windows has PartitionId in what is padding here.
    Pointer RegionSize;
    std::uint32_t State;
    std::uint32_t Protect;
    std::uint32_t Type;
};

template <class Pointer>
struct PSS_AUXILIARY_PAGE_ENTRY {
    Pointer Address;
    MEMORY_BASIC_INFORMATION<Pointer> BasicInformation;
    FILETIME CaptureTime;
    Pointer PageContents;
    std::uint32_t PageSize;
};

template <class Pointer>
struct PSS_VA_SPACE_ENTRY {
    Pointer BaseAddress;
    Pointer AllocationBase;
    std::uint32_t AllocationProtect;
    Pointer RegionSize;
    std::uint32_t State;
    std::uint32_t Protect;
    std::uint32_t Type;
    std::uint32_t TimeDateStamp;
    std::uint32_t SizeOfImage;
    Pointer ImageBase;
    std::uint32_t CheckSum;
    std::uint16_t MappedFileNameLength;  // bytes
    Pointer MappedFileName;              // no NUL
};

template <class Pointer>
struct PSS_HANDLE_PROCESS {
    std::uint32_t ExitStatus;
    Pointer PebBaseAddress;
    Pointer AffinityMask;
    std::int32_t BasePriority;
    std::uint32_t ProcessId;
    std::uint32_t ParentProcessId;
    std::uint32_t Flags;
};

template <class Pointer>
struct PSS_HANDLE_THREAD {
    std::uint32_t ExitStatus;
    Pointer TebBaseAddress;
    std::uint32_t ProcessId;
    std::uint32_t ThreadId;
    Pointer AffinityMask;
    std::int32_t Priority;
    std::int32_t BasePriority;
    Pointer Win32StartAddress;
};

struct PSS_HANDLE_MUTANT {
    std::int32_t CurrentCount;
    std::int32_t Abandoned;
    std::uint32_t OwnerProcessId;
    std::uint32_t OwnerThreadId;
};

struct PSS_HANDLE_EVENT {
    std::int32_t ManualReset;
    std::int32_t Signaled;
};

template <class Pointer>
struct PSS_HANDLE_SECTION {
    Pointer BaseAddress;
    std::uint32_t AllocationAttributes;
    std::int64_t MaximumSize;
};

struct PSS_HANDLE_SEMAPHORE {
    std::int32_t CurrentCount;
    std::int32_t MaximumCount;
};

template <class Pointer>
struct PSS_HANDLE_ENTRY {
    Pointer Handle;
    std::uint32_t Flags;
    std::uint32_t ObjectType;
    FILETIME CaptureTime;
    std::uint32_t Attributes;
    std::uint32_t GrantedAccess;
    std::uint32_t HandleCount;
    std::uint32_t PointerCount;
    std::uint32_t PagedPoolCharge;
    std::uint32_t NonPagedPoolCharge;
    FILETIME CreationTime;
    std::uint16_t TypeNameLength;  // bytes
    Pointer TypeName;              // no NUL
    std::uint16_t ObjectNameLength;
    Pointer ObjectName;
    union {
        PSS_HANDLE_PROCESS<Pointer> Process;
        PSS_HANDLE_THREAD<Pointer> Thread;
        PSS_HANDLE_MUTANT Mutant;
        PSS_HANDLE_EVENT Event;
        PSS_HANDLE_SECTION<Pointer> Section;
        PSS_HANDLE_SEMAPHORE Semaphore;
    } TypeSpecificInformation;
};

template <class Pointer>
struct PSS_THREAD_ENTRY {
    std::uint32_t ExitStatus;
    Pointer TebBaseAddress;
    std::uint32_t ProcessId;
    std::uint32_t ThreadId;
    Pointer AffinityMask;
    std::int32_t Priority;
    std::int32_t BasePriority;
    Pointer LastSyscallFirstArgument;
    std::uint16_t LastSyscallNumber;
    FILETIME CreateTime;
    FILETIME ExitTime;
    FILETIME KernelTime;
    FILETIME UserTime;
    Pointer Win32StartAddress;
    FILETIME CaptureTime;
    std::uint32_t Flags;
    std::uint16_t SuspendCount;
    std::uint16_t SizeOfContextRecord;
    Pointer ContextRecord;
};

// --- winternl.h and what it leaves out: NtQuerySystemInformation returns an NTSTATUS.

enum SystemInformationClass : std::uint32_t {
    kSystemProcesses = 5,
    kSystemExtendedProcesses = 57,
    kSystemExtendedHandles = 64,
};

template <class Pointer>
struct UNICODE_STRING {
    std::uint16_t Length;  // bytes
    std::uint16_t MaximumLength;
    Pointer Buffer;  // no NUL
};

// Times in 100 ns, CreateTime since 1601.
template <class Pointer>
struct SYSTEM_THREAD_INFORMATION {
    std::uint64_t KernelTime;
    std::uint64_t UserTime;
    std::uint64_t CreateTime;
    std::uint32_t WaitTime;
    Pointer StartAddress;
    Pointer UniqueProcess;
    Pointer UniqueThread;
    std::int32_t Priority;
    std::int32_t BasePriority;
    std::uint32_t ContextSwitches;
    std::uint32_t ThreadState;  // KTHREAD_STATE
    std::uint32_t WaitReason;
};

template <class Pointer>
struct SYSTEM_EXTENDED_THREAD_INFORMATION {
    SYSTEM_THREAD_INFORMATION<Pointer> ThreadInfo;
    Pointer StackBase;
    Pointer StackLimit;
    Pointer Win32StartAddress;
    Pointer TebBase;
    Pointer Reserved2;
    Pointer Reserved3;
    Pointer Reserved4;
};

// Followed by its threads.
template <class Pointer>
struct SYSTEM_PROCESS_INFORMATION {
    std::uint32_t NextEntryOffset;  // 0 in the last one
    std::uint32_t NumberOfThreads;
    std::uint64_t WorkingSetPrivateSize;
    std::uint32_t HardFaultCount;
    std::uint32_t NumberOfThreadsHighWatermark;
    std::uint64_t CycleTime;
    std::uint64_t CreateTime;
    std::uint64_t UserTime;
    std::uint64_t KernelTime;
    UNICODE_STRING<Pointer> ImageName;
    std::int32_t BasePriority;
    Pointer UniqueProcessId;
    Pointer InheritedFromUniqueProcessId;
    std::uint32_t HandleCount;
    std::uint32_t SessionId;
    Pointer UniqueProcessKey;
    Pointer PeakVirtualSize;
    Pointer VirtualSize;
    std::uint32_t PageFaultCount;
    Pointer PeakWorkingSetSize;
    Pointer WorkingSetSize;
    Pointer QuotaPeakPagedPoolUsage;
    Pointer QuotaPagedPoolUsage;
    Pointer QuotaPeakNonPagedPoolUsage;
    Pointer QuotaNonPagedPoolUsage;
    Pointer PagefileUsage;
    Pointer PeakPagefileUsage;
    Pointer PrivatePageCount;
    std::uint64_t OperationCounts[3];
    std::uint64_t TransferCounts[3];
};

// --- minidumpapiset.h: everything is packed to 4.

enum CallbackType : std::uint32_t {
    kModuleCallback = 0,
    kThreadCallback = 1,
    kThreadExCallback = 2,
    kIncludeThreadCallback = 3,
    kIncludeModuleCallback = 4,
    kMemoryCallback = 5,
    kCancelCallback = 6,
    kWriteKernelMinidumpCallback = 7,
    kKernelMinidumpStatusCallback = 8,
    kRemoveMemoryCallback = 9,
    kIncludeVmRegionCallback = 10,
    kIoStartCallback = 11,
    kIoWriteAllCallback = 12,
    kIoFinishCallback = 13,
    kReadMemoryFailureCallback = 14,
    kSecondaryFlagsCallback = 15,
    kIsProcessSnapshotCallback = 16,
    kVmStartCallback = 17,
    kVmQueryCallback = 18,
    kVmPreReadCallback = 19,
    kVmPostReadCallback = 20,
};

#pragma pack(push, 4)

template <class Pointer>
struct MINIDUMP_IO_CALLBACK {
    Pointer Handle;
    std::uint64_t Offset;
    Pointer Buffer;
    std::uint32_t BufferBytes;
};

struct MINIDUMP_READ_MEMORY_FAILURE_CALLBACK {
    std::uint64_t Offset;
    std::uint32_t Bytes;
    std::int32_t FailureStatus;
};

struct MINIDUMP_VM_QUERY_CALLBACK {
    std::uint64_t Offset;
};

template <class Pointer>
struct MINIDUMP_VM_PRE_READ_CALLBACK {
    std::uint64_t Offset;
    Pointer Buffer;
    std::uint32_t Size;
};

template <class Pointer>
struct MINIDUMP_CALLBACK_INPUT {
    std::uint32_t ProcessId;
    Pointer ProcessHandle;
    std::uint32_t CallbackType;
    // The arms that are looked at; others, a CONTEXT among them, make the real structure longer.
    union {
        std::int32_t Status;
        MINIDUMP_IO_CALLBACK<Pointer> Io;
        MINIDUMP_READ_MEMORY_FAILURE_CALLBACK ReadMemoryFailure;
        MINIDUMP_VM_QUERY_CALLBACK VmQuery;
        MINIDUMP_VM_PRE_READ_CALLBACK<Pointer> VmPreRead;
    };
};

struct MINIDUMP_MEMORY_INFO {
    std::uint64_t BaseAddress;
    std::uint64_t AllocationBase;
    std::uint32_t AllocationProtect;
    std::uint32_t Alignment1;
    std::uint64_t RegionSize;
    std::uint32_t State;
    std::uint32_t Protect;
    std::uint32_t Type;
    std::uint32_t Alignment2;
};

// One union, 52 bytes, everything at offset 0.
union MINIDUMP_CALLBACK_OUTPUT {
    std::uint32_t ModuleWriteFlags;
    std::uint32_t ThreadWriteFlags;
    std::uint32_t SecondaryFlags;
    struct {
        std::uint64_t MemoryBase;
        std::uint32_t MemorySize;
    } Memory;
    struct {
        std::int32_t CheckCancel;
        std::int32_t Cancel;
    } Cancel;
    struct {
        MINIDUMP_MEMORY_INFO VmRegion;
        std::int32_t Continue;
    } Region;
    struct {
        std::int32_t VmQueryStatus;
        MINIDUMP_MEMORY_INFO VmQueryResult;
    } VmQuery;
    struct {
        std::int32_t VmReadStatus;
        std::uint32_t VmReadBytesCompleted;
    } VmRead;
    std::int32_t Status;
};

template <class Pointer>
struct MINIDUMP_CALLBACK_INFORMATION {
    Pointer CallbackRoutine;
    Pointer CallbackParam;
};

template <class Pointer>
struct MINIDUMP_USER_STREAM {
    std::uint32_t Type;
    std::uint32_t BufferSize;
    Pointer Buffer;
};

template <class Pointer>
struct MINIDUMP_USER_STREAM_INFORMATION {
    std::uint32_t UserStreamCount;
    Pointer UserStreamArray;
};

#pragma pack(pop)

}  // namespace snapcore::windows_os::raw

#include "windows/raw_checks.h"  // IWYU pragma: export
