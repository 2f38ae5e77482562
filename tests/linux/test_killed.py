# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any instant, of the tracer, of its caller or of both: the target goes on unharmed and no clone runs.

Likewise when the target dies, is stopped, gets signals, forks or calls execve at any of these instants.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from kills import VICTIMS, clones, no_clone_runs
from linux_support import children, kill, states
from long_runs import count, record
from runtime_targets import is_right
from support import Target, wait_until

import snapcore

if TYPE_CHECKING:
    from collections.abc import Callable

RANDOM_KILLS = count(8, 2000)
CHOSEN_KILLS = count(10, 200)
BATCH = 50

KINDS = {
    "busy": ("sleepers", "busy"),
    "asleep": ("sleepers", "asleep"),
    "static": ("sleepers_static", ""),
    # Extended state that a thread has only when it asked for it; without AMX as the first.
    "tiles": ("sleepers", "tiles"),
    # Two threads trace.
    "crowd": ("sleepers", "crowd"),
    # No thread has a stack of its own that is known to be one.
    "heap_stack": ("kinds", "heap_stack"),
}
EVERY_TARGET = [*KINDS, "python", "go", "go_cgo", "java", "node"]


@pytest.fixture
def start_kind(request, start, tmp_path) -> Callable[[str], Target]:
    request.node.may_leave_zombie = True

    def starter(kind: str) -> Target:
        if kind not in KINDS:
            return request.getfixturevalue("start_runtime")(kind)  # which compiles them
        program, option = KINDS[kind]
        return start(program, *([tmp_path] if program.startswith("sleepers") else []), option)

    return starter


