# SPDX-License-Identifier: Apache-2.0
"""Other readers open a later dump of a watch as part of one, and what is merged of it as a whole one."""

from __future__ import annotations

import shutil

import pytest
import udmp_parser
from test_readers import lldb_reads
from watch_target import PAGE, changing

import snapcore


@pytest.fixture
def dumped(tmp_path):
    """A process, the address of its pages, a dump of which page 9 is new, and the merged one."""
    with changing() as target:
        at = target.do("at = small(500, 1); answer = at")
        with snapcore.watch(target.pid, tmp_path / "dumps", every=0.05) as watch:
            next(watch)
            target.do("put(at + 4096 * 9, 12)")
            later = next(watch).path
        whole = tmp_path / "whole.dmp"
        with snapcore.open(later) as dump:
            stack = int(dump.threads()["stack_pointer"][0])
            dump.save(whole)
        # LLDB's script is called like it, and a dot in that is none of Python's names.
        part = shutil.copy(later, tmp_path / "later.dmp")
        yield target, at, stack, str(part), str(whole)


def test_lldb(dumped):
    target, at, stack, later, whole = dumped
    words = {address: target.memory(address, 8) for address in (at, at + 9 * PAGE, stack)}
    reads = [(address, 8) for address in words]
    part, full = lldb_reads(later, reads), lldb_reads(whole, reads)
    for said in (part, full):
        assert said["pid"] == target.pid
        assert [each["rsp"] for each in said["threads"].values()] == [stack]
        assert said["modules"] == full["modules"]
    for address, word in words.items():
        assert full["memory"][str(address)] == word.decode("latin-1")
        assert (part["memory"][str(address)] == word.decode("latin-1")) == (address != at)


def test_udmp_parser(dumped):
    target, at, stack, later, whole = dumped
    full, part = udmp_parser.UserDumpParser(), udmp_parser.UserDumpParser()
    assert full.Parse(whole)
    assert part.Parse(later)
    assert bytes(full.ReadMemory(at, 64)) == target.memory(at, 64)
    for parser in (full, part):
        assert bytes(parser.ReadMemory(at + 9 * PAGE, 64)) == target.memory(at + 9 * PAGE, 64)
        assert bytes(parser.ReadMemory(stack, 64)) == target.memory(stack, 64)
