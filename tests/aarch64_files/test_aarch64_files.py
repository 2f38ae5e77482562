# SPDX-License-Identifier: Apache-2.0
"""Dumps that were made on AArch64, on another processor: snapcore and independent readers give what the target said of itself."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import udmp_parser
from make import PRESETS
from minidump.minidumpfile import MinidumpFile
from symbolic.minidump import ProcessState

import snapcore

FOLDER = Path(os.environ["SNAPCORE_AARCH64_FILES"])
EVERY_DUMP = [
    f"{placement}-{preset}.dmp" for placement in ("helper", "thread") for preset in PRESETS
]
GENERAL = dict(zip(("x19", "x20", "x21", "x22", "x23"), (1, 0xC, 0xD, 0xE, 0xF), strict=True))


@pytest.fixture(scope="module")
def facts():
    return json.loads((FOLDER / "facts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EVERY_DUMP)
def test_snapcore(facts, name):
    with snapcore.open(FOLDER / name, strict=True) as dump:
        system = dump.system()
        assert (system.architecture, system.platform) == ("arm64", "Linux")
        threads, contexts = dump.threads(), dump.contexts()
        names = dict(zip(map(str, threads["tid"]), threads["name"], strict=True))
        assert names == facts["threads"]
        assert (contexts["valid"] == 1).all()
        assert (contexts["pc"] == threads["instruction_pointer"]).all()
        assert (contexts["sp"] == threads["stack_pointer"]).all()
        parked = contexts[contexts["tid"] == facts["parked"]][0]
        for register, value in GENERAL.items():
            assert parked[register] == 0x5B5B5B5B00000000 + value
        for i in range(8):
            expected = np.array([0x1111111111111111 * (i + 1) + k for k in (0, 1)], dtype="<u8")
            assert (parked["v"][8 + i].view("<u8") == expected).all()
        assert parked["fpcr"] == facts["float_control"]
        stack = facts["sentinels"]["stack sentinel"]
        if "triage" not in name:
            assert dump.read(stack, 24) == b"snapcore: stack sentinel"
        modules = dump.modules()
        assert modules["path"][0].rpartition("/")[2] == "facts_target"
        assert "linux-gate.so" in modules["path"].categories


@pytest.mark.parametrize("placement", ["helper", "thread"])
def test_all_of_a_full_dump(facts, placement):
    with snapcore.open(FOLDER / f"{placement}-full.dmp", strict=True) as dump:
        for text, address in facts["sentinels"].items():
            expected = f"snapcore: {text}".encode()
            assert dump.read(address, len(expected)) == expected
        handles = dump.handles()
        names = dict(zip(map(str, handles["handle"]), handles["object_name"], strict=True))
        assert names == facts["links"]
        types = {int(h): t for h, t in zip(handles["handle"], handles["type_name"], strict=True)}
        for type_name, number in facts["descriptors"].items():
            assert types[number] == type_name
        regions = dump.regions()
        starts = [int(line.partition("-")[0], 16) for line in facts["maps"].splitlines()]
        assert set(starts) <= set(regions["base"].tolist())
        assert (dump.threads()["teb"] != 0).all()


SCRIPT = """
import json, lldb
process = lldb.SBDebugger.Create().CreateTarget("").LoadCore({path!r})
assert process.IsValid(), "LLDB refuses the file"
out = {{"pid": process.GetProcessID(), "triple": process.GetTarget().GetTriple(), "threads": {{}}, "memory": {{}}}}
for thread in process:
    frame = thread.GetFrameAtIndex(0)
    value = lambda name: frame.FindRegister(name).GetValueAsUnsigned()
    data = frame.FindRegister("v8").GetData()
    error = lldb.SBError()
    out["threads"][str(thread.GetThreadID())] = {{
        **{{name: value(name) for name in ("pc", "sp", "lr", "x19", "x20", "x21", "x22", "x23", "cpsr", "fpcr")}},
        "v8": [data.GetUnsignedInt64(error, 0), data.GetUnsignedInt64(error, 8)],
    }}
for address, size in {reads!r}:
    error = lldb.SBError()
    read = process.ReadMemory(address, size, error)
    out["memory"][str(address)] = read.decode("latin-1") if error.Success() else str(error)
print("RESULT" + json.dumps(out))
"""


@pytest.mark.parametrize("name", ["helper-full.dmp", "thread-mini.dmp"])
def test_lldb(facts, name, tmp_path):
    sentinels = {
        address: f"snapcore: {text}"
        for text, address in facts["sentinels"].items()
        if "full" in name or text == "stack sentinel"
    }
    script = tmp_path / "ask.py"
    reads = [(address, len(text)) for address, text in sentinels.items()]
    script.write_text(SCRIPT.format(path=str(FOLDER / name), reads=reads))
    done = subprocess.run(
        ["lldb-19", "-x", "-b", "-o", f"command script import {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    (result,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    read = json.loads(result.removeprefix("RESULT"))
    assert read["pid"] == facts["pid"]
    assert read["triple"].startswith("aarch64")
    assert set(read["threads"]) == set(facts["threads"])
    parked = read["threads"][str(facts["parked"])]
    assert {r: parked[r] for r in GENERAL} == {
        r: 0x5B5B5B5B00000000 + v for r, v in GENERAL.items()
    }
    assert parked["v8"] == [0x1111111111111111, 0x1111111111111112]
    assert parked["fpcr"] == facts["float_control"]
    asleep = str(facts["pid"])
    for register in ("pc", "sp", "lr", "x19", "cpsr"):
        assert read["threads"][asleep][register] == facts["registers"][asleep][register]
    assert {int(address): text for address, text in read["memory"].items()} == sentinels


@pytest.mark.parametrize("name", ["helper-full.dmp", "thread-mini.dmp"])
def test_breakpad(facts, name):
    state = ProcessState.from_minidump(str(FOLDER / name))
    threads = {t.thread_id: t for t in state.threads()}
    assert {str(tid) for tid in threads} == set(facts["threads"])
    # A thread asleep in libc was called from the target.
    assert threads[facts["pid"]].frame_count > 1
    assert state.system_info.os_name == "Linux"
    assert state.system_info.cpu_family == "arm64"
    assert {Path(m.code_file).name for m in state.modules()} >= {"facts_target", "libc.so.6"}


def test_readers_that_know_no_such_context(facts):
    """They show no registers rather than wrong ones: docs/decisions/0013-two-records-of-arm64.md."""
    path = str(FOLDER / "helper-full.dmp")
    other = udmp_parser.UserDumpParser()
    assert other.Parse(path)
    assert {str(tid) for tid in other.Threads()} == set(facts["threads"])
    for thread in other.Threads().values():
        assert isinstance(thread.Context, udmp_parser.UnknownContext)
    logging.disable(logging.CRITICAL)  # it looks for the PEB
    try:
        file = MinidumpFile.parse(path)
    finally:
        logging.disable(logging.NOTSET)
    with file.file_handle:
        assert {str(thread.ThreadId) for thread in file.threads.threads} == set(facts["threads"])
        reader = file.get_reader()
        for text, address in facts["sentinels"].items():
            expected = f"snapcore: {text}".encode()
            assert reader.read(address, len(expected)) == expected
            assert bytes(other.ReadMemory(address, len(expected)) or b"") == expected
