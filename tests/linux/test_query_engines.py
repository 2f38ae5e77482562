# SPDX-License-Identifier: Apache-2.0
"""One question in NumPy, polars, pandas and DuckDB has one answer."""

from __future__ import annotations

import random

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from dump_builder import DumpBuilder, Handle

import snapcore

TYPES = ("File", "Socket", "Pipe", "EventFd", "Directory")


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


def counts(table) -> dict:
    column = table["type_name"]
    numbers = np.bincount(column.codes[column.codes >= 0], minlength=len(column.categories))
    out = dict(zip(column.categories, numbers.tolist(), strict=True))
    return out | {None: int((column.codes < 0).sum())}


def test_handles_by_type(two):
    after = two[1]
    expected = counts(after)
    assert len(expected) == len(TYPES) + 1
    by_polars = dict(pl.DataFrame(after).group_by("type_name").len().iter_rows())
    frame = pd.DataFrame.from_arrow(after)
    by_pandas = frame.groupby("type_name", observed=True, dropna=False).size().to_dict()
    by_pandas = {None if pd.isna(k) else k: v for k, v in by_pandas.items()}
    with duckdb.connect() as connection:
        by_duckdb = dict(
            connection.execute("SELECT type_name, count(*) FROM after GROUP BY 1").fetchall()
        )
    assert expected == by_polars == by_pandas == by_duckdb


def test_top_names(two):
    after = two[1]
    names = after["object_name"]
    numbers = np.bincount(names.codes[names.codes >= 0], minlength=len(names.categories)).tolist()
    ranked = sorted(zip(names.categories, numbers, strict=True), key=lambda row: (-row[1], row[0]))
    expected = ranked[:10]
    by_polars = (
        pl.DataFrame(after)
        .drop_nulls("object_name")
        .with_columns(pl.col("object_name").cast(pl.String))
        .group_by("object_name")
        .len()
        .sort(["len", "object_name"], descending=[True, False])
        .head(10)
        .rows()
    )
    frame = pd.DataFrame.from_arrow(after)
    sizes = frame.groupby("object_name", observed=True).size().reset_index(name="n")
    sizes["object_name"] = sizes["object_name"].astype(str)
    by_pandas = sizes.sort_values(["n", "object_name"], ascending=[False, True]).head(10)
    with duckdb.connect() as connection:
        by_duckdb = connection.execute(
            "SELECT object_name, count(*) AS n FROM after WHERE object_name IS NOT NULL "
            "GROUP BY 1 ORDER BY n DESC, object_name LIMIT 10"
        ).fetchall()
    assert len(expected) == 10
    assert expected == by_polars == by_duckdb
    assert expected == list(by_pandas.itertuples(index=False, name=None))


def test_growth_between_two_dumps(two):
    before, after = two
    first, second = counts(before), counts(after)
    expected = {k: second.get(k, 0) - first.get(k, 0) for k in TYPES}
    assert expected["File"] != 0

    def of_polars(table) -> pl.DataFrame:
        frame = pl.DataFrame(table).with_columns(pl.col("type_name").cast(pl.String))
        return frame.group_by("type_name").len()

    joined = of_polars(after).join(of_polars(before), on="type_name", suffix="_before")
    by_polars = {name: int(b) - int(a) for name, b, a in joined.iter_rows()}
    sizes = [pd.DataFrame.from_arrow(t).groupby("type_name", observed=True).size() for t in two]
    by_pandas = {name: int(sizes[1][name]) - int(sizes[0][name]) for name in TYPES}
    with duckdb.connect() as connection:
        by_duckdb = dict(
            connection.execute(
                "SELECT type_name, b.n - a.n FROM "
                "(SELECT type_name, count(*) AS n FROM before GROUP BY 1) a JOIN "
                "(SELECT type_name, count(*) AS n FROM after GROUP BY 1) b USING (type_name)"
            ).fetchall()
        )
    assert expected == by_polars == by_pandas == by_duckdb


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
