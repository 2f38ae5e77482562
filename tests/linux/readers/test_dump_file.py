# SPDX-License-Identifier: Apache-2.0
"""Dump files of other writers, and what other readers say of them: same threads, modules, ranges, bytes."""

from __future__ import annotations

import logging
import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sample_dumps
import udmp_parser
from minidump.minidumpfile import MinidumpFile
from support import ROOT
from symbolic.minidump import ProcessState

import snapcore

# Real files by other writers lie beside the repository, where they are at hand.
FOLDER = Path(os.environ.get("SNAPCORE_CORPUS") or ROOT.parent / "shared" / "dumps")
CORPUS = sorted(FOLDER.glob("*.dmp"))

# Architecture, platform, threads, modules, ranges of memory, exception code.
KNOWN = {
    "breakpad-linux_inline.dmp": ("amd64", "Linux", 1, 8, 1, 0x4),
    "breakpad-linux_raise_sigabrt.dmp": ("amd64", "Linux", 1, 8, 2, 0x6),
    "breakpad-minidump2.dmp": ("x86", "Windows", 2, 13, 3, 0xC0000005),
    "breakpad-minidump_crashpad_annotation.dmp": ("amd64", "iOS", 7, 354, 11, 0x43506E78),
    "breakpad-null_write_av.dmp": ("x86", "Windows", 2, 26, 5, 0xC0000005),
    "breakpad-read_av_non_null.dmp": ("x86", "Windows", 2, 26, 5, 0xC0000005),
    "breakpad-thread_name_list.dmp": ("x86", "Windows", 6, 17, 10, 0xC0000005),
    "breakpad-tiny-exe-fastfail.dmp": ("amd64", "Windows", 4, 21, 14, 0xC0000409),
    "breakpad-tiny-exe-with-cet-xsave-x86.dmp": ("x86", "Windows", 3, 19, 6, None),
    "breakpad-tiny-exe-with-cet-xsave.dmp": ("amd64", "Windows", 1, 25, 65, None),
    "rust-linux-mini.dmp": ("amd64", "Linux", 1, 8, 2, 0xB),
    "rust-pipeline-inlines-macos-segv.dmp": ("amd64", "macOS", 11, 47, 12, 0x1),
    "rust-simple-crashpad.dmp": ("amd64", "macOS", 1, 40, 1, 0x0),
}
BROKEN = {"rust-invalid-range.dmp", "rust-invalid-record-count.dmp"}


@pytest.fixture
def parse():
    logging.disable(logging.CRITICAL)
    opened = []

    def parser(path) -> MinidumpFile:
        opened.append(MinidumpFile.parse(str(path)))
        return opened[-1]

    yield parser
    for file in opened:
        file.file_handle.close()
    logging.disable(logging.NOTSET)


def test_the_corpus_is_known_where_it_is_at_hand():
    assert {p.name for p in CORPUS} in (set(), set(KNOWN) | BROKEN)


@pytest.mark.parametrize("path", [p for p in CORPUS if p.name in KNOWN], ids=lambda p: p.name)
def test_files_of_other_writers(path):
    with snapcore.open(path, strict=True) as file:
        said = (
            file.system().architecture,
            file.system().platform,
            len(file.threads()),
            len(file.modules()),
            len(file.memory_ranges()),
            None if file.exception() is None else file.exception().code,
        )
        assert said == KNOWN[path.name]
        assert np.all(file.contexts()["valid"] == 1)
        assert np.array_equal(file.contexts()["tid"], file.threads()["tid"])
        for address, data in file.chunks():
            assert file.read(address, len(data)) == data
        for stream in file.streams():
            assert len(file.stream(stream.type)) == stream.size


@pytest.mark.parametrize("path", [p for p in CORPUS if p.name in BROKEN], ids=lambda p: p.name)
def test_broken_files_give_what_is_whole(path):
    with snapcore.open(path) as file:
        assert len(file.threads()) == 0
        assert "stream_truncated" in {d.code for d in file.diagnostics}
    with pytest.raises(snapcore.DumpFormatError):
        snapcore.open(path, strict=True)


