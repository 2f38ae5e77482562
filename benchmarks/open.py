# SPDX-License-Identifier: Apache-2.0
"""Time to open a dump file and read its tables, against udmp-parser and minidump in the same process.

Usage: python benchmarks/open.py [--runs 15]. Needs udmp-parser and minidump (the group `test`), and
the builder of tests/. Prints Markdown tables.

Each reader opens the file and gives its threads with their registers, modules, ranges of memory
and regions; the readers take turns.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import udmp_parser
from minidump.minidumpfile import MinidumpFile

import snapcore

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import dump_builder

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = """
import sys, threading
if "rich" in sys.argv:
    import ctypes, decimal, hashlib, lzma, numpy, numpy.fft, numpy.random, socket, sqlite3, ssl, zlib
for _ in range(int(sys.argv[1])):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def snapcore_reads(path: str) -> tuple[int, int, int, int]:
    """Give counts of threads, modules, ranges and regions."""
    with snapcore.open(path) as file:
        threads, modules, regions = file.threads(), file.modules(), file.regions()
        ranges = file.memory_ranges()
        # All is parsed by now; a column becomes an array when it is asked for, as an attribute of the
        # others' objects does.
        for table, columns in (
            (threads, ("tid", "stack_pointer")),
            (modules, ("base", "path")),
            (regions, ("base", "size")),
        ):
            for column in columns:
                table[column]
        return len(threads), len(modules), len(ranges), len(regions)


def udmp_reads(path: str) -> tuple[int, int, int, int]:
    """Give the same; its regions are its ranges."""
    file = udmp_parser.UserDumpParser()
    assert file.Parse(path)
    regions = file.Memory()
    return len(file.Threads()), len(file.Modules()), len(regions), len(regions)


def minidump_reads(path: str) -> tuple[int, int, int, int]:
    """Give the same."""
    file = MinidumpFile.parse(path)
    segments = file.memory_segments_64 or file.memory_segments
    out = (
        len(file.threads.threads),
        len(file.modules.modules),
        len(segments.memory_segments) if segments else 0,
        len(file.memory_info.infos) if file.memory_info else 0,
    )
    file.file_handle.close()
    return out


def milliseconds(calls: dict[str, Callable[[], object]], runs: dict[str, int]) -> dict[str, float]:
    """Medians; the calls take turns, so that what disturbs the machine disturbs all."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(max(runs.values())):
        for name, call in calls.items():
            if turn >= runs[name]:
                continue
            start = time.perf_counter()
            call()
            taken[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(values) for name, values in taken.items()}


def real_dump(path: Path, *words: str) -> Path:
    """A dump of stacks, of a Python with some threads and, with "rich", the modules of NumPy and others."""
    flags = snapcore.MiniDumpType.WITH_FULL_MEMORY_INFO | snapcore.MiniDumpType.WITH_THREAD_INFO
    with subprocess.Popen(
        [sys.executable, "-c", TARGET, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as target:
        assert target.stdout is not None
        target.stdout.readline()
        snapcore.dump(target.pid, path, flags)
        target.kill()
    return path


def large_dump(folder: Path) -> Path:
    """A real dump of 5 GiB of memory, all of it known to be zero but for a page in each MiB."""
    path = folder / "large.dmp"
    code = (
        "import mmap, sys\nm = mmap.mmap(-1, 5 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "for at in range(0, 5 << 30, 1 << 18):\n    m[at] = 1\n" + TARGET
    )
    flags = snapcore.PRESETS["full"]
    with subprocess.Popen(
        [sys.executable, "-c", code, "30", "rich"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as target:
        assert target.stdout is not None
        target.stdout.readline()
        snapcore.dump(target.pid, path, flags)
        target.kill()
    return path


def compare(name: str, path: Path, runs: dict[str, int]) -> None:
    """Print one line: times, and the others' over ours."""
    text = str(path)
    calls: dict[str, Callable[[], object]] = {
        "snapcore": lambda: snapcore_reads(text),
        "udmp-parser": lambda: udmp_reads(text),
        "minidump": lambda: minidump_reads(text),
    }
    counts = snapcore_reads(text)
    times = milliseconds(calls, runs)
    ours = times["snapcore"]
    others = ("udmp-parser", "minidump")
    cells = [
        f"{ours:.3f} ms",
        *(f"{times[o]:.3f} ms ({times[o] / ours:.1f})" for o in others),
    ]
    threads, modules, ranges, regions = counts
    print(
        f"| {name}: {threads} threads, {modules} modules, {ranges} ranges, {regions} regions, "
        f"{path.stat().st_size / 2**20:.1f} MiB | {' | '.join(cells)} |",
        flush=True,
    )


def handle_table(path: Path, runs: int) -> None:
    """Print how long a hundred thousand handles take."""

    def columns() -> int:
        with snapcore.open(path) as file:
            handles = file.handles()
            for column in handles.columns:
                handles[column]
            return len(handles)

    def names() -> int:
        with snapcore.open(path) as file:
            return len(file.handles()["object_name"].categories)

    times = milliseconds({"columns": columns, "names": names}, {"columns": runs, "names": runs})
    print(
        f"\n{columns()} handles ({names()} names) into columns: {times['columns']:.1f} ms; "
        f"with every name as a str: {times['names']:.1f} ms"
    )


def pages_read(path: Path) -> int:
    """Bytes that opening and all four tables read from the file."""

    def read_bytes() -> int:
        facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(facts["rchar"])

    before = read_bytes()
    snapcore_reads(str(path))
    return read_bytes() - before - len(Path("/proc/self/io").read_text())


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    runs = {
        "snapcore": 20 * options.runs,
        "udmp-parser": 20 * options.runs,
        "minidump": options.runs,
    }
    print("| file | snapcore | udmp-parser (its time / ours) | minidump (its time / ours) |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        compare("(a) small", real_dump(folder / "small.dmp", "30", "rich"), runs)
        compare("(a) smallest", real_dump(folder / "smallest.dmp", "8"), runs)
        crowd = dump_builder.crowd().write(folder / "crowd.dmp")
        few = {"snapcore": options.runs, "udmp-parser": options.runs, "minidump": 2}
        compare("(b) crowd", crowd, few)
        large = large_dump(folder)
        compare("(c) large", large, runs)
        handle_table(crowd, options.runs)
        size = large.stat().st_size
        print(f"\nbytes read of (c): {pages_read(large)} of {size}")
        assert np.all(snapcore.open(large).memory_ranges()["size"] > 0)


if __name__ == "__main__":
    main()
