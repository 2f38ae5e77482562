# SPDX-License-Identifier: Apache-2.0
"""Rounds in which everything that is compared has its turn, so that what disturbs the machine disturbs all."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Samples = dict[str, list[float | None]]
AGAIN = " (again)"


@dataclass(frozen=True, slots=True)
class Run:
    """Where and how thoroughly to measure.

    Attributes
    ----------
    quick : bool
        Small targets and few rounds: does it work at all.
    folder : Path
        On the disk that is measured, empty, for everyone's files.
    """

    quick: bool
    folder: Path

    def empty_folder(self) -> Path:
        """One more on that disk."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def file_system(self) -> str:
        """Type of the file system there."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        folder = self.folder.resolve()
        around = [mount for mount in mounts if folder.is_relative_to(mount[1])]
        return max(around, key=lambda mount: len(mount[1]))[2]

    @staticmethod
    @contextlib.contextmanager
    def shared_folder() -> Iterator[Path]:
        """An empty folder in memory."""
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="snapcore-") as name:
            yield Path(name)

    def rounds(self, full: int, quick: int = 2) -> int:
        """As many as this run has time for."""
        return quick if self.quick else full


def seconds_of(call: Callable[[], object], series: str) -> dict[str, float]:
    """One turn."""
    start = time.perf_counter()
    said = call()
    elapsed = time.perf_counter() - start
    if isinstance(said, dict):
        return said
    return {series: said if isinstance(said, float) else elapsed}


def repeated(call: Callable[[], object], times: int) -> Callable[[], float]:
    """A turn of several calls, where one is over too soon for the clock; it gives their mean."""

    def turn() -> float:
        start = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - start) / times

    return turn


def take_turns(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    again: str | None = None,
    limits: Mapping[str, int] | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> Samples:
    """Measure.

    Parameters
    ----------
    calls
        By series. One that returns a float has measured itself, one that returns a dict is several series.
    rounds
        How many are counted; one before them warms up caches.
    again
        The call that has a second turn in each round; its series get `AGAIN` as a suffix.
    limits
        Fewer rounds for calls that take long, which are not warmed up.
    prepare
        Called before each turn, outside the measured time.
    """
    limits = limits or {}
    turns: list[tuple[str, str]] = [(name, "") for name in calls]
    if again is not None:
        turns.insert(len(turns) // 2 + 1, (again, AGAIN))
    samples: Samples = {}
    for number in range(-1, rounds):
        # Nobody is always the one who comes after the same neighbour at the same place.
        first = number % len(turns)
        for name, suffix in turns[first:] + turns[:first]:
            if name in limits and not 0 <= number < limits[name]:
                continue
            prepare()
            gc.collect()
            for series, seconds in seconds_of(calls[name], name).items():
                if number >= 0:
                    row = samples.setdefault(series + suffix, [None] * rounds)
                    row[number] = round(seconds, 9)
    order = [name for name in calls if name in samples]
    return {name: samples[name] for name in order + [s for s in samples if s not in order]}


def clean(folder: Path) -> None:
    """Remove the files of the turn before, and wait until the disk has nothing left to do for them."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    os.sync()
