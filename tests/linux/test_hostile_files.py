# SPDX-License-Identifier: Apache-2.0
"""Dump files with anything in them: a result or DumpFormatError, in bounded time."""

from __future__ import annotations

import struct

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
