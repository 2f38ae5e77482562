# SPDX-License-Identifier: Apache-2.0
"""Tables of descriptors, against the same system calls in a C loop, psutil and lsof."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import psutil

import snapcore
from benchmarks import targets
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import take_turns
from snapcore import CaptureFlags
from snapcore.capturing import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.timing import Run

HANDLES, LOOP, GETDENTS = "handles()", "C loop", "C getdents64"
PEERS, PSUTIL, LSOF = "peers=True", "psutil", "lsof"
NUMBERS = CaptureFlags.HANDLES
NAMES = CaptureFlags.HANDLES | CaptureFlags.HANDLE_NAME_INFORMATION


def loop(pid: int, level: int) -> float:
    """Seconds that the C loop takes, without the start of its process."""
    command = [targets.compiled("descriptor_loop"), str(pid), str(level)]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(said.stdout.split()[0]) / 1e9


def lsof(*arguments: object) -> None:
    """List open files; that it cannot see some of them is no failure here."""
    subprocess.run(
        ["lsof", "-nP", *map(str, arguments)],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def looked(pid: int, flags: CaptureFlags) -> None:
    """The table with less in it than `handles()` has."""
    with look(pid, flags) as view:
        view.handles()


def measure_mixed(run: Run, count: int) -> Iterator[Case]:
    """One process with descriptors of all kinds: ever more is asked about each."""
    with targets.python("descriptors_target", "mixed", count) as target:
        pid, process = target.pid, psutil.Process(target.pid)
        rows = f"{len(snapcore.handles(pid)):,} mixed"
        asked: dict[str, dict[str, Callable[[], object]]] = {
            "numbers alone": {
                HANDLES: lambda: looked(pid, NUMBERS),
                LOOP: lambda: loop(pid, 0),
            },
            "and names": {HANDLES: lambda: looked(pid, NAMES), LOOP: lambda: loop(pid, 1)},
            "and types, access": {
                HANDLES: lambda: snapcore.handles(pid, details=False),
                LOOP: lambda: loop(pid, 2),
            },
            "all": {
                HANDLES: lambda: snapcore.handles(pid),
                LOOP: lambda: loop(pid, 3),
                GETDENTS: lambda: loop(pid, 0),
                PEERS: lambda: snapcore.handles(pid, peers=True),
                PSUTIL: lambda: (process.open_files(), process.net_connections("all")),
                LSOF: lambda: lsof("-p", pid),
            },
        }
        for what, calls in asked.items():
            yield Case(f"{rows}, {what}", take_turns(calls, run.rounds(11), again=HANDLES))


def measure_kind(run: Run, kind: str, count: int) -> Case:
    """One process with descriptors of one kind."""
    with targets.python("descriptors_target", kind, count) as target:
        pid, process = target.pid, psutil.Process(target.pid)
        calls: dict[str, Callable[[], object]] = {
            HANDLES: lambda: snapcore.handles(pid),
            LOOP: lambda: loop(pid, 3),
            PEERS: lambda: snapcore.handles(pid, peers=True),
            LSOF: lambda: lsof("-p", pid),
        }
        # Each of psutil's calls tells of one kind alone.
        if kind == "files":
            calls[PSUTIL] = process.open_files
        if kind == "sockets":
            calls[PSUTIL] = lambda: process.net_connections("all")
        rows = len(snapcore.handles(pid))
        return Case(f"{rows:,} {kind}", take_turns(calls, run.rounds(9), again=HANDLES))


def measure(run: Run) -> Iterator[Case]:
    """A mixture, one kind at a time, and every process of the machine."""
    count = 500 if run.quick else 20_000
    yield from measure_mixed(run, count)
    for kind in ("files", "pipes", "sockets"):
        yield measure_kind(run, kind, count)
    with targets.python("descriptors_target", "mixed", min(count, 2000)):
        calls = {HANDLES: snapcore.system_handles, LSOF: lsof}
        samples = take_turns(calls, run.rounds(9), again=HANDLES)
        rows = len(snapcore.system_handles())
    yield Case(f"{rows:,} of every process, system_handles()", samples)


COMPARISON = Comparison(
    name="descriptors",
    title="Tables of descriptors",
    subject=HANDLES,
    against={LOOP: "floor", GETDENTS: "floor", PEERS: "variant", PSUTIL: "peer", LSOF: "peer"},
    ratios=(
        Ratio(over=HANDLES, under=LOOP, at_most=1.25, cases="*, all"),
        Ratio(over=HANDLES, under=LOOP),
        Ratio(over=HANDLES, under=GETDENTS),
        Ratio(over=PSUTIL, under=HANDLES, at_least=3, cases="*mixed*"),
        Ratio(over=LSOF, under=HANDLES, at_least=6, cases="*mixed*"),
        Ratio(over=PSUTIL, under=HANDLES),
        Ratio(over=LSOF, under=HANDLES),
        Ratio(over=LSOF, under=LOOP, cases="*, all"),
        Ratio(over=PEERS, under=HANDLES),
    ),
    measure=measure,
    needs=("cc", "lsof"),
)
