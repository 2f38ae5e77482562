# SPDX-License-Identifier: Apache-2.0
"""Signals and job control go on as if no snapshot were taken: none is lost, doubled, delayed without end, or out of order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from linux_support import children, is_untouched, states, status, timed_poller
from support import SLOWER, fewer, wait_until

import snapcore
from snapcore import CaptureFlags

SENDER = f"""
import random, select, sys, time
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from linux_support import send_numbered
pid, tid, number, most_seconds = (*map(int, sys.argv[1:4]), float(sys.argv[4]))
sent = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        send_numbered(pid, tid, number, sent + 1)
    except AssertionError:  # the queue is full
        time.sleep(0.001)
        continue
    sent += 1
    if sent % 4 == 0 and most_seconds > 0:
        time.sleep(random.uniform(0, most_seconds))
print(sent)
"""


class Sender:
    """Sends numbered signals to the counting thread of a target, which is the one that a snapshot works with."""

    def __init__(self, target, most_seconds: float) -> None:
        facts = target.facts
        arguments = [target.pid, facts["counter"], facts["queued"], most_seconds]
        self._process = subprocess.Popen(
            [sys.executable, "-c", SENDER, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def stop(self) -> int:
        """How many were sent."""
        out, _ = self._process.communicate("stop\n", timeout=30)
        return int(out)


def all_arrived(target, sent: int) -> None:
    wait_until(lambda: target.ask("check")["queued_signals"] >= sent)
    after = target.ask("check")
    assert after["queued_signals"] == sent
    assert after["disorder"] == 0
    assert after["violations"] == 0, after["report"]
    assert after["interrupted"] == 0


def test_signals_to_the_thread_that_makes_the_clone(start, placement, tmp_path):
    target = start("sleepers", tmp_path)
    sender = Sender(target, 0.004)
    try:
        for _ in range(fewer(100)):
            with snapcore.capture(target.pid, CaptureFlags.DOCUMENTED):
                pass
    finally:
        sent = sender.stop()
    assert sent > fewer(100)
    all_arrived(target, sent)


def test_a_thread_that_gets_signals_without_end_is_stopped_all_the_same(start, placement, tmp_path):
    target = start("sleepers", tmp_path)
    sender = Sender(target, 0)
    try:
        for _ in range(fewer(20)):
            with snapcore.capture(target.pid, CaptureFlags.DOCUMENTED) as snap:
                assert snap.pause_ns < 500_000_000 * SLOWER
    finally:
        sent = sender.stop()
    all_arrived(target, sent)


def test_a_stopped_process_stays_stopped(start, placement, tmp_path):
    target = start("sleepers", tmp_path)
    os.kill(target.pid, signal.SIGSTOP)
    wait_until(lambda: states(target.pid) == {"T"})
    for _ in range(5):
        with snapcore.capture(target.pid) as snap:
            wait_until(lambda: states(target.pid) == {"T"})
            assert len(snap.threads()) == len(os.listdir(f"/proc/{target.pid}/task"))
        wait_until(lambda: states(target.pid) == {"T"})
        result = snapcore.dump(target.pid, tmp_path / "a.dmp", overwrite=True)
        assert result.threads == len(os.listdir(f"/proc/{target.pid}/task"))
        wait_until(lambda: states(target.pid) == {"T"})
    assert children(target.pid) == []
    os.kill(target.pid, signal.SIGCONT)
    wait_until(lambda: "T" not in states(target.pid))
    after = target.ask("check")
    assert after["violations"] == 0, after["report"]
    is_untouched(target.pid)


def test_job_control_during_snapshots(start, placement, tmp_path):
    """However often: the clone is made once it gets to run between two stops."""
    target = start("sleepers", tmp_path)
    code = """
import os, random, signal, sys, time
pid, times, most_seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for _ in range(times):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(random.uniform(0, most_seconds))
    os.kill(pid, signal.SIGCONT)
    time.sleep(random.uniform(0, most_seconds))
"""
    times = ("2000", "0.0005") if SLOWER == 1 else ("200", "0.1")
    stopper = subprocess.Popen([sys.executable, "-c", code, str(target.pid), *times])
    snapshots = 0
    while stopper.poll() is None:
        with snapcore.capture(target.pid, CaptureFlags.DOCUMENTED):
            snapshots += 1
    assert stopper.returncode == 0
    assert snapshots > 10
    wait_until(lambda: "T" not in states(target.pid))
    # SIGCONT itself ends epoll_wait and sigtimedwait with EINTR (signal(7)), so that is not asked for here.
    after = target.ask("check")
    assert after["violations"] == 0, after["report"]
    is_untouched(target.pid)


def test_dispositions_and_masks_are_as_before(start, placement, tmp_path):
    target = start("sleepers", tmp_path)

    def signals() -> dict[str, list[str]]:
        return {
            task: [
                status(int(task), key) for key in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")
            ]
            for task in os.listdir(f"/proc/{target.pid}/task")
        }

    def all_started() -> bool:
        # A thread that is being started blocks even the C library's own signals, 32 and 33.
        return not any(int(masks[2], 16) >> 31 & 3 for masks in signals().values())

    wait_until(all_started)
    before = signals()
    for _ in range(20):
        with snapcore.capture(target.pid):
            pass
        assert signals() == before


def test_calls_with_a_timeout_that_no_tracer_can_mend_are_counted(placement):
    with timed_poller() as pid:
        with snapcore.capture(pid) as snap:
            (found,) = [d for d in snap.diagnostics if d.code == "timed_call_interrupted"]
        assert found.subject == 1
