# SPDX-License-Identifier: Apache-2.0
"""What grew since an earlier view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snapcore.display.text import human_size
from snapcore.html.facts import TABLES, Facts
from snapcore.html.memory import KINDS, Areas, areas_of
from snapcore.html.pieces import Change, clean, comma, counted
from snapcore.html.summary import capture_facts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["growth"]

_MOST_CHANGES = 25


def _change(name: str, before: int, now: int, write: Callable[[int], str]) -> Change:
    difference = now - before
    sign = "+" if difference > 0 else "-" if difference < 0 else "±"
    direction = "grew" if difference > 0 else "shrank" if difference < 0 else "same"
    return Change(name, write(before), write(now), f"{sign}{write(abs(difference))}", direction)


def _changes(
    before: dict[str, int], now: dict[str, int], write: Callable[[int], str]
) -> tuple[tuple[Change, ...], int]:
    """Those that differ, the greatest difference first, and how many are left out."""
    names = [n for n in {**now, **before} if before.get(n, 0) != now.get(n, 0)]
    names.sort(key=lambda n: (-abs(now.get(n, 0) - before.get(n, 0)), n))
    shown = tuple(
        _change(clean(n) or "", before.get(n, 0), now.get(n, 0), write)
        for n in names[:_MOST_CHANGES]
    )
    return shown, len(names) - len(shown)


def growth(earlier: Facts, now: Facts, areas: Areas | None) -> dict[str, Any]:
    """What the template shows of it; `areas` is the memory of now."""
    counts = []
    for name in TABLES:
        old, new = earlier.tables[name], now.tables[name]
        if old is not None and new is not None:
            counts.append(_change(name, len(old), len(new), comma))
    of = [fact for fact in capture_facts(earlier.view) if fact[0] in ("Taken", "File")]
    out: dict[str, Any] = {"counts": counts, "of": of}
    old, new = earlier.tables["handles"], now.tables["handles"]
    if old is not None and new is not None:
        types = [dict(counted(t["type_name"])) for t in (old, new)]
        out["types"] = _changes(types[0], types[1], comma)
    before = areas_of(earlier)
    if before is not None and areas is not None:
        pairs = zip(KINDS, before.sizes, areas.sizes, strict=True)
        counts += [_change(h, b, n, human_size) for (_, h), b, n in pairs if b or n]
        out["files"] = _changes(before.files, areas.files, human_size)
    out["others"] = (
        earlier.process.pid != now.process.pid
        or earlier.process.created_at_ns != now.process.created_at_ns
        if None not in (earlier.process.created_at_ns, now.process.created_at_ns)
        else earlier.process.pid != now.process.pid
    )
    return out
