# SPDX-License-Identifier: Apache-2.0
"""Every call that can fail, failing: the exception says which and with what, and nothing is left."""

from __future__ import annotations

import pickle
import threading
import time

import pytest
from support import STAND_IN

import snapcore
from snapcore import CaptureFlags, MiniDumpType

FULL = MiniDumpType.WITH_FULL_MEMORY
pytestmark = pytest.mark.skipif(not STAND_IN, reason="only the stand-in fails when it is told to")


@pytest.mark.parametrize(
    ("function", "code", "kind", "text"),
    [
        ("PssCaptureSnapshot", 5, snapcore.AccessDenied, "debug_privilege"),
        ("PssCaptureSnapshot", 1455, snapcore.SnapError, "commit"),
        ("PssCaptureSnapshot", 8, snapcore.SnapError, "commit"),
        ("PssCaptureSnapshot", 50, snapcore.Unsupported, ""),
        ("PssCaptureSnapshot", 299, snapcore.SnapError, "try again"),
        ("PssQuerySnapshot", 24, snapcore.SnapError, ""),
        ("PssQuerySnapshot", 87, snapcore.SnapError, ""),
        ("PssWalkSnapshot", 6, snapcore.SnapError, ""),
        ("PssWalkSnapshot", 234, snapcore.SnapError, ""),
        ("PssWalkMarkerCreate", 8, snapcore.SnapError, ""),
    ],
)
def test_a_capture_that_fails(facts, sim, function, code, kind, text):
    # A query that never answers would keep the clone's handle from everybody, and so the clone running.
    sim.fail(function, code, times=1 if function == "PssQuerySnapshot" else 100)
    with pytest.raises(kind, match=text or None) as caught:
        snapcore.capture(facts.pid)
    error = caught.value
    assert type(error) is kind
    assert (error.call, error.domain, error.code, error.pid) == (
        function,
        "win32",
        code,
        facts.pid,
    )
    assert error.winerror == code
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code) == (kind, str(error), code)


@pytest.mark.parametrize("skip", [0, 1, 3, 10, 40, 100])
def test_a_walk_that_fails_in_the_middle(facts, sim, skip):
    sim.fail("PssWalkSnapshot", 998, skip=skip)
    with pytest.raises(snapcore.SnapError) as caught:
        snapcore.capture(facts.pid)
    assert caught.value.code == 998


@pytest.mark.parametrize("skip", range(5))
def test_a_query_that_fails(facts, sim, skip):
    # Of the clone, regions, threads, handles, the process: in this order.
    sim.fail("PssQuerySnapshot", 998, skip=skip)
    with pytest.raises(snapcore.SnapError) as caught:
        snapcore.capture(facts.pid)
    assert (caught.value.call, caught.value.code) == ("PssQuerySnapshot", 998)


def test_a_snapshot_that_cannot_be_freed_is_told(facts, sim):
    sim.fail("PssFreeSnapshot", 6)
    snap = snapcore.capture(facts.pid)
    snap.close()
    (found,) = [d for d in snap.diagnostics if d.code == "not_freed"]
    assert (found.call, found.domain, found.error) == ("PssFreeSnapshot", "win32", 6)


def test_rights_that_do_not_suffice_are_widened_and_told(facts, sim):
    sim.fail("rights", 0x0200)  # PROCESS_SET_INFORMATION: only in all access
    with snapcore.capture(facts.pid, CaptureFlags.THREADS) as snap:
        (found,) = [d for d in snap.diagnostics if d.code == "wider_rights_needed"]
    assert found.subject == 0x1FFFFF
    sim.fail("rights", 0)
    with snapcore.capture(facts.pid, CaptureFlags.THREADS) as snap:
        assert "wider_rights_needed" not in [d.code for d in snap.diagnostics]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x80070005, snapcore.AccessDenied),
        (0x80070490, snapcore.SnapError),
        (0x80070006, snapcore.SnapError),
        (0x80004005, snapcore.SnapError),
    ],
)
@pytest.mark.parametrize("when", ["MiniDumpWriteDump", "MiniDumpWriteDump late"])
def test_a_dump_that_fails_keeps_its_hresult(facts, sim, tmp_path, code, kind, when):
    sim.fail(when, code, skip=0 if when == "MiniDumpWriteDump" else 3)
    with pytest.raises(kind) as caught:
        snapcore.dump(facts.pid, tmp_path / "a.dmp", FULL)
    error = caught.value
    assert (error.call, error.domain, error.code) == ("MiniDumpWriteDump", "hresult", code)
    assert f"{code:X}" in str(error)
    assert error.winerror == (code & 0xFFFF if code >> 16 == 0x8007 else None)
    assert [p.name for p in tmp_path.iterdir()] == ["facts-file.txt"]


def test_a_partial_copy_is_tried_again(facts, sim, tmp_path):
    sim.fail("MiniDumpWriteDump late", 0x8007012B, skip=5, times=1)
    result = snapcore.dump(facts.pid, tmp_path / "a.dmp", FULL)
    (found,) = [d for d in result.diagnostics if d.code == "dump_retried"]
    assert found.subject == 2
    assert result.file_size == (tmp_path / "a.dmp").stat().st_size


