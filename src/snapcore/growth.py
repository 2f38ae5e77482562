# SPDX-License-Identifier: Apache-2.0
"""leaks(): samples of a process's handles, and what of them grows."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from snapcore.capturing import HANDLE_DETAILS, look
from snapcore.difference import Difference, diff
from snapcore.errors import ProcessGone
from snapcore.flags import CaptureFlags
from snapcore.logs import logger_of, tell
from snapcore.snapshot import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from snapcore.snapshot import Snapshot
    from snapcore.table import Table

__all__ = ["Growth", "Leaks", "leaks"]

_BARE = HANDLE_DETAILS & ~CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.:-=+*#"
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Growth:
    """How many handles of one group each sample found.

    Attributes
    ----------
    group : str
        What was grouped by: ``"type_name"``, ``"object_name"`` or ``"folder"``.
    value : str
        The type; the name with ``#`` for each number in it; the folder of a file.
    counts : tuple of int
        One a sample.
    per_second : float
        Slope by Theil and Sen: the median of the slopes between all pairs of samples. A peak that
        comes and goes does not move it.
    not_fallen : float
        Share of the steps between samples at which the count did not fall; 1 for what never falls.
    """

    group: str
    value: str
    counts: tuple[int, ...]
    per_second: float
    not_fallen: float

    @property
    def first(self) -> int:
        """Count in the first sample."""
        return self.counts[0]

    @property
    def last(self) -> int:
        """Count in the last sample."""
        return self.counts[-1]

    @property
    def grows(self) -> bool:
        """Whether it looks like a leak: there are more and more, and at most a fifth of the steps fell."""
        return self.per_second > 0 and self.last > self.first and self.not_fallen >= 0.8

    def sparkline(self, width: int = 40, *, ascii_only: bool = False) -> str:
        """The counts as one line of text.

        Parameters
        ----------
        width : int
            Characters at the most; of more samples, evenly chosen ones are shown.
        ascii_only : bool
            Without block characters.

        Returns
        -------
        str
            The lowest count is the lowest character.
        """
        bars = _ASCII_BARS if ascii_only else _BARS
        chosen = np.linspace(0, len(self.counts) - 1, min(width, len(self.counts))).round()
        counts = np.array(self.counts)[chosen.astype(np.intp)]
        height = max(int(counts.max() - counts.min()), 1)
        return "".join(bars[int(c) * (len(bars) - 1) // height] for c in counts - counts.min())


@dataclass(frozen=True, slots=True, eq=False)
class Leaks:
    """What :func:`leaks` found.

    Attributes
    ----------
    pid : int
        The process.
    seconds : ndarray of float64, shape (n,)
        When each sample was taken, since the first.
    totals : ndarray of int64, shape (n,)
        Handles in each sample.
    growth : tuple of Growth
        All groups, what grows fastest first; those that do not grow come last.
    difference : Difference
        Between the first sample and the last: which handles are new, with their details unless the
        process ended.
    diagnostics : tuple of Diagnostic
        ``process_ended``, where it did; what the last sample lacks.
    """

    pid: int
    seconds: NDArray[np.float64] = field(repr=False)
    totals: NDArray[np.int64] = field(repr=False)
    growth: tuple[Growth, ...] = field(repr=False)
    difference: Difference
    diagnostics: tuple[Diagnostic, ...] = ()

    def by(self, group: str) -> tuple[Growth, ...]:
        """One ranking.

        Parameters
        ----------
        group : {"type_name", "object_name", "folder"}
            What was grouped by.

        Returns
        -------
        tuple of Growth
            What grows fastest comes first.
        """
        if group not in _GROUPS:
            message = f"group must be one of {', '.join(_GROUPS)}, not {group!r}"
            raise ValueError(message)
        return tuple(each for each in self.growth if each.group == group)

    def plot(self, width: int = 40, *, ascii_only: bool = False) -> str:
        """What grows, as lines of text; no plotting package is needed.

        Parameters
        ----------
        width : int
            Characters of each curve.
        ascii_only : bool
            Without block characters.

        Returns
        -------
        str
            One line each: curve, first and last count, slope, what it is.
        """
        rows = [each for each in self.growth if each.per_second > 0]
        return "\n".join(
            f"{each.sparkline(width, ascii_only=ascii_only)}  {each.first:,} -> {each.last:,}"
            f"  {each.per_second:+.2f}/s  {each.group} {each.value}"
            for each in rows
        )


def stable_name(name: str) -> str:
    """What names that differ in their numbers have in common."""
    return re.sub(r"0x[0-9a-fA-F]+|\d+", "#", name.removesuffix(" (deleted)"))


def _folder(name: str) -> str | None:
    name = name.removesuffix(" (deleted)")
    cut = max(name.rfind("/"), name.rfind("\\"))
    return name[: cut + 1] if cut >= 0 and name[:1] in "/\\" else None


def _count(table: Table) -> dict[tuple[str, str], int]:
    """Handles of each (group, value)."""
    counts: Counter[tuple[str, str]] = Counter()
    # The name of a pipe is its number, and so is that of a socket without its addresses.
    named = ~table["type_name"].isin(["Pipe", "Socket"])
    for column, groups, rows in (
        ("type_name", _GROUPS[:1], slice(None)),
        ("object_name", _GROUPS[1:], named),
    ):
        texts = table[column]
        used = texts.codes[rows]
        codes, numbers = np.unique(used[used >= 0], return_counts=True)
        for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
            for group in groups:
                value = _GROUPERS[group](texts.categories[code])
                if value:
                    counts[group, value] += number
    return counts


_GROUPERS: dict[str, Callable[[str], str | None]] = {
    "type_name": lambda name: name,
    "object_name": stable_name,
    "folder": _folder,
}
_GROUPS = tuple(_GROUPERS)


def _theil_sen(seconds: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    first, second = np.triu_indices(len(seconds), k=1)
    if len(first) == 0:
        return 0.0
    return float(np.median((counts[second] - counts[first]) / (seconds[second] - seconds[first])))


# All pairs of so many samples are 20,000; of more, every second, third, ... counts.
_MOST_SAMPLES = 200


def _growth(
    seconds: NDArray[np.float64], samples: Sequence[dict[tuple[str, str], int]]
) -> tuple[Growth, ...]:
    every = -(-len(seconds) // _MOST_SAMPLES)
    out = []
    for group, value in {key for sample in samples for key in sample}:
        counts = np.array([sample.get((group, value), 0) for sample in samples], dtype=np.int64)
        steps = np.diff(counts)
        out.append(
            Growth(
                group,
                value,
                tuple(counts.tolist()),
                _theil_sen(seconds[::every], counts[::every]) if steps.any() else 0.0,
                float(np.mean(steps >= 0)) if len(steps) else 1.0,
            )
        )
    return tuple(
        sorted(
            out,
            key=lambda g: (
                not g.grows,
                -g.per_second,
                -g.not_fallen,
                _GROUPS.index(g.group),
                g.value,
            ),
        )
    )


class _Sampler:
    """The samples so far."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._seconds: list[float] = []
        self._samples: list[dict[tuple[str, str], int]] = []
        self._totals: list[int] = []
        self._first: Table | None = None
        self._last: Table | None = None
        self._created_at_ns: int | None = None
        self._start = 0.0

    def take(self, flags: int = _BARE) -> None:
        """Take one; ProcessGone where the process ended, be its number another's by now."""
        with look(self.pid, flags) as view:
            table = _with_diagnostics(view)
            created_at_ns = view.process().created_at_ns
        now = time.monotonic()
        if self._first is None:
            self._first, self._start, self._created_at_ns = table, now, created_at_ns
        elif (
            created_at_ns is not None
            and self._created_at_ns is not None
            and abs(created_at_ns - self._created_at_ns) >= _NS
        ):
            message = f"process {self.pid} ended, and its number is another's"
            raise ProcessGone(message, pid=self.pid)
        self._last = table
        self._seconds.append(now - self._start)
        self._samples.append(_count(table))
        self._totals.append(len(table))

    def result(self, diagnostics: tuple[Diagnostic, ...] = ()) -> Leaks:
        """What they say."""
        assert self._first is not None
        assert self._last is not None
        seconds = np.array(self._seconds)
        return Leaks(
            self.pid,
            seconds,
            np.array(self._totals, dtype=np.int64),
            _growth(seconds, self._samples),
            diff(self._first, self._last),
            (*self._last.diagnostics, *diagnostics),
        )


