# SPDX-License-Identifier: Apache-2.0
"""What the kernel keeps of a process is as before: timers, alternate stacks, robust mutexes, restartable sequences; and an orphaned clone does nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from kills import VICTIMS, clones, no_clone_runs
from linux_support import is_untouched, state, status
from long_runs import count, record
from support import fewer, wait_until

import snapcore

SNAPSHOTS = fewer(count(40, 500))
KILLS = count(14, 200)


def all_is_kept(target) -> dict[str, Any]:
    def timer_is_on_time() -> bool:
        now = target.ask("check")
        return -1 <= now["expected"] - now["posix"] <= 2

    wait_until(timer_is_on_time)
    check = target.ask("check")
    assert check["violations"] == 0, check["report"]
    assert check["foreign_handlers"] == check["foreign_work"] == 0
    assert check["has_stack"] == 1
    assert check["handlers_off_stack"] == 0
    wait_until(lambda: target.ask("check")["timerfd"] > check["timerfd"])
    wait_until(lambda: target.ask("check")["itimer"] > check["itimer"])
    wait_until(lambda: target.ask("check")["owner_deaths"] > check["owner_deaths"])
    wait_until(lambda: target.ask("check")["sequences"] > check["sequences"])
    return check


def test_what_the_kernel_keeps_is_kept(start, placement):
    target = start("states")
    all_is_kept(target)
    for _ in range(SNAPSHOTS):
        with snapcore.capture(target.pid) as snap:
            assert "no_way_home" not in [d.code for d in snap.diagnostics]
    check = all_is_kept(target)
    # Sequences were cut, so that beginning again was tried.
    assert check["restarts"] > 0
    record("states", placement=placement, snapshots=SNAPSHOTS, **check)


def test_a_debugger_attaches_afterwards(start, placement, tmp_path):
    target = start("sleepers", tmp_path)
    for _ in range(3):
        with snapcore.capture(target.pid):
            pass
        commands = ["-ex", "thread apply all backtrace 1", "-ex", "detach"]
        ran = subprocess.run(
            ["gdb", "-q", "-nx", "-batch", "-p", str(target.pid), *commands],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        threads = len(list(Path(f"/proc/{target.pid}/task").iterdir()))
        assert ran.stdout.count("\nThread ") == threads, ran.stdout + ran.stderr
        assert status(target.pid, "TracerPid") == "0"
        with snapcore.capture(target.pid) as snap:
            assert len(snap.threads()) == threads
    assert target.ask("check")["violations"] == 0
    is_untouched(target.pid)


def exit_status(pid: int) -> int:
    """What wait(2) would say of a zombie."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[49])


@pytest.mark.slow
@pytest.mark.timeout(120 + 2 * KILLS)
@pytest.mark.parametrize(("placement", "victim"), VICTIMS)
def test_an_orphaned_clone_leaves_no_core_file_and_runs_no_handler(
    request, start, killer, placement, victim, tmp_path
):
    request.node.may_leave_zombie = True
    target = start("states", cwd=tmp_path)
    kinds = killer.order(target.pid, placement, act="none")["kinds"]
    born = kinds.index("GETEVENTMSG")
    # From the call that makes it to the one that collects it, several times over.
    steps = [(kind, kinds[: at + 1].count(kind)) for at, kind in enumerate(kinds) if at >= born - 4]
    for number in range(KILLS):
        killer.order(target.pid, placement, act=victim, step=steps[number % len(steps)])
        wait_until(lambda: no_clone_runs(target.pid))
    all_is_kept(target)
    ends = [exit_status(clone) for clone in clones(target.pid) if state(clone) == "Z"]
    assert ends or victim == "caller"
    # SIGKILL, which has no core file, or exit_group(0), where the clone was brought home before it was told that it is to be killed.
    assert set(ends) <= {9, 0}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("core")]
    record(
        "orphaned clones",
        placement=placement,
        victim=victim,
        kills=KILLS,
        killed=ends.count(9),
        exited=ends.count(0),
    )
