# SPDX-License-Identifier: Apache-2.0
"""Dump flags by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from snapcore.flags import MiniDumpType

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PRESETS"]

#: Dump flags by the names that :func:`snapcore.dump` and the command take, the same on every system.
PRESETS: Mapping[str, MiniDumpType] = MappingProxyType(
    {
        # Stacks, threads, modules, handles.
        "mini": MiniDumpType.WITH_HANDLE_DATA
        | MiniDumpType.WITH_UNLOADED_MODULES
        | MiniDumpType.WITH_THREAD_INFO
        | MiniDumpType.IGNORE_INACCESSIBLE_MEMORY,
        # The same without what may be a user's: pointers of the stacks alone, no paths, no names of files, no arguments.
        "triage": MiniDumpType.WITH_HANDLE_DATA
        | MiniDumpType.FILTER_MEMORY
        | MiniDumpType.WITH_UNLOADED_MODULES
        | MiniDumpType.FILTER_MODULE_PATHS
        | MiniDumpType.WITHOUT_OPTIONAL_DATA
        | MiniDumpType.WITH_THREAD_INFO
        | MiniDumpType.IGNORE_INACCESSIBLE_MEMORY
        | MiniDumpType.FILTER_TRIAGE,
        # Every private writable page: stacks, heaps, globals; no code and no shared memory.
        "heap": MiniDumpType.WITH_DATA_SEGS
        | MiniDumpType.WITH_HANDLE_DATA
        | MiniDumpType.WITH_UNLOADED_MODULES
        | MiniDumpType.WITH_PROCESS_THREAD_DATA
        | MiniDumpType.WITH_PRIVATE_READ_WRITE_MEMORY
        | MiniDumpType.WITH_FULL_MEMORY_INFO
        | MiniDumpType.WITH_THREAD_INFO
        | MiniDumpType.IGNORE_INACCESSIBLE_MEMORY
        | MiniDumpType.WITH_TOKEN_INFORMATION,
        # All memory.
        "full": MiniDumpType.WITH_FULL_MEMORY
        | MiniDumpType.WITH_HANDLE_DATA
        | MiniDumpType.WITH_UNLOADED_MODULES
        | MiniDumpType.WITH_FULL_MEMORY_INFO
        | MiniDumpType.WITH_THREAD_INFO
        | MiniDumpType.IGNORE_INACCESSIBLE_MEMORY
        | MiniDumpType.WITH_TOKEN_INFORMATION,
    }
)
