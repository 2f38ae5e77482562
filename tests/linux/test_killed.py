# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any instant, of the tracer or of its caller: the target goes on unharmed and no clone runs."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time

import pytest
from linux_support import children, kill, state
from support import wait_until

import snapcore

KILLS = 200

# Snapshots without end; a killed tracer is an exception that it survives.
CALLER = """
import sys, snapcore
pid = int(sys.argv[1])
print("ready", flush=True)
while True:
    try:
        with snapcore.capture(pid, snapcore.CaptureFlags.DOCUMENTED):
            pass
    except snapcore.SnapError:
        pass
"""


def tracers_of(pid: int) -> list[int]:
    return [child for child in children(pid) if state(child) != "Z"]


def start_caller(pid: int, placement: str) -> subprocess.Popen[bytes]:
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(pid)],
        stdout=subprocess.PIPE,
        env={**os.environ, "SNAPCORE_TRACER": placement},
    )
    assert caller.stdout is not None
    assert caller.stdout.readline() == b"ready\n"
    return caller


def seconds_of_a_capture(pid: int) -> float:
    """How long one takes here and now, from the start of the tracer to its end."""
    taken = []
    for _ in range(15):
        started = time.monotonic()
        with snapcore.capture(pid, snapcore.CaptureFlags.DOCUMENTED):
            pass
        taken.append(time.monotonic() - started)
    return statistics.median(taken)


def no_clone_runs(pid: int) -> bool:
    """Zombies may be left by a kill; a clone that runs, or hangs in a stop, may not."""
    return all(state(child) in ("Z", "gone") for child in children(pid))


def is_unharmed(target) -> None:
    wait_until(lambda: no_clone_runs(target.pid))
    for task in os.listdir(f"/proc/{target.pid}/task"):
        wait_until(lambda task=task: state(int(task)) not in ("t", "T"))
    check = target.ask("check")
    assert check["violations"] == 0, check["report"]
    # A tracer that dies between its stop and its correction leaves EINTR behind in the calls that the kernel never restarts; nothing
    # can mend that from outside (docs/linux.md).
    assert check["interrupted"] <= KILLS
    counted = check["counter"]
    wait_until(lambda: target.ask("check")["counter"] > counted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments"),
    # Tiles: extended state that a thread has only when it asked for it; without AMX as the first.
    # A crowd: two threads trace.
    [
        ("sleepers", []),
        ("sleepers_static", []),
        ("sleepers", ["tiles"]),
        ("sleepers", ["crowd"]),
    ],
)
def test_200_kills_of_the_tracer(start, request, tmp_path, monkeypatch, program, arguments):
    request.node.may_leave_zombie = True
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    target = start(program, tmp_path, *arguments)
    span = seconds_of_a_capture(target.pid)
    caller = start_caller(target.pid, "helper")
    pick = random.Random(1)
    kills = 0
    deadline = time.monotonic() + 120
    try:
        while kills < KILLS:
            assert time.monotonic() < deadline
            time.sleep(pick.uniform(0, span))
            tracers = tracers_of(caller.pid)
            if tracers:
                kill(tracers[0])
                kills += 1
            if kills % 20 == 0:
                is_unharmed(target)
        assert caller.poll() is None, "the caller did not survive its tracer"
    finally:
        caller.kill()
        caller.communicate()
    is_unharmed(target)
    # A zombie is what a kill leaves behind once the clone was made: proof that not all of them came too early or too late.
    assert len(children(target.pid)) > KILLS // 20


@pytest.mark.slow
def test_200_kills_of_the_caller(start, request, placement, tmp_path):
    request.node.may_leave_zombie = True
    target = start("sleepers", tmp_path)
    pick = random.Random(2)
    # A capture takes a few milliseconds; starting an interpreter takes a hundred times that, so one is killed in a fork of a warm one.
    script = """
import os, random, signal, sys, time, snapcore
pid, kills, seed = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
pick = random.Random(seed)
for _ in range(kills):
    child = os.fork()
    if child == 0:
        while True:
            try:
                with snapcore.capture(pid, snapcore.CaptureFlags.DOCUMENTED):
                    pass
            except snapcore.SnapError:
                pass
    time.sleep(pick.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
    for _ in range(KILLS // 20):
        subprocess.run(
            [sys.executable, "-c", script, str(target.pid), "20", str(pick.randrange(2**31))],
            check=True,
            timeout=120,
            env={**os.environ, "SNAPCORE_TRACER": placement},
        )
        is_unharmed(target)


def test_a_killed_tracer_is_an_error_and_its_zombie_is_collected(start, tmp_path, monkeypatch):
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    target = start("sleepers", tmp_path)
    snap = snapcore.capture(target.pid)
    (tracer,) = [child for child in tracers_of(os.getpid()) if child != target.pid]
    kill(tracer)
    wait_until(lambda: no_clone_runs(target.pid))
    snap.close()
    assert children(target.pid) == []
    assert "tracer_killed" in [d.code for d in snap.diagnostics]
    assert target.ask("check")["violations"] == 0
