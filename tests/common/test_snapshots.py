# SPDX-License-Identifier: Apache-2.0
"""Tables, registers and memory of a snapshot against what the target knows of itself; the same on both systems."""

from __future__ import annotations

import gc
import platform

import numpy as np
import pytest

import snapcore
from snapcore import CaptureFlags, MemoryState, ThreadFlags


def known_handles(facts):
    return facts.facts.get("handles") or facts.facts["descriptors"]


def test_threads_and_their_names(facts):
    with snapcore.capture(facts.pid) as snap:
        t = snap.threads()
    running = (t["flags"] & ThreadFlags.TERMINATED) == 0
    names = {str(t["tid"][i]): t["name"][i] for i in np.flatnonzero(running)}
    assert names == facts.facts["threads"]
    assert (t["pid"] == facts.pid).all()
    assert (t["exit_status"][running] == 259).all()
    sp, low, high = (t[c][running] for c in ("stack_pointer", "stack_start", "stack_end"))
    assert ((low <= sp) & (sp < high)).all()


def test_registers(facts):
    with snapcore.capture(facts.pid) as snap:
        if platform.machine() == "ARM64":
            with pytest.raises(snapcore.Unsupported):
                snap.contexts()
            return
        c = snap.contexts()
        t = snap.threads()
    assert list(c["tid"]) == list(t["tid"])
    parked = c[c["tid"] == facts.facts["parked"]]
    assert parked["valid"] == 1
    assert parked["rbx"] == 0x5B5B5B5B00000001
    assert parked["r12"] == 0x5B5B5B5B0000000C
    assert parked["r15"] == 0x5B5B5B5B0000000F
    assert parked["rip"] == t["instruction_pointer"][t["tid"] == facts.facts["parked"]]
    assert not c.flags.writeable


def test_handles_that_the_target_has(facts):
    with snapcore.capture(facts.pid) as snap:
        h = snap.handles()
    assert set(known_handles(facts).values()) <= {int(value) for value in h["handle"]}
    assert len(np.unique(h["handle"])) == len(h)
    assert h.valid("type_name").all()


def test_regions_and_modules(facts):
    with snapcore.capture(facts.pid) as snap:
        r, m = snap.regions(), snap.modules()
        process = snap.process()
    assert (np.diff(r["base"].astype(object)) > 0).all()
    assert (r["base"][:-1] + r["size"][:-1] <= r["base"][1:]).all()
    for address in facts.facts["sentinels"].values():
        (row,) = np.flatnonzero((r["base"] <= address) & (address < r["base"] + r["size"]))
        assert r["state"][row] == MemoryState.COMMIT
    assert process.pid == facts.pid
    assert process.image_path == m["path"][0]
    first = r["base"] == m["base"][0]
    assert first.sum() == 1
    assert r["mapped_file"][int(np.flatnonzero(first)[0])]


def test_memory_is_that_of_the_instant(facts):
    # What both systems have in a clone; shared memory is another matter on each.
    sentinels = {n: a for n, a in facts.facts["sentinels"].items() if n != "shared sentinel"}
    with snapcore.capture(facts.pid) as snap:
        facts.ask("change")
        for name, address in sentinels.items():
            text = f"snapcore: {name}".encode()
            assert snap.read(address, len(text)) == text
            buffer = bytearray(len(text))
            assert snap.read_into(address, buffer) == len(text)
            assert buffer == text
    with snapcore.capture(facts.pid) as snap:
        assert snap.read(sentinels["heap sentinel"], 7) == b"CHANGED"


def test_what_cannot_be_read_is_an_error(facts):
    with snapcore.capture(facts.pid) as snap:
        with pytest.raises(snapcore.SnapError, match="0x10 cannot be read"):
            snap.read(0x10, 16)
        assert snap.read_into(0x10, bytearray(16)) == 0
        with pytest.raises(ValueError, match="negative"):
            snap.read(-1, 16)


def test_columns_are_views_that_outlive_the_snapshot(facts):
    snap = snapcore.capture(facts.pid)
    handles = snap.handles()
    column = handles["handle"]
    assert column.base is not None
    assert not column.flags.writeable
    before = column.tolist()
    snap.close()
    del snap, handles
    gc.collect()
    assert column.tolist() == before


def test_a_closed_snapshot_says_so(facts):
    snap = snapcore.capture(facts.pid)
    snap.close()
    snap.close()
    with pytest.raises(ValueError, match="closed"):
        snap.read(facts.facts["sentinels"]["heap sentinel"], 1)


@pytest.mark.parametrize(
    ("ask", "flag"),
    [
        (lambda s: s.threads(), "THREADS"),
        (lambda s: s.handles(), "HANDLES"),
        (lambda s: s.regions(), "VA_SPACE"),
        (lambda s: s.contexts(), "THREAD_CONTEXT"),
        (lambda s: s.read(4096, 1), "VA_CLONE"),
    ],
)
def test_what_was_not_captured_is_named(facts, ask, flag):
    with (
        snapcore.capture(facts.pid, CaptureFlags.NONE) as snap,
        pytest.raises(ValueError, match=flag),
    ):
        ask(snap)


@pytest.mark.parametrize(
    "flags",
    [
        CaptureFlags.HANDLE_NAME_INFORMATION,
        CaptureFlags.HANDLE_BASIC_INFORMATION,
        CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION,
        CaptureFlags.THREAD_CONTEXT,
        CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT_EXTENDED,
        CaptureFlags.VA_SPACE_SECTION_INFORMATION,
    ],
)
def test_a_detail_without_its_base_is_refused(facts, flags):
    with pytest.raises(ValueError, match="needs"):
        snapcore.capture(facts.pid, flags)


def test_nobody_has_this_pid():
    with pytest.raises(snapcore.ProcessGone) as caught:
        snapcore.capture(0x7FFFFFF0)
    assert isinstance(caught.value, ProcessLookupError)
    assert caught.value.pid == 0x7FFFFFF0


def test_a_process_that_has_ended(start, tmp_path):
    target = start("facts", tmp_path)
    target.end()
    with pytest.raises(snapcore.ProcessGone):
        snapcore.capture(target.pid)


def test_tables_without_a_snapshot(facts):
    h = snapcore.handles(facts.pid)
    assert set(known_handles(facts).values()) <= {int(value) for value in h["handle"]}
    t = snapcore.threads(facts.pid)
    assert set(facts.facts["threads"]) <= {str(tid) for tid in t["tid"]}


def test_handles_of_the_whole_system(facts):
    table = snapcore.system_handles()
    own = table["pid"] == facts.pid
    assert set(known_handles(facts).values()) <= {int(value) for value in table["handle"][own]}
    assert len(np.unique(table["pid"])) > 1
