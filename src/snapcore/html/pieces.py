# SPDX-License-Identifier: Apache-2.0
"""What the template draws: texts, bar lists, rows.

All that comes from the process goes through `clean`, which leaves nothing that is not printable, and
through the template's escaping.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np

from snapcore.display.text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from snapcore.table import StringColumn

__all__ = [
    "MOST_BARS",
    "Bar",
    "Bars",
    "Change",
    "Changes",
    "Rows",
    "bar_list",
    "base_name",
    "clean",
    "comma",
    "counted",
]

#: Bars of a list; the rest is counted.
MOST_BARS = 20
_LONGEST = 200


def clean(text: str | None, longest: int = _LONGEST) -> str | None:
    """Text that is printable and not endless."""
    # Cut first: a hostile text may be megabytes long, and each of its characters become ten.
    if text is None:
        return None
    if len(text) > longest:
        head = longest // 3
        text = f"{text[:head]}…{text[head - longest :]}"
    return shortened(printable(text), 2 * longest)


def base_name(path: str) -> str:
    """Its last part, whichever system it is of."""
    # A backslash in a path of Linux may be one of an escaped byte.
    on_windows = "\\" in path and not path.startswith(("/", "["))
    return (PureWindowsPath if on_windows else PurePosixPath)(path).name or path


def comma(value: int) -> str:
    """With commas between the thousands."""
    return f"{value:,}"


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a bar list."""

    name: str
    count: str
    percent: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar list, and what it leaves out."""

    bars: tuple[Bar, ...]
    more: int = 0
    more_count: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Lines of a plain table, and how many it leaves out."""

    rows: tuple[tuple[str, ...], ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A count or a size, before and now; of a count how many came and went."""

    name: str
    before: str
    now: str
    change: str
    direction: str
    came: str = ""
    went: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """Lines of a table of changes, and how many it leaves out."""

    lines: tuple[Change, ...]
    more: int = 0


def bar_list(
    counts: Iterable[tuple[str, int] | tuple[str, int, str]], most: int = MOST_BARS
) -> Bars:
    """The greatest counts of names, or of names with notes."""
    ordered = sorted(counts, key=lambda line: (-line[1], line[0], line[2:]))
    shown, rest = ordered[:most], ordered[most:]
    greatest = max((count for _, count, *_ in shown), default=0) or 1
    return Bars(
        tuple(
            Bar(name, comma(count), 100 * count / greatest, *note) for name, count, *note in shown
        ),
        len(rest),
        comma(sum(count for _, count, *_ in rest)),
    )


def counted(column: StringColumn, unknown: str = "not known") -> list[tuple[str, int]]:
    """How many rows have each text."""
    codes, counts = np.unique(column.codes, return_counts=True)
    return [
        (unknown if code < 0 else clean(column.categories[code]) or "", count)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
    ]
