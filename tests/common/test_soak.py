# SPDX-License-Identifier: Apache-2.0
"""Captures and dumps over and over, by many threads, of many targets: nothing grows, here or in them.

The long form is the nox session `soak`, and on Windows `SNAPCORE_SOAK=long python scripts/windows/lab.py test
tests/common/test_soak.py`.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import logging
import os
import queue
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from support import WINDOWS

import snapcore
from snapcore import CaptureFlags, MiniDumpType

if WINDOWS:
    import process_facts
else:
    import linux_support

if TYPE_CHECKING:
    from support import Target

LONG = os.environ.get("SNAPCORE_SOAK") == "long"


@dataclass(frozen=True)
class Form:
    """How much is done; of the captures, as many as there are dumps are dumps besides."""

    captures: int
    dumps: int
    threads: int
    targets: int
    rounds: int
    warm_up: int  # rounds: caches, arenas of malloc, threads that stay
    # What may be left, by operation: of what malloc gave, and of the process's memory.
    heap_bytes: int
    memory_bytes: int


if WINDOWS:
    FORM = (
        Form(1000, 100, 8, 20, 20, 4, 128, 4096)
        if LONG
        else Form(90, 18, 4, 3, 9, 5, 2048, 64 * 1024)
    )
else:
    FORM = (
        Form(10_000, 1_000, 8, 20, 50, 10, 32, 512)
        if LONG
        else Form(480, 80, 8, 5, 16, 8, 512, 64 * 1024)
    )


@dataclass
class Usage:
    """What this process has of everything that could grow."""

    memory: int
    heap: int  # in use, of malloc or the heaps of Windows
    blocks: int  # Python's own
    descriptors: int  # or handles
    threads: int
    children: int


def malloc_in_use(libc: ctypes.CDLL) -> int:
    """Bytes that malloc has handed out, of all its arenas; mallinfo2 knows the first alone."""
    text, size = ctypes.c_char_p(), ctypes.c_size_t()
    libc.open_memstream.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
    assert libc.malloc_info(0, stream) == 0
    libc.fclose(stream)
    whole = ET.fromstring(ctypes.string_at(text, size.value))
    libc.free(text)
    # The last of each kind are the sums.
    system = int(whole.findall("./system[@type='current']")[-1].attrib["size"])
    sums = {of.attrib["type"]: int(of.attrib["size"]) for of in whole.findall("./total")}
    return system - sums["fast"] - sums["rest"] + sums["mmap"]


def usage() -> Usage:
    gc.collect()
    if WINDOWS:
        return Usage(
            memory=process_facts.private_bytes(),
            heap=process_facts.heap_bytes(),
            blocks=sys.getallocatedblocks(),
            descriptors=process_facts.handles(),
            threads=process_facts.threads(),
            children=0,
        )
    libc = ctypes.CDLL(None)
    heap = malloc_in_use(libc)
    # What is free goes back, so that what is left is held.
    libc.malloc_trim(0)
    anonymous = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert anonymous is not None
    return Usage(
        memory=int(anonymous[1]) * 1024,
        heap=heap,
        blocks=sys.getallocatedblocks(),
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=len(os.listdir("/proc/self/task")),
        children=len(linux_support.children(os.getpid())),
    )


def of_target(target: Target) -> tuple[int, ...]:
    """What a target has of everything that a capture could leave in it."""
    if WINDOWS:
        return (len(snapcore.handles(target.pid)), len(snapcore.threads(target.pid)))
    return (
        len(linux_support.descriptors(target.pid)),
        len(os.listdir(f"/proc/{target.pid}/task")),
        len(linux_support.children(target.pid)),
        len(Path(f"/proc/{target.pid}/maps").read_text().splitlines()),
    )


class Null(io.RawIOBase):
    """A file object of the caller's own."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return len(data)


FLAGS = (
    MiniDumpType.WITH_FULL_MEMORY | MiniDumpType.WITH_HANDLE_DATA | MiniDumpType.WITH_THREAD_INFO
)


# A busy machine is not what is tried here.
PATIENCE = 30


def capture_once(target: Target) -> None:
    with snapcore.capture(target.pid, CaptureFlags.DEFAULT, max_pause=PATIENCE) as snap:
        assert len(snap.threads()) > 0
        assert len(snap.handles()) > 0
        assert len(snap.regions()) > 0
        assert len(snap.modules()) > 0
        assert len(snap.contexts()) > 0
        snap.read(int(snap.modules()["base"][0]), 64)


