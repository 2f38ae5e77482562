# SPDX-License-Identifier: Apache-2.0
"""Pause and time of dumps as ratios: of the target's own fork() and of gcore, measured in the same run.

Usage: python benchmarks/run.py [--sizes 256,1024,4096] [--runs 5] [--folder DIR]. Needs the target
programs (SNAPCORE_TEST_PROGRAMS, or build/tests/targets) and gdb's gcore. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import snapcore
from snapcore import MiniDumpType as T

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(os.environ.get("SNAPCORE_TEST_PROGRAMS", ROOT / "build" / "tests" / "targets"))
FULL = T.WITH_FULL_MEMORY | T.WITH_FULL_MEMORY_INFO | T.WITH_THREAD_INFO


class Target:
    """The memory target with a number of threads."""

    def __init__(self, mib: int, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAMS / "memory_target", str(mib), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid
        self.threads = 3 + sum(int(a[8:]) for a in arguments if a.startswith("threads="))
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and read its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def target(mib: int, *arguments: str):
    """Run a target for a block."""
    running = Target(mib, *arguments)
    try:
        yield running
    finally:
        running.end()


def middle(values: list[float]) -> float:
    """Median."""
    return statistics.median(values)


def pauses(sizes: list[int], runs: int, folder: Path) -> None:
    """Full dumps: the pause against the target's own fork()."""
    print("\n### Pause of a full dump against the target's own fork(), medians\n")
    print("| target | pages | threads | fork() | pause | pause / fork() | aim | met |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for mib in sizes:
        for pages in ("4 KiB", "huge"):
            arguments = ["threads=5"] + (["huge"] if pages == "huge" else [])
            with target(mib, *arguments) as t:
                forks, stood = [], []
                for _ in range(runs):
                    forks.append(t.ask("fork")["fork_ns"] / 1e6)
                    result = snapcore.dump(
                        t.pid, folder / "p.dmp", FULL, overwrite=True, max_pause=30
                    )
                    stood.append(result.pause_ns / 1e6)
                (folder / "p.dmp").unlink()
                fork, pause = middle(forks), middle(stood)
                aim = 1.3 * fork + 0.2 + 0.04 * t.threads
                print(
                    f"| {mib} MiB | {pages} | {t.threads} | {fork:.2f} ms | {pause:.2f} ms | {pause / fork:.2f} "
                    f"| {aim:.2f} ms | {'yes' if pause <= aim else 'no'} |",
                    flush=True,
                )


def stacks(sizes: list[int], runs: int, folder: Path) -> None:
    """Stacks-only dumps: the size of the process does not matter."""
    print("\n### Stacks-only dump, medians\n")
    print("| target | threads | pause | whole call |")
    print("| --- | --- | --- | --- |")
    for mib, extra in [(size, 5) for size in sizes] + [(64, 1000)]:
        with target(mib, f"threads={extra}") as t:
            results = [
                snapcore.dump(t.pid, folder / "s.dmp", T.NORMAL, overwrite=True)
                for _ in range(runs * 2)
            ]
            print(
                f"| {mib} MiB | {t.threads} | {middle([r.pause_ns for r in results]) / 1e6:.2f} ms "
                f"| {middle([r.elapsed_ns for r in results]) / 1e6:.1f} ms |",
                flush=True,
            )


def crowds(runs: int, folder: Path) -> None:
    """Many threads, many mappings: the pause of a full and of a stacks-only dump against fork()."""
    print("\n### 64 MiB with many threads or mappings, medians\n")
    print(
        "| threads | mappings | fork() | pause, full | pause / fork() | whole call | pause, stacks | whole call |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for threads, mappings in ((0, 0), (1000, 0), (0, 60_000)):
        with target(64, f"threads={threads}", f"mappings={mappings}") as t:
            forks, full, small = [], [], []
            for _ in range(runs):
                forks.append(t.ask("fork")["fork_ns"])
                full.append(
                    snapcore.dump(t.pid, folder / "c.dmp", FULL, overwrite=True, max_pause=30)
                )
                small.append(snapcore.dump(t.pid, folder / "c.dmp", overwrite=True))
            fork, pause = middle(forks) / 1e6, middle([r.pause_ns for r in full]) / 1e6
            print(
                f"| {t.threads} | {mappings:,} | {fork:.2f} ms | {pause:.2f} ms | {pause / fork:.2f} "
                f"| {middle([r.elapsed_ns for r in full]) / 1e6:.0f} ms "
                f"| {middle([r.pause_ns for r in small]) / 1e6:.2f} ms "
                f"| {middle([r.elapsed_ns for r in small]) / 1e6:.0f} ms |",
                flush=True,
            )


def against_gcore(sizes: list[int], runs: int, folder: Path) -> None:
    """Full dumps: whole time and pause against gcore, in turn."""
    print(f"\n### Full dump against gcore, medians, to {folder_kind(folder)}\n")
    print(
        "| target | snapcore | gcore | floor | gcore / snapcore | gcore / floor | snapcore / floor "
        "| pause | gcore's pause | ratio |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for mib in sizes:
        with target(mib, "threads=5") as t:
            ours, theirs, floors, our_pause, their_pause = [], [], [], [], []
            for _ in range(runs):
                result = snapcore.dump(t.pid, folder / "g.dmp", FULL, overwrite=True, max_pause=30)
                our_pause.append(result.pause_ns / 1e6)
                ours.append(result.elapsed_ns / 1e9)
                (folder / "g.dmp").unlink()
                theirs.append(gcore(t.pid, folder))
                floors.append(own_pwrite(mib, folder))
            # A thread that spins to measure the pause would take a processor from whichever tool lets the target run.
            for _ in range(runs):
                t.ask("measure")
                gcore(t.pid, folder)
                their_pause.append(t.ask("gap")["gap_ns"] / 1e6)
            print(
                f"| {mib} MiB | {middle(ours):.2f} s | {middle(theirs):.2f} s | {middle(floors):.2f} s "
                f"| {middle(theirs) / middle(ours):.1f} | {middle(theirs) / middle(floors):.1f} "
                f"| {middle(ours) / middle(floors):.1f} "
                f"| {middle(our_pause):.1f} ms | {middle(their_pause):.0f} ms "
                f"| {middle(their_pause) / middle(our_pause):.0f} |",
                flush=True,
            )


def own_pwrite(mib: int, folder: Path) -> float:
    """Seconds that writing as much of one's own memory takes: no dump can end sooner by copying."""
    piece = os.urandom(4096) * 256
    start = time.monotonic()
    with (folder / "floor").open("wb", buffering=0) as file:
        for _ in range(mib):
            file.write(piece)
    elapsed = time.monotonic() - start
    (folder / "floor").unlink()
    return elapsed


def gcore(pid: int, folder: Path) -> float:
    """Seconds that gcore takes."""
    start = time.monotonic()
    subprocess.run(
        ["gcore", "-o", folder / "core", str(pid)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    elapsed = time.monotonic() - start
    (folder / f"core.{pid}").unlink()
    return elapsed


def folder_kind(folder: Path) -> str:
    """Type of the file system that a folder lies on."""
    done = subprocess.run(
        ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="256,1024,4096", help="MiB, separated by commas")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--folder", help="where the files are written (default: the temporary folder)"
    )
    parser.add_argument(
        "--only", choices=("pause", "stacks", "crowds", "gcore"), help="one table alone"
    )
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    print(f"{os.cpu_count()} processors, Linux {platform.release()}, {arguments.runs} runs each")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        tables = {"pause": pauses, "stacks": stacks, "gcore": against_gcore}
        for name, table in tables.items():
            if arguments.only in (None, name):
                table(sizes, arguments.runs, folder)
        if arguments.only in (None, "crowds"):
            crowds(arguments.runs, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