def agrees_with_minidump(file: snapcore.DumpFile, other: MinidumpFile) -> None:
    assert file.threads()["tid"].tolist() == [t.ThreadId for t in other.threads.threads]
    modules = file.modules()
    assert list(modules["path"]) == [m.name for m in other.modules.modules]
    assert modules["base"].tolist() == [m.baseaddress for m in other.modules.modules]
    assert modules["size"].tolist() == [m.size for m in other.modules.modules]
    segments = other.memory_segments_64 or other.memory_segments
    theirs = sorted(
        (s.start_virtual_address, s.size, s.start_file_address)
        for s in (segments.memory_segments if segments else [])
    )
    ours = file.memory_ranges()
    assert [tuple(r)[:3] for r in ours.tolist()] == theirs
    reader = other.get_reader()
    for address, size, _ in theirs[:50]:
        assert file.read(address, min(size, 64)) == reader.read(address, min(size, 64))
    if other.handles is not None:
        handles = file.handles()
        assert handles["handle"].tolist() == [h.Handle for h in other.handles.handles]
        assert [n or None for n in handles["object_name"]] == [
            h.ObjectName or None for h in other.handles.handles
        ]
    if other.memory_info is not None:
        infos = other.memory_info.infos
        regions = file.regions()
        # Entries of one mapping that differ in nothing are one region of ours.
        starts = regions["base"].tolist()
        assert set(starts) <= {i.BaseAddress for i in infos}
        row = np.searchsorted(regions["base"], [i.BaseAddress for i in infos], side="right") - 1
        ends = regions["base"] + regions["size"]
        for info, at in zip(infos, row.tolist(), strict=True):
            assert info.BaseAddress + info.RegionSize <= ends[at]
            assert info.AllocationBase == regions["allocation_base"][at]
        assert sum(i.RegionSize for i in infos) == regions["size"].sum()


# What the package `minidump` does not fail on; it knows no iOS and no macOS.
READABLE = [p for p in CORPUS if p.name in KNOWN and KNOWN[p.name][1] in ("Windows", "Linux")]


@pytest.mark.parametrize("path", READABLE, ids=lambda p: p.name)
def test_minidump_agrees_on_files_of_others(path, parse):
    with snapcore.open(path) as file:
        agrees_with_minidump(file, parse(path))


@pytest.mark.parametrize("preset", snapcore.PRESETS)
def test_minidump_agrees_on_ours(facts, tmp_path, parse, preset):
    snapcore.dump(facts.pid, tmp_path / "a.dmp", preset)
    with snapcore.open(tmp_path / "a.dmp", strict=True) as file:
        agrees_with_minidump(file, parse(tmp_path / "a.dmp"))


def ids(text: str | None) -> str:
    """An id without hyphens, in lower case."""
    return (text or "").replace("-", "").lower()


def agree_on_ids(path) -> None:
    """Breakpad's processor and we look for the same files on a symbol server."""
    with snapcore.open(path) as file:
        modules = file.modules()
        ours = {
            base: (ids(debug_id), ids(code_id))
            for base, debug_id, code_id in zip(
                modules["base"].tolist(), modules["debug_id"], modules["code_id"], strict=True
            )
        }
        apple = file.system().platform in ("macOS", "iOS")
    theirs = list(ProcessState.from_minidump(str(path)).modules())
    assert theirs
    for module in theirs:
        debug_id, code_id = ours[module.addr]
        # An age of 0 is left out there.
        assert ids(str(module.debug_id or "")) in (debug_id, debug_id.removesuffix("0"))
        if apple:
            assert code_id == debug_id[:32]
        else:
            assert code_id == ids(module.code_id)


@pytest.mark.parametrize("path", [p for p in CORPUS if p.name in KNOWN], ids=lambda p: p.name)
def test_ids_are_those_of_symbol_servers(path):
    agree_on_ids(path)


def test_ids_of_ours(facts, tmp_path):
    snapcore.dump(facts.pid, tmp_path / "a.dmp")
    agree_on_ids(tmp_path / "a.dmp")