def runs_and_is_not_traced(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return not states(pid) & {"t", "T"}
    return False


def is_unharmed(target: Target, kills: int) -> None:
    wait_until(lambda: no_clone_runs(target.pid))
    wait_until(lambda: runs_and_is_not_traced(target.pid))
    check = target.ask("check")
    assert check["violations"] == 0, check["report"]
    if "interrupted" not in check:
        is_right(target)
        return
    # A tracer that dies between its stop and its correction leaves EINTR behind in the calls that the kernel never restarts; nothing
    # can mend that from outside (docs/linux.md).
    assert check["interrupted"] <= kills * 2
    wait_until(lambda: target.ask("check")["rounds"] > check["rounds"])
    if check["counter"]:
        wait_until(lambda: target.ask("check")["counter"] > check["counter"])


@pytest.mark.slow
@pytest.mark.timeout(120 + 8 * RANDOM_KILLS)
@pytest.mark.parametrize("kind", EVERY_TARGET)
def test_killed_at_random_instants(start_kind, killer, kind):
    target = start_kind(kind)
    kills = 0
    for placement, victim in VICTIMS:
        in_capture, zombies = 0, len(clones(target.pid))
        for first in range(0, RANDOM_KILLS, BATCH):
            number = min(BATCH, RANDOM_KILLS - first)
            done = killer.order(
                target.pid, placement, who=victim, count=number, seed=first, seconds=300
            )
            assert done["kills"] == number
            kills += number
            in_capture += done["tracers_alive"]
            is_unharmed(target, kills)
        # A zombie is what a kill leaves behind once the clone was made: proof that not all of them came too early or too late. A
        # tracer that has only lost its caller leaves none.
        zombies = len(clones(target.pid)) - zombies
        if (placement, victim) != ("helper", "caller"):
            assert zombies > RANDOM_KILLS // 50 or RANDOM_KILLS < 50
        assert in_capture > RANDOM_KILLS // 4 or placement == "thread"
        record(
            "random kills",
            target=kind,
            placement=placement,
            victim=victim,
            kills=RANDOM_KILLS,
            while_the_helper_lived=in_capture,
            zombies=zombies,
            unfinished_files=killer.files_are_whole(),
        )
    with snapcore.capture(target.pid) as snap:
        assert len(snap.threads()) > 0


# Those that change what the target would run if nobody put it back.
WEIGHTY = {"SETREGSET", "SETSIGMASK", "process_vm_writev", "SYSCALL", "GETEVENTMSG", "CONT"}


Step = tuple[str, int]  # the second SETREGSET, say


def choose(kinds: list[str], number: int) -> list[Step]:
    """So many steps of a snapshot: every one where there are not more, else the weighty ones before others."""
    steps = [(kind, kinds[: at + 1].count(kind)) for at, kind in enumerate(kinds)]
    if number >= len(steps):
        return [steps[i % len(steps)] for i in range(number)]
    # The first of each kind, the second of each, and so on.
    weighty = sorted((step for step in steps if step[0] in WEIGHTY), key=lambda step: step[1])
    others = [step for step in steps if step[0] not in WEIGHTY]
    half = min(len(weighty), number * 2 // 3)
    rest = number - half
    return [
        *weighty[:half],
        *(others[i * len(others) // rest] for i in range(rest)),
    ]


@pytest.mark.slow
@pytest.mark.timeout(120 + 8 * CHOSEN_KILLS)
@pytest.mark.parametrize("kind", EVERY_TARGET)
def test_killed_after_a_chosen_step(start_kind, killer, kind):
    target = start_kind(kind)
    all_kills = 0
    for placement, victim in VICTIMS:
        zombies = len(clones(target.pid))
        kinds = killer.order(target.pid, placement, act="none")["kinds"]
        done: dict[str, int] = {}
        for number, step in enumerate(choose(kinds, CHOSEN_KILLS), 1):
            after = killer.order(target.pid, placement, act=victim, step=step)
            all_kills += 1
            if after["reached"]:  # there were as many this time
                done[step[0]] = done.get(step[0], 0) + 1
            if number % 10 == 0 or number == CHOSEN_KILLS:
                is_unharmed(target, all_kills)
        kills = sum(done.values())
        assert kills >= CHOSEN_KILLS * 3 // 4
        assert done["SETREGSET"] > 0
        assert done["SYSCALL"] > 0
        zombies = len(clones(target.pid)) - zombies
        assert (zombies > 0) == ((placement, victim) != ("helper", "caller"))
        record(
            "chosen kills",
            target=kind,
            placement=placement,
            victim=victim,
            kills=kills,
            steps=len(kinds),
            zombies=zombies,
            by_step=done,
        )


@pytest.mark.slow
def test_killed_after_each_change_of_registers(start_kind, killer):
    """They are put back one set after the other."""
    target = start_kind("static")  # the thread that watches its registers makes the calls
    kinds = killer.order(target.pid, "helper", act="none")["kinds"]
    steps = [("SETREGSET", number) for number in range(1, kinds.count("SETREGSET") + 1)]
    for kills, step in enumerate([*steps, *steps], 1):
        killer.order(target.pid, "helper", act="tracer", step=step)
        is_unharmed(target, kills)


# --- What happens to the target at these instants


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * CHOSEN_KILLS)
def test_the_target_dies_after_a_chosen_step(start, killer, placement, tmp_path):
    target = start("sleepers", tmp_path)
    kinds = killer.order(target.pid, placement, act="none")["kinds"]
    target.end()
    codes: dict[int, int] = {}
    for step in choose(kinds, CHOSEN_KILLS):
        victim = Target("sleepers", tmp_path)
        after = killer.order(victim.pid, placement, act="target", step=step)
        # A snapshot, SnapError or ProcessGone: no crash, and no wait without end.
        assert after["code"] in (0, 1, 4)
        codes[after["code"]] = codes.get(after["code"], 0) + 1
        if after["reached"]:
            assert victim.process.wait(10) == -signal.SIGKILL
        victim.end()
    # That none of its clones is left is asserted of every test: they become children of this process.
    assert codes.get(4, 0) > 0
    record("target killed", placement=placement, ends=codes)


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * CHOSEN_KILLS)
@pytest.mark.parametrize("act", ["signals", "stop", "stop and continue"])
def test_the_target_gets_signals_after_a_chosen_step(start, killer, placement, tmp_path, act):
    target = start("sleepers", tmp_path)
    kinds = killer.order(target.pid, placement, act="none")["kinds"]
    facts = target.facts
    sent = 0
    for step in choose(kinds, CHOSEN_KILLS):
        values = list(range(sent + 1, sent + 6)) if act == "signals" else []
        after = killer.order(
            target.pid,
            placement,
            act=act,
            step=step,
            tid=facts["counter"],
            number=facts["queued"],
            values=values,
        )
        assert after["code"] == 0
        if after["reached"]:
            sent += len(values)
            if act == "stop":
                wait_until(lambda: states(target.pid) == {"T"})
                os.kill(target.pid, signal.SIGCONT)
        wait_until(lambda: runs_and_is_not_traced(target.pid))
    wait_until(lambda: target.ask("check")["queued_signals"] >= sent)
    check = target.ask("check")
    assert check["violations"] == 0, check["report"]
    assert (check["queued_signals"], check["disorder"]) == (sent, 0)
    # SIGCONT itself ends epoll_wait and sigtimedwait with EINTR (signal(7)).
    assert check["interrupted"] == 0 or act != "signals"
    assert children(target.pid) == []


def test_a_target_that_is_stopped_over_and_over_is_cloned(start, killer, placement):
    """By job control, in between the tracer's steps; as long as max_pause allows."""
    target = start("kinds", "heap_stack")
    after = killer.order(target.pid, placement, act="stops", step=("SETSIGMASK", 1), times=100)
    assert after["stops"] == 100
    assert after["code"] == 0
    wait_until(lambda: runs_and_is_not_traced(target.pid))
    assert target.ask("check")["violations"] == 0


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * CHOSEN_KILLS)
@pytest.mark.parametrize(("placement", "victim"), VICTIMS)
@pytest.mark.parametrize("kind", ["forks", "spawns", "threads", "execs", "execs_threaded"])
def test_killed_where_the_target_is_never_at_rest(
    request, start, killer, kind, placement, victim, tmp_path
):
    request.node.may_leave_zombie = True
    lives = tmp_path / "lives"
    target = start("kinds", kind, lives)

    def rounds() -> int:
        if kind.startswith("execs"):
            return int.from_bytes(lives.read_bytes()[:8], "little")
        check = target.ask("check")
        assert check["violations"] == 0
        return int(check["rounds"])

    kinds: list[str] = []
    while "SETREGSET" not in kinds:  # it may have called execve meanwhile
        kinds = killer.order(target.pid, placement, act="none")["kinds"]
    kills = 0
    for number, step in enumerate(choose(kinds, CHOSEN_KILLS)):
        act = victim if number % 3 else "wait"
        after = killer.order(target.pid, placement, act=act, step=step)
        assert after["code"] in (0, 1, 4, -signal.SIGKILL)
        kills += after["reached"] and act == victim
        before = rounds()
        wait_until(lambda before=before: rounds() > before + 2)
        assert target.process.poll() is None
        wait_until(lambda: no_clone_runs(target.pid))
    done = killer.order(
        target.pid, placement, who=victim, count=RANDOM_KILLS, seed=1, seconds=RANDOM_KILLS
    )
    before = rounds()
    wait_until(lambda: rounds() > before + 2)
    wait_until(lambda: no_clone_runs(target.pid))
    killer.files_are_whole()
    record(
        "kills where the target is never at rest",
        target=kind,
        placement=placement,
        victim=victim,
        chosen=kills,
        random=done["kills"],
    )
    target.end()


@pytest.mark.parametrize(("placement", "victim"), VICTIMS)
def test_killed_where_a_filter_refuses_the_call(request, start, killer, placement, victim):
    """Without its tracer the filter is there again, and refuses the call that was arranged already."""
    request.node.may_leave_zombie = True
    target = start("seccomp", "errno")
    kinds = killer.order(target.pid, placement, act="none")["kinds"]
    for step in choose(kinds, CHOSEN_KILLS):
        killer.order(target.pid, placement, act=victim, step=step)
        assert target.ask("alive") == {"done": "alive"}
        wait_until(lambda: no_clone_runs(target.pid))


def frames_in(pid: int, wanted: Callable[[str, int], bool]) -> int:
    """How many of the frames that bring a thread home lie in some of its mappings: known by the marks of their context."""
    found = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            fields = line.split()
            start, end = (int(part, 16) for part in fields[0].split("-"))
            if fields[1][:2] != "rw" or not wanted(fields[-1], start):
                continue
            memory.seek(start)
            words = np.frombuffer(memory.read(end - start), np.uint64)
            flags = np.flatnonzero(words[:-4] == 7)
            found += int(np.count_nonzero(words[flags + 3] & np.uint64(0xFFFFFFFF) == 0x40))
    return found


@pytest.mark.parametrize("runtime", ["go", "go_cgo"])
def test_goroutine_stacks_are_not_written_to(request, start_runtime, killer, runtime):
    """They lie in a heap beside other things, and so does what a Go program without C has as thread-local storage."""
    request.node.may_leave_zombie = True
    target = start_runtime(runtime)
    for _ in range(count(8, 100)):
        # Where the frame lies in the target.
        killer.order(target.pid, "helper", act="tracer", step=("GETEVENTMSG", 1))
    wait_until(lambda: no_clone_runs(target.pid))
    heap = 0xC000000000
    assert frames_in(target.pid, lambda _, start: heap <= start < heap + (1 << 36)) == 0
    assert frames_in(target.pid, lambda *_: True) > 0
    is_right(target)


@pytest.mark.parametrize("placement", ["helper"], indirect=True)
def test_a_thread_with_a_signal_to_deliver_makes_the_clone_where_it_is_the_only_one(placement):
    code = """
import os, select, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: None)
poller = select.epoll()
print("ready", flush=True)
while True:
    poller.poll()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    sender = None
    try:
        assert process.stdout is not None
        process.stdout.readline()
        send = "import os, sys\nwhile True: os.kill(int(sys.argv[1]), 10)"
        sender = subprocess.Popen([sys.executable, "-c", send, str(process.pid)])
        for _ in range(200):
            with snapcore.capture(process.pid, max_pause=10):
                pass
    finally:
        if sender is not None:
            sender.kill()
            sender.wait()
        process.kill()
        process.communicate()


def test_a_killed_tracer_is_an_error_and_its_zombie_is_collected(start, tmp_path, monkeypatch):
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    target = start("sleepers", tmp_path)
    before = set(children(os.getpid()))
    snap = snapcore.capture(target.pid)
    (tracer,) = set(children(os.getpid())) - before
    kill(tracer)
    wait_until(lambda: no_clone_runs(target.pid))
    snap.close()
    assert children(target.pid) == []
    assert "tracer_killed" in [d.code for d in snap.diagnostics]
    assert target.ask("check")["violations"] == 0


def test_memory_that_went_with_its_clone_is_no_dump(start, tmp_path, monkeypatch):
    """A clone without memory would be a dump without memory, or of zeros."""
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    target = start("memory", 16)
    before = set(children(os.getpid()))
    with snapcore.capture(target.pid) as snap:
        (tracer,) = set(children(os.getpid())) - before
        kill(tracer)
        wait_until(lambda: no_clone_runs(target.pid))
        for ask in (snap.regions, snap.modules, lambda: snap.dump(tmp_path / "a.dmp", "full")):
            with pytest.raises(snapcore.SnapError, match="the clone was killed"):
                ask()
    assert list(tmp_path.iterdir()) == []
    assert children(target.pid) == []
