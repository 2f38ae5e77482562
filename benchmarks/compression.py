# SPDX-License-Identifier: Apache-2.0
"""Compressed dumps against a plain dump, zstd -T0 of its file, and gcore with zstd -T0, in the same run.

Usage: python benchmarks/compression.py [--mib 1024] [--runs 3] [--folder DIR]. Needs gdb's gcore, zstd and
the extra snapcore[zstd]. The target holds a quarter each of log lines, of structures with pointers and
counters, of pages that are zero but for a few words, and of bytes that do not compress. Prints a
Markdown table; the first run of each way is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import snapcore
from snapcore import MiniDumpType as T

if TYPE_CHECKING:
    from collections.abc import Callable

FULL = T.WITH_FULL_MEMORY | T.WITH_FULL_MEMORY_INFO | T.WITH_THREAD_INFO
TARGET = """
import sys, time
import numpy as np
size = int(sys.argv[1]) << 18
rng = np.random.default_rng(1)
lines = b"".join(
    b"2026-01-%02d 12:%02d:%02d GET /items/%d HTTP/1.1 200 %d bytes in %d us\\n"
    % (d % 28 + 1, m % 60, s % 60, i, n, u)
    for d, m, s, i, n, u in rng.integers(0, 10**6, (200_000, 6)).tolist()
)
logs = bytearray((lines * (size // len(lines) + 1))[:size])
# A block that repeats is found by a compressor with a large window alone: each copy gets words of its own.
words = np.frombuffer(logs, np.uint32)[: size // 4 // 16 * 16].reshape(-1, 16)
words[:, 3] ^= rng.integers(0, 1 << 16, len(words)).astype(np.uint32)
structures = np.empty(size // 32, [("next", "u8"), ("count", "u4"), ("kind", "u4"), ("data", "u8", 2)])
structures["next"] = 0x7F1200000000 + rng.integers(0, 1 << 22, len(structures)) * 32
structures["count"] = rng.integers(0, 1000, len(structures))
structures["kind"] = rng.integers(0, 8, len(structures))
structures["data"] = 0x55AA00000000 + rng.integers(0, 1 << 26, (len(structures), 2)) * 16
sparse = np.zeros((size // 4096, 512), np.uint64)
sparse[:, :3] = rng.integers(0, 1 << 40, (len(sparse), 3))
noise = rng.bytes(size)
del lines, words
print("ready", flush=True)
time.sleep(3600)
"""


def compress(source: Path, target: Path) -> None:
    """Run the command zstd with all processors."""
    subprocess.run(["zstd", "-T0", "-q", "-f", source, "-o", target], check=True)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    target = subprocess.Popen(
        [sys.executable, "-c", TARGET, str(arguments.mib)], stdout=subprocess.PIPE
    )
    assert target.stdout is not None
    target.stdout.readline()
    pid = target.pid
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        plain, packed, core = folder / "a.dmp", folder / "a.dmp.zst", folder / "core"

        def dump(path: Path = packed, **how: object) -> float:
            result = snapcore.dump(pid, path, FULL, overwrite=True, max_pause=30, **how)  # type: ignore[arg-type]
            return result.pause_ns / 1e6

        def dump_then_zstd() -> float:
            pause = dump(plain)
            compress(plain, packed)
            return pause

        def pipe() -> float:
            with subprocess.Popen(
                ["zstd", "-T0", "-q", "-f", "-o", packed], stdin=subprocess.PIPE
            ) as process:
                result = snapcore.dump(pid, process.stdin, FULL, max_pause=30)
            assert process.returncode == 0
            return result.pause_ns / 1e6

        def gcore() -> float | None:
            subprocess.run(
                ["gcore", "-o", core, str(pid)],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            compress(Path(f"{core}.{pid}"), packed)
            return None

        ways: list[tuple[str, Callable[[], float | None], Path]] = [
            ("plain dump", lambda: dump(plain), plain),
            *(
                (
                    f'`compression="zstd", level={n}`',
                    lambda n=n: dump(compression="zstd", level=n),
                    packed,
                )
                for n in (1, 3, 9)
            ),
            ("plain dump, then `zstd -T0`", dump_then_zstd, packed),
            ("dump into a pipe to `zstd -T0`", pipe, packed),
            ("gcore, then `zstd -T0`", gcore, packed),
        ]
        print(f"{arguments.mib} MiB, {os.cpu_count()} processors, medians of {arguments.runs}\n")
        print("| way | seconds | size | of the plain dump | pause |")
        print("| --- | --- | --- | --- | --- |")
        whole = 0
        for title, way, path in ways:
            seconds: list[float] = []
            pauses: list[float] = []
            for run in range(arguments.runs + 1):
                for old in folder.iterdir():
                    old.unlink()
                os.sync()
                started = time.perf_counter()
                pause = way()
                took = time.perf_counter() - started
                if run:
                    seconds.append(took)
                    pauses.append(pause or 0)
            size = path.stat().st_size
            whole = whole or size
            # gdb does not tell: the target stands still for most of gcore's part.
            stood = f"{statistics.median(pauses):.1f} ms" if pause is not None else "-"
            print(
                f"| {title} | {statistics.median(seconds):.2f} | {size / 2**20:.0f} MiB "
                f"| {size / whole:.3f} | {stood} |",
                flush=True,
            )
    target.kill()
    target.communicate()


if __name__ == "__main__":
    main()