def agrees_with_udmp(file: snapcore.DumpFile, other: udmp_parser.UserDumpParser) -> None:
    threads = other.Threads()
    contexts = file.contexts()
    assert set(file.threads()["tid"].tolist()) == set(threads)
    for context in contexts:
        theirs = threads[int(context["tid"])].Context
        for register in ("rip", "rsp", "rbx", "r15"):
            if register in context.dtype.names:
                assert int(context[register]) == getattr(theirs, register.capitalize())
    modules = file.modules()
    assert set(modules["base"].tolist()) == set(other.Modules())
    assert set(modules["path"]) == {m.ModuleName for m in other.Modules().values()}


def test_udmp_parser_agrees(facts, tmp_path):
    path = tmp_path / "a.dmp"
    snapcore.dump(facts.pid, path, "full")
    for name in [
        path,
        *(p for p in CORPUS if KNOWN.get(p.name, ("",))[:2] == ("amd64", "Windows")),
    ]:
        other = udmp_parser.UserDumpParser()
        assert other.Parse(str(name))
        with snapcore.open(name) as file:
            agrees_with_udmp(file, other)
            if name == path:
                for address, size, *_ in file.memory_ranges().tolist():
                    length = min(size, 4096)
                    assert bytes(other.ReadMemory(address, length)) == file.read(address, length)


@pytest.mark.parametrize("style", ["stack", "modified-memory", "full"])
def test_files_of_lldb(facts, tmp_path, style):
    path = tmp_path / "lldb.dmp"
    save = f"process save-core --plugin-name=minidump --style={style} {path}"
    subprocess.run(
        ["lldb-19", "-x", "-b", "-p", str(facts.pid), "-o", save, "-o", "detach"],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    with snapcore.open(path, strict=True) as file, snapcore.capture(facts.pid) as snap:
        live = snap.contexts()
        assert file.pid == facts.pid
        assert (file.system().architecture, file.system().platform) == ("amd64", "Linux")
        assert sorted(file.threads()["tid"].tolist()) == live["tid"].tolist()
        assert np.all(file.contexts()["valid"] == 1)
        # The threads sleep: what LLDB stopped is what we stop.
        order = np.argsort(file.contexts()["tid"])
        assert np.array_equal(file.contexts()["rsp"][order], live["rsp"])
        assert os.readlink(f"/proc/{facts.pid}/exe") in set(file.modules()["path"])
        assert {"[stack]", "[heap]"} <= set(file.regions()["mapped_file"])
        sentinels = facts.facts["sentinels"]
        held = {"stack": {"stack sentinel"}, "full": set(sentinels)}.get(
            style, set(sentinels) - {"constant sentinel"}
        )
        for name, address in sentinels.items():
            text = f"snapcore: {name}".encode()
            if name in held:
                assert file.read(address, len(text)) == text
        assert len(file.exceptions()) == len(live)
        assert "Name:\t" in file.linux()["status"].decode()


@pytest.mark.parametrize("short", [0, 8])
def test_memory_that_begins_inside_its_own_list(tmp_path, short):
    # LLDB counted 8 bytes too few up to its version 20.
    memory = {0x1000: b"first".ljust(64), 0x9000: b"second".ljust(64)}
    at, size = 32 + 12, 16 + 16 * len(memory)
    path = tmp_path / "a.dmp"
    path.write_bytes(
        struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, 1, 32, 0, 0, 2)
        + struct.pack("<III", 9, size, at)
        + struct.pack("<QQ", len(memory), at + size - short)
        + b"".join(struct.pack("<QQ", start, len(data)) for start, data in memory.items())
        + b"".join(memory.values())
    )
    with snapcore.open(path) as file:
        assert file.read(0x1000, 5) == b"first"
        assert file.read(0x9000, 6) == b"second"


def bytes_read() -> int:
    facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(facts["rchar"])


def test_opening_and_tables_read_only_what_they_need(tmp_path):
    path = sample_dumps.sparse(5 << 30, ranges=200).write(tmp_path / "large.dmp")
    itself = bytes_read()
    itself = bytes_read() - itself
    before = bytes_read()
    with snapcore.open(path) as file:
        opened = bytes_read() - before - itself
        for table in (file.threads(), file.modules(), file.regions(), file.memory_ranges()):
            assert len(table) or table.name == "modules"
        tables = bytes_read() - before - 2 * itself
    # A block of the file, and then a few.
    assert opened <= 64 << 10
    assert tables <= 256 << 10
