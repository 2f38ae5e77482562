# SPDX-License-Identifier: Apache-2.0
"""Target programs, and the proof that a test leaves nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import snapcore  # noqa: F401  (NumPy starts threads when it is first imported)

ROOT = Path(__file__).resolve().parent.parent
LIBC = ctypes.CDLL(None, use_errno=True)

# Whoever loses its parent, a tracer whose caller was killed or a clone whose target was, becomes a child of the tests: none can hide.
_PR_SET_CHILD_SUBREAPER = 36
assert LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def programs() -> Path:
    """Folder of the target programs; a missing one is an error, never a skip."""
    folder = Path(os.environ.get("SNAPCORE_TEST_PROGRAMS", ROOT / "build" / "tests" / "targets"))
    assert (folder / "facts_target").exists(), f"build the target programs first: {folder}"
    return folder


class Target:
    """A running target program: facts from its first line, answers to commands."""

    def __init__(self, name: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [programs() / f"{name}_target", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid
        self.ended = False
        self.facts = self.answer()

    def answers(self) -> bool:
        """Whether there is an answer to read."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the target ended: {self.process.poll()}"
        return json.loads(line)

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.ended = True
        self.process.kill()
        self.process.communicate()


def status(pid: int, key: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return value.strip()
    raise KeyError(key)


def children(pid: int) -> list[int]:
    """All children of all threads of a process, zombies included."""
    out: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            out += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has ended
    return out


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def is_untouched(pid: int) -> None:
    """Assert that no thread of a target is stopped or traced and that it has no child."""
    assert children(pid) == []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            text = (task / "status").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has ended
        assert "TracerPid:\t0\n" in text
        assert "\nState:\tt" not in text
        assert "\nState:\tT" not in text


def will_be_untouched(pid: int) -> None:
    """The same, once a tracer that lost its caller has let go."""

    def untouched() -> bool:
        with contextlib.suppress(AssertionError):
            is_untouched(pid)
            return True
        return False

    wait_until(untouched)


def states(pid: int) -> set[str]:
    """Of all threads."""
    return {state(int(task)) for task in os.listdir(f"/proc/{pid}/task")}


def descriptors(pid: int) -> dict[str, str]:
    out = {}
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            out[entry.name] = os.readlink(entry.path)
        except FileNotFoundError:
            continue
    return out


@pytest.fixture
def start(request: pytest.FixtureRequest):
    """Start target programs; they are ended after the test, and must not be stopped or traced then."""
    running: list[Target] = []

    def starter(name: str, *arguments: object) -> Target:
        target = Target(name, *arguments)
        running.append(target)
        return target

    yield starter
    try:
        for target in running:
            if target.ended:
                continue
            assert target.process.poll() is None, f"the target ended: {target.process.returncode}"
            if not hasattr(request.node, "may_leave_zombie"):
                is_untouched(target.pid)
    finally:
        for target in running:
            target.end()


@pytest.fixture(autouse=True)
def nothing_left_here():
    """No child, no descriptor and no thread of this process is left after a test."""

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    before = children(os.getpid()), threads(), sorted(descriptors(os.getpid()).values())
    yield

    def only_those() -> bool:
        for child in children(os.getpid()):
            if child not in before[0] and state(child) == "Z":
                os.waitpid(child, 0)  # of a killed caller or target; nobody else asks for it
        return set(children(os.getpid())) <= set(before[0]) and threads() <= before[1]

    wait_until(only_those)
    assert sorted(descriptors(os.getpid()).values()) == before[2]


@pytest.fixture(params=["helper", "thread"])
def placement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the tracer in each of its two placements."""
    monkeypatch.setenv("SNAPCORE_TRACER", request.param)
    return request.param


def wait_until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def send_numbered(pid: int, tid: int, number: int, value: int) -> None:
    """Queue a signal with a value for one thread: rt_tgsigqueueinfo(2)."""
    sys_rt_tgsigqueueinfo, si_queue = 297, -1
    info = (ctypes.c_int * 32)()
    info[0], info[2], info[4], info[6] = number, si_queue, os.getpid(), value
    result = LIBC.syscall(sys_rt_tgsigqueueinfo, pid, tid, number, info)
    assert result == 0, os.strerror(ctypes.get_errno())


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
