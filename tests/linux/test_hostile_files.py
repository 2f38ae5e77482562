# SPDX-License-Identifier: Apache-2.0
"""Dump files with anything in them: a result or DumpFormatError, in bounded time."""

from __future__ import annotations

import contextlib
import struct
import time
from pathlib import Path

import dump_builder
import dump_structures
import numpy as np
import pytest
import sample_dumps
from dump_files import everything
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import snapcore
from snapcore import DumpFormatError


@pytest.fixture
def small(facts, tmp_path):
    path = tmp_path / "small.dmp"
    snapcore.dump(facts.pid, path, 0x1844)
    return path


#: Files of the builder, and their words that count something, point somewhere or are a size.
BUILT = [
    (builder.build(), builder.all_words())
    for builder in (
        sample_dumps.small_windows(),
        sample_dumps.small_linux(),
        sample_dumps.small_linux(dump_structures.X86),
        sample_dumps.small_linux(dump_structures.ARM64_OLD),
        sample_dumps.everything(),
    )
]


@contextlib.contextmanager
def bounded(seconds: float, growth: int):
    """What runs in it takes neither more time nor, at its peak, more memory."""

    def status(key: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) << 10

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = status("VmRSS:"), time.monotonic()
    yield
    assert time.monotonic() - started < seconds
    assert status("VmHWM:") - before < growth


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    built=st.sampled_from(BUILT),
    changes=st.lists(
        st.tuples(
            st.integers(0, 2**16),
            st.one_of(
                # Into the file, mostly; the edges of what a word holds; anything.
                st.integers(0, 2**14),
                st.sampled_from([2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 2**64 - 16]),
                st.integers(0, 2**64 - 1),
            ),
        ),
        min_size=1,
        max_size=8,
    ),
    cut=st.one_of(st.none(), st.integers(0, 2**13)),
)
def test_any_count_offset_and_size_may_be_wrong(tmp_path, built, changes, cut):
    whole, words = built
    data = bytearray(whole)
    for which, value in changes:
        at, width = words[which % len(words)]
        data[at : at + width] = (value % 256**width).to_bytes(width, "little")
    path = tmp_path / "wrong.dmp"
    path.write_bytes(data if cut is None else data[:cut])
    with bounded(seconds=10, growth=64 << 20):
        try:
            everything(path, strict=False)
        except DumpFormatError:
            assert cut is not None
            assert cut < 32


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, 2**16),
            st.sampled_from([0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 4096]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_word_may_be_wrong(small, tmp_path, changes):
    data = bytearray(small.read_bytes())
    for where, value in changes:
        at = where % (len(data) // 4) * 4
        data[at : at + 4] = struct.pack("<I", value)
    path = tmp_path / "wrong.dmp"
    path.write_bytes(data)
    try:
        everything(path, strict=False)
    except DumpFormatError:
        assert data[:4] != b"MDMP" or data[4:6] != b"\x93\xa7"


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.binary(max_size=2000), head=st.booleans())
def test_any_bytes(tmp_path, body, head):
    path = tmp_path / "any.dmp"
    path.write_bytes(b"MDMP\x93\xa7\0\0" * head + body)
    try:
        everything(path, strict=False)
    except DumpFormatError:
        assert not head or len(body) < 24


def overlapping_texts(what: str, rows: int = 4_000) -> dump_builder.DumpBuilder:
    """A small file in which every row has a long text, most of it other rows' text as well."""
    builder = dump_builder.DumpBuilder().system_info().thread_list([])
    # Each unit of it may be a length.
    units = np.random.default_rng(1).integers(0x7000, 0x7FFF, 40_000 + rows, dtype="<u2")
    offsets = builder.place(units.tobytes()) + 2 * np.arange(rows)
    count = dump_structures.record(dump_structures.COUNT, count=rows)
    if what == "handles":
        table = np.zeros(rows, dump_structures.HANDLE)
        table["object_name_rva"] = offsets
        head = dump_structures.record(
            dump_structures.HANDLE_HEADER, header_size=16, entry_size=32, count=rows
        )
        builder.stream(dump_structures.HANDLE_DATA, head, table)
    elif what == "unloaded modules":
        table = np.zeros(rows, dump_structures.UNLOADED_MODULE)
        table["name_rva"] = offsets
        head = dump_structures.record(
            dump_structures.LIST_HEADER, header_size=12, entry_size=24, count=rows
        )
        builder.stream(dump_structures.UNLOADED_MODULE_LIST, head, table)
    elif what == "build ids":
        table = np.zeros(rows, dump_structures.MODULE)
        table["cv_rva"] = builder.place(dump_structures.cv_bpel(bytes(32_768)))
        table["cv_size"] = 32_768 - np.arange(rows)
        builder.stream(dump_structures.MODULE_LIST, count, table)
    elif what == "annotations":
        table = np.zeros(rows, dump_structures.STRING_PAIR)
        table["key_rva"] = table["value_rva"] = builder.utf8_string("x" * 65_536)
        size, rva = builder.location(count, table)
        head = dump_structures.record(
            dump_structures.CRASHPAD, version=1, annotations_size=size, annotations_rva=rva
        )
        builder.stream(dump_structures.CRASHPAD_INFO, head)
    elif what == "shared objects":
        table = np.zeros(rows, dump_structures.LINK_MAP)
        table["name_rva"] = offsets
        at = builder.place(table)
        head = dump_structures.record(dump_structures.DSO_DEBUG, version=1, map_rva=at, count=rows)
        builder.stream(dump_structures.LINUX_DSO_DEBUG, head)
    return builder


@pytest.mark.parametrize(
    "what", ["handles", "unloaded modules", "build ids", "annotations", "shared objects"]
)
def test_texts_that_overlap_are_not_many_times_the_file(what, tmp_path):
    path = overlapping_texts(what).write(tmp_path / "overlapping.dmp")
    assert path.stat().st_size < 1 << 20
    with bounded(seconds=20, growth=256 << 20):
        everything(path, strict=False)
        with snapcore.open(path) as file:
            for ask in (file.modules, file.unloaded_modules, file.crashpad, file.dso_debug):
                ask()
            if what == "handles":
                file.handles()
            assert "texts_overlap" in {d.code for d in file.diagnostics}
    with pytest.raises(DumpFormatError, match="texts of the file"):
        everything(path, strict=True)


def test_texts_that_rows_share_are_all_read(tmp_path):
    names = [f"{i % 50:04}" + "n" * 200 for i in range(20_000)]
    handles = [dump_builder.Handle(4 * i, "File", name) for i, name in enumerate(names)]
    builder = dump_builder.DumpBuilder().system_info().thread_list([]).handle_data(handles)
    path = builder.write(tmp_path / "shared.dmp")
    with snapcore.open(path, strict=True) as file:
        for _ in range(1000):
            file.unloaded_modules()
        assert list(file.handles()["object_name"]) == names
