# SPDX-License-Identifier: Apache-2.0
"""What Windows knows beyond the tables that both systems have."""

from __future__ import annotations

import os
import platform

import numpy as np
import pytest
from support import STAND_IN

import snapcore
from snapcore import CaptureFlags, ContextFlags, ObjectType, ThreadFlags


def row_of(table, column, value):
    (index,) = np.flatnonzero(table[column] == value)
    return table.row(int(index))


@pytest.fixture
def handles(facts):
    with snapcore.capture(facts.pid) as snap:
        table = snap.handles()
    return {name: row_of(table, "handle", value) for name, value in facts.facts["handles"].items()}


def test_events(handles, facts):
    manual, automatic = handles["manual"], handles["auto"]
    assert manual["type"] == ObjectType.EVENT
    assert manual["type_name"] == "Event"
    assert manual["object_name"].endswith(f"snapcore-{facts.pid}-manual")
    assert (manual["manual_reset"], manual["signaled"]) == (True, True)
    assert (automatic["manual_reset"], automatic["signaled"]) == (False, False)
    assert manual["granted_access"] == 0x1F0003
    assert manual["handle_count"] == 1


def test_mutexes_and_semaphores(handles):
    assert handles["mutex"]["type"] == ObjectType.MUTANT
    assert handles["mutex"]["current_count"] == 0  # held
    assert handles["mutex"]["abandoned"] is False
    assert handles["semaphore"]["type"] == ObjectType.SEMAPHORE
    assert handles["semaphore"]["current_count"] == 3
    assert handles["semaphore"]["maximum_count"] == 9


def test_sections_files_and_keys(handles, facts):
    assert handles["section"]["type"] == ObjectType.SECTION
    assert handles["section"]["section_size"] == 0x20000
    assert handles["file"]["type_name"] == "File"
    assert handles["file"]["object_name"].endswith("facts-file.txt")
    assert handles["file"]["type"] == ObjectType.UNKNOWN
    assert handles["key"]["type_name"] == "Key"
    assert handles["key"]["object_name"].endswith("snapcore-test")


def test_processes_and_threads(handles, facts):
    process, thread, ended = handles["process"], handles["thread"], handles["ended thread"]
    assert process["type"] == ObjectType.PROCESS
    assert process["target_pid"] == facts.pid
    assert process["exit_status"] == 259
    assert thread["type"] == ObjectType.THREAD
    assert str(thread["target_tid"]) in facts.facts["threads"]
    assert thread["exit_status"] == 259
    assert ended["target_tid"] == facts.facts["ended"]
    assert ended["exit_status"] == 77


def test_what_a_type_does_not_have_is_not_known(handles):
    for column in ("signaled", "current_count", "section_size", "target_pid"):
        assert handles["file"][column] is None
    assert handles["manual"]["current_count"] is None


def test_a_thread_that_has_ended_is_flagged(facts):
    with snapcore.capture(facts.pid) as snap:
        t = snap.threads()
        (found,) = [d for d in snap.diagnostics if d.code == "ended_threads"]
    ended = row_of(t, "tid", facts.facts["ended"])
    assert ended["flags"] == ThreadFlags.TERMINATED
    assert ended["exit_status"] == 77
    assert ended["exited_at_ns"] >= ended["created_at_ns"]
    assert ended["name"] is None
    assert ended["instruction_pointer"] is None
    assert found.subject == 1


def test_times_are_near_now(facts):
    with snapcore.capture(facts.pid) as snap:
        t = snap.threads()
        captured = snap.captured_at_ns
    assert (np.abs(t["captured_at_ns"] - captured) < 60e9).all()
    assert (captured - t["created_at_ns"] < 60e9).all()


def test_modules(facts):
    with snapcore.capture(facts.pid) as snap:
        m = snap.modules()
    names = [path.rpartition("\\")[2].lower() for path in m["path"]]
    assert names[0] == "facts_target.exe"
    assert {"ntdll.dll", "kernel32.dll"} <= set(names)
    assert m["base"][0] == facts.facts["image"]
    kernel = m.row(names.index("kernel32.dll"))
    assert kernel["version"].count(".") == 3
    assert kernel["code_id"].upper().startswith(f"{kernel['timestamp']:08X}")


def test_views_that_the_clone_lacks(facts):
    address = facts.facts["section sentinel"]
    with snapcore.capture(facts.pid) as snap:
        r = snap.regions()
        region = row_of(r, "base", address)
        assert region["in_clone"] is False
        with pytest.raises(snapcore.SnapError, match="cannot be read"):
            snap.read(address, 8)
        (note,) = [d for d in snap.diagnostics if d.code == "not_in_clone"]
        assert note.subject >= 0x20000
    with snapcore.capture(facts.pid, live_fallback=True) as snap:
        assert snap.read(address, 26) == b"snapcore: section sentinel"
        facts.ask("change")
        assert snap.read(address, 7) == b"CHANGED", "served live, and so not of the instant"


