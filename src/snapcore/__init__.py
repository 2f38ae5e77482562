# SPDX-License-Identifier: Apache-2.0
"""Point-in-time snapshots of running processes, minidumps, and process tables as NumPy and Arrow columns.

Names are imported when they are first used, so that the command's ``--help`` waits neither for NumPy
nor for the native core.
"""

import importlib

from snapcore.version import __version__  # noqa: F401

# Names by the module that they are from; __init__.pyi is the same for type checkers.
_HOMES = {
    "snapcore.basefile": ("DumpBase",),
    "snapcore.capturing": (
        "capture",
        "handles",
        "system_handles",
        "system_threads",
        "threads",
    ),
    "snapcore.difference": (
        "Difference",
        "DifferenceCount",
        "diff",
    ),
    "snapcore.dumpfacts": (
        "BreakpadAssertion",
        "BreakpadInfo",
        "CrashpadAnnotation",
        "CrashpadInfo",
        "CrashpadModule",
        "DsoDebug",
        "DumpException",
        "DumpSystem",
        "HandleInformation",
        "LinkMapEntry",
        "MacCrashInfo",
        "MiscInfo",
        "Stream",
        "SystemMemory",
        "Token",
        "UnloadedModule",
    ),
    "snapcore.dumpfile": (
        "DumpFile",
        "open",
    ),
    "snapcore.dumping": (
        "DumpResult",
        "dump",
    ),
    "snapcore.errors": (
        "AccessDenied",
        "DumpFormatError",
        "ProcessGone",
        "SnapError",
        "TimedOut",
        "Unsupported",
    ),
    "snapcore.flags": (
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
    ),
    "snapcore.fleet": (
        "Scan",
        "ScanDiagnostic",
        "scan",
    ),
    "snapcore.growth": (
        "Growth",
        "Leaks",
        "leaks",
    ),
    "snapcore.html.report": ("report",),
    "snapcore.presets": ("PRESETS",),
    "snapcore.snapshot": (
        "Diagnostic",
        "Process",
        "ProcessView",
        "Snapshot",
    ),
    "snapcore.table": (
        "StringColumn",
        "Table",
    ),
    "snapcore.watching": (
        "Watch",
        "WatchedDump",
        "watch",
    ),
}
_MODULES = ("cli", "dtypes", "errors", "flags", "tables")
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return [*__all__, *_MODULES, "__version__"]
