# SPDX-License-Identifier: Apache-2.0
"""Every column of every table: name, dtype, unit, meaning, and the OS field it comes from.

This file is the one place that declares them. ``cpp/generate.py`` turns it into the row and table
types of the C++ core; the data dictionary in ``docs/`` is generated from it. It imports nothing
but the standard library, so that the build can read it before the package exists.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AUXILIARY_PAGES",
    "CONTEXT_AMD64",
    "CONTEXT_AMD64_SIZE",
    "CONTEXT_ARM64",
    "CONTEXT_ARM64_SIZE",
    "CONTEXT_X86",
    "CONTEXT_X86_SIZE",
    "HANDLES",
    "MODULES",
    "PROCESS",
    "REGIONS",
    "SYSTEM_HANDLES",
    "SYSTEM_THREADS",
    "TABLES",
    "THREADS",
    "Column",
    "ContextField",
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, or one fact of a process.

    Parameters
    ----------
    name : str
        Name of the column; the unit is part of it unless it is bytes, an address or a count.
    dtype : str
        NumPy type code without byte order (``u4``, ``i8``, ``b1``), or ``str`` for a string column.
    unit : str
        Unit of the values, or an empty string.
    meaning : str
        One line for the data dictionary.
    windows : str
        The field of the Windows API that it comes from, empty where Windows does not know it.
    linux : str
        The source on Linux, empty where Linux does not know it.
    file : str
        Where it lies in a dump file, empty where the format has no place for it: it is then in
        SnapcoreColumns, a stream of our own.
    """

    name: str
    dtype: str
    unit: str
    meaning: str
    windows: str = ""
    linux: str = ""
    file: str = ""


_NS = "ns since 1970-01-01 UTC"

