# SPDX-License-Identifier: Apache-2.0
"""Independent readers agree with what the target knows of itself, each for what it can see."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from pathlib import Path

import pytest
import udmp_parser
from linux_support import descriptors
from minidump.minidumpfile import MinidumpFile
from symbolic.minidump import ProcessState

import snapcore
from snapcore import MiniDumpType

FULL = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
)


class Dumped:
    """A target, what it says of itself, and dumps of it."""

    def __init__(self, target, folder: Path) -> None:
        self.pid = target.pid
        self.facts = target.facts
        self.full = str(folder / "full.dmp")
        self.small = str(folder / "small.dmp")
        self.links = descriptors(target.pid)
        self.exe = os.readlink(f"/proc/{target.pid}/exe")
        snapcore.dump(target.pid, self.full, FULL, comment="a comment")
        snapcore.dump(target.pid, self.small)

    @property
    def sentinels(self) -> dict[int, bytes]:
        return {
            address: f"snapcore: {text}".encode()
            for text, address in self.facts["sentinels"].items()
        }


@pytest.fixture
def dumped(start, tmp_path):
    return Dumped(start("facts", tmp_path), tmp_path)


def build_id(path: str) -> str:
    notes = subprocess.run(
        ["readelf", "-n", path], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"Build ID: ([0-9a-f]+)", notes)
    assert found
    return found[1]


@pytest.fixture
def parse():
    """Parse with the package `minidump`, which looks for a Windows PEB in every dump and logs that a Linux one has none."""
    # Of a log record that is kept, the traceback would keep a descriptor.
    logging.disable(logging.CRITICAL)
    opened = []

    def parser(path: str) -> MinidumpFile:
        opened.append(MinidumpFile.parse(path))
        return opened[-1]

    yield parser
    for file in opened:
        file.file_handle.close()
    logging.disable(logging.NOTSET)


def test_minidump(dumped, parse):
    full = parse(dumped.full)
    assert {str(t.ThreadId) for t in full.threads.threads} == set(dumped.facts["threads"])
    by_tid = {t.ThreadId: t for t in full.threads.threads}
    parked = by_tid[dumped.facts["parked"]].ContextObject
    assert (parked.Rbx, parked.R12, parked.R15) == (
        0x5B5B5B5B00000001,
        0x5B5B5B5B0000000C,
        0x5B5B5B5B0000000F,
    )
    assert full.modules.modules[0].name == dumped.exe
    reader = full.get_reader()
    for address, expected in dumped.sentinels.items():
        assert reader.read(address, len(expected)) == expected
    assert {str(h.Handle): h.ObjectName for h in full.handles.handles} == dumped.links
    types = {h.Handle: h.TypeName for h in full.handles.handles}
    for type_name, number in dumped.facts["descriptors"].items():
        assert types[number] == type_name
    assert (
        full.comment_w.data.rstrip("\0") == "a comment"
        if getattr(full, "comment_w", None)
        else True
    )
    assert full.misc_info.ProcessId == dumped.pid
    small = parse(dumped.small)
    stack = dumped.facts["sentinels"]["stack sentinel"]
    assert small.get_reader().read(stack, 8) == b"snapcore"


def test_udmp_parser(dumped):
    full = udmp_parser.UserDumpParser()
    assert full.Parse(dumped.full)
    assert {str(tid) for tid in full.Threads()} == set(dumped.facts["threads"])
    parked = full.Threads()[dumped.facts["parked"]].Context
    assert parked.Rbx == 0x5B5B5B5B00000001
    assert parked.MxCsr == dumped.facts["float_control"]
    assert dumped.exe in {module.ModuleName for module in full.Modules().values()}
    for address, expected in dumped.sentinels.items():
        assert bytes(full.ReadMemory(address, len(expected))) == expected
    maps = {b for b, _, _ in live_maps(dumped.pid)}
    assert maps - set(full.Memory()) == set()


def live_maps(pid: int) -> list[tuple[int, int, str]]:
    out = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        out.append((start, end, line.split()[1]))
    return out


@pytest.mark.parametrize("form", ["full", "small"])
def test_breakpad(dumped, form):
    state = ProcessState.from_minidump(getattr(dumped, form))
    threads = {t.thread_id: t for t in state.threads()}
    assert {str(tid) for tid in threads} == set(dumped.facts["threads"])
    assert all(t.frame_count > 0 for t in threads.values())
    # A walked stack needs the stack's bytes: a thread asleep in libc was called from the target.
    assert threads[dumped.pid].frame_count > 1
    modules = {m.code_file: m for m in state.modules()}
    assert modules[dumped.exe].code_id == build_id(dumped.exe)
    assert state.system_info.os_name == "Linux"
    assert state.system_info.cpu_family == "amd64"


SCRIPT = """
import json, lldb
debugger = lldb.SBDebugger.Create()
target = debugger.CreateTarget("")
process = target.LoadCore({path!r})
assert process.IsValid(), "LLDB refuses the file"
out = {{"pid": process.GetProcessID(), "threads": {{}}, "memory": {{}}, "modules": {{}}, "regions": []}}
for thread in process:
    frame = thread.GetFrameAtIndex(0)
    out["threads"][str(thread.GetThreadID())] = {{
        name: frame.FindRegister(name).GetValueAsUnsigned() for name in ("rbx", "r12", "r13", "r14", "r15", "rip", "rsp")
    }}
