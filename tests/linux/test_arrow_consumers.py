# SPDX-License-Identifier: Apache-2.0
"""pyarrow, polars, pandas and DuckDB take a table as it is."""

from __future__ import annotations

import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import snapcore
from snapcore import StringColumn, Table

NAMES = ("threads", "handles", "regions", "modules")


@pytest.fixture(autouse=True)
def nothing_left_here():
    """The libraries keep threads for their next work."""


@pytest.fixture(params=NAMES)
def table(request, facts):
    with snapcore.capture(facts.pid) as snap:
        return getattr(snap, request.param)()


def expected(table: Table, name: str) -> list:
    values, known = table[name], table.valid(name)
    if isinstance(values, StringColumn):
        return list(values)
    return [v if k else None for v, k in zip(values.tolist(), known, strict=True)]


def as_numbers(array: pa.ChunkedArray | pa.Array) -> list:
    if pa.types.is_timestamp(array.type) or pa.types.is_duration(array.type):
        array = array.cast(pa.int64())
    return array.to_pylist()


@pytest.mark.parametrize("pickled", [False, True])
def test_pyarrow(table, pickled):
    given = pickle.loads(pickle.dumps(table)) if pickled else table
    for taken in (pa.table(given), pa.record_batch(given)):
        taken.validate(full=True)
        assert taken.num_rows == len(table) > 0
        assert tuple(taken.column_names) == table.columns
        for column in table.schema:
            field = taken.schema.field(column.name)
            assert as_numbers(taken[column.name]) == expected(table, column.name), column.name
            assert taken[column.name].null_count == (~table.valid(column.name)).sum()
            if column.dtype == "str":
                assert field.type == pa.dictionary(pa.int32(), pa.large_string())
            elif column.name.endswith("_at_ns"):
                assert field.type == pa.timestamp("ns", "UTC")
            elif column.name.endswith("_ns"):
                assert field.type == pa.duration("ns")
            elif column.dtype == "b1":
                assert field.type == pa.bool_()
            else:
                assert field.type == pa.from_numpy_dtype(np.dtype(column.dtype))
            assert field.metadata[b"snapcore.meaning"].decode() == column.meaning
        assert taken.schema == pa.schema(given)


def test_pyarrow_reads_the_memory_of_numpy(table):
    taken = pa.record_batch(table)
    for column in table.schema:
        array = taken[column.name]
        if column.dtype == "str":
            if table.valid(column.name).any():
                assert array.indices.buffers()[1].address == table[column.name].codes.ctypes.data
                again = pa.record_batch(table)[column.name].dictionary.buffers()
                assert [b.address for b in array.dictionary.buffers()[1:]] == [
                    b.address for b in again[1:]
                ]
        elif column.dtype != "b1":
            assert array.buffers()[1].address == table[column.name].ctypes.data, column.name


def test_pyarrow_casts_to_a_schema_that_is_asked_for(table):
    wanted = pa.schema(
        [
            f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f
            for f in pa.schema(table)
        ]
    )
    taken = pa.RecordBatchReader.from_stream(table).cast(wanted).read_all()
    assert taken.schema == wanted
    for name in table.columns:
        assert as_numbers(taken[name]) == expected(table, name)
    with pytest.raises(ValueError, match="columns are asked for"):
        table.__arrow_c_stream__(pa.schema([("one", pa.int8())]).__arrow_c_schema__())


def test_polars(table):
    for frame in (pl.DataFrame(table), pl.from_arrow(pa.table(table))):
        assert tuple(frame.columns) == table.columns
        for column in table.schema:
            series = frame[column.name]
            if column.name.endswith("_at_ns"):
                assert series.dtype == pl.Datetime("ns", "UTC")
            elif column.name.endswith("_ns"):
                assert series.dtype == pl.Duration("ns")
            elif column.dtype == "str":
                assert series.dtype == pl.Categorical
            physical = series.cast(pl.Int64) if column.name.endswith("_ns") else series
            assert physical.to_list() == expected(table, column.name), column.name


def test_pandas(table):
    frames = pd.DataFrame.from_arrow(table), pa.table(table).to_pandas()
    for frame in frames:
        assert tuple(frame.columns) == table.columns
        for column in table.schema:
            series, known = frame[column.name], table.valid(column.name)
            assert (series.isna().to_numpy() == ~known).all(), column.name
            if column.dtype == "str":
                assert isinstance(series.dtype, pd.CategoricalDtype)
            if column.name.endswith("_at_ns"):
                assert str(series.dtype) == "datetime64[ns, UTC]"
            elif known.all() and column.dtype not in ("str", "b1"):
                kept = series.astype("int64") if column.name.endswith("_ns") else series
                assert (kept.to_numpy() == table[column.name]).all(), column.name
            elif column.dtype == "str":
                found = [None if pd.isna(v) else v for v in series]
                assert found == expected(table, column.name)


def test_duckdb(table):
    with duckdb.connect() as connection:
        for column in table.schema:
            name = column.name
            if column.name.endswith("_ns"):
                continue
            rows = connection.execute(f'SELECT "{name}" FROM "table"').fetchall()
            assert [row[0] for row in rows] == expected(table, name), name
        (counted,) = connection.execute('SELECT count(*) FROM "table"').fetchone()
        assert counted == len(table)


def test_duckdb_knows_times(facts):
    with snapcore.capture(facts.pid) as snap:
        threads = snap.threads()
    with duckdb.connect() as connection:
        kind, when = connection.execute(
            "SELECT typeof(max(captured_at_ns)), epoch_ns(max(captured_at_ns)) FROM threads"
        ).fetchone()
    assert "TIMESTAMP" in kind
    # DuckDB has no nanoseconds with a time zone.
    assert abs(when - int(threads["captured_at_ns"].max())) < 1000


@pytest.mark.parametrize("holder", ["pyarrow", "polars", "pandas"])
def test_what_was_taken_outlives_table_and_snapshot(facts, holder):
    take = {"pyarrow": pa.table, "polars": pl.DataFrame, "pandas": pd.DataFrame.from_arrow}[holder]
    with snapcore.capture(facts.pid) as snap:
        table = snap.handles()
        names, numbers = list(table["object_name"]), table["handle"].tolist()
        taken = take(table)
    del table, snap
    gc.collect()
    junk = [np.full(len(numbers), 0xAA, np.uint64) for _ in range(1000)]
    rows = taken.to_pylist() if holder == "pyarrow" else taken.to_dict(**_rows(holder))
    if holder == "polars":
        assert taken["object_name"].to_list() == names
        assert taken["handle"].to_list() == numbers
    else:
        found = [None if pd.isna(r["object_name"]) else r["object_name"] for r in rows]
        assert found == names
        assert [r["handle"] for r in rows] == numbers
    assert len(junk) == 1000


def _rows(holder: str) -> dict:
    return {"as_series": True} if holder == "polars" else {"orient": "records"}


def test_freed_on_threads_of_the_library(facts):
    with snapcore.capture(facts.pid) as snap:
        table = snap.handles()
    taken = [pa.table(table) for _ in range(200)]
    del table, snap

    def drop() -> None:
        while taken:
            try:
                taken.pop()
            except IndexError:
                return

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == []
    assert gc.collect() == 0


def test_threads_that_query_one_table(facts):
    with snapcore.capture(facts.pid) as snap:
        table = snap.handles()
    expect = sorted(pa.table(table)["type_name"].to_pylist())
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: sorted(pl.DataFrame(table)["type_name"].to_list()), range(40))
        )
    assert all(each == expect for each in found)
