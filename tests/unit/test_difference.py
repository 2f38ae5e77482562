# SPDX-License-Identifier: Apache-2.0
"""Which rows are the same thing, on tables made for it."""

from __future__ import annotations

import numpy as np
import pytest

import snapcore
from snapcore import DifferenceCount, Table, dtypes

SECOND = 1_000_000_000


def table_of(name: str, *rows: dict) -> Table:
    """A table of rows; what a row does not say is not known."""
    columns = []
    for column in dtypes.TABLES[name]:
        values = [row.get(column.name) for row in rows]
        known = np.array([v is not None for v in values], dtype=np.bool_)
        if column.dtype == "str":
            categories = list(dict.fromkeys(v.encode() for v in values if v is not None))
            codes = [-1 if v is None else categories.index(v.encode()) for v in values]
            columns.append((column.name, np.array(codes, dtype=np.int32), categories))
        else:
            numbers = np.array([v or 0 for v in values], dtype=column.dtype)
            columns.append((column.name, numbers, known))
    return Table(name, columns)


def parts(name: str, before: list[dict], after: list[dict]) -> tuple[int, int, int]:
    """How many rows were added, removed and kept; nothing gets lost."""
    found = snapcore.diff(table_of(name, *before), table_of(name, *after))
    counts = len(found.added), len(found.removed), len(found.kept)
    assert counts[0] + counts[2] == len(after)
    assert counts[1] + counts[2] == len(before)
    assert {found.added.name, found.removed.name, found.kept.name} == {name}
    return counts


FILE = {"handle": 3, "type_name": "File", "object_name": "/a", "inode": 7, "device": 1}
SOCKET = {"handle": 4, "type_name": "Socket", "object_name": "socket:[9]", "inode": 9, "device": 8}
EVENT = {"handle": 5, "type_name": "Event", "manual_reset": True, "created_at_ns": 10 * SECOND}
SAME, OTHER = (0, 0, 1), (1, 1, 0)


@pytest.mark.parametrize(
    ("row", "change", "expected"),
    [
        (FILE, {}, SAME),
        (FILE, {"handle": 4}, OTHER),
        (FILE, {"inode": 8}, OTHER),
        (FILE, {"device": 2}, OTHER),
        (FILE, {"object_name": "/b"}, OTHER),
        (FILE, {"type_name": "Directory"}, OTHER),
        (FILE, {"object_name": "/a (deleted)"}, SAME),
        # What may change while it is open.
        (FILE, {"position": 100, "granted_access": 0o4000, "section_size": 5}, SAME),
        (FILE, {"captured_at_ns": 5, "peer_pid": 3}, SAME),
        # What one side does not know is no difference.
        (FILE, {"inode": None, "device": None}, SAME),
        (FILE, {"object_name": None}, SAME),
        (SOCKET, {"object_name": "tcp 127.0.0.1:80"}, SAME),
        (SOCKET, {"inode": 10}, OTHER),
        # Of a writer that knows no inodes, the name is all there is.
        ({**SOCKET, "inode": None}, {"object_name": "tcp 127.0.0.1:80", "inode": None}, OTHER),
        (EVENT, {}, SAME),
        (EVENT, {"manual_reset": False}, OTHER),
        (EVENT, {"created_at_ns": 12 * SECOND}, OTHER),
        (EVENT, {"signaled": True, "handle_count": 2}, SAME),
    ],
)
def test_handles(row, change, expected):
    assert parts("handles", [row], [{**row, **change}]) == expected


