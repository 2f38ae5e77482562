# SPDX-License-Identifier: Apache-2.0
"""Dumps of all memory: time and pause against gcore and LLDB, and time against writing the bytes alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import snapcore
from benchmarks import peers, targets
from benchmarks.comparisons import FULL
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import clean, seconds_of, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.timing import Run

DUMP, COMMAND, GCORE, LLDB = "dump()", "snapcore dump", "gcore", "lldb save-core"
PWRITE = "pwrite of its own"
PAUSES = {name: f"pause by {name}" for name in (DUMP, GCORE, LLDB)}
ROUNDS = {256: 7, 1024: 5, 4096: 3}
# It takes 27 s a GiB.
LLDB_ROUNDS = {256: 2, 1024: 1, 4096: 0}


def calls_of(target: targets.Target, folder: Path) -> dict[str, Callable[[], object]]:
    """Everyone who writes this target's memory into that folder."""
    pid, path = target.pid, folder / "full.dmp"

    def seen(name: str, call: Callable[[], object]) -> Callable[[], object]:
        """Time as seen from outside, and the pause as the target's own clock sees it."""

        def measured() -> dict[str, float]:
            target.ask("watch")
            took = seconds_of(call, name)
            return took | {PAUSES[name]: target.ask("gap") / 1e9}

        return measured

    command = (sys.executable, "-m", "snapcore", "dump", "-q", "-o", path, pid)
    return {
        DUMP: seen(DUMP, lambda: snapcore.dump(pid, path, FULL, max_pause=30)),
        COMMAND: lambda: peers.quiet(*command),
        PWRITE: lambda: target.ask(f"write {path}") / 1e9,
        GCORE: seen(GCORE, lambda: peers.gcore(pid, folder)),
        LLDB: seen(LLDB, lambda: peers.lldb(pid, path)),
    }


def measure(run: Run) -> Iterator[Case]:
    """By size, to the disk and to memory."""
    disk = run.empty_folder()
    with run.shared_folder() as shared:
        for mib in (64,) if run.quick else ROUNDS:
            with targets.memory(mib, threads=5) as target:
                for where, folder in ((run.file_system(), disk), ("/dev/shm", shared)):
                    calls = calls_of(target, folder)
                    slow = 0 if folder is shared else run.rounds(LLDB_ROUNDS.get(mib, 0), 1)
                    samples = take_turns(
                        calls,
                        run.rounds(ROUNDS.get(mib, 0)),
                        again=DUMP,
                        limits={LLDB: slow},
                        prepare=lambda folder=folder: clean(folder),
                    )
                    clean(folder)
                    yield Case(f"{targets.size(mib)} to {where}", samples)


COMPARISON = Comparison(
    name="full_dump",
    title="Dumps of all memory",
    subject=DUMP,
    against={
        COMMAND: "variant",
        PWRITE: "floor",
        GCORE: "peer",
        LLDB: "peer",
        PAUSES[DUMP]: "part",
        PAUSES[GCORE]: "peer",
        PAUSES[LLDB]: "peer",
    },
    ratios=(
        Ratio(over=DUMP, under=PWRITE, at_most=1.5),
        Ratio(over=GCORE, under=DUMP, at_least=5, cases="256 MiB*"),
        Ratio(over=GCORE, under=DUMP, at_least=3, cases="1 GiB*"),
        Ratio(over=GCORE, under=DUMP),
        Ratio(over=GCORE, under=COMMAND),
        Ratio(over=GCORE, under=PWRITE),
        Ratio(over=LLDB, under=DUMP),
        Ratio(over=PAUSES[GCORE], under=PAUSES[DUMP]),
        Ratio(over=PAUSES[LLDB], under=PAUSES[DUMP]),
    ),
    measure=measure,
    needs=("cc", "gcore", "lldb-19"),
)
