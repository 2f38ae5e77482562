# SPDX-License-Identifier: Apache-2.0
"""Opening a dump file, its tables, its memory: against udmp-parser and minidump in the same process."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

import udmp_parser
from minidump.minidumpfile import MinidumpFile

import snapcore
from benchmarks import targets
from benchmarks.comparisons import FULL
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import repeated, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.timing import Run

OPEN, UDMP, MINIDUMP, PREAD = "snapcore", "udmp-parser", "minidump", "pread"
COLUMNS = {
    "threads": ("tid", "stack_pointer"),
    "modules": ("base", "path"),
    "regions": ("base", "size"),
}
Counts = tuple[int, int, int]


def tables_by_snapcore(path: str) -> Counts:
    """Threads with their registers, modules, ranges of memory, regions; counts of the first three."""
    with snapcore.open(path) as file:
        tables = {name: getattr(file, name)() for name in COLUMNS}
        ranges = file.memory_ranges()
        # All is parsed by now; a column becomes an array when it is asked for, as an attribute of the
        # others' objects does.
        for name, columns in COLUMNS.items():
            for column in columns:
                tables[name][column]
        return len(tables["threads"]), len(tables["modules"]), len(ranges)


def tables_by_udmp(path: str) -> Counts:
    """The same; its regions are its ranges."""
    file = udmp_parser.UserDumpParser()
    assert file.Parse(path)
    return len(file.Threads()), len(file.Modules()), len(file.Memory())


def tables_by_minidump(path: str) -> Counts:
    """The same."""
    file = MinidumpFile.parse(path)
    segments = file.memory_segments_64 or file.memory_segments
    found = len(segments.memory_segments) if segments else 0
    out = len(file.threads.threads), len(file.modules.modules), found
    file.file_handle.close()
    return out


def handles_by_snapcore(path: str) -> int:
    """Every column of every handle."""
    with snapcore.open(path) as file:
        handles = file.handles()
        for column in handles.columns:
            handles[column]
        return len(handles)


def handles_by_minidump(path: str) -> int:
    """The same as objects."""
    file = MinidumpFile.parse(path)
    file.file_handle.close()
    return len(file.handles.handles)


def memory_of(path: str) -> dict[str, Callable[[], object]]:
    """Every byte of memory, by every reader, a piece of 1 MiB at the most at a time."""
    with snapcore.open(path) as file:
        ranges = file.memory_ranges()
        bounds = list(zip(ranges["address"].tolist(), ranges["size"].tolist(), strict=True))
    piece = 1 << 20
    pieces = [
        (at, min(piece, base + length - at))
        for base, length in bounds
        for at in range(base, base + length, piece)
    ]
    whole = sum(length for _, length in pieces)

    def by_snapcore() -> None:
        with snapcore.open(path) as file:
            assert sum(len(file.read(at, length)) for at, length in pieces) == whole

    def by_udmp() -> None:
        file = udmp_parser.UserDumpParser()
        assert file.Parse(path)
        assert sum(len(file.ReadMemory(at, length)) for at, length in pieces) == whole

    def by_minidump() -> None:
        file = MinidumpFile.parse(path)
        reader = file.get_reader()
        assert sum(len(reader.read(at, length)) for at, length in pieces) == whole
        file.file_handle.close()

    def by_pread() -> None:
        file = os.open(path, os.O_RDONLY)
        for at in range(0, whole, piece):
            os.pread(file, piece, at)
        os.close(file)

    return {OPEN: by_snapcore, PREAD: by_pread, UDMP: by_udmp, MINIDUMP: by_minidump}


@contextlib.contextmanager
def no_log() -> Iterator[None]:
    """The package `minidump` logs what it does not find in a dump of Linux."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def measure_tables(run: Run, name: str, path: Path, *, repeat: int = 1) -> Case:
    """One file."""
    text = str(path)
    threads, modules, ranges = tables_by_snapcore(text)
    calls: dict[str, Callable[[], object]] = {
        OPEN: repeated(lambda: tables_by_snapcore(text), repeat),
        UDMP: repeated(lambda: tables_by_udmp(text), repeat),
        MINIDUMP: lambda: tables_by_minidump(text),
    }
    limits = {} if repeat > 1 else {MINIDUMP: run.rounds(3, 1)}
    samples = take_turns(calls, run.rounds(11), again=OPEN, limits=limits)
    size = path.stat().st_size / 2**20
    what = f"{threads:,} threads, {modules:,} modules, {ranges:,} ranges, {size:,.1f} MiB"
    return Case(f"{name}: {what}", samples)


def real_dump(path: Path, flags: int, *words: object) -> Path:
    """Of a Python."""
    with targets.python("threads_target", *words) as target:
        snapcore.dump(target.pid, path, flags, max_pause=30)
    return path


def measure(run: Run) -> Iterator[Case]:
    """Small files, one of very many things, a large one; handles; memory."""
    small = FULL & ~snapcore.MiniDumpType.WITH_FULL_MEMORY
    folder = run.empty_folder()
    with no_log():
        path = real_dump(folder / "small.dmp", small, 30, "rich")
        yield measure_tables(run, "a Python with NumPy", path, repeat=20)
        path = real_dump(folder / "smallest.dmp", small, 8)
        yield measure_tables(run, "the smallest Python", path, repeat=20)
        if not run.quick:
            path = real_dump(folder / "large.dmp", snapcore.PRESETS["full"], 30, "rich", "large")
            yield measure_tables(run, "5 GiB of memory", path, repeat=20)
            path.unlink()
        crowd = targets.of_tests("sample_dumps").crowd().write(folder / "crowd.dmp")
        yield measure_tables(run, "a crowd", crowd)
        text = str(crowd)
        calls: dict[str, Callable[[], object]] = {
            OPEN: lambda: handles_by_snapcore(text),
            MINIDUMP: lambda: handles_by_minidump(text),
        }
        samples = take_turns(calls, run.rounds(11), again=OPEN, limits={MINIDUMP: run.rounds(3, 1)})
        yield Case(f"{handles_by_snapcore(text):,} handles", samples)
        mib = 32 if run.quick else 256
        path = folder / "memory.dmp"
        with targets.memory(mib) as target:
            snapcore.dump(target.pid, path, FULL, max_pause=30)
        # What udmp-parser reads is a list of integers.
        limits = {UDMP: run.rounds(3, 1)}
        samples = take_turns(memory_of(str(path)), run.rounds(9), again=OPEN, limits=limits)
        yield Case(f"all bytes of {mib} MiB", samples)


COMPARISON = Comparison(
    name="reading",
    title="Reading a dump file",
    subject=OPEN,
    against={UDMP: "peer", MINIDUMP: "peer", PREAD: "floor"},
    ratios=(
        Ratio(over=UDMP, under=OPEN, at_least=10, cases="a crowd*"),
        Ratio(over=UDMP, under=OPEN, at_least=1),
        Ratio(over=MINIDUMP, under=OPEN, at_least=500, cases="a crowd*"),
        Ratio(over=MINIDUMP, under=OPEN, at_least=50, cases="*threads*"),
        Ratio(over=MINIDUMP, under=OPEN),
        Ratio(over=OPEN, under=PREAD),
    ),
    measure=measure,
    needs=("cc",),
)