THREADS: tuple[Column, ...] = (
    Column(
        "tid",
        "u4",
        "",
        "thread id",
        "PSS_THREAD_ENTRY.ThreadId",
        "/proc/PID/task",
        file="MINIDUMP_THREAD.ThreadId",
    ),
    Column(
        "pid",
        "u4",
        "",
        "process id",
        "PSS_THREAD_ENTRY.ProcessId",
        "pid",
        file="MINIDUMP_MISC_INFO.ProcessId",
    ),
    Column(
        "name",
        "str",
        "",
        "thread name",
        "GetThreadDescription",
        "task/TID/comm",
        file="MINIDUMP_THREAD_NAME",
    ),
    Column(
        "flags",
        "u4",
        "",
        "ThreadFlags",
        "PSS_THREAD_ENTRY.Flags",
        "0",
        file="MINIDUMP_THREAD_INFO.DumpFlags",
    ),
    Column(
        "state",
        "str",
        "",
        "scheduler state when captured",
        "SYSTEM_THREAD_INFORMATION.ThreadState, of system_threads() alone",
        "task/TID/stat field 3",
    ),
    Column(
        "exit_status",
        "u4",
        "",
        "exit code; 259 while it runs",
        "PSS_THREAD_ENTRY.ExitStatus",
        "259",
        file="MINIDUMP_THREAD_INFO.ExitStatus",
    ),
    Column(
        "priority",
        "i4",
        "",
        "current priority",
        "PSS_THREAD_ENTRY.Priority",
        "stat field 18",
        file="MINIDUMP_THREAD.Priority",
    ),
    Column(
        "base_priority",
        "i4",
        "",
        "base priority",
        "PSS_THREAD_ENTRY.BasePriority",
        "stat field 19 (nice)",
    ),
    Column(
        "affinity",
        "u8",
        "bit mask",
        "processors 0 to 63 it may run on",
        "PSS_THREAD_ENTRY.AffinityMask",
        "status Cpus_allowed",
        file="MINIDUMP_THREAD_INFO.Affinity",
    ),
    Column(
        "suspend_count",
        "u2",
        "",
        "times it was suspended",
        "PSS_THREAD_ENTRY.SuspendCount",
        "0",
        file="MINIDUMP_THREAD.SuspendCount",
    ),
    Column(
        "created_at_ns",
        "i8",
        _NS,
        "when it was created",
        "PSS_THREAD_ENTRY.CreateTime",
        "stat field 22",
        file="MINIDUMP_THREAD_INFO.CreateTime, in 100 ns",
    ),
    Column(
        "exited_at_ns",
        "i8",
        _NS,
        "when it ended",
        "PSS_THREAD_ENTRY.ExitTime",
        "",
        file="MINIDUMP_THREAD_INFO.ExitTime, in 100 ns",
    ),
    Column(
        "kernel_time_ns",
        "i8",
        "ns",
        "processor time in the kernel",
        "PSS_THREAD_ENTRY.KernelTime",
        "stat field 15",
        file="MINIDUMP_THREAD_INFO.KernelTime, in 100 ns",
    ),
    Column(
        "user_time_ns",
        "i8",
        "ns",
        "processor time in user code",
        "PSS_THREAD_ENTRY.UserTime",
        "stat field 14",
        file="MINIDUMP_THREAD_INFO.UserTime, in 100 ns",
    ),
    Column(
        "captured_at_ns",
        "i8",
        _NS,
        "when this row was read",
        "PSS_THREAD_ENTRY.CaptureTime",
        "clock_gettime",
    ),
    Column(
        "start_address",
        "u8",
        "address",
        "where it started",
        "PSS_THREAD_ENTRY.Win32StartAddress",
        "",
        file="MINIDUMP_THREAD_INFO.StartAddress",
    ),
    Column(
        "teb",
        "u8",
        "address",
        "thread block (TLS base on Linux)",
        "PSS_THREAD_ENTRY.TebBaseAddress",
        "user_regs_struct.fs_base",
        file="MINIDUMP_THREAD.Teb",
    ),
    Column(
        "instruction_pointer",
        "u8",
        "address",
        "next instruction",
        "CONTEXT.Rip",
        "user_regs_struct.rip",
        file="CONTEXT",
    ),
    Column(
        "stack_pointer",
        "u8",
        "address",
        "top of its stack",
        "CONTEXT.Rsp",
        "user_regs_struct.rsp",
        file="CONTEXT",
    ),
    Column(
        "stack_start",
        "u8",
        "address",
        "lowest address of the stack's mapping",
        "NT_TIB.StackLimit",
        "mapping that holds rsp",
        file="LinuxMaps, else MINIDUMP_THREAD.Stack",
    ),
    Column(
        "stack_end",
        "u8",
        "address",
        "end of the stack's mapping",
        "NT_TIB.StackBase",
        "mapping that holds rsp",
        file="LinuxMaps, else MINIDUMP_THREAD.Stack",
    ),
    Column(
        "last_syscall",
        "u4",
        "",
        "system call it is in",
        "PSS_THREAD_ENTRY.LastSyscallNumber",
        "user_regs_struct.orig_rax",
    ),
    Column(
        "last_syscall_argument",
        "u8",
        "",
        "first argument of that call",
        "PSS_THREAD_ENTRY.LastSyscallFirstArgument",
        "user_regs_struct.rdi",
    ),
)

