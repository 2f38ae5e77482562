// SPDX-License-Identifier: Apache-2.0
//
// The minidump file format: structures with the SDK's names, packed to 4 bytes as they lie in the
// file. No OS header. Bytes are copied in and out with memcpy; nobody casts file memory to these.
#pragma once

#include <cstddef>
#include <cstdint>

namespace snapcore::minidump::raw {

using RVA = std::uint32_t;
using RVA64 = std::uint64_t;

inline constexpr std::uint32_t kSignature = 0x504d444d;  // "MDMP"
inline constexpr std::uint32_t kVersion = 0xa793;

enum StreamType : std::uint32_t {
    ThreadListStream = 3,
    ModuleListStream = 4,
    MemoryListStream = 5,
    ExceptionStream = 6,
    SystemInfoStream = 7,
    ThreadExListStream = 8,
    Memory64ListStream = 9,
    CommentStreamA = 10,
    CommentStreamW = 11,
    HandleDataStream = 12,
    FunctionTableStream = 13,
    UnloadedModuleListStream = 14,
    MiscInfoStream = 15,
    MemoryInfoListStream = 16,
    ThreadInfoListStream = 17,
    HandleOperationListStream = 18,
    TokenStream = 19,
    SystemMemoryInfoStream = 21,
    ProcessVmCountersStream = 22,
    ThreadNamesStream = 24,
    BreakpadInfo = 0x47670001,
    BreakpadAssertionInfo = 0x47670002,
    LinuxCpuInfo = 0x47670003,
    LinuxProcStatus = 0x47670004,
    LinuxLsbRelease = 0x47670005,
    LinuxCmdLine = 0x47670006,
    LinuxEnviron = 0x47670007,
    LinuxAuxv = 0x47670008,
    LinuxMaps = 0x47670009,
    LinuxDsoDebug = 0x4767000a,
    CrashpadInfo = 0x43500001,
    MozMacosCrashInfo = 0x4d7a0001,
    MozMacosBootargs = 0x4d7a0002,
    MozLinuxLimits = 0x4d7a0003,
    MozSoftErrors = 0x4d7a0004,     // JSON: what the writer could not do
    SnapcoreRanges = 0x534e5001,    // ours: SNAPCORE_RANGE_LIST
    SnapcoreToken = 0x534e5002,     // ours: text, "key:\tvalue" a line; credentials of the process
    SnapcoreColumns = 0x534e5003,   // ours: SNAPCORE_COLUMN_LIST
    SnapcoreIdentity = 0x534e5004,  // ours: SNAPCORE_IDENTITY
    SnapcoreBase = 0x534e5005,      // ours: SNAPCORE_BASE
};

#pragma pack(push, 4)

struct MINIDUMP_HEADER {
    std::uint32_t Signature, Version, NumberOfStreams;
    RVA StreamDirectoryRva;
    std::uint32_t CheckSum, TimeDateStamp;
    std::uint64_t Flags;
};
struct MINIDUMP_LOCATION_DESCRIPTOR {
    std::uint32_t DataSize;
    RVA Rva;
};
struct MINIDUMP_DIRECTORY {
    std::uint32_t StreamType;
    MINIDUMP_LOCATION_DESCRIPTOR Location;
};
struct MINIDUMP_MEMORY_DESCRIPTOR {
    std::uint64_t StartOfMemoryRange;
    MINIDUMP_LOCATION_DESCRIPTOR Memory;
};
struct MINIDUMP_MEMORY_DESCRIPTOR64 {
    std::uint64_t StartOfMemoryRange, DataSize;
};
struct MINIDUMP_MEMORY64_LIST {  // descriptors follow, then from BaseRva the bytes of one after the
                                 // other
    std::uint64_t NumberOfMemoryRanges;
    RVA64 BaseRva;
};
struct MINIDUMP_THREAD {
    std::uint32_t ThreadId, SuspendCount, PriorityClass, Priority;
    std::uint64_t Teb;
    MINIDUMP_MEMORY_DESCRIPTOR Stack;
    MINIDUMP_LOCATION_DESCRIPTOR ThreadContext;
};
struct MINIDUMP_THREAD_EX {
    MINIDUMP_THREAD Thread;
    MINIDUMP_MEMORY_DESCRIPTOR BackingStore;
};
struct MINIDUMP_EXCEPTION {
    std::uint32_t ExceptionCode, ExceptionFlags;
    std::uint64_t ExceptionRecord, ExceptionAddress;
    std::uint32_t NumberParameters, __unusedAlignment;
    std::uint64_t ExceptionInformation[15];
};
struct MINIDUMP_EXCEPTION_STREAM {
    std::uint32_t ThreadId, __alignment;
    MINIDUMP_EXCEPTION ExceptionRecord;
    MINIDUMP_LOCATION_DESCRIPTOR ThreadContext;
};
struct MINIDUMP_THREAD_NAME {
    std::uint32_t ThreadId;
    RVA64 RvaOfThreadName;
};
struct MINIDUMP_THREAD_INFO_LIST {
    std::uint32_t SizeOfHeader, SizeOfEntry, NumberOfEntries;
};
struct MINIDUMP_THREAD_INFO {
    std::uint32_t ThreadId, DumpFlags, DumpError, ExitStatus;
    std::uint64_t CreateTime, ExitTime, KernelTime, UserTime, StartAddress, Affinity;
};
inline constexpr std::uint32_t MINIDUMP_THREAD_INFO_INVALID_CONTEXT = 0x10;

struct VS_FIXEDFILEINFO {
    std::uint32_t dwSignature, dwStrucVersion, dwFileVersionMS, dwFileVersionLS, dwProductVersionMS,
        dwProductVersionLS, dwFileFlagsMask, dwFileFlags, dwFileOS, dwFileType, dwFileSubtype,
        dwFileDateMS, dwFileDateLS;
};
struct MINIDUMP_MODULE {
    std::uint64_t BaseOfImage;
    std::uint32_t SizeOfImage, CheckSum, TimeDateStamp;
    RVA ModuleNameRva;
    VS_FIXEDFILEINFO VersionInfo;
    MINIDUMP_LOCATION_DESCRIPTOR CvRecord, MiscRecord;
    std::uint64_t Reserved0, Reserved1;
};
struct MINIDUMP_UNLOADED_MODULE_LIST {
    std::uint32_t SizeOfHeader, SizeOfEntry, NumberOfEntries;
};
struct MINIDUMP_UNLOADED_MODULE {
    std::uint64_t BaseOfImage;
    std::uint32_t SizeOfImage, CheckSum, TimeDateStamp;
    RVA ModuleNameRva;
};
inline constexpr std::uint32_t kCvSignaturePdb70 = 0x53445352;  // "RSDS": GUID, age, path
inline constexpr std::uint32_t kCvSignaturePdb20 = 0x3031424e;  // "NB10": offset, time, age, path
inline constexpr std::uint32_t kCvSignatureElf = 0x4270454c;    // "BpEL": the raw build id follows

struct MINIDUMP_MEMORY_INFO_LIST {
    std::uint32_t SizeOfHeader, SizeOfEntry;
    std::uint64_t NumberOfEntries;
};
struct MINIDUMP_MEMORY_INFO {
    std::uint64_t BaseAddress, AllocationBase;
    std::uint32_t AllocationProtect, __alignment1;
    std::uint64_t RegionSize;
    std::uint32_t State, Protect, Type, __alignment2;
};
struct MINIDUMP_HANDLE_DATA_STREAM {
    std::uint32_t SizeOfHeader, SizeOfDescriptor, NumberOfDescriptors, Reserved;
};
struct MINIDUMP_HANDLE_DESCRIPTOR {
    std::uint64_t Handle;
    RVA TypeNameRva, ObjectNameRva;
    std::uint32_t Attributes, GrantedAccess, HandleCount, PointerCount;
};
struct MINIDUMP_HANDLE_DESCRIPTOR_2 {
    MINIDUMP_HANDLE_DESCRIPTOR Version1;
    RVA ObjectInfoRva;
    std::uint32_t Reserved0;
};
struct MINIDUMP_HANDLE_OBJECT_INFORMATION {  // SizeOfInfo bytes follow, which nobody documents
    RVA NextInfoRva;
    std::uint32_t InfoType, SizeOfInfo;
};
struct MINIDUMP_HANDLE_OPERATION_LIST {
    std::uint32_t SizeOfHeader, SizeOfEntry, NumberOfEntries, Reserved;
};
struct AVRF_BACKTRACE_INFORMATION {
    std::uint32_t Depth, Index;
    std::uint64_t ReturnAddresses[32];
};
struct AVRF_HANDLE_OPERATION {
    std::uint64_t Handle;
    std::uint32_t ProcessId, ThreadId, OperationType, Spare0;
    AVRF_BACKTRACE_INFORMATION BackTraceInformation;
};
struct MINIDUMP_TOKEN_INFO_LIST {
    std::uint32_t TokenListSize, TokenListEntries, ListHeaderSize, ElementHeaderSize;
};
struct MINIDUMP_TOKEN_INFO_HEADER {  // TokenInfoSize counts it and the data that follow
    std::uint32_t TokenInfoSize, TokenInfoId;
    std::uint64_t TokenHandle;
};
struct X86CpuInfo {
    std::uint32_t VendorId[3], VersionInformation, FeatureInformation, AMDExtendedCpuFeatures;
};
struct MINIDUMP_SYSTEM_INFO {
    std::uint16_t ProcessorArchitecture, ProcessorLevel, ProcessorRevision;
    std::uint8_t NumberOfProcessors, ProductType;
    std::uint32_t MajorVersion, MinorVersion, BuildNumber, PlatformId;
    RVA CSDVersionRva;
    std::uint16_t SuiteMask, Reserved2;
    X86CpuInfo Cpu;
};
struct SYSTEMTIME {
    std::uint16_t wYear, wMonth, wDayOfWeek, wDay, wHour, wMinute, wSecond, wMilliseconds;
};
struct TIME_ZONE_INFORMATION {
    std::int32_t Bias;
    char16_t StandardName[32];
    SYSTEMTIME StandardDate;
    std::int32_t StandardBias;
    char16_t DaylightName[32];
    SYSTEMTIME DaylightDate;
    std::int32_t DaylightBias;
};
struct MINIDUMP_MISC_INFO_4 {
    std::uint32_t SizeOfInfo, Flags1, ProcessId, ProcessCreateTime, ProcessUserTime,
        ProcessKernelTime;
    std::uint32_t ProcessorMaxMhz, ProcessorCurrentMhz, ProcessorMhzLimit, ProcessorMaxIdleState,
        ProcessorCurrentIdleState;
    std::uint32_t ProcessIntegrityLevel, ProcessExecuteFlags, ProtectedProcess, TimeZoneId;
    TIME_ZONE_INFORMATION TimeZone;
    char16_t BuildString[260];
    char16_t DbgBldStr[40];
};
struct XSTATE_FEATURE {
    std::uint32_t Offset, Size;
};
struct XSTATE_CONFIG_FEATURE_MSC_INFO {
    std::uint32_t SizeOfInfo, ContextSize;
    std::uint64_t EnabledFeatures;
    XSTATE_FEATURE Features[64];
};
struct MINIDUMP_MISC_INFO_5 {
    MINIDUMP_MISC_INFO_4 Version4;
    XSTATE_CONFIG_FEATURE_MSC_INFO XStateData;
    std::uint32_t ProcessCookie;
};
inline constexpr std::uint32_t MINIDUMP_MISC1_PROCESS_ID = 0x1;
inline constexpr std::uint32_t MINIDUMP_MISC1_PROCESS_TIMES = 0x2;
inline constexpr std::uint32_t MINIDUMP_MISC1_PROCESSOR_POWER_INFO = 0x4;
inline constexpr std::uint32_t MINIDUMP_MISC3_PROCESS_INTEGRITY = 0x10;
inline constexpr std::uint32_t MINIDUMP_MISC3_PROCESS_EXECUTE_FLAGS = 0x20;
inline constexpr std::uint32_t MINIDUMP_MISC3_TIMEZONE = 0x40;
inline constexpr std::uint32_t MINIDUMP_MISC3_PROTECTED_PROCESS = 0x80;
inline constexpr std::uint32_t MINIDUMP_MISC4_BUILDSTRING = 0x100;
inline constexpr std::uint32_t MINIDUMP_MISC5_PROCESS_COOKIE = 0x200;

struct MINIDUMP_PROCESS_VM_COUNTERS_2 {
    std::uint16_t Revision, Flags;
    std::uint32_t PageFaultCount;
    std::uint64_t PeakWorkingSetSize, WorkingSetSize, QuotaPeakPagedPoolUsage, QuotaPagedPoolUsage,
        QuotaPeakNonPagedPoolUsage, QuotaNonPagedPoolUsage, PagefileUsage, PeakPagefileUsage,
        PeakVirtualSize, VirtualSize, PrivateUsage, PrivateWorkingSetSize, SharedCommitUsage,
        JobSharedCommitUsage, JobPrivateCommitUsage, JobPeakPrivateCommitUsage,
        JobPrivateCommitLimit, JobTotalCommitLimit;
};
inline constexpr std::uint16_t MINIDUMP_PROCESS_VM_COUNTERS = 1;
inline constexpr std::uint16_t MINIDUMP_PROCESS_VM_COUNTERS_VIRTUALSIZE = 2;
inline constexpr std::uint16_t MINIDUMP_PROCESS_VM_COUNTERS_EX = 4;
inline constexpr std::uint16_t MINIDUMP_PROCESS_VM_COUNTERS_EX2 = 8;

struct MINIDUMP_SYSTEM_BASIC_INFORMATION {
    std::uint32_t TimerResolution, PageSize, NumberOfPhysicalPages, LowestPhysicalPageNumber,
        HighestPhysicalPageNumber, AllocationGranularity;
    std::uint64_t MinimumUserModeAddress, MaximumUserModeAddress, ActiveProcessorsAffinityMask;
    std::uint32_t NumberOfProcessors;
};
struct MINIDUMP_SYSTEM_FILECACHE_INFORMATION {
    std::uint64_t CurrentSize, PeakSize;
    std::uint32_t PageFaultCount;
    std::uint64_t MinimumWorkingSet, MaximumWorkingSet, CurrentSizeIncludingTransitionInPages,
        PeakSizeIncludingTransitionInPages;
    std::uint32_t TransitionRePurposeCount, Flags;
};
struct MINIDUMP_SYSTEM_BASIC_PERFORMANCE_INFORMATION {
    std::uint64_t AvailablePages, CommittedPages, CommitLimit, PeakCommitment;
};
struct MINIDUMP_SYSTEM_MEMORY_INFO_1 {
    std::uint16_t Revision, Flags;
    MINIDUMP_SYSTEM_BASIC_INFORMATION BasicInfo;
    MINIDUMP_SYSTEM_FILECACHE_INFORMATION FileCacheInfo;
    MINIDUMP_SYSTEM_BASIC_PERFORMANCE_INFORMATION BasicPerfInfo;
    std::uint8_t PerfInfo[344];  // counters that only Windows keeps
};
inline constexpr std::uint16_t MINIDUMP_SYSMEMINFO1_BASICPERF = 2;

// Breakpad's, for dumps of a crash.
struct BREAKPAD_INFO {
    std::uint32_t Validity, DumpThreadId, RequestingThreadId;
};
inline constexpr std::uint32_t BREAKPAD_DUMP_THREAD_ID = 1;
inline constexpr std::uint32_t BREAKPAD_REQUESTING_THREAD_ID = 2;
struct BREAKPAD_ASSERTION_INFO {
    char16_t Expression[128], Function[128], File[128];
    std::uint32_t Line, Type;
};

// Crashpad's. Texts are a 32-bit length and UTF-8.
struct CRASHPAD_UUID {
    std::uint32_t Data1;
    std::uint16_t Data2, Data3;
    std::uint8_t Data4[8];
};
struct CRASHPAD_INFO {
    std::uint32_t Version;
    CRASHPAD_UUID ReportId, ClientId;
    MINIDUMP_LOCATION_DESCRIPTOR SimpleAnnotations, ModuleList;
};
struct CRASHPAD_MODULE_LINK {  // after a count
    std::uint32_t ModuleListIndex;
    MINIDUMP_LOCATION_DESCRIPTOR Location;
};
struct CRASHPAD_MODULE_INFO {
    std::uint32_t Version;
    MINIDUMP_LOCATION_DESCRIPTOR ListAnnotations, SimpleAnnotations, AnnotationObjects;
};
struct CRASHPAD_DICTIONARY_ENTRY {  // after a count
    RVA Key, Value;
};
struct CRASHPAD_ANNOTATION {  // after a count; the value is a 32-bit length and bytes
    RVA Name;
    std::uint16_t Type, Reserved;
    RVA Value;
};

// Mozilla's, of macOS: what __crash_info of each module says. Texts follow a record.
struct MAC_CRASH_INFO {
    std::uint32_t StreamType, RecordCount, RecordStartSize;
    MINIDUMP_LOCATION_DESCRIPTOR Records[20];
};
struct MAC_CRASH_INFO_RECORD {
    std::uint64_t StreamType, Version, Thread, DialogMode;  // the last two from version 4 on
    std::uint64_t AbortCause;                               // from version 5 on
};
struct MAC_BOOTARGS {
    std::uint32_t StreamType;
    RVA64 BootArgs;
};

// Ours: ranges of the address space with something to say about them.
struct SNAPCORE_RANGE_LIST {
    std::uint32_t SizeOfHeader, SizeOfEntry;
    std::uint64_t NumberOfEntries;
};
struct SNAPCORE_RANGE {
    std::uint64_t StartOfRange, Size;
    std::uint32_t Kind, Reserved;
};
inline constexpr std::uint32_t SNAPCORE_RANGE_KNOWN_ZERO =
    1;  // committed, never touched, not in the file
inline constexpr std::uint32_t SNAPCORE_RANGE_NOT_OF_THE_INSTANT =
    2;  // read after the target ran on

// Ours: columns of tables that no other stream has a place for. Offsets count from the start of the
// stream, for the system's own writer puts it where it likes.
struct SNAPCORE_COLUMN_LIST {
    std::uint32_t SizeOfHeader, SizeOfEntry;
    std::uint64_t NumberOfEntries;
};
struct SNAPCORE_COLUMN {
    std::uint32_t Table;  // SNAPCORE_TABLE_*
    std::uint32_t Type;  // SNAPCORE_TYPE_*, less the size of a value: 0x100 | 4 is 32 bits unsigned
    char Name[32];       // ends with NULs
    std::uint64_t Rows;
    std::uint64_t Values;  // one a row; of texts 32-bit codes, -1 where unknown
    std::uint64_t Valid;   // one byte a row; 0 where every row is known
    std::uint64_t Texts;   // a 64-bit count, count + 1 64-bit ends, the first 0, and bytes; else 0
};
inline constexpr std::uint32_t SNAPCORE_TABLE_PROCESS = 0;  // of one row
inline constexpr std::uint32_t SNAPCORE_TABLE_THREADS = 1;
inline constexpr std::uint32_t SNAPCORE_TABLE_HANDLES = 2;
inline constexpr std::uint32_t SNAPCORE_TABLE_REGIONS = 3;
inline constexpr std::uint32_t SNAPCORE_TYPE_UNSIGNED = 0x100;
inline constexpr std::uint32_t SNAPCORE_TYPE_SIGNED = 0x200;
inline constexpr std::uint32_t SNAPCORE_TYPE_BOOLEAN = 0x300;
inline constexpr std::uint32_t SNAPCORE_TYPE_TEXT = 0x400;

// Ours: what a later dump of the same process names this one by.
struct SNAPCORE_IDENTITY {
    std::uint8_t Bytes[16];  // random
};

// Ours, of a dump that holds only what differs from an earlier one, its base, which lies in the
// same folder. The entries, SNAPCORE_BASE_RANGE, are all memory that the dump stands for,
// ascending: what of it is not in this file is in the base, at the same addresses. A base has no
// base.
struct SNAPCORE_BASE {
    std::uint32_t SizeOfHeader, SizeOfEntry;
    std::uint64_t NumberOfEntries;
    SNAPCORE_IDENTITY Identity;
    std::uint64_t Size;  // of the base's minidump, in bytes
    char Name[256];      // of its file, without a folder; ends with NULs
};
struct SNAPCORE_BASE_RANGE {
    std::uint64_t StartOfRange, Size;
};

struct XMM_SAVE_AREA32 {
    std::uint16_t ControlWord, StatusWord;
    std::uint8_t TagWord, Reserved1;
    std::uint16_t ErrorOpcode;
    std::uint32_t ErrorOffset;
    std::uint16_t ErrorSelector, Reserved2;
    std::uint32_t DataOffset;
    std::uint16_t DataSelector, Reserved3;
    std::uint32_t MxCsr, MxCsr_Mask;
    std::uint8_t FloatRegisters[8][16], XmmRegisters[16][16], Reserved4[96];
};
// CONTEXT of x86-64; the SDK uses its long name as a macro.
struct Amd64Context {
    std::uint64_t P1Home, P2Home, P3Home, P4Home, P5Home, P6Home;
    std::uint32_t ContextFlags, MxCsr;
    std::uint16_t SegCs, SegDs, SegEs, SegFs, SegGs, SegSs;
    std::uint32_t EFlags;
    std::uint64_t Dr0, Dr1, Dr2, Dr3, Dr6, Dr7;
    std::uint64_t Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15, Rip;
    XMM_SAVE_AREA32 FltSave;
    std::uint8_t VectorRegister[26][16];
    std::uint64_t VectorControl, DebugControl, LastBranchToRip, LastBranchFromRip,
        LastExceptionToRip, LastExceptionFromRip;
};

// CONTEXT of ARM64, and the record that Breakpad made for it before Windows had one.
struct Arm64Context {
    std::uint32_t ContextFlags, Cpsr;
    std::uint64_t X[31], Sp, Pc;  // X[29] is Fp, X[30] Lr
    std::uint8_t V[32][16];
    std::uint32_t Fpcr, Fpsr;
    std::uint32_t Bcr[8];
    std::uint64_t Bvr[8];
    std::uint32_t Wcr[2];
    std::uint64_t Wvr[2];
};
struct BreakpadArm64Context {
    std::uint64_t ContextFlags;
    std::uint64_t X[31], Sp, Pc;
    std::uint32_t Cpsr, Fpsr, Fpcr;
    std::uint8_t V[32][16];
};
inline constexpr std::uint16_t kArchitectureOfBreakpadArm64 = 0x8003;

// What follows a CONTEXT with CONTEXT_XSTATE; offsets count from this structure.
struct CONTEXT_CHUNK {
    std::int32_t Offset;
    std::uint32_t Length;
};
struct CONTEXT_EX {
    CONTEXT_CHUNK All, Legacy, XState;
};

#pragma pack(pop)

static_assert(sizeof(MINIDUMP_HEADER) == 32);
static_assert(offsetof(MINIDUMP_HEADER, Flags) == 24);
static_assert(sizeof(MINIDUMP_DIRECTORY) == 12);
static_assert(sizeof(MINIDUMP_MEMORY_DESCRIPTOR) == 16);
static_assert(sizeof(MINIDUMP_MEMORY_DESCRIPTOR64) == 16);
static_assert(sizeof(MINIDUMP_MEMORY64_LIST) == 16);
static_assert(sizeof(MINIDUMP_THREAD) == 48);
static_assert(offsetof(MINIDUMP_THREAD, Stack) == 24);
static_assert(offsetof(MINIDUMP_THREAD, ThreadContext) == 40);
static_assert(sizeof(MINIDUMP_THREAD_EX) == 64);
static_assert(sizeof(MINIDUMP_EXCEPTION_STREAM) == 168);
static_assert(offsetof(MINIDUMP_EXCEPTION_STREAM, ThreadContext) == 160);
static_assert(sizeof(MINIDUMP_UNLOADED_MODULE) == 24);
static_assert(sizeof(MINIDUMP_THREAD_NAME) == 12);
static_assert(sizeof(MINIDUMP_THREAD_INFO_LIST) == 12);
static_assert(sizeof(MINIDUMP_THREAD_INFO) == 64);
static_assert(offsetof(MINIDUMP_THREAD_INFO, Affinity) == 56);
static_assert(sizeof(VS_FIXEDFILEINFO) == 52);
static_assert(sizeof(MINIDUMP_MODULE) == 108);
static_assert(offsetof(MINIDUMP_MODULE, CvRecord) == 76);
static_assert(sizeof(MINIDUMP_MEMORY_INFO_LIST) == 16);
static_assert(sizeof(MINIDUMP_MEMORY_INFO) == 48);
static_assert(offsetof(MINIDUMP_MEMORY_INFO, RegionSize) == 24);
static_assert(sizeof(MINIDUMP_HANDLE_DATA_STREAM) == 16);
static_assert(sizeof(MINIDUMP_HANDLE_DESCRIPTOR) == 32);
static_assert(sizeof(MINIDUMP_HANDLE_DESCRIPTOR_2) == 40);
static_assert(sizeof(MINIDUMP_HANDLE_OBJECT_INFORMATION) == 12);
static_assert(sizeof(AVRF_HANDLE_OPERATION) == 288);
static_assert(offsetof(AVRF_HANDLE_OPERATION, BackTraceInformation) == 24);
static_assert(sizeof(MINIDUMP_TOKEN_INFO_HEADER) == 16);
static_assert(sizeof(BREAKPAD_INFO) == 12);
static_assert(sizeof(BREAKPAD_ASSERTION_INFO) == 776);
static_assert(sizeof(CRASHPAD_INFO) == 52);
static_assert(sizeof(CRASHPAD_MODULE_INFO) == 28);
static_assert(sizeof(CRASHPAD_ANNOTATION) == 12);
static_assert(sizeof(MAC_CRASH_INFO) == 172);
static_assert(sizeof(MAC_BOOTARGS) == 12);
static_assert(sizeof(MINIDUMP_SYSTEM_INFO) == 56);
static_assert(offsetof(MINIDUMP_SYSTEM_INFO, Cpu) == 32);
static_assert(sizeof(TIME_ZONE_INFORMATION) == 172);
static_assert(sizeof(MINIDUMP_MISC_INFO_4) == 832);
static_assert(offsetof(MINIDUMP_MISC_INFO_4, BuildString) == 232);
static_assert(sizeof(XSTATE_CONFIG_FEATURE_MSC_INFO) == 528);
static_assert(sizeof(MINIDUMP_MISC_INFO_5) == 1364);
static_assert(sizeof(MINIDUMP_PROCESS_VM_COUNTERS_2) == 152);
static_assert(offsetof(MINIDUMP_PROCESS_VM_COUNTERS_2, PrivateUsage) == 88);
static_assert(sizeof(MINIDUMP_SYSTEM_BASIC_INFORMATION) == 52);
static_assert(sizeof(MINIDUMP_SYSTEM_FILECACHE_INFORMATION) == 60);
static_assert(sizeof(MINIDUMP_SYSTEM_MEMORY_INFO_1) == 492);
static_assert(offsetof(MINIDUMP_SYSTEM_MEMORY_INFO_1, BasicPerfInfo) == 116);
static_assert(sizeof(CONTEXT_EX) == 24);
static_assert(sizeof(SNAPCORE_RANGE_LIST) == 16);
static_assert(sizeof(SNAPCORE_RANGE) == 24);
static_assert(sizeof(SNAPCORE_COLUMN_LIST) == 16);
static_assert(sizeof(SNAPCORE_COLUMN) == 72);
static_assert(sizeof(SNAPCORE_IDENTITY) == 16);
static_assert(sizeof(SNAPCORE_BASE) == 296);
static_assert(offsetof(SNAPCORE_BASE, Name) == 40);
static_assert(sizeof(SNAPCORE_BASE_RANGE) == 16);
static_assert(sizeof(XMM_SAVE_AREA32) == 512);
static_assert(offsetof(XMM_SAVE_AREA32, XmmRegisters) == 160);
static_assert(sizeof(Amd64Context) == 1232);
static_assert(offsetof(Amd64Context, ContextFlags) == 48);
static_assert(offsetof(Amd64Context, MxCsr) == 52);
static_assert(offsetof(Amd64Context, SegCs) == 56);
static_assert(offsetof(Amd64Context, EFlags) == 68);
static_assert(offsetof(Amd64Context, Dr0) == 72);
static_assert(offsetof(Amd64Context, Rax) == 120);
static_assert(offsetof(Amd64Context, Rip) == 248);
static_assert(offsetof(Amd64Context, FltSave) == 256);
static_assert(offsetof(Amd64Context, VectorRegister) == 768);
static_assert(offsetof(Amd64Context, LastExceptionFromRip) == 1224);
static_assert(sizeof(Arm64Context) == 912);
static_assert(offsetof(Arm64Context, X) == 8);
static_assert(offsetof(Arm64Context, Pc) == 264);
static_assert(offsetof(Arm64Context, V) == 272);
static_assert(offsetof(Arm64Context, Fpcr) == 784);
static_assert(offsetof(Arm64Context, Bvr) == 824);
static_assert(offsetof(Arm64Context, Wvr) == 896);
static_assert(sizeof(BreakpadArm64Context) == 796);
static_assert(offsetof(BreakpadArm64Context, Pc) == 264);
static_assert(offsetof(BreakpadArm64Context, V) == 284);

}  // namespace snapcore::minidump::raw
