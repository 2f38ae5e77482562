# SPDX-License-Identifier: Apache-2.0
"""Point-in-time snapshots of running processes, minidumps, and process tables as NumPy columns."""

from __future__ import annotations

import logging
from importlib.metadata import version

from snapcore import _core
from snapcore.dumping import DumpResult, capture, dump, handles, system_handles, threads
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
from snapcore.presets import PRESETS
from snapcore.snapshot import Diagnostic, Process, ProcessView, Snapshot
from snapcore.table import StringColumn, Table

__all__ = [
    "PRESETS",
    "AccessDenied",
    "CaptureFlags",
    "ContextFlags",
    "Diagnostic",
    "DumpFormatError",
    "DumpResult",
    "HandleFlags",
    "MemoryState",
    "MemoryType",
    "MiniDumpType",
    "ObjectType",
    "PageProtection",
    "Process",
    "ProcessFlags",
    "ProcessGone",
    "ProcessView",
    "SnapError",
    "Snapshot",
    "StringColumn",
    "Table",
    "ThreadFlags",
    "TimedOut",
    "Unsupported",
    "capture",
    "dump",
    "handles",
    "system_handles",
    "threads",
]

__version__ = version("snapcore")
if _core.__version__ != __version__:
    _message = (
        f"snapcore {__version__} found a native module of version {_core.__version__}; "
        "build and install the package again"
    )
    raise ImportError(_message)

logging.getLogger("snapcore").addHandler(logging.NullHandler())