HANDLES: tuple[Column, ...] = (
    Column(
        "handle",
        "u8",
        "",
        "handle value (descriptor number on Linux)",
        "PSS_HANDLE_ENTRY.Handle",
        "/proc/PID/fd",
        file="MINIDUMP_HANDLE_DESCRIPTOR.Handle",
    ),
    Column("type", "u4", "", "ObjectType", "PSS_HANDLE_ENTRY.ObjectType", "from type_name"),
    Column(
        "type_name",
        "str",
        "",
        "name of its type",
        "PSS_HANDLE_ENTRY.TypeName",
        "link text and st_mode",
        file="MINIDUMP_HANDLE_DESCRIPTOR.TypeNameRva",
    ),
    Column(
        "object_name",
        "str",
        "",
        "name of the object",
        "PSS_HANDLE_ENTRY.ObjectName",
        "readlink of /proc/PID/fd/N; of a socket its protocol and addresses",
        file="MINIDUMP_HANDLE_DESCRIPTOR.ObjectNameRva",
    ),
    Column(
        "granted_access",
        "u4",
        "",
        "access mask (open flags on Linux)",
        "PSS_HANDLE_ENTRY.GrantedAccess",
        "fdinfo flags, else the link's mode",
        file="MINIDUMP_HANDLE_DESCRIPTOR.GrantedAccess",
    ),
    Column(
        "attributes",
        "u4",
        "",
        "handle attributes (st_mode on Linux)",
        "PSS_HANDLE_ENTRY.Attributes",
        "stat st_mode",
        file="MINIDUMP_HANDLE_DESCRIPTOR.Attributes",
    ),
    Column(
        "handle_count",
        "u4",
        "",
        "handles to the object",
        "PSS_HANDLE_ENTRY.HandleCount",
        "",
        file="MINIDUMP_HANDLE_DESCRIPTOR.HandleCount",
    ),
    Column(
        "pointer_count",
        "u4",
        "",
        "references to the object",
        "PSS_HANDLE_ENTRY.PointerCount",
        "",
        file="MINIDUMP_HANDLE_DESCRIPTOR.PointerCount",
    ),
    Column(
        "paged_pool_charge",
        "u4",
        "bytes",
        "paged pool charged",
        "PSS_HANDLE_ENTRY.PagedPoolCharge",
        "",
    ),
    Column(
        "non_paged_pool_charge",
        "u4",
        "bytes",
        "non-paged pool charged",
        "PSS_HANDLE_ENTRY.NonPagedPoolCharge",
        "",
    ),
    Column(
        "created_at_ns",
        "i8",
        _NS,
        "when the object was created",
        "PSS_HANDLE_ENTRY.CreationTime",
        "",
    ),
    Column(
        "captured_at_ns",
        "i8",
        _NS,
        "when this row was read",
        "PSS_HANDLE_ENTRY.CaptureTime",
        "clock_gettime",
    ),
    Column(
        "flags",
        "u4",
        "",
        "HandleFlags: which facts are known",
        "PSS_HANDLE_ENTRY.Flags",
        "what could be read",
    ),
    Column(
        "target_pid",
        "u4",
        "",
        "process that the object names",
        "TypeSpecificInformation.*.ProcessId",
        "fdinfo Pid of a pidfd",
    ),
    Column(
        "target_tid",
        "u4",
        "",
        "thread that the object names",
        "TypeSpecificInformation.Thread.ThreadId",
        "",
    ),
    Column(
        "exit_status",
        "u4",
        "",
        "exit status of that process or thread",
        "TypeSpecificInformation.*.ExitStatus",
        "",
    ),
    Column(
        "peb",
        "u8",
        "address",
        "PEB or TEB of that process or thread",
        "TypeSpecificInformation.*.PebBaseAddress",
        "",
    ),
    Column(
        "affinity", "u8", "bit mask", "its processors", "TypeSpecificInformation.*.AffinityMask", ""
    ),
    Column("priority", "i4", "", "its priority", "TypeSpecificInformation.Thread.Priority", ""),
    Column(
        "base_priority", "i4", "", "its base priority", "TypeSpecificInformation.*.BasePriority", ""
    ),
    Column(
        "parent_pid",
        "u4",
        "",
        "parent of that process",
        "TypeSpecificInformation.Process.ParentProcessId",
        "",
    ),
    Column(
        "process_flags",
        "u4",
        "",
        "ProcessFlags of that process",
        "TypeSpecificInformation.Process.Flags",
        "",
    ),
    Column(
        "start_address",
        "u8",
        "address",
        "start address of that thread",
        "TypeSpecificInformation.Thread.Win32StartAddress",
        "",
    ),
    Column(
        "signaled",
        "b1",
        "",
        "an event is signaled",
        "TypeSpecificInformation.Event.Signaled",
        "eventfd-count, or ticks of a timerfd, is not 0",
    ),
    Column(
        "manual_reset",
        "b1",
        "",
        "an event is reset by hand",
        "TypeSpecificInformation.Event.ManualReset",
        "",
    ),
    Column(
        "abandoned",
        "b1",
        "",
        "a mutant's owner ended",
        "TypeSpecificInformation.Mutant.Abandoned",
        "",
    ),
    Column(
        "owner_pid",
        "u4",
        "",
        "process that owns a mutant",
        "TypeSpecificInformation.Mutant.OwnerProcessId",
        "",
    ),
    Column(
        "owner_tid",
        "u4",
        "",
        "thread that owns a mutant",
        "TypeSpecificInformation.Mutant.OwnerThreadId",
        "",
    ),
    Column(
        "current_count",
        "i8",
        "",
        "count of a mutant, semaphore or eventfd; expirations of a timerfd not yet read",
        "TypeSpecificInformation.*.CurrentCount",
        "fdinfo eventfd-count, ticks",
    ),
    Column(
        "maximum_count",
        "i8",
        "",
        "limit of a semaphore",
        "TypeSpecificInformation.Semaphore.MaximumCount",
        "",
    ),
    Column(
        "section_base",
        "u8",
        "address",
        "base of a section",
        "TypeSpecificInformation.Section.BaseAddress",
        "",
    ),
    Column(
        "section_attributes",
        "u4",
        "",
        "allocation attributes of a section",
        "TypeSpecificInformation.Section.AllocationAttributes",
        "",
    ),
    Column(
        "section_size",
        "i8",
        "bytes",
        "size of a section",
        "TypeSpecificInformation.Section.MaximumSize",
        "st_size of a memfd, fdinfo size of a dma-buf",
    ),
    Column("inode", "u8", "", "inode number", "", "stat st_ino"),
    Column("device", "u8", "", "device number", "", "stat st_dev"),
    Column("position", "i8", "bytes", "file position", "", "fdinfo pos"),
    Column(
        "socket_family",
        "str",
        "",
        "address family of a socket (AF_INET, AF_UNIX, ...)",
        "",
        "sock_diag, else /proc/PID/net, else system.sockprotoname",
    ),
    Column(
        "socket_type", "str", "", "SOCK_STREAM, SOCK_DGRAM, ...", "", "sock_diag, /proc/PID/net"
    ),
    Column(
        "socket_protocol",
        "str",
        "",
        "tcp, udp, icmp, ...; of netlink its family, of a packet socket the EtherType",
        "",
        "sock_diag, /proc/PID/net, system.sockprotoname",
    ),
    Column(
        "socket_state",
        "str",
        "",
        "state of TCP; of others LISTEN, ESTABLISHED or UNCONNECTED",
        "",
        "sock_diag, /proc/PID/net",
    ),
    Column(
        "local_address",
        "str",
        "",
        "address that a socket is bound to; @ begins an abstract name",
        "",
        "sock_diag, /proc/PID/net",
    ),
    Column(
        "remote_address",
        "str",
        "",
        "address that a socket is connected to",
        "",
        "sock_diag, /proc/PID/net; of AF_UNIX the peer's name",
    ),
    Column(
        "peer_pid",
        "u4",
        "",
        "process that has the other end of a pipe, FIFO or socket; of several the lowest",
        "",
        "pipe inode, UNIX_DIAG_PEER, TCP addresses swapped",
    ),
    Column("peer_handle", "u8", "", "lowest handle of it there", "", "as peer_pid"),
    Column(
        "watch_count",
        "u4",
        "",
        "what an epoll, inotify or fanotify watches",
        "",
        "fdinfo lines tfd, inotify, fanotify",
    ),
    Column(
        "watched",
        "str",
        "",
        "descriptors that an epoll watches, as registered, separated by commas",
        "",
        "fdinfo tfd",
    ),
    Column(
        "signal_mask", "u8", "bit mask", "signals of a signalfd, bit 0 is 1", "", "fdinfo sigmask"
    ),
    Column("clock", "str", "", "clock of a timerfd (CLOCK_MONOTONIC, ...)", "", "fdinfo clockid"),
    Column(
        "expires_in_ns",
        "i8",
        "ns",
        "until a timerfd expires next, 0 when disarmed",
        "",
        "fdinfo it_value",
    ),
    Column("interval_ns", "i8", "ns", "period of a timerfd, 0 for none", "", "fdinfo it_interval"),
    Column("seals", "u4", "bit mask", "F_SEAL_* of a memfd", "", "pidfd_getfd, F_GET_SEALS"),
    Column(
        "locks",
        "str",
        "",
        "locks that it holds: kind, mode, access, first and last byte; separated by semicolons",
        "",
        "fdinfo lock",
    ),
    Column(
        "details",
        "str",
        "",
        "what the kernel says besides, name=value separated by semicolons",
        "",
        "the rest of fdinfo",
    ),
)

