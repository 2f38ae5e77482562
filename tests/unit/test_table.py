# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

import snapcore
from snapcore import StringColumn, Table


@pytest.fixture
def names():
    return StringColumn(np.array([0, 1, -1, 0], dtype=np.int32), [b"a", b"\xff\xc3\xa9"])


def test_strings(names):
    assert names.categories == ("a", "\\xffé")
    assert names.categories_bytes == (b"a", b"\xff\xc3\xa9")
    assert list(names) == ["a", "\\xffé", None, "a"]
    assert names[2] is None
    assert (names == "a").tolist() == [True, False, False, True]
    assert (names != "a").tolist() == [False, True, True, False]
    assert (names == "missing").tolist() == [False] * 4
    assert names.isin(["a", "\\xffé"]).tolist() == [True, True, False, True]
    assert names.unique() == ["a", "\\xffé"]
    assert (names == pickle.loads(pickle.dumps(names))).all()
    assert list(pickle.loads(pickle.dumps(names))) == list(names)


def test_strings_as_numpy(names):
    array = names.to_numpy()
    assert array.tolist() == ["a", "\\xffé", None, "a"]
    assert str(array.dtype).startswith("StringDType" if np.__version__ >= "2" else "object")


@pytest.fixture
def table(names):
    return Table(
        "threads",
        [
            ("tid", np.array([4, 5, 6, 7], dtype=np.uint32), None),
            ("flags", np.array([0, 1, 0, 1], dtype=np.uint32), np.array([True, False, True, True])),
            ("name", names.codes, list(names.categories_bytes)),
        ],
    )


def test_table(table):
    assert len(table) == 4
    assert table.columns == ("tid", "flags", "name")
    assert table.valid("tid").all()
    assert table.valid("flags").tolist() == [True, False, True, True]
    assert table.valid("name").tolist() == [True, True, False, True]
    assert table.row(1) == {"tid": 5, "flags": None, "name": "\\xffé"}
    assert table.row(-1)["tid"] == 7
    with pytest.raises(IndexError):
        table.row(4)
    with pytest.raises(KeyError):
        table["missing"]
    assert "tid" in table
    assert repr(table) == "<Table threads: 4 rows, 3 columns>"
    assert {c.name for c in table.schema} >= set(table.columns)


def test_records(table):
    records = table.to_records()
    assert records.dtype.names == table.columns
    assert records["tid"].tolist() == [4, 5, 6, 7]
    assert records["name"].tolist() == ["a", "\\xffé", "", "a"]


def test_empty():
    empty = Table(
        "threads", [("tid", np.zeros(0, np.uint32), None), ("name", np.zeros(0, np.int32), [])]
    )
    assert len(empty) == 0
    assert empty.to_records().shape == (0,)
    assert empty["name"].unique() == []
    assert (empty["name"] == "x").shape == (0,)


@pytest.mark.parametrize(
    ("rows", "tids"),
    [
        ([2, 0, 0], [6, 4, 4]),
        ([-1], [7]),
        ([], []),
        (np.array([True, False, False, True]), [4, 7]),
        ([False] * 4, []),
    ],
)
def test_take(table, rows, tids):
    taken = table.take(rows)
    assert (taken.name, taken.columns) == (table.name, table.columns)
    assert taken["tid"].tolist() == tids
    by_tid = {row["tid"]: row for row in map(table.row, range(4))}
    assert [taken.row(i) for i in range(len(taken))] == [by_tid[tid] for tid in tids]
    assert not taken["tid"].flags.writeable
    assert not taken.valid("flags").flags.writeable
    assert pickle.loads(pickle.dumps(taken))["tid"].tolist() == tids


def test_take_of_a_native_table_and_its_diagnostics():
    threads = snapcore.threads(os.getpid())
    threads.diagnostics = ("one",)
    first = threads.take([0])
    assert first.row(0) == threads.row(0)
    assert first.diagnostics == ("one",)


@pytest.mark.parametrize("rows", [[4], [True], [True] * 5, [0.5], ["tid"]])
def test_take_what_is_not_there(table, rows):
    with pytest.raises(IndexError):
        table.take(rows)
