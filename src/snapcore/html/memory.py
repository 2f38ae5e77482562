# SPDX-License-Identifier: Apache-2.0
"""Committed memory by kind and by file: areas of the map, its legend, the largest regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapcore.display.text import UNKNOWN, human_size
from snapcore.display.values import enumeration_of, formatter
from snapcore.dtypes import Column
from snapcore.flags import MemoryState, MemoryType
from snapcore.html.pieces import Rows, base_name, clean
from snapcore.html.treemap import Group, Item, svg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from snapcore.html.facts import Facts
    from snapcore.table import StringColumn, Table

__all__ = ["KINDS", "Areas", "areas_of", "largest", "legend", "picture"]

# What is shown of each; the rest is counted.
_MOST_REGIONS = 30
_MOST_AREAS = 40

# In the order of the legend: class of the style sheet, heading.
KINDS = (
    ("private", "private memory"),
    ("stack", "stacks"),
    ("image", "programs and libraries"),
    ("mapped", "mapped files, shared memory"),
    ("other", "of unknown kind"),
)
_PRIVATE, _STACK, _IMAGE, _MAPPED, _OTHER = range(5)


@dataclass(slots=True)
class Areas:
    """Committed memory by kind, and by file or region."""

    sizes: list[int]
    groups: list[Group]
    reserved: int
    files: dict[str, int]


def _kinds(facts: Facts, regions: Table) -> NDArray[np.intp]:
    """Number in `KINDS` of each region."""
    types, known = regions["type"], regions.valid("type")
    kinds = np.full(len(regions), _OTHER, dtype=np.intp)
    for value, kind in (
        (MemoryType.PRIVATE, _PRIVATE),
        (MemoryType.MAPPED, _MAPPED),
        (MemoryType.IMAGE, _IMAGE),
    ):
        kinds[known & (types == int(value))] = kind
    threads = facts.tables["threads"]
    stack = regions["mapped_file"].isin(["[stack]"])
    if threads is not None and len(threads) and len(regions):
        pointers = threads["stack_pointer"][threads.valid("stack_pointer")]
        order = np.argsort(regions["base"], kind="stable")
        at = np.searchsorted(regions["base"][order], pointers, side="right").astype(np.intp) - 1
        at = order[at[at >= 0]]
        inside = np.isin(np.arange(len(regions)), at)
        stack = stack | inside
    kinds[stack & (kinds == _PRIVATE)] = _STACK
    return kinds


def areas_of(facts: Facts, most: int = _MOST_AREAS) -> Areas | None:
    """Divide the committed memory; of each kind the `most` greatest areas have their own."""
    regions = facts.tables["regions"]
    if regions is None:
        return None
    state, state_known = regions["state"], regions.valid("state")
    sizes = regions["size"].astype(np.float64)  # a sum of 2**53 bytes is exact
    reserved = state_known & (state == int(MemoryState.RESERVE))
    free = state_known & (state == int(MemoryState.FREE))
    used = ~reserved & ~free
    kinds = _kinds(facts, regions)
    names: StringColumn = regions["mapped_file"]
    categories = names.categories
    count = len(categories)
    rows = np.arange(len(regions))
    # All mappings of one file are one area; a region without a name is one of its own.
    keys = np.where(names.codes >= 0, names.codes.astype(np.int64), count + rows)
    groups, totals = [], []
    files: dict[str, int] = {}
    protect = formatter(Column("protect", "u4", "", "PageProtection"))
    for kind, (css, heading) in enumerate(KINDS):
        chosen = used & (kinds == kind)
        distinct, first, which = np.unique(keys[chosen], return_index=True, return_inverse=True)
        sums = np.bincount(which.reshape(-1), weights=sizes[chosen], minlength=len(distinct))
        parts = np.bincount(which.reshape(-1), minlength=len(distinct))
        total = int(sums.sum())
        totals.append(total)
        if total == 0:
            continue
        order = np.argsort(-sums, kind="stable")
        origin = rows[chosen][first]
        items = []
        for at in order[:most].tolist():
            size = int(sums[at])
            if distinct[at] < count:
                path = categories[distinct[at]]
                mappings = f", {parts[at]} mappings" if parts[at] > 1 else ""
                name, title = clean(base_name(path), 60), f"{clean(path)}: {human_size(size)}"
                items.append(Item(name or "", size, title + mappings))
            else:
                row = int(origin[at])
                base = int(regions["base"][row])
                rights = protect(int(regions["protect"][row]))
                items.append(Item(f"{base:#x}", size, f"{base:#x} {rights}: {human_size(size)}"))
        rest = order[most:]
        if len(rest):
            size = int(sums[rest].sum())
            text = f"{len(rest):,} more"
            items.append(Item(text, size, f"{text}: {human_size(size)}"))
            items.sort(key=lambda item: -item.size)
        title = f"{heading}: {human_size(total)} in {int(chosen.sum()):,} regions"
        groups.append(Group(heading, css, title, tuple(items)))
        named = order[distinct[order] < count]
        for at in named.tolist():
            path = categories[distinct[at]]
            files[path] = files.get(path, 0) + int(sums[at])
        unnamed = float(sums[distinct >= count].sum())
        if unnamed:
            files[f"no name, {heading}"] = int(unnamed)
    groups.sort(key=lambda group: -group.size)
    return Areas(totals, groups, int(sizes[reserved].sum()), files)


def legend(areas: Areas) -> list[tuple[str, str, str, str]]:
    """Class of the style sheet, kind, size and share."""
    total = sum(areas.sizes) or 1
    return [
        (css, heading, human_size(size), f"{100 * size / total:.1f} %")
        for (css, heading), size in zip(KINDS, areas.sizes, strict=True)
        if size
    ]


def picture(areas: Areas, width: int, height: int) -> str:
    """The map, as SVG."""
    total = human_size(sum(areas.sizes))
    label = f"Committed memory, {total}, by kind and by file; the tables below have the numbers"
    return svg(areas.groups, width, height, label=label, write_size=human_size)


def largest(regions: Table) -> Rows:
    """The largest committed regions."""
    used = np.flatnonzero(~(regions.valid("state") & (regions["state"] != int(MemoryState.COMMIT))))
    order = used[np.argsort(-regions["size"][used].astype(np.float64), kind="stable")]
    columns = {c.name: c for c in regions.schema}
    rows = []
    for row in order[:_MOST_REGIONS].tolist():
        facts = regions.row(row)
        rows.append(
            (
                f"{facts['base']:#x}",
                human_size(facts["size"]),
                *(_known(columns[name], facts[name]) for name in ("resident", "protect", "type")),
                clean(facts["mapped_file"]) or "",
            )
        )
    return Rows(tuple(rows), len(order) - len(rows))


def _known(column: Column, value: Any) -> str:
    """A value as the command writes it; a dash where it is not known."""
    if value is None or (value == 0 and enumeration_of(column) is not None):
        return UNKNOWN
    text = formatter(column)(value)
    return clean(text) or ""
