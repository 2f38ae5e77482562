# SPDX-License-Identifier: Apache-2.0
# What the names of the package are, for type checkers; __init__.py imports them when they are used.

from snapcore.basefile import DumpBase
from snapcore.capturing import capture, handles, system_handles, system_threads, threads
from snapcore.difference import Difference, DifferenceCount, diff
from snapcore.dumpfacts import (
    BreakpadAssertion,
    BreakpadInfo,
    CrashpadAnnotation,
    CrashpadInfo,
    CrashpadModule,
    DsoDebug,
    DumpException,
    DumpSystem,
    HandleInformation,
    LinkMapEntry,
    MacCrashInfo,
    MiscInfo,
    Stream,
    SystemMemory,
    Token,
    UnloadedModule,
)
from snapcore.dumpfile import DumpFile, open
from snapcore.dumping import DumpResult, dump
from snapcore.errors import (
    AccessDenied,
    DumpFormatError,
    ProcessGone,
    SnapError,
    TimedOut,
    Unsupported,
)
from snapcore.flags import (
    CaptureFlags,
    ContextFlags,
    HandleFlags,
    MemoryState,
    MemoryType,
    MiniDumpType,
    ObjectType,
    PageProtection,
    ProcessFlags,
    ThreadFlags,
)
from snapcore.fleet import Scan, ScanDiagnostic, scan
from snapcore.growth import Growth, Leaks, leaks
from snapcore.html.report import report
from snapcore.presets import PRESETS
from snapcore.snapshot import Diagnostic, Process, ProcessView, Snapshot
from snapcore.table import StringColumn, Table
from snapcore.watching import Watch, WatchedDump, watch

__all__ = [
    "PRESETS",
    "AccessDenied",
    "BreakpadAssertion",
    "BreakpadInfo",
    "CaptureFlags",
    "ContextFlags",
    "CrashpadAnnotation",
    "CrashpadInfo",
    "CrashpadModule",
    "Diagnostic",
    "Difference",
    "DifferenceCount",
    "DsoDebug",
    "DumpBase",
    "DumpException",
    "DumpFile",
    "DumpFormatError",
    "DumpResult",
    "DumpSystem",
    "Growth",
    "HandleFlags",
    "HandleInformation",
    "Leaks",
    "LinkMapEntry",
    "MacCrashInfo",
    "MemoryState",
    "MemoryType",
    "MiniDumpType",
    "MiscInfo",
    "ObjectType",
    "PageProtection",
    "Process",
    "ProcessFlags",
    "ProcessGone",
    "ProcessView",
    "Scan",
    "ScanDiagnostic",
    "SnapError",
    "Snapshot",
    "Stream",
    "StringColumn",
    "SystemMemory",
    "Table",
    "ThreadFlags",
    "TimedOut",
    "Token",
    "UnloadedModule",
    "Unsupported",
    "Watch",
    "WatchedDump",
    "capture",
    "diff",
    "dump",
    "handles",
    "leaks",
    "open",
    "report",
    "scan",
    "system_handles",
    "system_threads",
    "threads",
    "watch",
]

__version__: str
