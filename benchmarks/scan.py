# SPDX-License-Identifier: Apache-2.0
"""Files a second that scan() reads, by the number of workers.

Usage: python benchmarks/scan.py [--files 2000] [--handles 100] [--runs 5]. Needs pyarrow and the builder
of tests/. Prints a Markdown table. The workers take turns; medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

import snapcore
from snapcore import _core

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from dump_builder import LINUX, DumpBuilder, Handle, Module, Thread

if TYPE_CHECKING:
    from collections.abc import Callable


def make(folder: Path, files: int, handles: int) -> list[str]:
    """Dumps with so many handles, a third of them with names of their own."""
    out = []
    for number in range(files):
        path = folder / f"web-{number % 20}" / f"{number}.dmp"
        path.parent.mkdir(exist_ok=True)
        rows = [
            Handle(4 * i, f"Type{i % 7}", f"/data/{number}/{i}" if i % 3 == 0 else f"/lib/{i}")
            for i in range(1, handles + 1)
        ]
        builder = DumpBuilder(time=1_764_072_000 + number).system_info(platform=LINUX).misc_info()
        builder.threads([Thread(1, "main")]).module_list([Module(0x1000, 0x1000, "/usr/bin/app")])
        out.append(str(builder.handle_data(rows).write(path)))
    return out


def rows_of(paths: list[str], workers: int = 1) -> int:
    """Read them and keep nothing."""
    return sum(batch.num_rows for batch in snapcore.scan(paths, workers=workers))


def by_hand(paths: list[str]) -> int:
    """The same by open(), a file at a time."""
    rows = 0
    for path in paths:
        with snapcore.open(path) as file:
            rows += pa.record_batch(file.handles()).num_rows
    return rows


def native(paths: list[str]) -> int:
    """The part of scan() that is native and without the interpreter's lock, on one thread."""
    raw = [os.fsencode(path) for path in paths]
    parts = (raw[at : at + 256] for at in range(0, len(raw), 256))
    return sum(_core.scan_handles(part, 1 << 16)[0].rows for part in parts)


def by_processes(pool: ProcessPoolExecutor, paths: list[str]) -> int:
    """Two processes of one worker each."""
    return sum(pool.map(rows_of, (paths[::2], paths[1::2])))


def to_parquet(paths: list[str], workers: int) -> int:
    """Read them and write one file."""
    with tempfile.TemporaryDirectory() as name:
        scan = snapcore.scan(paths, workers=workers)
        return scan.to_parquet(Path(name) / "all.parquet", partition=None)


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--handles", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        paths = make(Path(name), options.files, options.handles)
        size = sum(os.stat(path).st_size for path in paths)  # noqa: PTH116
        with ProcessPoolExecutor(2) as pool:
            by_processes(pool, paths[:2])
            calls: dict[str, Callable[[], int]] = {
                "open() a file at a time": lambda: by_hand(paths),
                "of scan() the native call alone": lambda: native(paths),
                "scan(), 1 worker": lambda: rows_of(paths, 1),
                "scan(), 2 workers": lambda: rows_of(paths, 2),
                "scan() in 2 processes": lambda: by_processes(pool, paths),
                "to_parquet(), 1 worker": lambda: to_parquet(paths, 1),
                "to_parquet(), 2 workers": lambda: to_parquet(paths, 2),
            }
            taken: dict[str, list[tuple[float, float]]] = {what: [] for what in calls}
            for _ in range(options.runs):
                for what, call in calls.items():
                    start, used = time.perf_counter(), time.process_time()
                    assert call() == options.files * options.handles
                    taken[what].append((time.perf_counter() - start, time.process_time() - used))
    print(
        f"{options.files} files, {options.handles} handles each, {size / 2**20:.0f} MiB, "
        f"{os.cpu_count()} processors\n\n"
        "| | files a second | processor time of this process, a file |\n| --- | --- | --- |"
    )
    for what, times in taken.items():
        wall, used = (statistics.median(column) for column in zip(*times, strict=True))
        own = "" if "processes" in what else f"{used / options.files * 1e6:.0f} us"
        print(f"| {what} | {options.files / wall:,.0f} | {own} |")


if __name__ == "__main__":
    main()