for address, size in {reads!r}:
    error = lldb.SBError()
    data = process.ReadMemory(address, size, error)
    out["memory"][str(address)] = data.decode("latin-1") if error.Success() else str(error)
for module in target.module_iter():
    out["modules"][str(module.GetFileSpec())] = module.GetUUIDString()
regions = process.GetMemoryRegions()
info = lldb.SBMemoryRegionInfo()
for i in range(regions.GetSize()):
    regions.GetMemoryRegionAtIndex(i, info)
    if info.IsMapped():
        out["regions"].append([info.GetRegionBase(), info.GetRegionEnd()])
print("RESULT" + json.dumps(out))
"""


def lldb_reads(path: str, reads: list[tuple[int, int]]) -> dict:
    # Debian's module cannot be imported from outside (its link to the library is broken), so the script runs inside LLDB.
    script = Path(path).with_suffix(".py")
    script.write_text(SCRIPT.format(path=path, reads=reads))
    done = subprocess.run(
        ["lldb-19", "-x", "-b", "-o", f"command script import {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[0].removeprefix("RESULT"))


def test_lldb(dumped):
    reads = [(address, len(expected)) for address, expected in dumped.sentinels.items()]
    full = lldb_reads(dumped.full, reads)
    assert full["pid"] == dumped.pid
    assert set(full["threads"]) == set(dumped.facts["threads"])
    parked = full["threads"][str(dumped.facts["parked"])]
    assert parked["rbx"] == 0x5B5B5B5B00000001
    assert [parked[f"r{n}"] & 0xF for n in (12, 13, 14, 15)] == [12, 13, 14, 15]
    for address, expected in dumped.sentinels.items():
        assert full["memory"][str(address)] == expected.decode()
    assert full["modules"][dumped.exe].replace("-", "").lower() == build_id(dumped.exe)
    live = [[start, end] for start, end, _ in live_maps(dumped.pid)]
    assert [r for r in live if r not in full["regions"]] == []

    stack = dumped.facts["sentinels"]["stack sentinel"]
    small = lldb_reads(dumped.small, [(stack, 8)])
    assert small["memory"][str(stack)] == "snapcore"


PARTS = (
    MiniDumpType.WITH_DATA_SEGS
    | MiniDumpType.WITH_CODE_SEGS
    | MiniDumpType.WITH_MODULE_HEADERS
    | MiniDumpType.WITH_INDIRECTLY_REFERENCED_MEMORY
    | MiniDumpType.WITH_PROCESS_THREAD_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_TOKEN_INFORMATION
)
COPIES = MiniDumpType.WITH_PRIVATE_WRITE_COPY_MEMORY | MiniDumpType.WITH_FULL_MEMORY_INFO
CONTENT = {
    **snapcore.PRESETS,
    "parts": PARTS,
    "copies": COPIES,
    "avx": MiniDumpType.WITH_AVX_XSTATE_CONTEXT,
}


@pytest.mark.parametrize("name", CONTENT)
def test_every_reader_reads_every_kind_of_dump(start, tmp_path, parse, name):
    target = start("facts", tmp_path)
    facts = target.facts
    path = str(tmp_path / "a.dmp")
    flags = CONTENT[name]
    snapcore.dump(target.pid, path, flags, comment="a comment", streams={0x20000: b"mine"})
    tids = set(facts["threads"])
    stack = facts["sentinels"]["stack sentinel"]
    expected = b"snapcore" if not flags & MiniDumpType.FILTER_MEMORY else bytes(8)

    by_minidump = parse(path)
    assert {str(t.ThreadId) for t in by_minidump.threads.threads} == tids
    parked = next(t for t in by_minidump.threads.threads if t.ThreadId == facts["parked"])
    assert parked.ContextObject.Rbx == 0x5B5B5B5B00000001
    assert by_minidump.get_reader().read(stack, 8) == expected

    by_udmp = udmp_parser.UserDumpParser()
    assert by_udmp.Parse(path)
    assert {str(tid) for tid in by_udmp.Threads()} == tids
    assert by_udmp.Threads()[facts["parked"]].Context.MxCsr == facts["float_control"]

    state = ProcessState.from_minidump(path)
    threads = {t.thread_id: t for t in state.threads()}
    assert {str(tid) for tid in threads} == tids
    # This version of Breakpad's processor knows no extended state, and walks no stack of such a context, Crashpad's own included. A filtered stack still can be walked.
    assert threads[target.pid].frame_count > 1 or flags & MiniDumpType.WITH_AVX_XSTATE_CONTEXT
    assert {Path(m.code_file).name for m in state.modules()} >= {"facts_target", "libc.so.6"}

    by_lldb = lldb_reads(path, [(stack, 8)])
    assert by_lldb["pid"] == target.pid
    assert set(by_lldb["threads"]) == tids
    assert by_lldb["memory"][str(stack)].encode("latin-1") == expected
    assert by_lldb["threads"][str(facts["parked"])]["rbx"] == 0x5B5B5B5B00000001


def test_memory_never_touched_is_left_out_of_the_file(dumped):
    parser = udmp_parser.UserDumpParser()
    assert parser.Parse(dumped.full)
    assert os.path.getsize(dumped.full) < dumped.facts["sparse_size"] // 2
    assert os.stat(dumped.full).st_blocks * 512 < 16 << 20


@pytest.mark.slow
def test_a_file_beyond_4_gib(start, tmp_path, parse):
    target = start("memory", 4400)
    path = str(tmp_path / "big.dmp")
    result = snapcore.dump(target.pid, path, FULL, max_pause=10)
    assert result.file_size > 4 << 30
    last = target.facts["memory"] + target.facts["size"] - 4096
    offset = (target.facts["size"] - 4096).to_bytes(8, "little")
    parser = udmp_parser.UserDumpParser()
    assert parser.Parse(path)
    assert bytes(parser.ReadMemory(last, 8)) == offset
    full = parse(path)
    assert full.get_reader().read(last, 8) == offset
    by_lldb = lldb_reads(path, [(last, 8)])
    assert by_lldb["memory"][str(last)].encode("latin-1") == offset
    assert len(by_lldb["threads"]) == result.threads
    state = ProcessState.from_minidump(path)
    assert len(list(state.threads())) == result.threads
    os.unlink(path)
