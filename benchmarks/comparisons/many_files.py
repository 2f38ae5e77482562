# SPDX-License-Identifier: Apache-2.0
"""The handles of many dump files: scan(), against open() and minidump a file at a time."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pyarrow as pa
from minidump.minidumpfile import MinidumpFile

import snapcore
from benchmarks import targets
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import take_turns
from snapcore import _core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.timing import Run

SCAN, TWO, NATIVE, OPEN = "scan()", "2 workers", "its native call", "open()"
PARQUET, MINIDUMP = "to_parquet()", "minidump"
HANDLES = 100


def make(folder: Path, files: int) -> list[str]:
    """Dumps with so many handles, a third of them with names of their own."""
    builder, linux = targets.of_tests("dump_builder"), targets.of_tests("dump_structures").LINUX
    out = []
    for number in range(files):
        rows = [
            builder.Handle(
                4 * i, f"Type{i % 7}", f"/data/{number}/{i}" if i % 3 == 0 else f"/lib/{i}"
            )
            for i in range(1, HANDLES + 1)
        ]
        dump = builder.DumpBuilder(time=1_764_072_000 + number)
        dump.system_info(platform=linux).misc_info().threads([builder.Thread(1, "main")])
        dump.module_list([builder.Module(0x1000, 0x1000, "/usr/bin/app")])
        out.append(str(dump.handle_data(rows).write(folder / f"{number}.dmp")))
    return out


def by_scan(paths: list[str], workers: int = 1) -> int:
    """Read them and keep nothing; as everyone's, the result is the number of handles."""
    return sum(batch.num_rows for batch in snapcore.scan(paths, workers=workers))


def by_native_call(paths: list[str]) -> int:
    """The part of scan() that is native and without the interpreter's lock, on one thread."""
    raw = [os.fsencode(path) for path in paths]
    parts = (raw[at : at + 256] for at in range(0, len(raw), 256))
    return sum(_core.scan_handles(part, 1 << 16)[0].rows for part in parts)


def by_open(paths: list[str]) -> int:
    """One table a file."""
    rows = 0
    for path in paths:
        with snapcore.open(path) as file:
            rows += pa.record_batch(file.handles()).num_rows
    return rows


def by_minidump(paths: list[str]) -> int:
    """Objects."""
    rows = 0
    for path in paths:
        file = MinidumpFile.parse(path)
        rows += len(file.handles.handles)
        file.file_handle.close()
    return rows


def measure(run: Run) -> Iterator[Case]:
    """Files in the page cache."""
    files = 100 if run.quick else 1000
    folder = run.empty_folder()
    paths = make(folder, files)
    parquet = folder / "all.parquet"

    def to_parquet() -> int:
        parquet.unlink(missing_ok=True)
        return snapcore.scan(paths, workers=1).to_parquet(parquet, partition=None)

    calls = {
        SCAN: lambda: by_scan(paths),
        TWO: lambda: by_scan(paths, 2),
        NATIVE: lambda: by_native_call(paths),
        PARQUET: to_parquet,
        OPEN: lambda: by_open(paths),
        MINIDUMP: lambda: by_minidump(paths),
    }
    logging.disable(logging.CRITICAL)
    for name, call in calls.items():
        assert call() == files * HANDLES, name
    samples = take_turns(calls, run.rounds(9), again=SCAN, limits={MINIDUMP: run.rounds(3, 1)})
    logging.disable(logging.NOTSET)
    yield Case(f"{files:,} files of {HANDLES} handles", samples)


COMPARISON = Comparison(
    name="many_files",
    title="The handles of many dump files",
    subject=SCAN,
    against={
        TWO: "variant",
        NATIVE: "part",
        PARQUET: "variant",
        OPEN: "variant",
        MINIDUMP: "peer",
    },
    ratios=(
        Ratio(over=OPEN, under=SCAN),
        Ratio(over=MINIDUMP, under=SCAN),
        Ratio(over=SCAN, under=TWO),
        Ratio(over=SCAN, under=NATIVE),
        Ratio(over=PARQUET, under=SCAN),
    ),
    measure=measure,
)
