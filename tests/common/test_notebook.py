# SPDX-License-Identifier: Apache-2.0
"""What a notebook shows of tables, snapshots and dump files."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from report_pages import HOSTILE, hostile_dump

import snapcore
from snapcore import StringColumn, Table

if TYPE_CHECKING:
    from pathlib import Path


class Page(HTMLParser):
    """Elements and text; every element that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.tags.add(tag)
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


KNOWN_TAGS = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "p", "b"}


def small_table() -> Table:
    codes = np.array([0, 1, -1], dtype=np.int32)
    return Table(
        "threads",
        [
            ("tid", np.array([4, 5, 6], dtype=np.uint32), None),
            ("priority", np.array([1, 0, 3], dtype=np.int32), np.array([True, False, True])),
            ("stack_pointer", np.array([0x1000, 0, 0xFF], dtype=np.uint64), None),
            ("teb", np.zeros(3, dtype=np.uint64), np.zeros(3, dtype=np.bool_)),
            ("name", codes, [HOSTILE[0].encode(), b"\x1b[31m\xff"]),
        ],
    )


def test_a_table():
    page = Page(small_table()._repr_html_())
    assert page.rows == [
        ["tid", "priority", "stack_pointer", "name"],
        ["4", "1", "0x1000", "<script>alert(1)</script>"],
        ["5", "-", "0x0", r"\x1b[31m\xff"],
        ["6", "3", "0xff", "-"],
    ]
    assert "threads: 3 rows, 5 columns" in page.text
    assert "1 column of which nothing is known" in page.text
    assert page.tags <= KNOWN_TAGS


def test_a_large_table_is_bounded():
    count = 100_000
    names = [b"n" * 5000] * 3
    columns = [("name", np.zeros(count, dtype=np.int32), names)]
    columns += [(f"c{n}", np.arange(count), None) for n in range(30)]
    text = Table("of somebody's own", columns)._repr_html_()
    assert len(text) < 20_000
    page = Page(text)
    assert len(page.rows) == 11
    assert "99,990 more rows; 19 more columns" in page.text
    assert "100,000 rows, 31 columns" in page.text


def test_an_empty_table():
    page = Page(Table("threads", [("tid", np.zeros(0, dtype=np.uint32), None)])._repr_html_())
    assert page.rows == [["tid"]]
    assert "0 rows, 1 column" in page.text


def test_strings():
    column = StringColumn(np.array([0, -1] * 8, dtype=np.int32), [HOSTILE[2].encode()])
    page = Page(column._repr_html_())
    assert page.rows[:3] == [["value"], [HOSTILE[2]], ["-"]]
    assert "16 rows, 1 categories" in page.text
    assert "6 more rows" in page.text


def test_a_hostile_file(tmp_path: Path):
    with snapcore.open(hostile_dump(tmp_path / "a.dmp")) as dump:
        tables = [dump.threads(), dump.handles(), dump.regions(), dump.modules()]
        for thing in (dump, *tables):
            text = thing._repr_html_()
            assert text.isprintable()
            page = Page(text)
            assert page.tags <= KNOWN_TAGS
        page = Page(dump._repr_html_())
        assert ["exception", "0xb in thread 4242"] in page.rows
        assert ["threads", "9"] in page.rows
    assert "(closed)" in Page(dump._repr_html_()).text


@pytest.mark.parametrize("flags", [snapcore.CaptureFlags.THREADS, snapcore.CaptureFlags.DEFAULT])
def test_a_snapshot(idle, flags):
    with snapcore.capture(idle, flags) as snap:
        page = Page(snap._repr_html_())
        rows = dict(row for row in page.rows if len(row) == 2)
        assert rows["pid"] == str(idle)
        assert int(rows["threads"]) >= 1
        assert (rows["handles"] == "-") == (flags == snapcore.CaptureFlags.THREADS)
    Page(snap._repr_html_())