REGIONS: tuple[Column, ...] = (
    Column(
        "base",
        "u8",
        "address",
        "start of the region",
        "PSS_VA_SPACE_ENTRY.BaseAddress",
        "/proc/PID/maps",
        file="MINIDUMP_MEMORY_INFO.BaseAddress, else LinuxMaps",
    ),
    Column(
        "size",
        "u8",
        "bytes",
        "size of the region",
        "PSS_VA_SPACE_ENTRY.RegionSize",
        "/proc/PID/maps",
        file="MINIDUMP_MEMORY_INFO.RegionSize, else LinuxMaps",
    ),
    Column(
        "allocation_base",
        "u8",
        "address",
        "start of its allocation",
        "PSS_VA_SPACE_ENTRY.AllocationBase",
        "first mapping of the same file in a row",
        file="MINIDUMP_MEMORY_INFO.AllocationBase, else LinuxMaps",
    ),
    Column(
        "allocation_protect",
        "u4",
        "",
        "PageProtection at allocation",
        "PSS_VA_SPACE_ENTRY.AllocationProtect",
        "protection of the allocation's first mapping",
        file="MINIDUMP_MEMORY_INFO.AllocationProtect, else LinuxMaps",
    ),
    Column(
        "protect",
        "u4",
        "",
        "PageProtection",
        "PSS_VA_SPACE_ENTRY.Protect",
        "permissions in maps",
        file="MINIDUMP_MEMORY_INFO.Protect, else LinuxMaps",
    ),
    Column(
        "state",
        "u4",
        "",
        "MemoryState",
        "PSS_VA_SPACE_ENTRY.State",
        "RESERVE for ---, else COMMIT",
        file="MINIDUMP_MEMORY_INFO.State, else LinuxMaps",
    ),
    Column(
        "type",
        "u4",
        "",
        "MemoryType",
        "PSS_VA_SPACE_ENTRY.Type",
        "IMAGE for ELF, MAPPED for shared or files, else PRIVATE",
        file="MINIDUMP_MEMORY_INFO.Type, else LinuxMaps",
    ),
    Column(
        "mapped_file",
        "str",
        "",
        "file or name behind it",
        "PSS_VA_SPACE_ENTRY.MappedFileName",
        "name in maps",
        file="LinuxMaps",
    ),
    Column(
        "image_timestamp",
        "u4",
        "s since 1970",
        "PE time stamp",
        "PSS_VA_SPACE_ENTRY.TimeDateStamp",
        "",
    ),
    Column("image_size", "u4", "bytes", "PE image size", "PSS_VA_SPACE_ENTRY.SizeOfImage", ""),
    Column(
        "image_base",
        "u8",
        "address",
        "preferred base of the image",
        "PSS_VA_SPACE_ENTRY.ImageBase",
        "",
    ),
    Column("image_checksum", "u4", "", "PE checksum", "PSS_VA_SPACE_ENTRY.CheckSum", ""),
    Column("resident", "u8", "bytes", "bytes present in memory", "", "smaps Rss"),
    Column("offset", "u8", "bytes", "offset in the file", "", "/proc/PID/maps", file="LinuxMaps"),
    Column("inode", "u8", "", "inode of the file", "", "/proc/PID/maps", file="LinuxMaps"),
    Column("device", "u8", "", "device of the file", "", "/proc/PID/maps", file="LinuxMaps"),
    Column("linux_flags", "str", "", "VmFlags, two letters each", "", "smaps VmFlags"),
    Column(
        "in_clone",
        "b1",
        "",
        "the snapshot holds its bytes",
        "VirtualQueryEx on the clone",
        "false for shared writable mappings",
    ),
)

