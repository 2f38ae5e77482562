# SPDX-License-Identifier: Apache-2.0
"""diff(): what came, what went and what stayed between two tables of a process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from snapcore.dumpfile import open as open_dump
from snapcore.snapshot import ProcessView
from snapcore.table import StringColumn, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Source: TypeAlias = ProcessView | Table | str | bytes | os.PathLike[str] | os.PathLike[bytes]

__all__ = ["Difference", "DifferenceCount", "diff"]

_DELETED = " (deleted)"
# An instant of Linux is computed from two clocks that are read one after the other.
_SAME_INSTANT_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Identity:
    """Which rows are the same thing: equal in `key`, and in each of `facts` that both tables know."""

    key: tuple[str, ...]
    facts: tuple[str, ...]


# What an open object cannot change while it is open. Not the access of a descriptor, which fcntl()
# changes, nor the size of a memory file, nor the flags of a handle.
_HANDLE = (
    "type_name",
    "inode",
    "device",
    "object_name",
    "created_at_ns",
    "target_tid",
    "manual_reset",
    "maximum_count",
    "section_attributes",
)
_IDENTITIES = {
    "handles": _Identity(("handle",), _HANDLE),
    "system_handles": _Identity(("pid", "handle"), _HANDLE),
    "threads": _Identity(("tid",), ("created_at_ns",)),
    "system_threads": _Identity(("pid", "tid"), ("created_at_ns",)),
    "regions": _Identity(("base",), ("size", "mapped_file")),
    "modules": _Identity(("base",), ("path", "debug_id")),
}


@dataclass(frozen=True, slots=True)
class DifferenceCount:
    """Rows that have one value of a column.

    Attributes
    ----------
    value : int, bool, str or None
        The value; None where it is not known.
    added, removed, kept : int
        Rows of each part that have it.
    """

    value: Any
    added: int
    removed: int
    kept: int

    @property
    def net(self) -> int:
        """How many more there are afterwards."""
        return self.added - self.removed


@dataclass(frozen=True, slots=True)
class Difference:
    """What :func:`diff` found.

    Attributes
    ----------
    added : Table
        Rows of the later table that the earlier one lacks.
    removed : Table
        Rows of the earlier table that the later one lacks.
    kept : Table
        Rows that both have, as the later one tells them.
    """

    added: Table
    removed: Table
    kept: Table

    def by(self, column: str) -> tuple[DifferenceCount, ...]:
        """Count the rows by the values of a column.

        Parameters
        ----------
        column : str
            Name of the column.

        Returns
        -------
        tuple of DifferenceCount
            What grew most comes first.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        counts: dict[Any, list[int]] = {}
        for part, table in enumerate((self.added, self.removed, self.kept)):
            for value, count in _tally(table, column):
                counts.setdefault(value, [0, 0, 0])[part] += count
        found = [DifferenceCount(value, *each) for value, each in counts.items()]
        return tuple(sorted(found, key=lambda c: (-c.net, -c.added, str(c.value))))

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(getattr(self, p))} {p}" for p in ("added", "removed", "kept"))
        return f"<Difference of {self.kept.name}: {parts}>"


def _tally(table: Table, column: str) -> Iterable[tuple[Any, int]]:
    known = table.valid(column)
    values = table[column]
    categories = values.categories if isinstance(values, StringColumn) else None
    raw = values.codes if isinstance(values, StringColumn) else values
    distinct, counts = np.unique(raw[known], return_counts=True)
    for value, count in zip(distinct.tolist(), counts.tolist(), strict=True):
        yield (value if categories is None else categories[value]), count
    if not known.all():
        yield None, int(np.count_nonzero(~known))


def _stable_text(text: str) -> str:
    return text.removesuffix(_DELETED)


