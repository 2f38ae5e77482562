# SPDX-License-Identifier: Apache-2.0
"""The later dumps of a watch, which hold what has changed, beside whole ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import snapcore
from benchmarks import targets
from benchmarks.comparisons import FULL
from benchmarks.model import Case, Comparison, NotRun, Ratio
from benchmarks.timing import take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.timing import Run

LATER, CONTENT, WHOLE = "later dump", "by content alone", "whole dump"
MANY = 1_000_000
CHANGED = {"1 %": 100, "10 %": 10}


def measure(run: Run) -> Iterator[Case]:
    """By how much has changed since the base."""
    mib = 64 if run.quick else 1024
    for share, every in CHANGED.items():
        with targets.memory(mib, threads=5) as target:
            sizes: dict[str, int] = {}

            def watch(name: str, pid: int = target.pid, **options: int) -> snapcore.Watch:
                folder = run.empty_folder() / name.replace(" ", "-")
                return snapcore.watch(
                    pid,
                    folder,
                    every=1e-3,
                    keep=1,
                    flags=FULL,
                    rebase=MANY,
                    max_pause=30,
                    **options,
                )

            def turn(
                watched: snapcore.Watch,
                series: str,
                target: targets.Target = target,
                every: int = every,
                sizes: dict[str, int] = sizes,
            ) -> Callable[[], float]:
                def measured() -> float:
                    target.ask(f"change {every}")
                    result = next(watched)
                    if result.base is None:
                        message = "a dump came out whole"
                        raise NotRun(message)
                    sizes[series] = Path(result.path).stat().st_blocks * 512
                    return result.elapsed_ns / 1e9

                return measured

            def whole(target: targets.Target = target, sizes: dict[str, int] = sizes) -> float:
                path = run.folder / "whole.dmp"
                result = snapcore.dump(target.pid, path, FULL, max_pause=30, overwrite=True)
                sizes[WHOLE] = path.stat().st_blocks * 512
                path.unlink()
                return result.elapsed_ns / 1e9

            with watch("frames") as by_frames, watch("content", max_held=0) as by_content:
                for base in (by_frames, by_content):
                    next(base)
                samples = take_turns(
                    {
                        LATER: turn(by_frames, LATER),
                        CONTENT: turn(by_content, CONTENT),
                        WHOLE: whole,
                    },
                    run.rounds(7),
                    again=LATER,
                    prepare=os.sync,
                )
        yield Case(f"{targets.size(mib)}, {share} changed", samples, sizes)


COMPARISON = Comparison(
    name="later_dumps",
    title="Dumps again and again",
    subject=LATER,
    against={CONTENT: "variant", WHOLE: "variant"},
    ratios=(Ratio(over=WHOLE, under=LATER), Ratio(over=WHOLE, under=CONTENT)),
    measure=measure,
    needs=("cc",),
)
