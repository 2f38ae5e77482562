# SPDX-License-Identifier: Apache-2.0
"""Tables by the Arrow C data interface, read by a reader of the tests' own."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import threading

import arrow_reader
import numpy as np
import pytest
from arrow_reader import array_in, columns_of, move, read, release, schema_in, stream_in
from dump_builder import DumpBuilder, Handle, Module
from support import WINDOWS

import snapcore
from snapcore import StringColumn, Table, _core, dtypes

NAMES = ("threads", "handles", "regions", "modules")


@pytest.fixture
def tables(facts):
    with snapcore.capture(facts.pid) as snap:
        return {name: getattr(snap, name)() for name in NAMES}


def a_table(n: int = 11) -> Table:
    """One of arrays that are not the native core's."""
    known = np.arange(n) % 3 != 0
    return Table(
        "handles",
        [
            ("handle", np.arange(n, dtype=np.uint64), None),
            ("created_at_ns", np.arange(n, dtype=np.int64), known),
            ("signaled", np.arange(n) % 2 == 0, known),
            # Not contiguous.
            ("type_name", np.arange(2 * n, dtype=np.int32)[::2] % 3 - 1, (b"a", b"\xff\xc3\xa9")),
            ("mine", np.linspace(0, 1, n), None),
        ],
    )


def check_equal(table: Table, columns: dict[str, arrow_reader.Column]) -> None:
    assert tuple(columns) == table.columns
    for name, column in columns.items():
        values, known = table[name], table.valid(name)
        if isinstance(values, StringColumn):
            expected = list(values)
        else:
            expected = [v if k else None for v, k in zip(values.tolist(), known, strict=True)]
        assert column.values == expected, name


@pytest.mark.parametrize("name", NAMES)
def test_every_value(tables, name):
    table = tables[name]
    assert len(table) > 0
    check_equal(table, read(table))


def test_every_table_has_what_dtypes_declares(tables):
    tables["system_handles"] = snapcore.system_handles()
    formats = {"u1": "C", "u2": "S", "u4": "I", "u8": "L", "i4": "i", "i8": "l", "b1": "b"}
    for name, table in tables.items():
        columns = read(table)
        for column in dtypes.TABLES[name]:
            found = columns[column.name]
            expected = formats.get(column.dtype, "i")
            if column.name.endswith("_ns"):
                expected = "tsn:UTC" if column.name.endswith("_at_ns") else "tDn"
            assert found.format == expected, column.name
            assert (found.dictionary is not None) == (column.dtype == "str")
            assert found.metadata["snapcore.meaning"] == column.meaning
            assert found.metadata.get("snapcore.unit", "") == column.unit
            for system in ("windows", "linux", "file"):
                fact = getattr(column, system)
                assert found.metadata.get(f"snapcore.source.{system}", "") == fact
        capsule = table.__arrow_c_schema__()
        assert arrow_reader.metadata_of(schema_in(capsule)) == {"snapcore.table": name}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_not_copied(tables, name):
    table = tables[name]
    heads, seen = read(table), 0
    for column in table.schema:
        values, found = table[column.name], heads[column.name]
        if column.dtype == "b1":
            continue
        array = values.codes if column.dtype == "str" else values
        # Of a string of which nothing is known NumPy has -1 in its codes, Arrow the block of zeros.
        if column.dtype != "str" or table.valid(column.name).any():
            assert found.buffers[1] == array.ctypes.data, column.name
            seen += 1
    assert seen > len(table.columns) // 2


def test_texts_are_not_copied(tables):
    column = tables["modules"]
    first, second = read(column)["path"], read(column)["path"]
    assert first.dictionary.buffers == second.dictionary.buffers
    assert first.dictionary.values == list(column["path"].categories)


def test_columns_of_which_nothing_is_known_share_one_block(tables):
    table = tables["modules"]
    assert not table.valid("timestamp").any() or WINDOWS
    handles, columns = tables["handles"], read(tables["handles"])
    unknown = [c for n, c in columns.items() if not handles.valid(n).any()]
    assert len(unknown) > 5
    assert len({address for c in unknown for address in c.buffers}) == 1
    assert all(c.null_count == len(handles) for c in unknown)


def test_a_table_of_numpy_arrays():
    table = a_table()
    columns = read(table)
    check_equal(table, columns)
    assert columns["type_name"].values[:4] == [None, "\\xffé", "a", None]
    assert columns["signaled"].format == "b"
    assert columns["mine"].format == "g"
    assert columns["mine"].metadata == {}
    assert columns["created_at_ns"].format == "tsn:UTC"
    table["handle"][0] = 7
    assert read(table)["handle"].values[0] == 7, "its arrays may change"


