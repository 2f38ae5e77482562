# SPDX-License-Identifier: Apache-2.0
"""What Windows knows of this process."""

from __future__ import annotations

import ctypes
from ctypes import wintypes

_kernel = ctypes.WinDLL("kernel32")


class _Memory(ctypes.Structure):
    _fields_ = [
        ("cb", wintypes.DWORD),
        ("PageFaultCount", wintypes.DWORD),
        *(
            (name, ctypes.c_size_t)
            for name in (
                *("PeakWorkingSetSize", "WorkingSetSize"),
                *("QuotaPeakPagedPoolUsage", "QuotaPagedPoolUsage"),
                *("QuotaPeakNonPagedPoolUsage", "QuotaNonPagedPoolUsage"),
                *("PagefileUsage", "PeakPagefileUsage", "PrivateUsage"),
            )
        ),
    ]


class _HeapEntry(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_uint32),
        ("overhead", ctypes.c_uint8),
        ("region", ctypes.c_uint8),
        ("flags", ctypes.c_uint16),
        ("rest", ctypes.c_byte * 24),
    ]


class _ThreadEntry(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint32)
        for name in ("size", "usage", "tid", "pid", "base", "delta", "flags")
    ]


def _self() -> int:
    return -1  # GetCurrentProcess()


def private_bytes() -> int:
    """Memory of this process alone."""
    out = _Memory()
    out.cb = ctypes.sizeof(out)
    assert _kernel.K32GetProcessMemoryInfo(wintypes.HANDLE(_self()), ctypes.byref(out), out.cb)
    return out.PrivateUsage or out.WorkingSetSize


def heap_bytes() -> int:
    """What its heaps have handed out."""
    _kernel.HeapWalk.argtypes = [ctypes.c_void_p, ctypes.POINTER(_HeapEntry)]
    _kernel.GetProcessHeaps.argtypes = [wintypes.DWORD, ctypes.c_void_p]
    heaps = (ctypes.c_void_p * 64)()
    count = _kernel.GetProcessHeaps(len(heaps), heaps)
    assert 0 < count <= len(heaps)
    total = 0
    busy = 4  # PROCESS_HEAP_ENTRY_BUSY
    for heap in heaps[:count]:
        entry = _HeapEntry()
        while _kernel.HeapWalk(heap, ctypes.byref(entry)):
            if entry.flags & busy:
                total += entry.size
    return total


def handles() -> int:
    """Its open handles."""
    count = wintypes.DWORD()
    assert _kernel.GetProcessHandleCount(wintypes.HANDLE(_self()), ctypes.byref(count))
    return count.value


def threads() -> int:
    """Its threads."""
    _kernel.CreateToolhelp32Snapshot.restype = wintypes.HANDLE
    of_threads = 4
    snapshot = wintypes.HANDLE(_kernel.CreateToolhelp32Snapshot(of_threads, 0))
    entry = _ThreadEntry()
    entry.size = ctypes.sizeof(entry)
    own, count = _kernel.GetCurrentProcessId(), 0
    more = _kernel.Thread32First(snapshot, ctypes.byref(entry))
    while more:
        count += entry.pid == own
        more = _kernel.Thread32Next(snapshot, ctypes.byref(entry))
    _kernel.CloseHandle(snapshot)
    return count
