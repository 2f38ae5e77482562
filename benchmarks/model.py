# SPDX-License-Identifier: Apache-2.0
"""What a comparison declares, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.timing import Run, Samples


class NotRun(Exception):
    """A comparison cannot be run here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Time of one series over that of another, and the aim, if there is one.

    Attributes
    ----------
    over, under : str
        The two series.
    at_most, at_least : float, optional
        What the median shall keep.
    cases : str
        Pattern of the cases for which it is asked, as of a shell.
    """

    over: str
    under: str
    at_most: float | None = None
    at_least: float | None = None
    cases: str = "*"

    @property
    def name(self) -> str:
        """As it is printed."""
        return f"{self.over} / {self.under}"

    def applies(self, case: Case) -> bool:
        """Whether the case was asked and has both series."""
        return fnmatchcase(case.name, self.cases) and {self.over, self.under} <= set(case.samples)


@dataclass(frozen=True, slots=True)
class Case:
    """One target, or one question.

    Attributes
    ----------
    samples : dict
        Seconds of each series, one a round, None where it had no turn in that round.
    sizes : dict
        Bytes that the result of a series takes on disk.
    """

    name: str
    samples: Samples
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Something of snapcore's beside others that do the same.

    Attributes
    ----------
    subject : str
        Series that is snapcore's. It has two turns a round: what the second differs from the first is
        noise.
    ratios : tuple of Ratio
        Of several with the same two series the first that applies to a case is taken.
    against : mapping
        The other series, and what each is: ``peer`` (a tool that is used for the same), ``floor`` (what
        the system takes of everyone), ``part`` or ``variant`` (of snapcore itself).
    measure : callable
        Gives the cases, one after the other.
    needs : tuple of str
        Programs that must be on the PATH.
    """

    name: str
    title: str
    subject: str
    against: Mapping[str, str]
    ratios: tuple[Ratio, ...]
    measure: Callable[[Run], Iterator[Case]]
    needs: tuple[str, ...] = ()