def dump_once(target: Target, number: int, folder: Path) -> None:
    path = folder / f"{target.pid}-{threading.get_ident()}.dmp"
    way = number % 4
    if way == 0:
        snapcore.dump(target.pid, path, FLAGS, max_pause=PATIENCE)
    elif way == 1:
        snapcore.dump(target.pid, path, max_pause=PATIENCE)
    elif way == 2:
        snapcore.dump(target.pid, path, FLAGS, compression="zstd", max_pause=PATIENCE)
    else:
        snapcore.dump(target.pid, Null(), FLAGS, max_pause=PATIENCE)
        return
    with snapcore.open(path) as dump:
        assert len(dump.threads()) > 0
        assert len(dump.modules()) > 0
    path.unlink()


def growth(name: str, values: list[int]) -> float:
    """Of a straight line through them, from its first to its last one; of memory how much its floor has risen.

    Memory goes up and down with the stacks of threads that have ended, of which the C library keeps up to 40 MiB.
    """
    if name == "memory":
        half = len(values) // 2
        return min(values[half:]) - min(values[:half])
    slope = np.polyfit(np.arange(len(values)), np.array(values, dtype=float), 1)[0]
    return float(slope) * (len(values) - 1)


@pytest.mark.timeout(0 if LONG else 600)
def test_nothing_grows(start, tmp_path, monkeypatch):
    # pytest keeps every record.
    monkeypatch.setattr(logging.getLogger("snapcore"), "disabled", True)
    for name in ("capture", "dump", "open"):
        monkeypatch.setattr(logging.getLogger(f"snapcore.{name}"), "disabled", True)
    targets = [start("facts", tmp_path) for _ in range(FORM.targets)]
    for target in targets:
        target.ask("are you there")
    before_targets = [of_target(target) for target in targets]
    every = FORM.captures // FORM.dumps
    done = FORM.captures // FORM.rounds
    seen: list[Usage] = []
    started = time.monotonic()

    # A process that is being captured refuses the next tracer.
    free: queue.SimpleQueue[Target] = queue.SimpleQueue()
    for target in targets:
        free.put(target)

    def work(number: int) -> None:
        target = free.get()
        try:
            capture_once(target)
            if number % every == 0:
                dump_once(target, number // every, tmp_path)
        finally:
            free.put(target)

    with ThreadPoolExecutor(FORM.threads) as pool:
        for at in range(FORM.rounds):
            list(pool.map(work, range(at * done, (at + 1) * done)))
            seen.append(usage())
    kept = seen[FORM.warm_up :]
    operations = done * (len(kept) - 1)
    grown = {name: growth(name, [getattr(u, name) for u in kept]) for name in asdict(kept[0])}
    print(
        json.dumps(
            {
                "captures": done * FORM.rounds,
                "dumps": len(range(0, done * FORM.rounds, every)),
                "seconds": round(time.monotonic() - started),
                "first": asdict(seen[0]),
                "warm": asdict(kept[0]),
                "last": asdict(kept[-1]),
                "memory": [u.memory >> 10 for u in seen],
                "heap": [u.heap >> 10 for u in seen],
                "grown": {name: round(value) for name, value in grown.items()},
            }
        )
    )
    last = kept[-1]
    assert last.descriptors <= kept[0].descriptors
    assert last.threads <= kept[0].threads
    assert last.children <= kept[0].children
    assert grown["heap"] <= FORM.heap_bytes * operations, grown
    assert grown["memory"] <= FORM.memory_bytes * operations, grown
    # One object an operation would be a leak. Some sixty come by themselves, the list of what was
    # measured among them, beside which the few operations of Wine's short form tell nothing.
    if operations >= 100:
        assert grown["blocks"] < operations * 0.9, grown
    assert [of_target(target) for target in targets] == before_targets


def test_growth_is_seen():
    """What is measured does see a leak of one small object an operation."""
    kept: list[object] = []
    seen = []
    for _ in range(6):
        for _ in range(50):
            kept.append(ctypes.create_string_buffer(b"x" * 4095))
            if not WINDOWS:
                kept.append(Path("/dev/null").open("rb"))  # noqa: SIM115
        seen.append(usage())
    assert growth("blocks", [u.blocks for u in seen]) > 5 * 50 / 2
    assert growth("heap", [u.heap for u in seen]) > 5 * 50 * 512
    if not WINDOWS:
        assert growth("memory", [u.memory for u in seen]) > 2 * 50 * 4096
        assert seen[-1].descriptors - seen[0].descriptors == 5 * 50
        for file in kept[1::2]:
            file.close()  # type: ignore[attr-defined]