def test_a_pickled_table(tables):
    for table in tables.values():
        copy = pickle.loads(pickle.dumps(table))
        one, other = read(table), read(copy)
        assert {n: (c.format, c.values, c.metadata) for n, c in one.items()} == {
            n: (c.format, c.values, c.metadata) for n, c in other.items()
        }


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 64, 65, 1000])
def test_bits_at_the_edges(rows):
    table = a_table(rows)
    check_equal(table, read(table))


def test_texts_that_are_no_utf8():
    # The last two are one text when they are escaped; the first two are no character together.
    raw = [b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"", b"\xff", b"\\xff"]
    codes = np.array([0, 1, 2, 3, 4, 5, 6, -1], np.int32)
    table = Table("threads", [("name", codes, raw)])
    column = read(table)["name"]
    assert column.values == [r"\xc3", r"\xa9", r"\xed\xa0\x80", "😀", "", r"\xff", r"\xff", None]
    assert column.values == list(table["name"])
    assert len(column.dictionary.values) == 6


def test_empty_tables(tmp_path):
    path = DumpBuilder().system_info().module_list([]).handle_data([]).write(tmp_path / "a.dmp")
    with snapcore.open(path) as file:
        for table in (file.modules(), file.handles(), a_table(0)):
            assert len(table) == 0
            columns = read(table)
            assert tuple(columns) == table.columns
            assert all(c.values == [] and c.null_count == 0 for c in columns.values())
    assert read(Table("threads", [])) == {}


def test_a_stream_has_one_batch_and_ends(tables):
    table = tables["handles"]
    capsule = table.__arrow_c_stream__()
    stream = stream_in(capsule)
    for _ in range(2):
        schema, array = arrow_reader.Schema(), arrow_reader.Array()
        assert stream.get_schema(ctypes.byref(stream), ctypes.byref(schema)) == 0
        if array.release:
            release(array)
    assert stream.get_next(ctypes.byref(stream), ctypes.byref(array)) == 0
    assert stream.get_last_error(ctypes.byref(stream)) is None
    for _ in range(2):
        end = arrow_reader.Array()
        assert stream.get_next(ctypes.byref(stream), ctypes.byref(end)) == 0
        assert not end.release
    # What came out of it outlives the stream, the table and its schema.
    expected = list(table["type_name"])
    release(stream)
    del table, capsule
    tables.clear()
    gc.collect()
    assert columns_of(schema, array)["type_name"].values == expected
    release(array)
    release(schema)


def test_each_call_makes_fresh_capsules(tables):
    table = tables["threads"]
    first, second = table.__arrow_c_array__(), table.__arrow_c_array__()
    release(schema_in(first[0]))
    release(array_in(first[1]))
    check_equal(table, columns_of(schema_in(second[0]), array_in(second[1])))


def test_arrays_outlive_all_else(facts):
    with snapcore.capture(facts.pid) as snap:
        table = snap.threads()
    expected = table["tid"].tolist()
    schema, array = table.__arrow_c_array__()
    moved = move(array_in(array)), move(schema_in(schema))
    del table, snap, schema, array
    gc.collect()
    # Memory that was freed is likely used again.
    junk = [np.full(len(expected), 0xAA, np.uint32) for _ in range(1000)]
    assert columns_of(moved[1], moved[0])["tid"].values == expected
    assert len(junk) == 1000
    release(moved[0])
    release(moved[1])


def test_children_may_be_taken_out(tables):
    table = tables["modules"]
    schema, array = table.__arrow_c_array__()
    parent, kinds = array_in(array), schema_in(schema)
    at = table.columns.index("path")
    child = move(parent.children[at].contents)
    kind = move(kinds.children[at].contents)
    other = move(parent.children[0].contents)
    release(other)
    release(parent)
    release(kinds)
    assert arrow_reader.column_of(kind, child).values == list(table["path"])
    texts = move(child.dictionary.contents)
    release(child)
    assert texts.length == len(table["path"].categories)
    release(texts)
    release(kind)


def resident() -> int:
    if not WINDOWS:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    size_t, count = ctypes.c_size_t, 9
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    ask = kernel32.K32GetProcessMemoryInfo
    ask.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32
    # PROCESS_MEMORY_COUNTERS: two DWORDs, then PeakWorkingSetSize, WorkingSetSize, ...
    counters = (size_t * count)()
    assert ask(kernel32.GetCurrentProcess(), counters, ctypes.sizeof(counters))
    return counters[2]


