# SPDX-License-Identifier: Apache-2.0
"""Where the time of a capture goes: `Snapshot.performance()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import snapcore
from benchmarks import targets
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import take_turns
from snapcore import CaptureFlags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.timing import Run

# In their order. Each is of one way or of both: a clone is made, or all that is asked for is read in the stop.
PHASES = {
    "stop": "all threads are told to stop, and have",
    "registers": "their registers are read",
    "memory": "without a clone: stacks and other parts are copied",
    "maps": "without a clone: the list of mappings is read",
    "prepare": "a thread is made ready for the call that clones",
    "clone": "the kernel copies the page tables",
    "release": "the threads are let go",
}
PAUSE, WHOLE = "pause", "capture()"


def measure(run: Run) -> Iterator[Case]:
    """A clone of small and huge pages, of many threads, and a capture that needs none."""
    clone = CaptureFlags.DEFAULT
    stacks = CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT
    cases = [
        (256, False, 5, clone),
        (1024, False, 5, clone),
        (1024, True, 5, clone),
        (64, False, 1000, clone),
        (1024, False, 5, stacks),
    ]
    for mib, huge, threads, flags in cases[:1] if run.quick else cases:
        with targets.memory(mib, threads=threads, huge=huge) as target:

            def capture(pid: int = target.pid, flags: CaptureFlags = flags) -> dict[str, float]:
                with snapcore.capture(pid, flags, max_pause=30) as snap:
                    took = snap.performance()
                    pause = snap.pause_ns
                parts = {name: took[name] / 1e9 for name in PHASES if name in took}
                whole = took["tracer"] + took["tables"]
                return {PAUSE: pause / 1e9, **parts, WHOLE: whole / 1e9}

            samples = take_turns({PAUSE: capture}, run.rounds(15), again=PAUSE)
        pages = "huge pages" if huge else "4 KiB pages"
        how = "clone" if flags == clone else "threads alone, no clone"
        name = f"{targets.size(mib)}, {pages}, {targets.count(threads, 'thread')}, {how}"
        # The phases of the second turn say nothing that those of the first do not.
        kept = {name for name in samples if name in (*PHASES, WHOLE) or name.startswith(PAUSE)}
        yield Case(name, {series: samples[series] for series in samples if series in kept})


COMPARISON = Comparison(
    name="phases",
    title="Where the microseconds of a capture go",
    subject=PAUSE,
    against=dict.fromkeys((*PHASES, WHOLE), "part"),
    ratios=tuple(Ratio(over=name, under=PAUSE) for name in (*PHASES, WHOLE)),
    measure=measure,
    needs=("cc",),
)
