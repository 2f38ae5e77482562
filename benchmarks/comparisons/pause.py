# SPDX-License-Identifier: Apache-2.0
"""How long a full dump stops its target, beside the target's own fork()."""

from __future__ import annotations

from typing import TYPE_CHECKING

import snapcore
from benchmarks import targets
from benchmarks.comparisons import FULL
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import clean, take_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.timing import Run

PAUSE, FORK = "pause", "fork()"
# A thread must be stopped, read and let go, which fork() does for none but its own.
MORE_THAN_FORK, ONCE, A_THREAD = 1.3, 200e-6, 40e-6
ALLOWED = "allowance"


def measure(run: Run) -> Iterator[Case]:
    """By size, pages and threads; 4 GiB with one thread alone."""
    cases = [
        (mib, huge, n) for mib in (256, 1024) for huge in (False, True) for n in (1, 100, 1000)
    ]
    cases += [(4096, False, 1), (4096, True, 1)]
    if run.quick:
        cases = [(64, False, 1), (64, False, 100)]
    # In memory, since what the disk does to the dump is no matter here.
    with run.shared_folder() as folder:
        for mib, huge, threads in cases:
            with targets.memory(mib, threads=threads, huge=huge) as target:

                def pause(pid: int = target.pid) -> dict[str, float]:
                    path = folder / "pause.dmp"
                    return {PAUSE: snapcore.dump(pid, path, FULL, max_pause=30).pause_ns / 1e9}

                def fork(
                    target: targets.Target = target, threads: int = threads
                ) -> dict[str, float]:
                    seconds = target.ask("fork") / 1e9
                    return {
                        FORK: seconds,
                        ALLOWED: MORE_THAN_FORK * seconds + ONCE + A_THREAD * threads,
                    }

                samples = take_turns(
                    {PAUSE: pause, FORK: fork},
                    run.rounds(5 if mib == 4096 else 9),
                    again=PAUSE,
                    prepare=lambda: clean(folder),
                )
            pages = "huge pages" if huge else "4 KiB pages"
            yield Case(f"{targets.size(mib)}, {pages}, {targets.count(threads, 'thread')}", samples)


COMPARISON = Comparison(
    name="pause",
    title="Pause of a full dump, against the target's own fork()",
    subject=PAUSE,
    against={FORK: "floor", ALLOWED: "floor"},
    ratios=(Ratio(over=PAUSE, under=FORK), Ratio(over=PAUSE, under=ALLOWED, at_most=1)),
    measure=measure,
    needs=("cc",),
)
