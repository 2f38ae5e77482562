# SPDX-License-Identifier: Apache-2.0
"""Flags and enumerations, with the Windows SDK's values and its names less the prefix.

They exist whole on every operating system. Unknown bits are kept, never an error. This file is
the one place that declares them: ``cpp/generate.py`` turns it into the constants of the C++ core.
"""

from __future__ import annotations

import enum

__all__ = [
    "CaptureFlags",
    "ContextFlags",
    "HandleFlags",
    "MemoryState",
    "MemoryType",
    "MiniDumpType",
    "ObjectType",
    "PageProtection",
    "ProcessFlags",
    "ThreadFlags",
]


class MiniDumpType(enum.IntFlag):
    """What a dump holds (``MINIDUMP_TYPE``)."""

    NORMAL = 0x00000000
    WITH_DATA_SEGS = 0x00000001
    WITH_FULL_MEMORY = 0x00000002
    WITH_HANDLE_DATA = 0x00000004
    FILTER_MEMORY = 0x00000008
    SCAN_MEMORY = 0x00000010
    WITH_UNLOADED_MODULES = 0x00000020
    WITH_INDIRECTLY_REFERENCED_MEMORY = 0x00000040
    FILTER_MODULE_PATHS = 0x00000080
    WITH_PROCESS_THREAD_DATA = 0x00000100
    WITH_PRIVATE_READ_WRITE_MEMORY = 0x00000200
    WITHOUT_OPTIONAL_DATA = 0x00000400
    WITH_FULL_MEMORY_INFO = 0x00000800
    WITH_THREAD_INFO = 0x00001000
    WITH_CODE_SEGS = 0x00002000
    WITHOUT_AUXILIARY_STATE = 0x00004000
    WITH_FULL_AUXILIARY_STATE = 0x00008000
    WITH_PRIVATE_WRITE_COPY_MEMORY = 0x00010000
    IGNORE_INACCESSIBLE_MEMORY = 0x00020000
    WITH_TOKEN_INFORMATION = 0x00040000
    WITH_MODULE_HEADERS = 0x00080000
    FILTER_TRIAGE = 0x00100000
    WITH_AVX_XSTATE_CONTEXT = 0x00200000
    WITH_IPT_TRACE = 0x00400000
    SCAN_INACCESSIBLE_PARTIAL_PAGES = 0x00800000
    FILTER_WRITE_COMBINED_MEMORY = 0x01000000
    NO_IGNORE_INACCESSIBLE_MEMORY = 0x02000000
    WITH_MEMORY_COMPRESSED = 0x04000000


class CaptureFlags(enum.IntFlag):
    """What a snapshot captures (``PSS_CAPTURE_FLAGS``)."""

    NONE = 0x00000000
    VA_CLONE = 0x00000001
    HANDLES = 0x00000004
    HANDLE_NAME_INFORMATION = 0x00000008
    HANDLE_BASIC_INFORMATION = 0x00000010
    HANDLE_TYPE_SPECIFIC_INFORMATION = 0x00000020
    HANDLE_TRACE = 0x00000040
    THREADS = 0x00000080
    THREAD_CONTEXT = 0x00000100
    THREAD_CONTEXT_EXTENDED = 0x00000200
    VA_SPACE = 0x00000800
    VA_SPACE_SECTION_INFORMATION = 0x00001000
    IPT_TRACE = 0x00002000
    CREATE_BREAKAWAY_OPTIONAL = 0x04000000
    CREATE_BREAKAWAY = 0x08000000
    CREATE_FORCE_BREAKAWAY = 0x10000000
    CREATE_USE_VM_ALLOCATIONS = 0x20000000
    CREATE_MEASURE_PERFORMANCE = 0x40000000
    CREATE_RELEASE_SECTION = 0x80000000
    #: The thirteen flags of Microsoft's "Generate Dump File from a Process Snapshot".
    DOCUMENTED = 0xAC0003FD
    #: DOCUMENTED with the regions and the files behind them.
    DEFAULT = 0xAC001BFD


class ContextFlags(enum.IntFlag):
    """Which registers a snapshot captures (``CONTEXT_*``, without the architecture's own bit)."""

    NONE = 0x00000000
    CONTROL = 0x00000001
    INTEGER = 0x00000002
    SEGMENTS = 0x00000004
    FLOATING_POINT = 0x00000008
    DEBUG_REGISTERS = 0x00000010
    XSTATE = 0x00000040
    FULL = 0x0000000B
    ALL = 0x0000001F
    I386 = 0x00010000
    AMD64 = 0x00100000
    ARM64 = 0x00400000


class HandleFlags(enum.IntFlag):
    """Which facts of a handle are known (``PSS_HANDLE_FLAGS``)."""

    NONE = 0
    HAVE_TYPE = 1
    HAVE_NAME = 2
    HAVE_BASIC_INFORMATION = 4
    HAVE_TYPE_SPECIFIC_INFORMATION = 8


class ObjectType(enum.IntEnum):
    """Kernel object types with facts of their own (``PSS_OBJECT_TYPE``)."""

    UNKNOWN = 0
    PROCESS = 1
    THREAD = 2
    MUTANT = 3
    EVENT = 4
    SECTION = 5
    SEMAPHORE = 6


class ProcessFlags(enum.IntFlag):
    """State of a process (``PSS_PROCESS_FLAGS``)."""

    NONE = 0
    PROTECTED = 1
    WOW64 = 2
    FROZEN = 16


class ThreadFlags(enum.IntFlag):
    """State of a thread (``PSS_THREAD_FLAGS``)."""

    NONE = 0
    TERMINATED = 1


class MemoryState(enum.IntEnum):
    """State of a region (``MEM_*`` of ``MEMORY_BASIC_INFORMATION.State``)."""

    COMMIT = 0x1000
    RESERVE = 0x2000
    FREE = 0x10000


class MemoryType(enum.IntEnum):
    """Kind of a region (``MEM_*`` of ``MEMORY_BASIC_INFORMATION.Type``)."""

    PRIVATE = 0x20000
    MAPPED = 0x40000
    IMAGE = 0x1000000


class PageProtection(enum.IntFlag):
    """Access to a region (``PAGE_*``)."""

    NOACCESS = 0x01
    READONLY = 0x02
    READWRITE = 0x04
    WRITECOPY = 0x08
    EXECUTE = 0x10
    EXECUTE_READ = 0x20
    EXECUTE_READWRITE = 0x40
    EXECUTE_WRITECOPY = 0x80
    GUARD = 0x100
    NOCACHE = 0x200
    WRITECOMBINE = 0x400