def _with_diagnostics(view: Snapshot) -> Table:
    table = view.handles()
    table.diagnostics = view.diagnostics
    return table


def leaks(
    pid: int,
    interval: float = 1.0,
    count: int = 10,
    *,
    progress: Callable[[int, int, Leaks], object] | None = None,
) -> Leaks:
    """Look at a process's handles again and again, and rank what grows.

    Parameters
    ----------
    pid : int
        Process id.
    interval : float
        Seconds from one sample to the next.
    count : int
        Number of samples, at least 2.
    progress : callable, optional
        Called with ``(samples taken, count, what they say)`` in the calling thread after each sample.

    Returns
    -------
    Leaks
        Of fewer samples, with the diagnostic ``process_ended``, where the process ends meanwhile.

    Raises
    ------
    ProcessGone, AccessDenied
        As :func:`handles`; ``ProcessGone`` where there is not even one sample.
    ValueError
        If `interval` or `count` is too small.

    Notes
    -----
    A sample is ``handles(pid, details=False)``: no clone is made and nothing stands still. It takes some
    6 us a descriptor.

    Examples
    --------
    >>> found = snapcore.leaks(pid, interval=0.2, count=5)
    >>> [growth.value for growth in found.by("type_name") if growth.grows]
    []
    >>> tell("leak")
    >>> found = snapcore.leaks(pid, interval=0.2, count=5)
    >>> [growth.value for growth in found.by("type_name") if growth.grows]
    ['File']
    """
    if not interval > 0:
        message = f"interval must be a positive number of seconds, not {interval!r}"
        raise ValueError(message)
    if count < 2:
        message = f"count must be at least 2, not {count!r}"
        raise ValueError(message)
    sampler = _Sampler(pid)
    sampler.take()
    start = time.monotonic()
    for taken in range(1, count):
        if progress is not None:
            progress(taken, count, sampler.result())
        time.sleep(max(start + taken * interval - time.monotonic(), 0))
        try:
            # The last one says of new sockets where they lead.
            sampler.take(HANDLE_DETAILS if taken == count - 1 else _BARE)
        except ProcessGone:
            message = f"process {pid} ended after {taken} of {count} samples"
            ended = Diagnostic(
                severity="warning", code="process_ended", message=message, subject=pid
            )
            tell(logger_of("leaks"), f"process {pid}", (ended,), pid)
            return sampler.result((ended,))
    found = sampler.result()
    if progress is not None:
        progress(count, count, found)
    return found
