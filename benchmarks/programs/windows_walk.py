# SPDX-License-Identifier: Apache-2.0
"""Walk 100,000 handles and 5,000 threads into columns, against the same walk written with ctypes.

Run under Wine by ``python scripts/windows/lab.py bench ROUNDS``, on entries that the stand-in has ready beforehand. The stand-in's
own time is measured as well.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import snapcore
from snapcore import CaptureFlags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests"))
from windows_support import StandIn

HANDLES, THREADS = 100_000, 5_000
FLAGS = (
    CaptureFlags.HANDLES
    | CaptureFlags.HANDLE_NAME_INFORMATION
    | CaptureFlags.HANDLE_BASIC_INFORMATION
    | CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION
    | CaptureFlags.THREADS
    | CaptureFlags.THREAD_CONTEXT
)
U2, U4, U8, P = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p


class FileTime(ctypes.Structure):
    """FILETIME."""

    _fields_ = (("low", U4), ("high", U4))


class HandleEntry(ctypes.Structure):
    """PSS_HANDLE_ENTRY."""

    _fields_ = (
        *(("handle", P), ("flags", U4), ("type", U4), ("captured", FileTime)),
        *(("attributes", U4), ("access", U4), ("handle_count", U4), ("pointer_count", U4)),
        *(("paged", U4), ("non_paged", U4), ("created", FileTime)),
        *(("type_length", U2), ("type_name", P), ("name_length", U2), ("name", P)),
        ("specific", U8 * 6),
    )


class ThreadEntry(ctypes.Structure):
    """PSS_THREAD_ENTRY."""

    _fields_ = (
        *(("exit_status", U4), ("teb", P), ("pid", U4), ("tid", U4), ("affinity", U8)),
        *(("priority", ctypes.c_int), ("base_priority", ctypes.c_int), ("argument", P)),
        *(("number", U2), ("created", FileTime), ("exited", FileTime), ("kernel", FileTime)),
        *(("user", FileTime), ("start", P), ("captured", FileTime), ("flags", U4)),
        *(("suspended", U2), ("context_size", U2), ("context", P)),
    )


assert ctypes.sizeof(HandleEntry) == 136
assert ctypes.sizeof(ThreadEntry) == 120


def ticks(value: FileTime) -> int:
    """Nanoseconds since 1970."""
    return ((value.high << 32 | value.low) - 116_444_736_000_000_000) * 100


def text(address: int | None, length: int) -> str:
    """A counted string."""
    return ctypes.wstring_at(address, length // 2) if address else ""


SPECIFIC = {
    # ObjectType: column, index of the 8-byte word, shift
    3: (("current_count", 0, 0), ("abandoned", 0, 32), ("owner_pid", 1, 0), ("owner_tid", 1, 32)),
    4: (("manual_reset", 0, 0), ("signaled", 0, 32)),
    5: (("section_base", 0, 0), ("section_attributes", 1, 0), ("section_size", 2, 0)),
    6: (("current_count", 0, 0), ("maximum_count", 0, 32)),
}


def type_specific(entry: HandleEntry) -> dict[str, int]:
    """The facts of its type."""
    words = entry.specific
    return {
        name: words[index] >> shift & 0xFFFFFFFF
        for name, index, shift in SPECIFIC.get(entry.type, ())
    }


def walk_with_ctypes(dll: ctypes.WinDLL) -> int:
    """Nanoseconds that capture and walk take, as one writes it by hand."""
    walk = dll.PssWalkSnapshot
    walk.argtypes = (P, U4, P, P, U4)
    started = time.perf_counter_ns()
    snapshot, marker = P(), P()
    assert dll.PssCaptureSnapshot(P(-1), U4(int(FLAGS)), U4(0x10001F), ctypes.byref(snapshot)) == 0
    dll.PssWalkMarkerCreate(None, ctypes.byref(marker))
    rows = []
    specific: list[dict[str, int]] = []
    entry = HandleEntry()
    place, size = ctypes.byref(entry), ctypes.sizeof(entry)
    while walk(snapshot, 2, marker, place, size) == 0:
        rows.append(
            (
                *(entry.handle, entry.type, entry.access, entry.attributes, entry.handle_count),
                *(entry.pointer_count, entry.paged, entry.non_paged, entry.flags),
                *(ticks(entry.captured), ticks(entry.created)),
                text(entry.type_name, entry.type_length),
                text(entry.name, entry.name_length),
            )
        )
        specific.append(type_specific(entry) if entry.flags & 8 else {})
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    for name in {name for names in SPECIFIC.values() for name, _, _ in names}:
        columns.append(np.array([facts.get(name, 0) for facts in specific]))
        columns.append(np.array([name in facts for facts in specific]))
    dll.PssWalkMarkerFree(marker)
    dll.PssWalkMarkerCreate(None, ctypes.byref(marker))
    rows = []
    thread = ThreadEntry()
    place, size = ctypes.byref(thread), ctypes.sizeof(thread)
    while walk(snapshot, 3, marker, place, size) == 0:
        rows.append(
            (
                *(thread.tid, thread.pid, thread.flags, thread.exit_status, thread.priority),
                *(thread.base_priority, thread.affinity, thread.suspended, thread.teb),
                *(ticks(thread.captured), ticks(thread.created), ticks(thread.user)),
                ctypes.string_at(thread.context, thread.context_size),
            )
        )
    columns += [np.array(column) for column in zip(*rows, strict=True)]
    dll.PssWalkMarkerFree(marker)
    elapsed = time.perf_counter_ns() - started
    assert len(columns[0]) == HANDLES
    dll.PssFreeSnapshot(P(-1), snapshot)
    return elapsed


def walk_with_snapcore() -> int:
    """The same by the native core. Thread names, for which it opens every thread, are no part of the walk."""
    started = time.perf_counter_ns()
    snap = snapcore.capture(os.getpid(), FLAGS)
    handles, threads, contexts = snap.handles(), snap.threads(), snap.contexts()
    elapsed = time.perf_counter_ns() - started - snap.performance()["thread_names"]
    assert len(handles) == HANDLES
    assert len(threads) == len(contexts) == THREADS
    assert handles["object_name"][HANDLES - 1].endswith(f"object-{(HANDLES - 1) // 10}")
    snap.close()
    return elapsed


def main() -> int:
    """Run it; the answer is one line of JSON, in ns."""
    rounds = int(sys.argv[1])
    sim = StandIn()
    dll = ctypes.WinDLL("snapsim.dll")
    turns = {
        "snapcore": walk_with_snapcore,
        "ctypes": lambda: walk_with_ctypes(dll),
        "snapcore (again)": walk_with_snapcore,
    }
    found: dict[str, list[int]] = {"stand-in": [], **{name: [] for name in turns}}
    for number in range(-1, rounds):
        own = sim.own_time_ns(HANDLES, THREADS)
        for name, walk in turns.items():
            sim.prepare(HANDLES, THREADS)
            took = walk()
            if number >= 0:  # the round before warms up
                found[name].append(took)
        if number >= 0:
            found["stand-in"].append(own)
    print(json.dumps({"handles": HANDLES, "threads": THREADS, **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