def _comparable(before: Any, after: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Numbers that are equal where the values are; of what is not known any."""
    if not isinstance(before, StringColumn):
        return before, after
    numbers: dict[str, int] = {}
    out = []
    for column in (before, after):
        texts = map(_stable_text, column.categories)
        # One more, for the code -1.
        codes = np.array([*(numbers.setdefault(t, len(numbers)) for t in texts), -1], dtype=np.intp)
        out.append(codes[column.codes])
    return out[0], out[1]


def _keys(before: Table, after: Table, names: tuple[str, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """One number a row, the same in both for the same key; no table has one twice."""
    codes = np.zeros(len(before) + len(after), dtype=np.int64)
    for name in names:
        values = np.concatenate([before[name], after[name]])
        _, which = np.unique(values, return_inverse=True)
        _, codes = np.unique(codes * (len(values) + 1) + which.reshape(-1), return_inverse=True)
    halves = codes[: len(before)], codes[len(before) :]
    # A key that comes twice, as in a broken file: the first, the second, ... of either are a pair.
    return _numbered(halves[0], len(codes)), _numbered(halves[1], len(codes))


def _numbered(codes: NDArray[Any], size: int) -> NDArray[Any]:
    order = np.argsort(codes, kind="stable")
    in_order = codes[order]
    _, firsts, which = np.unique(in_order, return_index=True, return_inverse=True)
    times = np.empty(len(codes), dtype=np.int64)
    times[order] = np.arange(len(codes)) - firsts[which.reshape(-1)]
    return np.asarray(codes + times * (size + 1))


def _unlike(
    before: Table, after: Table, rows: tuple[NDArray[Any], NDArray[Any]], name: str
) -> NDArray[np.bool_]:
    """Which pairs of rows are known to differ in a column."""
    if name not in before or name not in after:
        return np.zeros(len(rows[0]), dtype=np.bool_)
    known = before.valid(name)[rows[0]] & after.valid(name)[rows[1]]
    first, second = _comparable(before[name], after[name])
    first, second = first[rows[0]], second[rows[1]]
    if name == "created_at_ns":
        return np.asarray(known & (np.abs(first - second) >= _SAME_INSTANT_NS))
    if name == "object_name":
        # A socket that is bound or connected meanwhile has another name; its inode names it.
        known &= ~(_sockets(before)[rows[0]] & _sockets(after)[rows[1]])
    return np.asarray(known & (first != second))


def _sockets(table: Table) -> NDArray[np.bool_]:
    return np.asarray((table["type_name"] == "Socket") & table.valid("inode"))


def _compare(before: Table, after: Table) -> Difference:
    if before.name != after.name:
        message = f"a table of {before.name} and one of {after.name} have no common rows"
        raise ValueError(message)
    identity = _IDENTITIES.get(before.name)
    if identity is None:
        message = f"tables of {before.name} cannot be compared"
        raise ValueError(message)
    keys = _keys(before, after, identity.key)
    _, first, second = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    same = np.ones(len(first), dtype=np.bool_)
    for name in identity.facts:
        same &= ~_unlike(before, after, (first, second), name)
    gone = np.ones(len(before), dtype=np.bool_)
    gone[first[same]] = False
    new = np.ones(len(after), dtype=np.bool_)
    new[second[same]] = False
    return Difference(after.take(new), before.take(gone), after.take(~new))


def _table_of(source: object, table: str) -> Table:
    if isinstance(source, Table):
        return source
    if isinstance(source, (str, bytes, os.PathLike)):
        with open_dump(source) as file:
            return _table_of(file, table)
    if not isinstance(source, ProcessView):
        message = (
            "expected a snapshot, a dump file, its path or a table, "
            f"not {type(source).__name__}; of a process: snapcore.handles(pid)"
        )
        raise TypeError(message)
    found: Table = getattr(source, table)()
    return found


def diff(before: Source, after: Source, *, table: str = "handles") -> Difference:
    """Which handles, threads, regions or modules came, went and stayed.

    Parameters
    ----------
    before, after : Snapshot, DumpFile, path or Table
        The earlier and the later state of one process. A path is that of a dump file.
    table : {"handles", "threads", "regions", "modules"}
        What to compare; a Table is compared as what it is.

    Returns
    -------
    Difference
        Tables with the columns of the two.

    Raises
    ------
    ValueError
        If there is no such table, a file or snapshot does not hold it, or two Tables are of two kinds.

    Notes
    -----
    The number alone does not make a handle the same: what was closed and whose number was used again
    is both removed and added. The number must be equal, and every one of these that is known on both sides:

    - handles: type, inode, device and name, ``(deleted)`` apart; of a socket the inode counts and not
      the name. On Windows type, name, when the object was created, the thread it names, whether an
      event is reset by hand, the limit of a semaphore, the attributes of a section;
    - threads: when they were created, to the second;
    - regions: size and mapped file;
    - modules: path and debug id.

    A file that was renamed meanwhile counts as removed and added. What has no inode of its own on Linux
    (event and timer descriptors, epoll) and was closed and opened again under the same number counts as
    kept: nothing tells the two apart.

    Examples
    --------
    >>> before = snapcore.handles(pid)
    >>> tell("open a file")
    >>> change = snapcore.diff(before, snapcore.handles(pid))
    >>> change
    <Difference of handles: 1 added, 0 removed, 5 kept>
    >>> change.added["object_name"][0]
    '/.../new-0.log'
    """
    if table not in _IDENTITIES:
        message = f"table must be one of {', '.join(_IDENTITIES)}, not {table!r}"
        raise ValueError(message)
    return _compare(_table_of(before, table), _table_of(after, table))
