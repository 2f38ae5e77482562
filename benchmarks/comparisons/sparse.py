# SPDX-License-Identifier: Apache-2.0
"""Dumps of processes that have touched little of what they reserved: time, and space on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import snapcore
from benchmarks import peers, targets
from benchmarks.comparisons import FULL
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import clean, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.timing import Run

DUMP, PWRITE, GCORE = "dump()", "pwrite of what was touched", "gcore"


def on_disk(path: Path) -> int:
    """Bytes that a file occupies."""
    return path.stat().st_blocks * 512


def measure(run: Run) -> Iterator[Case]:
    """64 GiB, which gcore would write in full, and what it writes in a tolerable time."""
    folder = run.empty_folder()
    path = folder / "sparse.dmp"
    for reserved, mib in ((1, 20),) if run.quick else ((2, 100), (64, 100)):
        with targets.memory(mib, reserved_gib=reserved) as target:
            sizes: dict[str, int] = {}

            def dump(pid: int = target.pid, sizes: dict[str, int] = sizes) -> None:
                snapcore.dump(pid, path, FULL, max_pause=30)
                sizes[DUMP] = on_disk(path)

            def write(target: targets.Target = target, sizes: dict[str, int] = sizes) -> float:
                seconds = target.ask(f"write {path}") / 1e9
                sizes[PWRITE] = on_disk(path)
                return seconds

            def gcore(pid: int = target.pid, sizes: dict[str, int] = sizes) -> None:
                sizes[GCORE] = on_disk(peers.gcore(pid, folder))

            calls: dict[str, Callable[[], object]] = {DUMP: dump, PWRITE: write}
            if reserved < 64:
                calls[GCORE] = gcore
            samples = take_turns(
                calls,
                run.rounds(7),
                again=DUMP,
                limits={GCORE: run.rounds(3, 1)},
                prepare=lambda: clean(folder),
            )
            clean(folder)
        yield Case(f"{reserved} GiB reserved, {mib} MiB touched", samples, sizes)


COMPARISON = Comparison(
    name="sparse",
    title="A process that has touched little of what it reserved",
    subject=DUMP,
    against={PWRITE: "floor", GCORE: "peer"},
    ratios=(
        Ratio(over=DUMP, under=PWRITE, at_most=1.5),
        Ratio(over=GCORE, under=DUMP),
    ),
    measure=measure,
    needs=("cc", "gcore"),
)