MODULES: tuple[Column, ...] = (
    Column(
        "base",
        "u8",
        "address",
        "load address",
        "LDR_DATA_TABLE_ENTRY.DllBase",
        "first mapping of the ELF file",
        file="MINIDUMP_MODULE.BaseOfImage",
    ),
    Column(
        "size",
        "u8",
        "bytes",
        "size in memory",
        "LDR_DATA_TABLE_ENTRY.SizeOfImage",
        "last mapping's end less base",
        file="MINIDUMP_MODULE.SizeOfImage",
    ),
    Column(
        "path",
        "str",
        "",
        "file",
        "LDR_DATA_TABLE_ENTRY.FullDllName",
        "name in maps",
        file="MINIDUMP_MODULE.ModuleNameRva",
    ),
    Column(
        "version",
        "str",
        "",
        "file version",
        "VS_FIXEDFILEINFO",
        "from the file name (libx.so.1.2)",
        file="MINIDUMP_MODULE.VersionInfo",
    ),
    Column(
        "timestamp",
        "u4",
        "s since 1970",
        "PE time stamp",
        "IMAGE_FILE_HEADER.TimeDateStamp",
        "",
        file="MINIDUMP_MODULE.TimeDateStamp",
    ),
    Column(
        "checksum",
        "u4",
        "",
        "PE checksum",
        "IMAGE_OPTIONAL_HEADER.CheckSum",
        "",
        file="MINIDUMP_MODULE.CheckSum",
    ),
    Column(
        "debug_id",
        "str",
        "",
        "id of its debug file, as symbol servers write it",
        "CodeView RSDS",
        "build id as GUID and age 0",
        file="MINIDUMP_MODULE.CvRecord (RSDS, NB10, BpEL)",
    ),
    Column(
        "code_id",
        "str",
        "",
        "id of the binary, as symbol servers write it",
        "TimeDateStamp and SizeOfImage",
        "build id in hex",
        file="MINIDUMP_MODULE.CvRecord (BpEL), else TimeDateStamp and SizeOfImage",
    ),
)

