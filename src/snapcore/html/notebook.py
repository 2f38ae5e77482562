# SPDX-License-Identifier: Apache-2.0
"""Tables, snapshots and dump files as HTML, for notebooks.

The colours are the notebook's own. All that comes from a process is made printable and escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from snapcore.display.text import human_time, iso_time, printable
from snapcore.display.values import formatter
from snapcore.dtypes import TABLES
from snapcore.dumpfile import DumpFile
from snapcore.table import StringColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from snapcore.dtypes import Column
    from snapcore.snapshot import Snapshot
    from snapcore.table import Table

__all__ = ["strings_html", "table_html", "view_html"]

_ROWS = 10
_COLUMNS = 12
_LONGEST = 80
_UNKNOWN = '<td style="opacity:0.5" title="not known">-</td>'


def _clean(text: str) -> str:
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 3]}…{text[_LONGEST // 3 - _LONGEST :]}"
    return escape(printable(text))


def _grid(caption: str, heads: Sequence[str], rows: Iterable[str], foot: str = "") -> str:
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    below = f'<p style="opacity:0.7">{escape(foot)}</p>' if foot else ""
    return (
        f'<div style="overflow-x:auto"><table><caption style="text-align:left">{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{below}</div>"
    )


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _cells(table: Table, name: str, column: Column | None, rows: int) -> list[str]:
    values, known = table[name], table.valid(name)
    if isinstance(values, StringColumn):
        texts = [values[row] for row in range(rows)]
        return [_UNKNOWN if t is None else f"<td>{_clean(t)}</td>" for t in texts]
    write = str if column is None else formatter(column)
    return [
        f'<td style="text-align:right">{_clean(write(value))}</td>' if valid else _UNKNOWN
        for value, valid in zip(values[:rows].tolist(), known[:rows].tolist(), strict=True)
    ]


def table_html(table: Table) -> str:
    """Make a compact table of the first rows.

    Parameters
    ----------
    table : Table
        Any of them.

    Returns
    -------
    str
        HTML; columns of which nothing is known are left out and counted.
    """
    declared = {column.name: column for column in TABLES.get(table.name, ())}
    known = [name for name in table.columns if not len(table) or table.valid(name).any()]
    shown = known[:_COLUMNS]
    rows = min(len(table), _ROWS)
    columns = [_cells(table, name, declared.get(name), rows) for name in shown]
    lines = [f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True)]
    size = f"{_plural(len(table), 'row')}, {_plural(len(table.columns), 'column')}"
    left = []
    if len(table) > rows:
        left.append(_plural(len(table) - rows, "more row"))
    if len(known) > len(shown):
        left.append(_plural(len(known) - len(shown), "more column"))
    if len(known) < len(table.columns):
        empty = len(table.columns) - len(known)
        left.append(f"{_plural(empty, 'column')} of which nothing is known")
    return _grid(f"<b>{_clean(table.name)}</b>: {size}", shown, lines, "; ".join(left))


def strings_html(column: StringColumn) -> str:
    """Make a list of the first strings.

    Parameters
    ----------
    column : StringColumn
        Any of them.

    Returns
    -------
    str
        HTML.
    """
    texts = [column[row] for row in range(min(len(column), _ROWS))]
    rows = [f"<tr>{_UNKNOWN if t is None else f'<td>{_clean(t)}</td>'}</tr>" for t in texts]
    size = f"{_plural(len(column), 'row')}, {len(column.categories_bytes):,} categories"
    more = len(column) - len(texts)
    foot = _plural(more, "more row") if more else ""
    return _grid(f"<b>StringColumn</b>: {size}", ["value"], rows, foot)


def view_html(view: Snapshot | DumpFile) -> str:
    """Make a list of facts.

    Parameters
    ----------
    view : Snapshot or DumpFile
        Open or closed.

    Returns
    -------
    str
        HTML.
    """
    facts: list[tuple[str, Any]] = []
    # A closed one, or a broken file, still has something to show.
    try:
        process = view.process()
        facts += [("pid", process.pid), ("name", process.name), ("executable", process.image_path)]
        if isinstance(view, DumpFile):
            facts += _of_file(view)
        elif view.pause_ns:
            facts.append(("stood still", human_time(view.pause_ns)))
    except (ValueError, OSError) as error:
        facts.append(("state", str(error)))
    if view.captured_at_ns:
        facts.append(("captured", iso_time(view.captured_at_ns)))
    facts.append(("flags", view.flags.name or hex(view.flags)))
    for name in ("threads", "handles", "regions", "modules"):
        try:
            facts.append((name, f"{len(getattr(view, name)()):,}"))
        except (ValueError, OSError):  # not in it
            facts.append((name, None))
    rows = [
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
        + (_UNKNOWN if value is None else f"<td>{_clean(str(value))}</td>")
        + "</tr>"
        for name, value in facts
    ]
    return _grid(f"<b>{_clean(repr(view))}</b>", ("", ""), rows)


def _of_file(file: DumpFile) -> list[tuple[str, Any]]:
    system, exception = file.system(), file.exception()
    version = ".".join(map(str, system.version))
    facts: list[tuple[str, Any]] = [
        ("system", f"{system.platform} {version} {system.architecture}")
    ]
    if exception is not None:
        facts.append(("exception", f"{exception.code:#x} in thread {exception.tid}"))
    return facts
