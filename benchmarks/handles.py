# SPDX-License-Identifier: Apache-2.0
"""Time of descriptor tables, against psutil's answer to the nearest question in the same run.

Usage: python benchmarks/handles.py [--count 19000] [--runs 9]. Needs psutil and RLIMIT_NOFILE above
the count. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil

import snapcore

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = """
import os, resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept = []
for _ in range(int(sys.argv[2]) // 2):
    match sys.argv[1]:
        case "files":
            kept += open(sys.executable, "rb"), open(os.__file__, "rb")
        case "pipes":
            os.pipe()
        case "sockets":
            kept += socket.socketpair()
print("ready", flush=True)
sys.stdin.read()
"""


def milliseconds(calls: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Medians; the calls take turns, so that what disturbs the machine disturbs all."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=19000)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    print("| descriptors | without details | with | with `peers=True` | psutil | psutil / with |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in ("files", "pipes", "sockets"):
        with subprocess.Popen(
            [sys.executable, "-c", TARGET, kind, str(options.count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as target:
            assert target.stdout is not None
            assert target.stdout.readline()
            pid = target.pid
            process = psutil.Process(pid)
            calls: dict[str, Callable[[], object]] = {
                "bare": lambda pid=pid: snapcore.handles(pid, details=False),
                "details": lambda pid=pid: snapcore.handles(pid),
                "peers": lambda pid=pid: snapcore.handles(pid, peers=True),
            }
            if kind == "files":
                calls["psutil"] = process.open_files
            if kind == "sockets":
                calls["psutil"] = lambda process=process: process.net_connections("all")
            rows = len(snapcore.handles(pid))
            took = milliseconds(calls, options.runs)
            theirs = took.get("psutil")
            print(
                f"| {rows:,} {kind} | {took['bare']:.0f} ms | {took['details']:.0f} ms"
                f" | {took['peers']:.0f} ms | "
                + (f"{theirs:.0f} ms | {theirs / took['details']:.1f} |" if theirs else "none | |")
            )
            target.kill()


if __name__ == "__main__":
    main()