AUXILIARY_PAGES: tuple[Column, ...] = (
    Column("address", "u8", "address", "start of the page", "PSS_AUXILIARY_PAGE_ENTRY.Address"),
    Column("size", "u4", "bytes", "size of the page", "PSS_AUXILIARY_PAGE_ENTRY.PageSize"),
    Column(
        "captured_at_ns",
        "i8",
        _NS,
        "when it was read",
        "PSS_AUXILIARY_PAGE_ENTRY.CaptureTime",
    ),
    Column("allocation_base", "u8", "address", "start of its allocation", "BasicInformation"),
    Column("allocation_protect", "u4", "", "PageProtection at allocation", "BasicInformation"),
    Column("protect", "u4", "", "PageProtection", "BasicInformation"),
    Column("state", "u4", "", "MemoryState", "BasicInformation"),
    Column("type", "u4", "", "MemoryType", "BasicInformation"),
    Column(
        "contents",
        "str",
        "",
        "its bytes; the raw ones are in categories_bytes",
        "PSS_AUXILIARY_PAGE_ENTRY.PageContents",
    ),
)

_PROCESS_NAME = Column(
    "process_name",
    "str",
    "",
    "name of that process's executable, without its folder",
    "SYSTEM_PROCESS_INFORMATION.ImageName",
    "/proc/PID/exe, else comm",
)

SYSTEM_HANDLES: tuple[Column, ...] = (
    Column("pid", "u4", "", "process that has the handle", "UniqueProcessId", "/proc"),
    _PROCESS_NAME,
    *HANDLES,
)

SYSTEM_THREADS: tuple[Column, ...] = (_PROCESS_NAME, *THREADS)

