# SPDX-License-Identifier: Apache-2.0
"""open(): a dump file answers what the snapshot that it was written from answers, and survives what is wrong with it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from dump_builder import DumpBuilder
from dump_files import everything
from support import WINDOWS

import snapcore
from snapcore import DumpFormatError, memory_search


@pytest.fixture
def both(facts, tmp_path):
    """A snapshot and the dump that was written from it."""
    path = tmp_path / "a.dmp"
    with snapcore.capture(facts.pid) as snap:
        snap.dump(path, "full", comment="hello", streams={0x20000: b"mine"})
        with snapcore.open(path) as file:
            yield snap, file


# Ours has the version of a Linux library from its file name, and no field for it.
DIFFERENT = {("modules", "version")}


def rows_by(table, key) -> dict[int, int]:
    return {value: row for row, value in enumerate(table[key].tolist())}


def compare(name, live, read, key, standard=None) -> None:
    """Every column is the same: that of a standard stream (on Windows those in `standard`) and of ours."""
    mine, theirs = rows_by(live, key), rows_by(read, key)
    shared = sorted(set(mine) & set(theirs))
    if standard is None:
        assert live[key].tolist() == read[key].tolist()
    assert len(shared) > len(live) // 2
    here = np.array([mine[k] for k in shared])
    there = np.array([theirs[k] for k in shared])
    for column in live.schema:
        if (name, column.name) in DIFFERENT:
            continue
        # What the system's own writer puts into its streams is its own affair.
        if column.file and standard is not None and column.name not in standard:
            continue
        if column.dtype == "str":
            texts = list(live[column.name]), list(read[column.name])
            for a, b in zip(here, there, strict=True):
                assert (texts[0][a] or "") == (texts[1][b] or ""), column.name
        else:
            a, b = live[column.name][here], read[column.name][there]
            if "in 100 ns" in column.file:
                a = a // 100 * 100
            assert np.array_equal(b, a), column.name
            assert np.array_equal(read.valid(column.name)[there], live.valid(column.name)[here]), (
                column.name
            )


def test_threads(both):
    snap, file = both
    standard = {"tid", "suspend_count", "priority", "teb"} if WINDOWS else None
    compare("threads", snap.threads(), file.threads(), "tid", standard)


def test_contexts(both):
    snap, file = both
    live, read = snap.contexts(), file.contexts()
    assert live.dtype == read.dtype
    # The system call is not in a file; on Windows neither is what is not in CONTEXT.
    missing = {"system_call", "xstate_features", "ymm_high", "gs_base", "fs_base", "context_flags"}
    for name in live.dtype.names:
        if name not in missing or (name == "fs_base" and not WINDOWS):
            assert np.array_equal(read[name], live[name]), name


def program_counter(contexts) -> str:
    """Its name, which is the processor's."""
    return "rip" if "rip" in contexts.dtype.names else "pc"


def test_contexts_with_extended_state(both, tmp_path):
    snap, _ = both
    snap.dump(tmp_path / "b.dmp", snapcore.MiniDumpType.WITH_AVX_XSTATE_CONTEXT)
    with snapcore.open(tmp_path / "b.dmp", strict=True) as file:
        live, read = snap.contexts(), file.contexts()
        counter = program_counter(live)
        assert np.array_equal(read[counter], live[counter])
        if not WINDOWS and counter == "rip":
            assert np.array_equal(read["ymm_high"], live["ymm_high"])
            assert np.array_equal(read["xstate_features"] & 7, live["xstate_features"] & 7)
            assert read["context_flags"][0] == live["context_flags"][0] | 0x40
            assert 2 in [number for number, *_ in file.misc().xstate_layout]


def test_handles(both):
    snap, file = both
    compare("handles", snap.handles(), file.handles(), "handle")


def test_regions(both):
    snap, file = both
    # The system's own writer lists what is free as well, and names no files.
    standard = {"size", "protect", "state", "type", "allocation_base"} if WINDOWS else None
    compare("regions", snap.regions(), file.regions(), "base", standard)


def test_modules(both):
    snap, file = both
    live, read = snap.modules(), file.modules()
    if WINDOWS:
        assert set(live["base"].tolist()) <= set(read["base"].tolist())
    compare("modules", live, read, "base", {"size"} if WINDOWS else None)


def test_process(both):
    snap, file = both
    live, read = snap.process(), file.process()
    for fact in snapcore.dtypes.PROCESS:
        a, b = getattr(live, fact.name), getattr(read, fact.name)
        if WINDOWS and fact.file:
            continue
        if a is None:
            assert b is None, fact.name
        elif "in s" in fact.file:
            assert abs(b - a) <= 10**9, fact.name
        elif fact.name == "command_line":
            assert b.rstrip("\0") == a.rstrip("\0")
        elif isinstance(a, str):
            assert a == b, fact.name
        else:
            # Counters that move; what the file says was read a moment earlier or later.
            assert b == pytest.approx(a, rel=0.2), fact.name


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
            monkeypatch.setattr(memory_search, "_CHUNK", size)
            assert list(file.strings(4, encoding=encoding)) == texts
            if size > 2:
                assert file.find(b"\0\0\0").tolist() == found
        assert found
        assert texts or encoding == "utf-16"
        assert len(next(file.chunks(50))[1]) == 50


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_texts_across_pieces(tmp_path, monkeypatch, size):
    words = "1976", "odd", "é", "x" * 5000, "end"
    wide = b"\xff".join(word.encode("utf-16-le") for word in words)
    path = DumpBuilder().system_info().memory_list([(0x10000, wide)]).write(tmp_path / "a.dmp")
    monkeypatch.setattr(memory_search, "_CHUNK", size)
    with snapcore.open(path) as file:
        texts = list(file.strings(3, encoding="utf-16"))
    assert [text for _, text in texts] == ["1976", "odd", "x" * 4096, "x" * 904, "end"]
    assert texts[1][0] == 0x10000 + 9


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
    amd64 = program_counter(snap.contexts()) == "rip"
    assert file.system().architecture == ("amd64" if amd64 else "arm64")
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
        if WINDOWS:
            with pytest.raises(ValueError, match="WITH_FULL_MEMORY_INFO"):
                file.regions()
        else:
            # From LinuxMaps, which is in every dump.
            with snapcore.capture(facts.pid, snapcore.CaptureFlags.VA_SPACE) as snap:
                assert snap.regions()["base"].tolist() == file.regions()["base"].tolist()


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
