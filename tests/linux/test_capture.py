# SPDX-License-Identifier: Apache-2.0
"""Tables, registers and memory of a live snapshot against what the target and the system know."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess

import numpy as np
import psutil
import pytest
from linux_support import X86_64, descriptors

import snapcore
from snapcore import CaptureFlags, HandleFlags, MemoryState, MemoryType, PageProtection


def test_threads(facts, placement):
    with snapcore.capture(facts.pid) as snap:
        t = snap.threads()
    assert dict(zip(map(str, t["tid"]), t["name"], strict=True)) == facts.facts["threads"]
    assert {int(i) for i in t["tid"]} == {th.id for th in psutil.Process(facts.pid).threads()}
    assert (t["pid"] == facts.pid).all()
    assert list(t["tid"]) == sorted(t["tid"])
    assert (t["exit_status"] == 259).all()
    assert not t.valid("exited_at_ns").any()
    # psutil counts from the boot time in whole seconds.
    created = psutil.Process(facts.pid).create_time()
    assert abs(t["created_at_ns"][0] / 1e9 - created) < 1.1
    inside = (t["stack_start"] <= t["stack_pointer"]) & (t["stack_pointer"] < t["stack_end"])
    assert inside.all()
    parked = t["tid"] == facts.facts["parked"]
    assert not t.valid("last_syscall")[parked].any()
    assert t["affinity"][0] == sum(1 << cpu for cpu in os.sched_getaffinity(facts.pid))


def test_stacks_without_a_clone(facts, placement):
    with snapcore.capture(facts.pid) as snap:
        whole = snap.threads()
    flags = CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT
    with snapcore.capture(facts.pid, flags) as snap:
        bare = snap.threads()
    for column in ("tid", "stack_start", "stack_end"):
        assert bare[column].tolist() == whole[column].tolist()


def test_registers(facts, placement):
    with snapcore.capture(facts.pid) as snap:
        contexts, threads = snap.contexts(), snap.threads()
    parked = contexts[contexts["tid"] == facts.facts["parked"]][0]
    assert parked["valid"] == 1
    general = ("rbx", "r12", "r13", "r14", "r15") if X86_64 else ("x19", "x20", "x21", "x22", "x23")
    for name, value in zip(general, (0x1, 0xC, 0xD, 0xE, 0xF), strict=True):
        assert parked[name] == 0x5B5B5B5B00000000 + value
    for i in range(8):
        expected = np.array([0x1111111111111111 * (i + 1) + k for k in range(4)], dtype="<u8")
        assert (parked["xmm" if X86_64 else "v"][8 + i].view("<u8") == expected[:2]).all()
        if X86_64:
            assert (parked["ymm_high"][8 + i].view("<u8") == expected[2:]).all()
    assert parked["mxcsr" if X86_64 else "fpcr"] == facts.facts["float_control"]
    if X86_64:
        assert parked["fs_base"] != 0
        assert parked["seg_cs"] == 0x33
    assert (threads["teb"] != 0).all()
    assert not contexts.flags.writeable


def test_handles(facts, placement):
    with snapcore.capture(facts.pid) as snap:
        h = snap.handles()
    links = descriptors(facts.pid)
    assert dict(zip(map(str, h["handle"]), h["object_name"], strict=True)) == links
    rows = {int(h["handle"][i]): h.row(i) for i in range(len(h))}
    for type_name, number in facts.facts["descriptors"].items():
        assert rows[number]["type_name"] == type_name
    known = facts.facts["descriptors"]
    file = rows[known["File"]]
    status = os.stat(facts.facts["file"])
    assert (file["inode"], file["device"], file["position"]) == (status.st_ino, status.st_dev, 7)
    assert file["granted_access"] & os.O_ACCMODE == os.O_RDWR
    assert file["granted_access"] & os.O_APPEND
    assert file["attributes"] == status.st_mode
    assert rows[known["EventFd"]]["current_count"] == 42
    assert rows[known["EventFd"]]["signaled"] is True
    assert rows[known["MemFd"]]["section_size"] == 12345
    assert rows[known["PidFd"]]["target_pid"] == facts.pid
    assert rows[known["Pipe"]]["inode"] == int(links[str(known["Pipe"])][6:-1])
    assert (h["flags"] & HandleFlags.HAVE_NAME != 0).all()
    mine = {f.fd for f in psutil.Process(facts.pid).open_files()}
    assert mine <= set(rows)


def test_handles_beyond_the_stop_are_said_not_to_be_atomic(placement):
    program = "import os,sys\nfor _ in range(300): os.open('/dev/null', 0)\nprint('ready', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen(
        ["python3", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with snapcore.capture(process.pid, CaptureFlags.HANDLES) as snap:
            assert len(snap.handles()) == len(descriptors(process.pid)) > 300
            assert "handles_not_atomic" in [d.code for d in snap.diagnostics]
    finally:
        process.communicate()


def test_tables_without_a_stop(facts):
    assert len(snapcore.handles(facts.pid)) == len(descriptors(facts.pid))
    threads = snapcore.threads(facts.pid)
    assert len(threads) == len(facts.facts["threads"])
    assert not threads.valid("stack_pointer").any()


def test_regions(facts, placement):
    with snapcore.capture(facts.pid) as snap:
        r = snap.regions()
    live = []
    with open(f"/proc/{facts.pid}/maps") as maps:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            live.append((start, end - start, line.split()[1]))
    assert [(int(b), int(s)) for b, s in zip(r["base"], r["size"], strict=True)] == [
        (b, s) for b, s, _ in live
    ]
    for protect, (_, _, permissions) in zip(r["protect"], live, strict=True):
        assert (permissions[0] == "r") == bool(
            protect & ~(PageProtection.NOACCESS | PageProtection.EXECUTE)
        )
    code = r["mapped_file"] == str(os.readlink(f"/proc/{facts.pid}/exe"))
    assert (r["type"][code] == MemoryType.IMAGE).all()
    assert set(r["state"].tolist()) <= {MemoryState.COMMIT, MemoryState.RESERVE}
    shared = [
        (b <= facts.facts["sentinels"]["shared sentinel"] < b + s)
        for b, s in zip(r["base"].tolist(), r["size"].tolist(), strict=True)
    ]
    assert not r["in_clone"][shared].any()
    assert r["in_clone"][r["mapped_file"] == "[heap]"].all()
    assert r["resident"].sum() > 0


def test_modules_have_the_build_ids_that_readelf_sees(facts, placement):
    with snapcore.capture(facts.pid) as snap:
        m = snap.modules()
    assert m["path"][0] == os.readlink(f"/proc/{facts.pid}/exe")
    assert "linux-gate.so" in m["path"].categories
    for i in range(len(m)):
        row = m.row(i)
        if row["path"] == "linux-gate.so":
            continue
        notes = subprocess.run(
            ["readelf", "-n", row["path"]], capture_output=True, text=True, check=True
        ).stdout
        assert f"Build ID: {row['code_id']}" in notes
    assert (m["size"] > 0).all()


def test_memory_is_that_of_the_snapshot_not_of_now(facts, placement):
    with snapcore.capture(facts.pid) as snap:
        facts.ask("change")
        for text, address in facts.facts["sentinels"].items():
            if text == "shared sentinel":
                continue
            expected = f"snapcore: {text}".encode()
            assert snap.read(address, len(expected)) == expected
        heap = facts.facts["sentinels"]["heap sentinel"]
        buffer = bytearray(8)
        assert snap.read_into(heap, buffer) == 8
        assert bytes(buffer) == b"snapcore"
        with pytest.raises(snapcore.SnapError, match="cannot be read"):
            snap.read(0, 8)
    with pytest.raises(ValueError, match="closed"):
        snap.read(heap, 1)


def test_shared_memory_within_the_budget_is_of_the_instant(facts, placement):
    address = facts.facts["sentinels"]["shared sentinel"]
    with snapcore.capture(facts.pid, shared_budget=4 << 20) as snap:
        facts.ask("change")
        assert snap.read(address, 16) == b"snapcore: shared"


def test_arrays_are_views_that_outlive_the_snapshot(facts):
    with snapcore.capture(facts.pid) as snap:
        threads, handles = snap.threads(), snap.handles()
        tid = threads["tid"]
        expected = tid.copy()
        again = snap.threads()["tid"]
        assert np.shares_memory(tid, again), "a column is copied"
    del snap, threads, again
    gc.collect()
    assert (tid == expected).all()
    assert tid.flags.c_contiguous
    assert not tid.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        tid[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        tid.flags.writeable = True
    restored = pickle.loads(pickle.dumps(handles))
    assert restored.columns == handles.columns
    assert (restored["handle"] == handles["handle"]).all()
    assert list(restored["type_name"]) == list(handles["type_name"])


def test_documented_flags_are_all_accepted(facts, placement):
    with snapcore.capture(facts.pid, CaptureFlags.DOCUMENTED) as snap:
        assert snap.flags == CaptureFlags.DOCUMENTED
        without = {d.subject for d in snap.diagnostics if d.code == "flag_without_meaning"}
        assert without == {
            CaptureFlags.HANDLE_TRACE,
            CaptureFlags.CREATE_BREAKAWAY_OPTIONAL,
            CaptureFlags.CREATE_BREAKAWAY,
            CaptureFlags.CREATE_USE_VM_ALLOCATIONS,
            CaptureFlags.CREATE_RELEASE_SECTION,
        }
        for call in (snap.auxiliary_pages, snap.handle_trace):
            with pytest.raises(snapcore.Unsupported, match="Windows"):
                call()


def test_a_detail_without_its_base_is_named(facts):
    with pytest.raises(ValueError, match=r"HANDLE_NAME_INFORMATION needs CaptureFlags\.HANDLES"):
        snapcore.capture(facts.pid, CaptureFlags.HANDLE_NAME_INFORMATION)


def test_process(facts):
    with snapcore.capture(facts.pid) as snap:
        process = snap.process()
    known = psutil.Process(facts.pid)
    assert process.pid == facts.pid
    assert process.parent_pid == os.getpid()
    assert process.image_path == known.exe()
    assert process.command_line.split("\0")[:-1] == known.cmdline()
    assert abs(process.created_at_ns / 1e9 - known.create_time()) < 1.1
    assert process.thread_count == known.num_threads()
    assert process.uid == known.uids().real
    assert copy.copy(process) == process


def test_our_own_process(monkeypatch):
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    marker = bytearray(b"before")
    address = id(marker)
    with snapcore.capture(os.getpid()) as snap:
        assert len(snap.read(address, 16)) == 16
        assert os.getpid() in snap.threads()["tid"]


def test_an_unclosed_snapshot_warns(facts):
    snap = snapcore.capture(facts.pid)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del snap


def test_a_fork_of_the_owner_leaves_the_snapshot_alone(facts, placement):
    with pytest.raises(snapcore.ProcessGone) as keeps_its_job:
        snapcore.handles(10_000_000)
    with snapcore.capture(facts.pid) as snap:
        child = os.fork()
        if child == 0:
            # Its thread takes the place of one that was not carried over.
            snapcore.handles(os.getpid())
            snap.close()
            del snap, keeps_its_job
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        address = facts.facts["sentinels"]["heap sentinel"]
        assert snap.read(address, 8) == b"snapcore"
    del keeps_its_job  # and this frame, with the snapshot's descriptors