PROCESS: tuple[Column, ...] = (
    Column(
        "pid",
        "u4",
        "",
        "process id",
        "PSS_PROCESS_INFORMATION.ProcessId",
        "pid",
        file="MINIDUMP_MISC_INFO.ProcessId",
    ),
    Column(
        "parent_pid",
        "u4",
        "",
        "parent's process id",
        "ParentProcessId",
        "stat field 4",
        file="LinuxProcStatus",
    ),
    Column("name", "str", "", "short name", "ImageFileName", "comm", file="LinuxProcStatus"),
    Column("image_path", "str", "", "executable", "ImageFileName", "/proc/PID/exe"),
    Column(
        "command_line",
        "str",
        "",
        "arguments, separated by NUL on Linux",
        "RTL_USER_PROCESS_PARAMETERS.CommandLine",
        "/proc/PID/cmdline",
        file="LinuxCmdLine",
    ),
    Column("exit_status", "u4", "", "exit code; 259 while it runs", "ExitStatus", "259"),
    Column("flags", "u4", "", "ProcessFlags", "Flags", "FROZEN when stopped by job control"),
    Column(
        "created_at_ns",
        "i8",
        _NS,
        "when it was created",
        "CreateTime",
        "stat field 22",
        file="MINIDUMP_MISC_INFO.ProcessCreateTime, in s",
    ),
    Column("exited_at_ns", "i8", _NS, "when it ended", "ExitTime", ""),
    Column(
        "kernel_time_ns",
        "i8",
        "ns",
        "processor time in the kernel",
        "KernelTime",
        "stat field 15",
        file="MINIDUMP_MISC_INFO.ProcessKernelTime, in s",
    ),
    Column(
        "user_time_ns",
        "i8",
        "ns",
        "processor time in user code",
        "UserTime",
        "stat field 14",
        file="MINIDUMP_MISC_INFO.ProcessUserTime, in s",
    ),
    Column("priority_class", "u4", "", "priority class", "PriorityClass", ""),
    Column("base_priority", "i4", "", "base priority", "BasePriority", "stat field 19 (nice)"),
    Column(
        "affinity",
        "u8",
        "bit mask",
        "processors 0 to 63 it may run on",
        "AffinityMask",
        "status Cpus_allowed",
    ),
    Column("peb", "u8", "address", "process environment block", "PebBaseAddress", ""),
    Column(
        "virtual_size",
        "u8",
        "bytes",
        "address space in use",
        "VirtualSize",
        "status VmSize",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.VirtualSize",
    ),
    Column(
        "peak_virtual_size",
        "u8",
        "bytes",
        "largest address space",
        "PeakVirtualSize",
        "status VmPeak",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.PeakVirtualSize",
    ),
    Column(
        "working_set_size",
        "u8",
        "bytes",
        "memory present",
        "WorkingSetSize",
        "status VmRSS",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.WorkingSetSize",
    ),
    Column(
        "peak_working_set_size",
        "u8",
        "bytes",
        "largest memory present",
        "PeakWorkingSetSize",
        "status VmHWM",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.PeakWorkingSetSize",
    ),
    Column(
        "page_faults",
        "u8",
        "",
        "page faults",
        "PageFaultCount",
        "stat fields 10 and 12",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.PageFaultCount, 32 bits of it",
    ),
    Column(
        "pagefile_usage",
        "u8",
        "bytes",
        "swap used",
        "PagefileUsage",
        "status VmSwap",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.PagefileUsage; of Linux PrivateUsage less PrivateWorkingSetSize",
    ),
    Column(
        "peak_pagefile_usage",
        "u8",
        "bytes",
        "largest swap used",
        "PeakPagefileUsage",
        "",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.PeakPagefileUsage",
    ),
    Column(
        "private_usage",
        "u8",
        "bytes",
        "private memory",
        "PrivateUsage",
        "status RssAnon and VmSwap",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.PrivateUsage",
    ),
    Column(
        "shared_usage",
        "u8",
        "bytes",
        "shared memory present",
        "",
        "status RssShmem",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.SharedCommitUsage",
    ),
    Column(
        "quota_paged_pool_usage",
        "u8",
        "bytes",
        "paged pool charged",
        "QuotaPagedPoolUsage",
        "",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.QuotaPagedPoolUsage",
    ),
    Column(
        "quota_peak_paged_pool_usage",
        "u8",
        "bytes",
        "largest paged pool charged",
        "QuotaPeakPagedPoolUsage",
        "",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.QuotaPeakPagedPoolUsage",
    ),
    Column(
        "quota_non_paged_pool_usage",
        "u8",
        "bytes",
        "non-paged pool charged",
        "QuotaNonPagedPoolUsage",
        "",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.QuotaNonPagedPoolUsage",
    ),
    Column(
        "quota_peak_non_paged_pool_usage",
        "u8",
        "bytes",
        "largest non-paged pool charged",
        "QuotaPeakNonPagedPoolUsage",
        "",
        file="MINIDUMP_PROCESS_VM_COUNTERS_2.QuotaPeakNonPagedPoolUsage",
    ),
    Column(
        "execute_flags",
        "u4",
        "",
        "execution flags",
        "ExecuteFlags",
        "",
        file="MINIDUMP_MISC_INFO_3.ProcessExecuteFlags",
    ),
    Column("uid", "u4", "", "user id", "", "status Uid", file="LinuxProcStatus"),
    Column("gid", "u4", "", "group id", "", "status Gid", file="LinuxProcStatus"),
    Column(
        "thread_count",
        "u4",
        "",
        "threads",
        "ThreadsCaptured",
        "stat field 20",
        file="LinuxProcStatus",
    ),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "threads": THREADS,
    "handles": HANDLES,
    "regions": REGIONS,
    "modules": MODULES,
    "auxiliary_pages": AUXILIARY_PAGES,
    "system_handles": SYSTEM_HANDLES,
    "system_threads": SYSTEM_THREADS,
}


@dataclass(frozen=True, slots=True)
class ContextField:
    """One field of a thread's context record.

    Parameters
    ----------
    name : str
        Name of the field in the structured array.
    dtype : str
        NumPy type, shape in front: ``u8``, ``(16,16)u1``.
    offset : int
        Bytes from the start of the record.
    member : str
        Member of the SDK's CONTEXT, or of ContextExtension behind it.
    """

    name: str
    dtype: str
    offset: int
    member: str


_GENERAL = [
    "rax",
    "rcx",
    "rdx",
    "rbx",
    "rsp",
    "rbp",
    "rsi",
    "rdi",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
    "rip",
]