@pytest.mark.parametrize("taken", ["nothing", "schema", "array", "stream", "all"])
def test_what_nobody_takes_is_freed(taken):
    n = 100_000
    table = a_table(n)
    read_once = 4 * n

    def once() -> None:
        schema, array = table.__arrow_c_array__()
        stream = table.__arrow_c_stream__()
        if taken in ("schema", "all"):
            release(move(schema_in(schema)))
        if taken in ("array", "all"):
            release(move(array_in(array)))
        if taken in ("stream", "all"):
            out = arrow_reader.Array()
            stream_in(stream).get_next(ctypes.byref(stream_in(stream)), ctypes.byref(out))
            release(stream_in(stream))
            release(out)

    for _ in range(3):
        once()
    before = resident()
    for _ in range(60):
        once()
    assert resident() - before < 20 * read_once


def test_freed_on_another_thread_without_the_interpreter(facts):
    # A C function of its own, called with the GIL released: pythonapi's own would hold it.
    with snapcore.capture(facts.pid) as snap:
        table = snap.handles()
    capsules = [table.__arrow_c_array__() for _ in range(50)]
    moved = [move(array_in(array)) for _, array in capsules]
    del table, snap
    free = ctypes.CFUNCTYPE(None, ctypes.POINTER(arrow_reader.Array))

    def work(part) -> None:
        for array in part:
            address = ctypes.cast(array.release, ctypes.c_void_p).value
            free(address)(ctypes.byref(array))  # CFUNCTYPE releases the GIL

    threads = [threading.Thread(target=work, args=(moved[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(array.release for array in moved)


def test_many_threads_ask_at_once(facts):
    with snapcore.capture(facts.pid) as snap:
        table = snap.handles()
    expected = {n: c.values for n, c in read(table).items()}
    right: list[bool] = []

    def work() -> None:
        for _ in range(10):
            right.append({n: c.values for n, c in read(table).items()} == expected)  # noqa: PERF401

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 60


def test_garbage_collection_finds_nothing(facts):
    with snapcore.capture(facts.pid) as snap:
        table = snap.handles()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(100):
        table.__arrow_c_array__()
        table.__arrow_c_stream__()
    assert gc.collect() == 0
    assert len(gc.get_objects()) - before < 50


def test_a_requested_schema(tables):
    table, other = tables["threads"], tables["modules"]
    capsule = table.__arrow_c_schema__()
    schema, array = table.__arrow_c_array__(capsule)
    check_equal(table, columns_of(schema_in(schema), array_in(array)))
    assert schema_in(capsule).release, "it is the caller's"
    for method in (table.__arrow_c_array__, table.__arrow_c_stream__):
        with pytest.raises(ValueError, match="columns are asked for"):
            method(other.__arrow_c_schema__())
        with pytest.raises(ValueError, match="PyCapsule"):
            method(table.__arrow_c_stream__())
    release(schema_in(capsule))
    with pytest.raises(ValueError, match="released"):
        table.__arrow_c_array__(capsule)


def test_what_is_no_column():
    numbers, strings = _core.ArrowColumn.numbers, _core.ArrowColumn.strings
    three = np.arange(3, dtype=np.uint32)
    with pytest.raises(IndexError, match="code"):
        strings(np.array([0, 2], np.int32), [b"a", b"b"])
    with pytest.raises(TypeError, match="complex"):
        numbers(np.zeros(2, complex), None)
    with pytest.raises(TypeError, match="object"):
        numbers(np.array(["a"], object), None)
    with pytest.raises(ValueError, match="mask"):
        numbers(three, np.ones(2, bool))
    with pytest.raises(ValueError, match="dimension"):
        numbers(np.zeros((2, 2)), None)
    column = numbers(three, None)
    for fields, columns, rows, match in (
        ([], [column], 3, "field"),
        ([("a", "", [])], [column], 4, "equal"),
        ([("a", "tDn", [])], [column], 3, "none of"),
        ([("a", "L", [])], [column], 3, "none of"),
    ):
        with pytest.raises(ValueError, match=match):
            _core.ArrowTable(rows=rows, fields=fields, metadata=[], columns=columns)


def test_of_a_dump_file(tmp_path):
    handles = [Handle(4 * i, f"Type{i % 3}", f"name {i}", granted_access=i) for i in range(1, 50)]
    path = (
        DumpBuilder()
        .system_info()
        .handle_data(handles)
        .module_list([Module(0x1000, 0x2000, "C:\\é\U0001f600.dll")])
        .write(tmp_path / "a.dmp")
    )
    with snapcore.open(path) as file:
        columns = read(file.handles())
        assert read(file.modules())["path"].values == ["C:\\é\U0001f600.dll"]
    assert columns["handle"].values == [h.handle for h in handles]
    assert columns["type_name"].values == [h.type_name for h in handles]
    assert columns["type_name"].dictionary.values == ["Type1", "Type2", "Type0"]
    assert columns["object_name"].values == [h.object_name for h in handles]
    assert columns["granted_access"].values == list(range(1, 50))
