# SPDX-License-Identifier: Apache-2.0
"""open(): a dump file answers what the snapshot that it was written from answers, and survives what is wrong with it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from dump_files import everything
from support import WINDOWS

import snapcore
from snapcore import DumpFormatError, dumpfile


@pytest.fixture
def both(facts, tmp_path):
    """A snapshot and the dump that was written from it."""
    path = tmp_path / "a.dmp"
    with snapcore.capture(facts.pid) as snap:
        snap.dump(path, "full", comment="hello", streams={0x20000: b"mine"})
        with snapcore.open(path) as file:
            yield snap, file


def same(live, read, columns) -> None:
    assert len(live) == len(read)
    for column in columns:
        if isinstance(live[column], snapcore.StringColumn):
            assert list(read[column]) == list(live[column]), column
        else:
            assert np.array_equal(read.valid(column), live.valid(column)), column
            assert np.array_equal(read[column], live[column]), column


def test_threads(both):
    snap, file = both
    columns = ["tid", "pid", "name", "suspend_count", "priority", "exit_status", "affinity"]
    columns += ["instruction_pointer", "stack_pointer", "teb"]
    live, read = snap.threads(), file.threads()
    if not WINDOWS:
        for column in ("created_at_ns", "kernel_time_ns", "user_time_ns"):
            # The file counts in 100 ns.
            assert np.array_equal(read[column], live[column] // 100 * 100)
    if WINDOWS:
        # The system's own writer lists ended threads and names in its own way.
        columns = ["tid", "suspend_count", "priority", "teb"]
    same(live, read, columns)


def test_contexts(both):
    snap, file = both
    live, read = snap.contexts(), file.contexts()
    names = ["tid", "valid", "rip", "rsp", "rbx", "r12", "eflags", "seg_cs", "xmm", "st"]
    for name in names if not WINDOWS else ["tid", "rip", "rsp", "rbx"]:
        assert np.array_equal(read[name], live[name]), name


def test_handles(both):
    snap, file = both
    live, read = snap.handles(), file.handles()
    same(live, read, ["handle", "type_name"])
    assert [n or "" for n in read["object_name"]] == [n or "" for n in live["object_name"]]
    for column in ("granted_access", "attributes"):
        assert np.array_equal(read[column], live[column])


def test_modules(both):
    snap, file = both
    live, read = snap.modules(), file.modules()
    if WINDOWS:
        assert set(live["base"]) <= set(read["base"])
        return
    same(live, read, ["base", "size", "path", "debug_id", "code_id"])


def test_memory(both, facts):
    snap, file = both
    for name, address in facts.facts["sentinels"].items():
        assert file.read(address, 64) == snap.read(address, 64), name
    ranges = file.memory_ranges()
    assert np.all(ranges["address"][1:] >= ranges["address"][:-1] + ranges["size"][:-1])
    assert np.array_equal(ranges["size"], ranges["present"])
    with pytest.raises(snapcore.SnapError, match="0x10"):
        file.read(0x10, 8)
    buffer = bytearray(16)
    address = facts.facts["sentinels"]["heap sentinel"]
    assert file.read_into(address, buffer) == 16
    assert buffer == b"snapcore: heap s"


def test_find_and_strings(both, facts):
    _, file = both
    address = facts.facts["sentinels"]["heap sentinel"]
    assert address in file.find(b"snapcore: heap sentinel")
    assert len(file.find(b"snapcore: ", limit=2)) == 2
    # What lies in front of it may be printable too.
    assert any(
        at <= address and text[address - at :].startswith("snapcore: heap sentinel")
        for at, text in file.strings(10)
    )
    for wrong in ({"min_length": 0}, {"encoding": "ebcdic"}):
        with pytest.raises(ValueError, match=r".+"):
            list(file.strings(**wrong))
    with pytest.raises(ValueError, match="empty"):
        file.find(b"")


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_pieces_do_not_matter(small, monkeypatch, encoding):
    with snapcore.open(small) as file:
        texts = list(file.strings(4, encoding=encoding))
        found = file.find(b"\0\0\0").tolist()
        for size in (1, 2, 3, 61):
            monkeypatch.setattr(dumpfile, "_CHUNK", size)
            assert list(file.strings(4, encoding=encoding)) == texts
            if size > 2:
                assert file.find(b"\0\0\0").tolist() == found
        assert found
        assert texts or encoding == "utf-16"
        assert len(next(file.chunks(50))[1]) == 50


def test_the_rest(both, facts):
    snap, file = both
    assert file.pid == facts.pid
    assert file.comment() == "hello"
    assert file.stream(0x20000) == b"mine"
    assert file.stream(0x20001) is None
    assert file.exception() is None
    assert file.flags == snapcore.PRESETS["full"]
    assert file.diagnostics == ()
    assert file.system().platform == ("Windows" if WINDOWS else "Linux")
    assert file.system().architecture == "amd64"
    assert abs(file.captured_at_ns - snap.captured_at_ns) < 10**9 or WINDOWS
    types = [s.type for s in file.streams()]
    assert {3, 4, 7, 9, 12, 16, 0x20000} <= set(types)
    assert isinstance(file, snapcore.ProcessView)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.threads()


def test_what_the_file_does_not_hold_is_said(facts, tmp_path):
    snapcore.dump(facts.pid, tmp_path / "a.dmp")
    with snapcore.open(tmp_path / "a.dmp") as file:
        with pytest.raises(ValueError, match="WITH_HANDLE_DATA"):
            file.handles()
        with pytest.raises(ValueError, match="WITH_FULL_MEMORY_INFO"):
            file.regions()


@pytest.fixture
def small(facts, tmp_path):
    path = tmp_path / "small.dmp"
    snapcore.dump(facts.pid, path, 0x1844)
    return path


def test_a_file_that_was_cut_off_gives_what_is_whole(small, tmp_path):
    whole = small.read_bytes()
    assert everything(small, strict=True) == 0
    path = tmp_path / "cut.dmp"
    for size in [*range(0, 32, 5), *range(32, len(whole), len(whole) // 97)]:
        path.write_bytes(whole[:size])
        if size < 32:
            with pytest.raises(DumpFormatError):
                everything(path, strict=False)
            continue
        assert everything(path, strict=False) > 0, size
        with pytest.raises(DumpFormatError):
            everything(path, strict=True)


def test_a_file_that_shrinks_while_it_is_read(small):
    with snapcore.open(small) as file:
        address = int(file.memory_ranges()["address"][0])
        os.truncate(small, 4096)
        assert len(file.threads()) == len(file.contexts())
        with pytest.raises(snapcore.SnapError):
            file.read(address, 16)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        snapcore.open(tmp_path / "missing.dmp")
    with pytest.raises(OSError, match=r".+"):
        snapcore.open(tmp_path)
    if not WINDOWS:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="seek"):
            snapcore.open(tmp_path / "pipe")
    with pytest.raises(ValueError, match="NUL"):
        snapcore.open("a\0b")
