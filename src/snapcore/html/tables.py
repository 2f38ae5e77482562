# SPDX-License-Identifier: Apache-2.0
"""Threads, handles and modules: their bar lists and their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from snapcore.display.text import UNKNOWN, human_size, human_time
from snapcore.html.pieces import MOST_BARS, Bars, Rows, bar_list, clean, comma, counted

if TYPE_CHECKING:
    from snapcore.html.facts import Places
    from snapcore.table import StringColumn, Table

__all__ = ["module_rows", "repeated", "states", "thread_rows", "tops"]

# What is shown of each; the rest is counted.
_MOST_NAMES = 15
_MOST_THREADS = 200
_MOST_MODULES = 100

_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "waiting, cannot be interrupted",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
    "P": "parked",
}


def states(threads: Table) -> Bars:
    """Threads by what they do."""
    counts = counted(threads["state"])
    return bar_list((_STATES.get(s, s), n) for s, n in counts)


def tops(threads: Table, places: Places) -> Bars | None:
    """Threads by the place of their next instruction."""
    pointers, known = threads["instruction_pointer"], threads.valid("instruction_pointer")
    if not known.any():
        return None
    distinct, which, counts = np.unique(pointers[known], return_inverse=True, return_counts=True)
    rows = np.flatnonzero(known)
    order = np.argsort(-counts, kind="stable")
    found: list[tuple[str, int, str]] = []
    for at in order[:MOST_BARS].tolist():
        place = places.name(int(distinct[at]))
        members = rows[which.reshape(-1) == at][:1000].tolist()
        names = dict.fromkeys(name for name in (threads["name"][row] for row in members) if name)
        some = [clean(name, 40) or "" for name in list(names)[:4]]
        note = ", ".join([*some, *(["…"] if len(names) > 4 else [])])
        found.append((place, int(counts[at]), note))
    rest = order[MOST_BARS:]
    return Bars(bar_list(found).bars, len(rest), comma(int(counts[rest].sum())))


def thread_rows(threads: Table, places: Places, first: int | None) -> Rows:
    """All threads, that of the id `first` before the others."""
    order = np.arange(len(threads))
    if first is not None:
        order = np.concatenate([order[threads["tid"] == first], order[threads["tid"] != first]])
    rows = []
    for row in order[:_MOST_THREADS].tolist():
        facts = threads.row(row)
        times = [t for t in (facts["user_time_ns"], facts["kernel_time_ns"]) if t is not None]
        pointer = facts["instruction_pointer"]
        state = facts["state"]
        rows.append(
            (
                str(facts["tid"]),
                clean(facts["name"], 80) or UNKNOWN,
                clean(_STATES.get(state, state) if state else None) or UNKNOWN,
                human_time(sum(times)) if times else UNKNOWN,
                UNKNOWN if pointer is None else places.name(pointer),
            )
        )
    return Rows(tuple(rows), len(threads) - len(rows))


def repeated(handles: Table) -> Bars | None:
    """Names that more than one handle has."""
    names: StringColumn = handles["object_name"]
    codes, counts = np.unique(names.codes, return_counts=True)
    chosen = (codes >= 0) & (counts > 1)
    codes, counts = codes[chosen], counts[chosen]
    if not len(codes):
        return None
    order = np.argsort(-counts, kind="stable")
    shown = [
        (clean(names.categories[codes[at]]) or "(empty)", int(counts[at]))
        for at in order[:_MOST_NAMES].tolist()
    ]
    rest = order[_MOST_NAMES:]
    return Bars(bar_list(shown).bars, len(rest), comma(int(counts[rest].sum())))


def module_rows(modules: Table) -> Rows:
    """The largest modules."""
    order = np.argsort(-modules["size"].astype(np.float64), kind="stable")
    rows = []
    for row in order[:_MOST_MODULES].tolist():
        facts = modules.row(row)
        rows.append(
            (
                f"{facts['base']:#x}",
                human_size(facts["size"]),
                clean(facts["version"], 40) or UNKNOWN,
                clean(facts["debug_id"], 80) or UNKNOWN,
                clean(facts["path"]) or UNKNOWN,
            )
        )
    return Rows(tuple(rows), len(modules) - len(rows))
