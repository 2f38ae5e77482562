# SPDX-License-Identifier: Apache-2.0
"""Names of the streams of dump files."""

from __future__ import annotations

__all__ = ["stream_name"]

_NAMES = {
    # MINIDUMP_STREAM_TYPE
    3: "ThreadListStream",
    4: "ModuleListStream",
    5: "MemoryListStream",
    6: "ExceptionStream",
    7: "SystemInfoStream",
    8: "ThreadExListStream",
    9: "Memory64ListStream",
    10: "CommentStreamA",
    11: "CommentStreamW",
    12: "HandleDataStream",
    13: "FunctionTableStream",
    14: "UnloadedModuleListStream",
    15: "MiscInfoStream",
    16: "MemoryInfoListStream",
    17: "ThreadInfoListStream",
    18: "HandleOperationListStream",
    19: "TokenStream",
    20: "JavaScriptDataStream",
    21: "SystemMemoryInfoStream",
    22: "ProcessVmCountersStream",
    23: "IptTraceStream",
    24: "ThreadNamesStream",
    # Crashpad
    0x43500001: "CrashpadInfo",
    # Breakpad
    0x47670001: "BreakpadInfo",
    0x47670002: "AssertionInfo",
    0x47670003: "LinuxCpuInfo",
    0x47670004: "LinuxProcStatus",
    0x47670005: "LinuxLsbRelease",
    0x47670006: "LinuxCmdLine",
    0x47670007: "LinuxEnviron",
    0x47670008: "LinuxAuxv",
    0x47670009: "LinuxMaps",
    0x4767000A: "LinuxDsoDebug",
    # minidump-writer
    0x4D7A0001: "MozMacosCrashInfo",
    0x4D7A0002: "MozMacosBootargs",
    0x4D7A0003: "MozLinuxLimits",
    0x4D7A0004: "MozSoftErrors",
    # snapcore
    0x534E5001: "SnapcoreRanges",
    0x534E5002: "SnapcoreToken",
    0x534E5003: "SnapcoreColumns",
    0x534E5004: "SnapcoreIdentity",
    0x534E5005: "SnapcoreBase",
}


def stream_name(type_: int) -> str | None:
    """Name of a type of stream.

    Parameters
    ----------
    type_ : int
        ``MINIDUMP_STREAM_TYPE``, or a number of some writer's own.

    Returns
    -------
    str or None
        None where it is not known.
    """
    return _NAMES.get(type_)