def _extension(at: int) -> tuple[ContextField, ...]:
    """What follows the CONTEXT in a record."""
    return (
        ContextField("tid", "u4", at, "ContextExtension.tid"),
        ContextField("valid", "u4", at + 4, "ContextExtension.valid"),
        ContextField("fs_base", "u8", at + 8, "ContextExtension.fs_base"),
        ContextField("gs_base", "u8", at + 16, "ContextExtension.gs_base"),
        ContextField("system_call", "u8", at + 24, "ContextExtension.system_call"),
        ContextField("xstate_features", "u8", at + 32, "ContextExtension.xstate_features"),
        ContextField("ymm_high", "(16,16)u1", at + 40, "ContextExtension.ymm_high"),
    )


#: Bytes of one record of ``contexts()``: CONTEXT, then what it has no room for.
CONTEXT_AMD64_SIZE = 1528

CONTEXT_AMD64: tuple[ContextField, ...] = (
    ContextField("context_flags", "u4", 48, "ContextFlags"),
    ContextField("mxcsr", "u4", 52, "MxCsr"),
    ContextField("seg_cs", "u2", 56, "SegCs"),
    ContextField("seg_ds", "u2", 58, "SegDs"),
    ContextField("seg_es", "u2", 60, "SegEs"),
    ContextField("seg_fs", "u2", 62, "SegFs"),
    ContextField("seg_gs", "u2", 64, "SegGs"),
    ContextField("seg_ss", "u2", 66, "SegSs"),
    ContextField("eflags", "u4", 68, "EFlags"),
    *(ContextField(f"dr{n}", "u8", 72 + 8 * i, f"Dr{n}") for i, n in enumerate((0, 1, 2, 3, 6, 7))),
    *(ContextField(name, "u8", 120 + 8 * i, name.capitalize()) for i, name in enumerate(_GENERAL)),
    ContextField("fx_control_word", "u2", 256, "FltSave.ControlWord"),
    ContextField("fx_status_word", "u2", 258, "FltSave.StatusWord"),
    ContextField("fx_tag_word", "u1", 260, "FltSave.TagWord"),
    ContextField("st", "(8,16)u1", 288, "FltSave.FloatRegisters"),
    ContextField("xmm", "(16,16)u1", 416, "FltSave.XmmRegisters"),
    *_extension(1232),
)

#: The same for the other processors that a dump file may be of.
CONTEXT_X86_SIZE = 716 + 296

CONTEXT_X86: tuple[ContextField, ...] = (
    ContextField("context_flags", "u4", 0, "ContextFlags"),
    *(ContextField(f"dr{n}", "u4", 4 + 4 * i, f"Dr{n}") for i, n in enumerate((0, 1, 2, 3, 6, 7))),
    *(
        ContextField(name, "u4", 140 + 4 * i, member)
        for i, (name, member) in enumerate(
            (
                ("seg_gs", "SegGs"),
                ("seg_fs", "SegFs"),
                ("seg_es", "SegEs"),
                ("seg_ds", "SegDs"),
                ("edi", "Edi"),
                ("esi", "Esi"),
                ("ebx", "Ebx"),
                ("edx", "Edx"),
                ("ecx", "Ecx"),
                ("eax", "Eax"),
                ("ebp", "Ebp"),
                ("eip", "Eip"),
                ("seg_cs", "SegCs"),
                ("eflags", "EFlags"),
                ("esp", "Esp"),
                ("seg_ss", "SegSs"),
            )
        )
    ),
    *_extension(716),
)

CONTEXT_ARM64_SIZE = 912 + 296

CONTEXT_ARM64: tuple[ContextField, ...] = (
    ContextField("context_flags", "u4", 0, "ContextFlags"),
    ContextField("cpsr", "u4", 4, "Cpsr"),
    *(ContextField(f"x{n}", "u8", 8 + 8 * n, f"X{n}") for n in range(29)),
    ContextField("fp", "u8", 240, "Fp"),
    ContextField("lr", "u8", 248, "Lr"),
    ContextField("sp", "u8", 256, "Sp"),
    ContextField("pc", "u8", 264, "Pc"),
    ContextField("v", "(32,16)u1", 272, "V"),
    ContextField("fpcr", "u4", 784, "Fpcr"),
    ContextField("fpsr", "u4", 788, "Fpsr"),
    *_extension(912),
)