def test_a_partial_copy_without_end_is_an_error(facts, sim, tmp_path):
    sim.fail("MiniDumpWriteDump", 0x8007012B, times=100)
    with pytest.raises(snapcore.SnapError, match="0x8007012B"):
        snapcore.dump(facts.pid, tmp_path / "a.dmp", FULL)
    assert sum(call.startswith("MiniDumpWriteDump") for call in sim.calls()) == 5


def test_memory_that_cannot_be_read(facts, sim, tmp_path):
    sim.fail("read memory", 1, skip=10, times=2)
    result = snapcore.dump(facts.pid, tmp_path / "a.dmp", FULL)
    (found,) = [d for d in result.diagnostics if d.code == "unreadable_memory_left_out"]
    assert found.subject > 0
    sim.fail("read memory", 1, skip=10, times=1000)
    with pytest.raises(snapcore.SnapError, match="0x8007012B"):
        snapcore.dump(
            facts.pid, tmp_path / "b.dmp", FULL | MiniDumpType.NO_IGNORE_INACCESSIBLE_MEMORY
        )


def test_memory_that_the_clone_lacks_comes_from_the_process_where_asked(facts, tmp_path):
    text = b"snapcore: section sentinel"
    flags = FULL | MiniDumpType.WITH_FULL_MEMORY_INFO
    without = snapcore.dump(facts.pid, tmp_path / "a.dmp", flags)
    assert without.bytes_not_of_the_instant == 0
    assert text not in (tmp_path / "a.dmp").read_bytes()
    served = snapcore.dump(facts.pid, tmp_path / "b.dmp", flags, live_fallback=True)
    assert served.bytes_not_of_the_instant >= 0x20000
    assert text in (tmp_path / "b.dmp").read_bytes()


def test_a_dbghelp_that_knows_fewer_flags(facts, sim, tmp_path):
    sim.fail("known flags", 0x001FFFFF)
    result = snapcore.dump(
        facts.pid, tmp_path / "a.dmp", MiniDumpType.WITH_AVX_XSTATE_CONTEXT | FULL
    )
    (found,) = [d for d in result.diagnostics if d.code == "flag_without_effect"]
    assert found.subject == MiniDumpType.WITH_AVX_XSTATE_CONTEXT


def test_a_dbghelp_that_knows_no_snapshots(facts, sim, tmp_path):
    sim.fail("old dbghelp", 1)
    with pytest.raises(snapcore.Unsupported, match="too old"):
        snapcore.dump(facts.pid, tmp_path / "a.dmp")
    assert [p.name for p in tmp_path.iterdir()] == ["facts-file.txt"]


def test_success_with_an_empty_file_is_not_believed(facts, sim, tmp_path):
    sim.fail("empty directory", 1)
    with pytest.raises(snapcore.SnapError, match="reported success, but"):
        snapcore.dump(facts.pid, tmp_path / "a.dmp")
    assert [p.name for p in tmp_path.iterdir()] == ["facts-file.txt"]


def test_the_live_method_after_a_capture_that_cannot_be_had(facts, sim, tmp_path):
    sim.fail("PssCaptureSnapshot", 50)
    result = snapcore.dump(facts.pid, tmp_path / "a.dmp", method="auto")
    assert result.method == "live"
    assert "fell_back_to_live" in [d.code for d in result.diagnostics]


def test_timeout_in_the_middle(facts, sim, tmp_path):
    sim.fail("slow", 20)
    started = time.monotonic()
    with pytest.raises(snapcore.TimedOut):
        snapcore.dump(facts.pid, tmp_path / "a.dmp", FULL, timeout=1.5)
    assert time.monotonic() - started < 6
    assert [p.name for p in tmp_path.iterdir()] == ["facts-file.txt"]


def test_an_exception_of_the_callback_cancels(facts, sim, tmp_path):
    sim.fail("slow", 20)

    def progress(done, _total, _phase):
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snapcore.dump(facts.pid, tmp_path / "a.dmp", FULL, progress=progress)
    assert [p.name for p in tmp_path.iterdir()] == ["facts-file.txt"]


def test_two_dumps_at_once_take_turns_in_dbghelp(start, tmp_path):
    targets = [start("facts", tmp_path) for _ in range(2)]
    results = {}

    def work(target):
        results[target.pid] = snapcore.dump(target.pid, tmp_path / f"{target.pid}.dmp", FULL)

    threads = [threading.Thread(target=work, args=(t,)) for t in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2


def test_a_snapshot_closed_while_it_is_dumped(facts, sim, tmp_path):
    sim.fail("slow", 2)
    snap = snapcore.capture(facts.pid)
    thread = threading.Thread(target=lambda: snap.dump(tmp_path / "a.dmp", FULL))
    thread.start()
    time.sleep(0.3)
    snap.close()
    thread.join()
    assert (tmp_path / "a.dmp").exists()
