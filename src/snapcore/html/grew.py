# SPDX-License-Identifier: Apache-2.0
"""What grew since an earlier view: counts and sizes then and now, what came and what went."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from snapcore.difference import Difference, diff
from snapcore.display.text import human_size
from snapcore.growth import stable_name
from snapcore.html.facts import TABLES, Facts
from snapcore.html.memory import KINDS, Areas, areas_of
from snapcore.html.pieces import Bars, Change, Changes, bar_list, clean, comma
from snapcore.html.summary import capture_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from snapcore.snapshot import Process
    from snapcore.table import Table

__all__ = ["growth"]

_MOST_CHANGES = 25
# A dump file holds whole seconds, and Linux computes the instant from two clocks.
_SAME_START_NS = 2_000_000_000


def _is_another(earlier: Process, now: Process) -> bool:
    if earlier.pid != now.pid:
        return True
    if earlier.created_at_ns is None or now.created_at_ns is None:
        return False
    return abs(earlier.created_at_ns - now.created_at_ns) >= _SAME_START_NS


def _difference(before: Table, now: Table, *, another: bool) -> Difference:
    # Of another process nothing stays, be its numbers the same.
    return Difference(now, before, now.take([])) if another else diff(before, now)


def _change(name: str, before: int, now: int, write: Callable[[int], str], *moved: str) -> Change:
    difference = now - before
    sign = "+" if difference > 0 else "-" if difference < 0 else "±"
    direction = "grew" if difference > 0 else "shrank" if difference < 0 else "same"
    text = f"{sign}{write(abs(difference))}"
    return Change(name, write(before), write(now), text, direction, *moved)


def _count(name: str, added: int, removed: int, kept: int) -> Change:
    moved = comma(added), comma(removed)
    return _change(name, removed + kept, added + kept, comma, *moved)


def _by_type(handles: Difference, *, another: bool) -> Changes:
    """Types whose handles are not the same, the greatest change first."""
    counts = [c for c in handles.by("type_name") if c.net or (not another and c.added)]
    counts.sort(key=lambda c: (-abs(c.net), -c.added))
    lines = tuple(
        _count("not known" if c.value is None else clean(c.value) or "", c.added, c.removed, c.kept)
        for c in counts[:_MOST_CHANGES]
    )
    return Changes(lines, len(counts) - len(lines))


def _by_file(before: dict[str, int], now: dict[str, int]) -> Changes:
    """Files whose memory has another size, the greatest difference first."""
    names = [n for n in {**now, **before} if before.get(n, 0) != now.get(n, 0)]
    names.sort(key=lambda n: (-abs(now.get(n, 0) - before.get(n, 0)), n))
    lines = tuple(
        _change(clean(n) or "", before.get(n, 0), now.get(n, 0), human_size)
        for n in names[:_MOST_CHANGES]
    )
    return Changes(lines, len(names) - len(lines))


def _by_name(came: Iterable[tuple[str | None, str | None]]) -> Bars:
    """Names, each with its type; those that differ in their numbers alone are one."""
    counts: Counter[tuple[str, str]] = Counter()
    for (name, kind), count in Counter(came).items():
        counts[stable_name(name or ""), kind or ""] += count
    return bar_list(
        (clean(name) or "no name", count, clean(kind) or "")
        for (name, kind), count in counts.items()
    )


def growth(earlier: Facts, now: Facts, areas: Areas | None) -> dict[str, Any]:
    """What the template shows of it; `areas` is the memory of now."""
    another = _is_another(earlier.process, now.process)
    differences = {}
    for name in TABLES:
        old, new = earlier.tables[name], now.tables[name]
        if old is not None and new is not None:
            differences[name] = _difference(old, new, another=another)
    out: dict[str, Any] = {
        "another": another,
        "of": [fact for fact in capture_facts(earlier.view) if fact[0] in ("Taken", "File")],
        "counts": Changes(
            tuple(
                _count(name, len(d.added), len(d.removed), len(d.kept))
                for name, d in differences.items()
            )
        ),
        **dict.fromkeys(("types", "handles", "threads", "kinds", "files")),
    }
    handles, threads = differences.get("handles"), differences.get("threads")
    if handles is not None:
        out["types"] = _by_type(handles, another=another)
    if handles is not None and not another:
        came = handles.added
        out["handles"] = _by_name(zip(came["object_name"], came["type_name"], strict=True))
    if threads is not None and not another:
        out["threads"] = _by_name((name, None) for name in threads.added["name"])
    before = areas_of(earlier)
    if before is not None and areas is not None:
        pairs = zip(KINDS, before.sizes, areas.sizes, strict=True)
        kinds = (_change(h, b, n, human_size) for (_, h), b, n in pairs if b or n)
        out["kinds"] = Changes(tuple(kinds))
        out["files"] = _by_file(before.files, areas.files)
    return out