def test_auxiliary_pages(facts, sim):
    with (
        snapcore.capture(facts.pid) as snap,
        pytest.raises(snapcore.Unsupported, match="no public"),
    ):
        snap.auxiliary_pages()
    if sim:
        sim.fail("auxiliary pages", 1)
        with snapcore.capture(facts.pid) as snap:
            table = snap.auxiliary_pages()
        assert table["address"].tolist() == [0x7FFE0000]
        assert table["contents"].categories_bytes == (b"\xa7" * 4096,) or list(
            table["contents"].categories_bytes
        ) == [b"\xa7" * 4096]


def test_handle_trace(facts, sim):
    flags = CaptureFlags.DEFAULT | CaptureFlags.HANDLE_TRACE
    with snapcore.capture(facts.pid, flags) as snap, pytest.raises(snapcore.Unsupported):
        snap.handle_trace()
    if sim:
        sim.fail("handle trace", 1)
        with snapcore.capture(facts.pid, flags) as snap:
            assert snap.handle_trace() == b"\x5a" * 256


@pytest.mark.skipif(platform.machine() == "ARM64", reason="registers of x86-64")
def test_vector_registers(facts):
    value = (0x5B5B5B5B00000001).to_bytes(8, "little")
    for context_flags in (ContextFlags.ALL, ContextFlags.ALL | ContextFlags.XSTATE):
        with snapcore.capture(facts.pid, context_flags=context_flags) as snap:
            c = snap.contexts()
        parked = c[c["tid"] == facts.facts["parked"]][0]
        assert parked["xmm"][7][:8].tobytes() == value
        assert parked["context_flags"] & ContextFlags.ALL == ContextFlags.ALL


def test_performance(facts):
    with snapcore.capture(facts.pid) as snap:
        assert set(snap.performance()) == {"capture", "thread_names", "tables"}
    flags = CaptureFlags.DEFAULT | CaptureFlags.CREATE_MEASURE_PERFORMANCE
    with snapcore.capture(facts.pid, flags) as snap:
        times = snap.performance()
    assert 0 < times["total"] <= times["capture"] * 1.1
    assert 0 < times["va_clone"] <= times["total"]


def test_oneself():
    with snapcore.capture(os.getpid(), CaptureFlags.HANDLES | CaptureFlags.THREADS) as snap:
        assert len(snap.handles()) > 0
        assert len(snap.threads()) > 0
        assert "own_process" in [d.code for d in snap.diagnostics]


def test_names_of_the_whole_system(facts):
    table = snapcore.system_handles()
    own = np.flatnonzero(table["pid"] == facts.pid)
    rows = {table["handle"][i]: table.row(int(i)) for i in own}
    manual = rows[facts.facts["handles"]["manual"]]
    assert manual["type"] == ObjectType.EVENT
    assert manual["object_name"].endswith(f"snapcore-{facts.pid}-manual")
    assert manual["granted_access"] == 0x1F0003


def test_debug_privilege_is_put_back_and_named(facts):
    with snapcore.capture(facts.pid, CaptureFlags.THREADS, debug_privilege=True) as snap:
        assert "debug_privilege_used" in [d.code for d in snap.diagnostics]
    with snapcore.capture(facts.pid, CaptureFlags.THREADS) as snap:
        assert "debug_privilege_used" not in [d.code for d in snap.diagnostics]


def test_a_process_that_nobody_may_open(start, tmp_path):
    target = start("facts", tmp_path, "deny")
    target.ask("are you there")  # by now it has done so
    for ask in (snapcore.capture, snapcore.handles):
        with pytest.raises(snapcore.AccessDenied, match="debug_privilege") as caught:
            ask(target.pid)
        assert (caught.value.call, caught.value.code) == ("OpenProcess", 5)
    with pytest.raises(snapcore.AccessDenied):
        snapcore.dump(target.pid, tmp_path / "a.dmp", method="live")
    assert not (tmp_path / "a.dmp").exists()


@pytest.mark.skipif(not STAND_IN, reason="only the stand-in can be given rows")
@pytest.mark.parametrize("rows", [0, 1, 100_000])
def test_tables_of_any_length(sim, rows):
    sim.prepare(rows, min(rows, 5_000))
    flags = CaptureFlags.HANDLES | CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT
    with snapcore.capture(os.getpid(), flags) as snap:
        h, t, c = snap.handles(), snap.threads(), snap.contexts()
    assert len(h) == rows
    assert len(t) == len(c) == min(rows, 5_000)
    for column in h.columns:
        assert len(h[column]) == len(h.valid(column)) == rows
    assert h["handle"].tolist() == list(range(4, 4 * rows + 4, 4))
    assert not h.valid("inode").any()
    assert (h["inode"] == 0).all()
    assert len(h.to_records()) == rows
    if rows:
        assert h["object_name"][rows - 1].endswith(f"object-{(rows - 1) // 10}")
