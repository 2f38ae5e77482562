# SPDX-License-Identifier: Apache-2.0
"""One question in NumPy, polars, pandas and DuckDB has one answer."""

from __future__ import annotations

import random

import duckdb
import pandas as pd
import polars as pl
import pytest
from dump_builder import DumpBuilder, Handle
from query_engines import ENGINES, TOP, NumPy

import snapcore

TYPES = ("File", "Socket", "Pipe", "EventFd", "Directory")
COLUMNS = ("type_name", "object_name")
OURS = NumPy()


@pytest.fixture(autouse=True)
def nothing_left_here():
    """The libraries keep threads for their next work."""


def dump(path, count: int, seed: int):
    rng = random.Random(seed)
    handles = [
        Handle(
            4 * i,
            rng.choices(TYPES, weights=(5, 3, 2, 1, 1 + seed))[0] if i % 17 else None,
            f"/var/{rng.randrange(40)}/é" if i % 5 else None,
            handle_count=rng.randrange(100),
        )
        for i in range(1, count + 1)
    ]
    return DumpBuilder().system_info().handle_data(handles).write(path)


@pytest.fixture
def two(tmp_path):
    """The handles of two dumps of one process."""
    tables = []
    for seed, count in enumerate((3000, 4500)):
        with snapcore.open(dump(tmp_path / f"{seed}.dmp", count, seed)) as file:
            tables.append(file.handles())
    return tables


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("engine", ENGINES)
def test_rows_of_each_value(two, engine, column):
    expected = OURS.counts(two[1], column)
    assert len(expected) == {"type_name": len(TYPES), "object_name": 40}[column] + 1
    assert ENGINES[engine].counts(two[1], column) == expected


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("engine", ENGINES)
def test_most_frequent(two, engine, column):
    expected = OURS.top(two[1], column)
    assert len(expected) == min(TOP, len(OURS.counts(two[1], column)) - 1)
    assert ENGINES[engine].top(two[1], column) == expected


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("engine", ENGINES)
def test_growth_between_two_dumps(two, engine, column):
    expected = OURS.growth(*two, column)
    assert any(expected.values())
    assert ENGINES[engine].growth(*two, column) == expected


def test_sums_leave_out_what_is_not_known(facts):
    with snapcore.capture(facts.pid) as snap:
        table = snap.handles()
    known = table.valid("current_count")
    assert 0 < known.sum() < len(table)
    expected = int(table["current_count"][known].sum())
    frame = pd.DataFrame.from_arrow(table)
    with duckdb.connect() as connection:
        (by_duckdb,) = connection.execute('SELECT sum(current_count) FROM "table"').fetchone()
    assert expected == pl.DataFrame(table)["current_count"].sum()
    assert expected == int(frame["current_count"].sum()) == by_duckdb
