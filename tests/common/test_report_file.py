# SPDX-License-Identifier: Apache-2.0
"""The report as a file, read without a browser, on both systems."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from report_pages import HOSTILE, hostile_dump, pair_of_dumps

import snapcore
from snapcore.cli import main
from snapcore.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "link", "br"}
TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "header", "main", "footer", "nav"),
    *("h1", "h2", "h3", "p", "a", "ul", "li", "dl", "dt", "dd", "div", "section", "span"),
    *("details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "g", "rect", "text"),
}


class Page(HTMLParser):
    """Rows of every table by its caption; every element that is opened is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []
        assert self.tags <= TAGS
        assert {"svg", "table", "details"} <= self.tags

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on") or name == "src"]
        assert all(v == "data:," or v.startswith("#") for n, v in attrs if n == "href" and v)
        self.tags.add(tag)
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "caption":
            self.tables[data] = self._rows
        elif self._open and self._open[-1] in ("td", "th"):
            self._rows[-1][-1] += data
        if "style" not in self._open:
            self.text += data


def test_a_hostile_file(tmp_path):
    dump = hostile_dump(tmp_path / "a.dmp")
    snapcore.report(dump, tmp_path / "a.html", since=dump)
    raw = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert all(c == "\n" or c.isprintable() for c in raw)
    page = Page(tmp_path / "a.html")
    assert [HOSTILE[0], "2", ""] in page.tables["By type"]
    assert len(page.tables["By type"]) == len(HOSTILE) + 1
    assert ["threads", "9", "9", "±0", "0", "0"] in page.tables["In all"]
    assert "Handles by type" not in page.tables, "nothing differs"
    assert page.tables["Threads"][1][1] == HOSTILE[0]
    assert page.tables["Threads"][1][4].endswith("+0x1234")
    assert "{{ 7 * 7 }}" in page.text
    raw_names = [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", raw) if "\\" in text]
    assert r"right\u202egpj.exe\u2066" in raw_names, "a backslash of an escape divides no path"


def test_hostile_names_that_came(tmp_path):
    early = hostile_dump(tmp_path / "early.dmp", early=True)
    late = hostile_dump(tmp_path / "late.dmp")
    snapcore.report(late, tmp_path / "a.html", since=early)
    raw = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert all(c == "\n" or c.isprintable() for c in raw)
    page = Page(tmp_path / "a.html")
    assert ["handles", "1", "18", "+17", "18", "1"] in page.tables["In all"]
    assert ["File", "1", "0", "-1", "0", "1"] in page.tables["Handles by type"]
    assert [HOSTILE[0], "0", "2", "+2", "2", "0"] in page.tables["Handles by type"]
    handles = page.tables["Handles that came, by name"]
    threads = page.tables["Threads that came, by name"]
    assert (len(handles), len(threads)) == (len(HOSTILE) + 1, len(HOSTILE))
    for name in ('"><svg onload=alert(#)>', "{{ # * # }}{% raw %}", r"\x1b[#mred\x07"):
        assert [name, "2", ""] in handles
        assert [name, "1", ""] in threads
    assert [r"right\u202egpj.exe\u2066", "2", ""] in handles


def test_what_came_and_went(tmp_path):
    before, after = pair_of_dumps(tmp_path)
    snapcore.report(after, tmp_path / "a.html", since=before)
    page = Page(tmp_path / "a.html")
    head = ["what", "before", "now", "change", "came", "went"]
    threads, handles, regions, _ = page.tables["In all"][1:]
    assert page.tables["In all"][0] == head
    assert threads == ["threads", "2", "5", "+3", "3", "0"]
    # Number 3 is of another file now, 4 and 7 are what they were; of the events one went and one came.
    assert handles == ["handles", "4", "1,534", "+1,530", "1,532", "2"]
    assert regions == ["regions", "1", "1", "±0", "0", "0"]
    assert page.tables["Handles by type"][1:] == [
        ["File", "2", "1,532", "+1,530", "1,531", "1"],
        ["Event", "1", "1", "±0", "1", "1"],
    ]
    names = page.tables["Handles that came, by name"][1:]
    assert names[0] == ["/tmp/session-#.tmp", "1,500", ""]
    assert names[1:4] == [[f"/srv/{'x' * n}", "1", ""] for n in (1, 2, 3)]
    assert len(names) == 20
    assert "13 more names, 13 in all, are not shown" in page.text
    assert page.tables["Threads that came, by name"][1:] == [["worker-#", "3", ""]]
    snapcore.report(before, tmp_path / "b.html", since=after)
    page = Page(tmp_path / "b.html")
    assert ["handles", "1,534", "4", "-1,530", "2", "1,532"] in page.tables["In all"]
    names = page.tables["Handles that came, by name"][1:]
    assert names == [["/var/log/old.log", "1", ""], ["no name", "1", ""]]
    assert "Threads that came, by name" not in page.tables


def test_of_another_process_only_counts_are_compared(tmp_path):
    before, after = pair_of_dumps(tmp_path, create_time=1_600_000_002)
    snapcore.report(after, tmp_path / "a.html", since=before)
    page = Page(tmp_path / "a.html")
    assert "of another process" in page.text
    assert page.tables["In all"] == [
        ["what", "before", "now", "change"],
        ["threads", "2", "5", "+3"],
        ["handles", "4", "1,534", "+1,530"],
        ["regions", "1", "1", "±0"],
        ["modules", "0", "0", "±0"],
    ]
    assert page.tables["Handles by type"][1:] == [
        ["File", "2", "1,532", "+1,530"],
        ["Key", "0", "1", "+1"],
        ["not known", "1", "0", "-1"],
    ]
    assert not [caption for caption in page.tables if "came" in caption]


@pytest.mark.parametrize(
    ("now", "another"),
    [
        ({}, False),
        # The same instant, computed twice, may be of the next second.
        ({"create_time": 1_600_000_001}, False),
        ({"create_time": 1_600_000_002}, True),
        ({"pid": 4243}, True),
    ],
)
def test_which_process_is_another(tmp_path, now, another):
    before, after = pair_of_dumps(tmp_path, **now)
    snapcore.report(after, tmp_path / "a.html", since=before)
    assert ("of another process" in Page(tmp_path / "a.html").text) == another


def test_a_file_that_holds_little(tmp_path):
    """What was not captured is said, and nothing fails of it."""
    from dump_builder import DumpBuilder, Thread

    dump = DumpBuilder().system_info().threads([Thread(7, "only")]).module_list([])
    dump.write(tmp_path / "a.dmp")
    snapcore.report(tmp_path / "a.dmp", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text.count("was not captured") == 1
    assert text.count("were not captured") == 2
    assert "<svg" not in text


def test_a_running_process_and_its_dump(idle, tmp_path, capsys):
    dump = tmp_path / "a.dmp"
    snapcore.dump(idle, dump, "full")
    with snapcore.capture(idle) as snap:
        snapcore.report(snap, tmp_path / "live.html", since=str(dump))
        threads = len(snap.threads())
    page = Page(tmp_path / "live.html")
    assert ["threads", str(threads), str(threads), "±0", "0", "0"] in page.tables["In all"]
    assert page.tables["Committed memory by kind"][0] == ["kind", "size", "share"]
    assert len(page.tables["Modules"]) > 3
    output = tmp_path / "command.html"
    code = main(["report", str(idle), "-o", str(output), "--since", str(dump)])
    assert code in (ExitCode.OK, ExitCode.WARNINGS)
    assert capsys.readouterr().out == f"{output}\n"
    assert Page(output).tables.keys() >= page.tables.keys() - {"Diagnostics"}


def test_names_of_files(tmp_path):
    dump = hostile_dump(tmp_path / "a.dmp")
    goal = tmp_path / "a.html"
    snapcore.report(os.fspath(dump), os.fspath(goal))
    first = goal.read_bytes()
    with pytest.raises(FileExistsError):
        snapcore.report(dump, goal)
    goal.write_bytes(b"old")
    with snapcore.open(dump) as file:
        snapcore.report(file, goal, overwrite=True)
    assert goal.read_bytes() == first
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(PermissionError if os.name == "nt" else IsADirectoryError):
        snapcore.report(dump, folder, overwrite=True)
    with pytest.raises(FileNotFoundError):
        snapcore.report(dump, tmp_path / "missing" / "a.html")
    assert {p.name for p in tmp_path.iterdir()} == {"a.dmp", "a.html", "folder"}


def test_another_process_is_told(tmp_path, idle):
    snapcore.dump(idle, tmp_path / "b.dmp")
    snapcore.report(hostile_dump(tmp_path / "a.dmp"), tmp_path / "a.html", since=tmp_path / "b.dmp")
    assert "of another process" in (tmp_path / "a.html").read_text(encoding="utf-8")
    snapcore.report(tmp_path / "b.dmp", tmp_path / "b.html", since=tmp_path / "b.dmp")
    assert "of another process" not in (tmp_path / "b.html").read_text(encoding="utf-8")
