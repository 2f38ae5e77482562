# SPDX-License-Identifier: Apache-2.0
"""Forms of output: JSON, JSON lines, CSV and a table for people."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from snapcore.cli.streams import is_terminal, write, write_lines
from snapcore.display.text import UNKNOWN, cell_width, printable, shortened
from snapcore.display.values import enumeration_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from snapcore import Diagnostic
    from snapcore.cli.field import Field
    from snapcore.cli.frame import Frame

__all__ = ["FORMATS", "SCHEMA", "heading", "write_frame", "write_json", "write_table"]

#: Version of the JSON forms.
SCHEMA = 1
FORMATS = ("table", "json", "jsonl", "csv")

_GAP = 2
# Texts are shortened to no less; a table that is wider still is wrapped by the terminal.
_LEAST_WIDTH = 16
_COMFORTABLE_WIDTH = 36
# Rich takes 50 us a line.
_MOST_STYLED_ROWS = 1000


def write_frame(
    frame: Frame,
    form: str,
    *,
    identity: Mapping[str, Any],
    diagnostics: Sequence[Diagnostic],
    droppable: Sequence[str] = (),
) -> None:
    """Write rows in one of the forms.

    Parameters
    ----------
    frame : Frame
        The rows.
    form : str
        One of ``FORMATS``.
    identity : mapping
        What the JSON object says of the process or the file.
    diagnostics : sequence of Diagnostic
        What went less than perfectly, for the JSON object.
    droppable : sequence of str
        Columns that the table form may leave out on a narrow terminal, the first one first.
    """
    if form == "json":
        _write_json_table(frame, identity, diagnostics)
    elif form == "jsonl":
        write_lines(_json_rows(frame))
    elif form == "csv":
        _write_csv(frame)
    else:
        write_table(frame, droppable=droppable)


def write_json(content: Mapping[str, Any]) -> None:
    """Write one JSON object on one line.

    Parameters
    ----------
    content : mapping
        What it holds besides the schema's version.
    """
    write(json.dumps({"schema": SCHEMA, **content}) + "\n")


def _json_rows(frame: Frame) -> Iterator[str]:
    # One template for all rows: a quarter of the time of json.dumps() of a dictionary a row.
    template = ", ".join(f"{json.dumps(name)}: %s" for name in frame.names)
    template = f"{{{template}}}"
    return (template % row for row in zip(*(f.json() for f in frame.fields), strict=True))


def _write_json_table(
    frame: Frame,
    identity: Mapping[str, Any],
    diagnostics: Sequence[Diagnostic],
) -> None:
    head = {"schema": SCHEMA, **identity, "table": frame.name, "columns": frame.names}
    write(f'{json.dumps(head)[:-1]}, "rows": [')
    rows = list(_json_rows(frame))
    if rows:
        write("\n")
        write_lines(f"{row}," for row in rows[:-1])
        write(rows[-1] + "\n")
    write(f'], "diagnostics": {json.dumps([asdict(d) for d in diagnostics])}}}\n')


def _write_csv(frame: Frame) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(frame.names)
    # The values are for programs, as they are; a terminal must not be moved by them.
    string = printable if is_terminal() else str
    writer.writerows(zip(*(f.csv(string) for f in frame.fields), strict=True))
    write(out.getvalue())


def write_table(frame: Frame, *, droppable: Sequence[str] = (), indent: str = "") -> None:
    """Write rows as aligned columns.

    Parameters
    ----------
    frame : Frame
        The rows.
    droppable : sequence of str
        Columns that may be left out on a narrow terminal, the first one first.
    indent : str
        In front of each line.
    """
    texts = {field.name: field.texts() for field in frame.fields}
    widths = {
        name: max(len(name), *(map(cell_width, set(cells)) if cells else (0,)))
        for name, cells in texts.items()
    }
    if is_terminal():
        _fit(frame, texts, widths, droppable, shutil.get_terminal_size().columns - len(indent))
    fields = [field for field in frame.fields if field.name in texts]
    cells = [_padded([f.name, *texts[f.name]], f, widths[f.name]) for f in fields]
    rows = list(zip(*cells, strict=True))
    gap = " " * _GAP
    if _is_styled() and len(rows) <= _MOST_STYLED_ROWS:
        styles = ["cyan" if f.column.unit == "address" else "" for f in fields]
        _write_styled(rows, styles, indent, gap)
        return
    write_lines(f"{indent}{gap.join(row)}".rstrip() for row in rows)


def heading(text: str) -> None:
    """Write the heading of a section.

    Parameters
    ----------
    text : str
        One line.
    """
    if _is_styled():
        _write_styled([(text,)], [""], "", "")
    else:
        write(f"{text}\n")


def _fit(
    frame: Frame,
    texts: dict[str, list[str]],
    widths: dict[str, int],
    droppable: Iterable[str],
    room: int,
) -> None:
    """Leave out columns, then the middles of texts, until the table fits."""
    flexible = [f.name for f in frame.fields if f.categories is not None]

    def needed(least: int) -> int:
        return sum(min(w, least) if n in flexible else w for n, w in widths.items()) + _GAP * (
            len(widths) - 1
        )

    for name in droppable:
        if name in widths and needed(_COMFORTABLE_WIDTH) > room:
            del texts[name], widths[name]
    flexible = [name for name in flexible if name in widths]
    if needed(_LEAST_WIDTH) > room:
        return
    while needed(10**9) > room:
        widest = max(flexible, key=widths.__getitem__)
        others = [widths[name] for name in flexible if name != widest]
        excess = needed(10**9) - room
        widths[widest] = max(
            _LEAST_WIDTH, widths[widest] - excess, min(widths[widest] - 1, max(others, default=0))
        )
    for name in flexible:
        texts[name] = [shortened(text, widths[name]) for text in texts[name]]


def _is_text(field: Field) -> bool:
    return field.categories is not None or enumeration_of(field.column) is not None


def _padded(cells: Sequence[str], field: Field, width: int) -> list[str]:
    left = _is_text(field)
    if all(map(str.isascii, cells)):
        return [c.ljust(width) if left else c.rjust(width) for c in cells]
    spaces = [" " * (width - cell_width(cell)) for cell in cells]
    return [c + s if left else s + c for c, s in zip(cells, spaces, strict=True)]


def _is_styled() -> bool:
    if not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def _write_styled(
    rows: Sequence[Sequence[str]], styles: Sequence[str], indent: str, gap: str
) -> None:
    # An extra, and a slow import: only where it is seen.
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    for number, row in enumerate(rows):
        line = Text(indent, end="")
        for cell, style in zip(row, styles, strict=True):
            unknown = cell.strip() == UNKNOWN
            line.append(cell, "bold" if number == 0 else "dim" if unknown else style)
            line.append(gap)
        line.rstrip()
        console.print(line, soft_wrap=True)
