# SPDX-License-Identifier: Apache-2.0
"""Dumps of stacks alone: pause and whole time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import snapcore
from benchmarks import peers, targets
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import clean, take_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.timing import Run

DUMP, PAUSE, FORK, LLDB = "dump()", "its pause", "fork()", "lldb --style=stack"


def measure(run: Run) -> Iterator[Case]:
    """By size and threads."""
    cases = [(64, 5)] if run.quick else [(256, 5), (1024, 5), (4096, 5), (64, 1000)]
    folder = run.empty_folder()
    path = folder / "stacks.dmp"
    for mib, threads in cases:
        with targets.memory(mib, threads=threads) as target:

            def dump(pid: int = target.pid) -> dict[str, float]:
                result = snapcore.dump(pid, path)
                return {DUMP: result.elapsed_ns / 1e9, PAUSE: result.pause_ns / 1e9}

            samples = take_turns(
                {
                    DUMP: dump,
                    FORK: lambda target=target: target.ask("fork") / 1e9,
                    LLDB: lambda target=target: peers.lldb(target.pid, path, "stack"),
                },
                run.rounds(11),
                again=DUMP,
                limits={LLDB: run.rounds(3, 1)},
                prepare=lambda: clean(folder),
            )
        yield Case(f"{targets.size(mib)}, {targets.count(threads, 'thread')}", samples)


COMPARISON = Comparison(
    name="stacks",
    title="Dumps of stacks alone",
    subject=DUMP,
    against={PAUSE: "part", FORK: "floor", LLDB: "peer"},
    ratios=(
        Ratio(over=PAUSE, under=FORK),
        Ratio(over=LLDB, under=DUMP),
    ),
    measure=measure,
    needs=("cc", "lldb-19"),
)
