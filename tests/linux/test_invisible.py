# SPDX-License-Identifier: Apache-2.0
"""A snapshot is felt by nobody: sleeping calls, signals, children, descriptors, memory of one instant."""

from __future__ import annotations

import os
import signal
import struct

import pytest
from linux_support import children, descriptors, is_untouched
from support import wait_until

import snapcore
from snapcore import CaptureFlags

SNAPSHOTS = 200


@pytest.mark.parametrize("program", ["sleepers", "sleepers_static"])
def test_200_snapshots_are_seen_by_no_sleeper(start, placement, tmp_path, program):
    target = start(program, tmp_path)
    before = descriptors(target.pid)
    sent = 0
    for i in range(SNAPSHOTS):
        if i % 10 == 0:
            os.kill(target.pid, signal.SIGUSR1)
            sent += 1
            wait_until(lambda sent=sent: target.ask("check")["signals"] >= sent)
        with snapcore.capture(target.pid, CaptureFlags.DOCUMENTED) as snap:
            assert snap.read(int(snap.threads()["stack_pointer"][0]), 8)
        assert children(target.pid) == [], "a clone or its zombie is left"
    after = target.ask("check")
    assert after["violations"] == 0, after["report"]
    assert after["interrupted"] == 0
    assert after["signals"] == sent
    assert after["child_signals"] == 0
    assert after["children"] == 0
    assert after["wait_errno"] != 0  # ECHILD
    assert after["blocked"] == 1 << signal.SIGUSR2
    assert descriptors(target.pid) == before
    counted = after["counter"]
    wait_until(lambda: target.ask("check")["counter"] > counted)
    is_untouched(target.pid)


def test_signals_sent_during_snapshots_arrive_once_each(start, placement, tmp_path):
    target = start("sleepers", tmp_path)
    sent = 0
    for _ in range(50):
        job = snapcore.capture
        for _ in range(3):
            # Queued signals are counted one by one.
            os.kill(target.pid, signal.SIGRTMIN)
            sent += 1
        with job(target.pid):
            os.kill(target.pid, signal.SIGRTMIN)
            sent += 1
    wait_until(lambda: target.ask("check")["signals"] == sent)
    after = target.ask("check")
    assert after["violations"] == 0, after["report"]
    assert after["interrupted"] == 0


def test_descriptors_close_as_if_there_were_no_clone(start, placement, tmp_path):
    target = start("sleepers", tmp_path)
    target.ask("open kept")
    with snapcore.capture(target.pid):
        assert target.ask("close kept") == {"stale_events": 0, "bind_errno": 0, "flock_errno": 0}
        assert target.ask("probe") == {"stale_events": 0}


def test_memory_is_of_one_instant(start, placement):
    target = start("memory", 256)
    first, second = target.facts["first"], target.facts["second"]
    target.ask("write")
    values = []
    for _ in range(30):
        with snapcore.capture(target.pid, CaptureFlags.VA_CLONE) as snap:
            (a,) = struct.unpack("<Q", snap.read(first, 8))
            (b,) = struct.unpack("<Q", snap.read(second, 8))
        assert 0 <= a - b <= 1
        values.append(a)
    target.ask("rest")
    assert values == sorted(values)
    assert values[-1] > values[0], "the writer did not run between snapshots"


def test_pause_is_what_a_spinning_thread_sees(start, placement):
    target = start("memory", 512)
    gaps, pauses = [], []
    # More of them where the machine is busy.
    while len(gaps) < 9 or (len(gaps) < 60 and not 0.85 <= min(gaps) / min(pauses) <= 1.5):
        target.ask("measure")
        with snapcore.capture(target.pid, CaptureFlags.VA_CLONE) as snap:
            gaps.append(target.ask("gap")["gap_ns"])
            pauses.append(snap.pause_ns)
    # Whatever else wants a processor only adds: to the gap where the meter waits for one, to the pause where the tracer does, between
    # letting go and reading its clock. So the least of each are compared.
    assert 0.85 <= min(gaps) / min(pauses) <= 1.5, (gaps, pauses)


def test_flags_that_are_not_set_cost_nothing(start, placement):
    target = start("memory", 256)
    target.ask("measure")
    with snapcore.capture(target.pid, CaptureFlags.NONE) as snap:
        assert snap.pause_ns == 0
        assert snap.performance() == {}
    with snapcore.capture(target.pid, CaptureFlags.THREADS) as snap:
        assert "clone" not in snap.performance()
        with pytest.raises(ValueError, match="HANDLES"):
            snap.handles()
        with pytest.raises(ValueError, match="THREAD_CONTEXT"):
            snap.contexts()
        with pytest.raises(ValueError, match="VA_SPACE"):
            snap.regions()
        with pytest.raises(ValueError, match="VA_CLONE"):
            snap.read(target.facts["memory"], 1)
    target.ask("gap")


def test_max_pause_is_kept_when_cloning_takes_too_long(start, placement):
    target = start("memory", 2048)
    with pytest.raises(snapcore.TimedOut, match="max_pause"):
        snapcore.capture(target.pid, max_pause=0.004)
    is_untouched(target.pid)