def test_handles_of_the_system_are_told_apart_by_their_process():
    rows = [{**FILE, "pid": 1}, {**FILE, "pid": 2}]
    assert parts("system_handles", rows, [{**FILE, "pid": 2}, {**FILE, "pid": 3}]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("name", "row", "change", "expected"),
    [
        ("threads", {"tid": 1, "created_at_ns": 5 * SECOND}, {"name": "x"}, SAME),
        ("threads", {"tid": 1, "created_at_ns": 5 * SECOND}, {"tid": 2}, OTHER),
        # Linux computes it from two clocks.
        (
            "threads",
            {"tid": 1, "created_at_ns": 5 * SECOND},
            {"created_at_ns": 5_000_009_000},
            SAME,
        ),
        ("threads", {"tid": 1, "created_at_ns": 5 * SECOND}, {"created_at_ns": 7 * SECOND}, OTHER),
        ("threads", {"tid": 1, "created_at_ns": 5 * SECOND}, {"created_at_ns": None}, SAME),
        ("system_threads", {"pid": 1, "tid": 1}, {"pid": 2}, OTHER),
        ("regions", {"base": 4096, "size": 4096, "mapped_file": "/a"}, {"protect": 4}, SAME),
        ("regions", {"base": 4096, "size": 4096, "mapped_file": "/a"}, {"size": 8192}, OTHER),
        (
            "regions",
            {"base": 4096, "size": 4096, "mapped_file": "/a"},
            {"mapped_file": "/b"},
            OTHER,
        ),
        ("regions", {"base": 1 << 63, "size": 4096}, {"base": (1 << 63) + 4096}, OTHER),
        ("modules", {"base": 1, "path": "/a", "debug_id": "1"}, {"size": 5}, SAME),
        ("modules", {"base": 1, "path": "/a", "debug_id": "1"}, {"path": "/b"}, OTHER),
        ("modules", {"base": 1, "path": "/a", "debug_id": "1"}, {"debug_id": "2"}, OTHER),
        ("modules", {"base": 1, "path": "/a", "debug_id": "1"}, {"base": 2}, OTHER),
    ],
)
def test_other_tables(name, row, change, expected):
    assert parts(name, [row], [{**row, **change}]) == expected


def test_rows_keep_their_order_and_columns():
    before = [{**FILE, "handle": h} for h in (9, 3, 7)]
    after = [{**FILE, "handle": h} for h in (8, 7, 1, 9)]
    found = snapcore.diff(table_of("handles", *before), table_of("handles", *after))
    assert found.added["handle"].tolist() == [8, 1]
    assert found.removed["handle"].tolist() == [3]
    assert found.kept["handle"].tolist() == [7, 9]
    for part in (found.added, found.removed, found.kept):
        assert part.columns == tuple(c.name for c in dtypes.HANDLES)
        assert set(part["object_name"]) == {"/a"}
    assert repr(found) == "<Difference of handles: 2 added, 1 removed, 2 kept>"


def test_a_number_that_comes_twice_in_a_broken_file():
    assert parts("handles", [FILE, FILE, SOCKET], [FILE, FILE, FILE]) == (1, 1, 2)


def test_nothing_and_something():
    assert parts("handles", [], []) == (0, 0, 0)
    assert parts("handles", [], [FILE]) == (1, 0, 0)
    assert parts("handles", [FILE], []) == (0, 1, 0)


def test_counts():
    before = [FILE, SOCKET, {"handle": 9}]
    after = [FILE, *({**SOCKET, "handle": h, "inode": h} for h in (10, 11)), {"handle": 12}]
    found = snapcore.diff(table_of("handles", *before), table_of("handles", *after))
    assert found.by("type_name") == (
        DifferenceCount("Socket", 2, 1, 0),
        DifferenceCount(None, 1, 1, 0),
        DifferenceCount("File", 0, 0, 1),
    )
    assert [c.net for c in found.by("type_name")] == [1, 0, 0]
    assert DifferenceCount(7, 0, 0, 1) in found.by("inode")
    with pytest.raises(KeyError):
        found.by("nothing")


def test_what_cannot_be_compared():
    handles, threads = table_of("handles", FILE), table_of("threads", {"tid": 1})
    with pytest.raises(ValueError, match=r"handles.*threads"):
        snapcore.diff(handles, threads)
    with pytest.raises(ValueError, match="one of handles"):
        snapcore.diff(handles, handles, table="everything")
    with pytest.raises(TypeError, match=r"snapcore\.handles"):
        snapcore.diff(4711, handles)
    pages = table_of("auxiliary_pages", {"address": 1})
    with pytest.raises(ValueError, match="auxiliary_pages"):
        snapcore.diff(pages, pages)
