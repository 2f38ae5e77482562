# SPDX-License-Identifier: Apache-2.0
"""Dump files with anything in them: a result or DumpFormatError, in bounded time."""

from __future__ import annotations

import contextlib
import struct
import time
from pathlib import Path

import dump_builder
import pytest
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
        dump_builder.small_windows(),
        dump_builder.small_linux(),
        dump_builder.small_linux(dump_builder.X86),
        dump_builder.small_linux(dump_builder.ARM64_OLD),
        dump_builder.everything(),
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
