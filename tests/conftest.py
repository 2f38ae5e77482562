# SPDX-License-Identifier: Apache-2.0
"""Target programs, and the proof that a test leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import snapcore  # noqa: F401  (NumPy starts threads when it is first imported)

ROOT = Path(__file__).resolve().parent.parent


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
        self.facts = self._answer()
        self.pid = self.process.pid

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the target ended: {self.process.poll()}"
        return json.loads(line)

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def status(pid: int, key: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
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
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def is_untouched(pid: int) -> None:
    """Assert that no thread of a target is stopped or traced and that it has no child."""
    assert children(pid) == []
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        assert "TracerPid:\t0\n" in text
        assert "\nState:\tt" not in text
        assert "\nState:\tT" not in text


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
    for target in running:
        try:
            if target.process.poll() is None and not hasattr(request.node, "may_leave_zombie"):
                is_untouched(target.pid)
        finally:
            target.end()


@pytest.fixture(autouse=True)
def nothing_left_here():
    """No child, no descriptor and no thread of this process is left after a test."""
    before = len(descriptors(os.getpid()))
    threads = len(list(Path("/proc/self/task").iterdir()))
    yield
    assert [pid for pid in children(os.getpid()) if "tracer" in _name(pid)] == []
    assert len(descriptors(os.getpid())) <= before + 1
    deadline = time.monotonic() + 5
    while len(list(Path("/proc/self/task").iterdir())) > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(list(Path("/proc/self/task").iterdir())) <= threads


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


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


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
