# SPDX-License-Identifier: Apache-2.0
"""What Linux knows of a process, and the proof that a test leaves nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBC = ctypes.CDLL(None, use_errno=True)
X86_64 = os.uname().machine == "x86_64"  # or aarch64

# Whoever loses its parent, a tracer whose caller was killed or a clone whose target was, becomes a child of the tests: none can hide.
_PR_SET_CHILD_SUBREAPER = 36
assert LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0

# A program for Python, of which a tebibyte of arguments takes no room.
ENDLESS_ARGUMENTS = Path(__file__).parent / "linux" / "endless_arguments.py"
TEBIBYTE = 1 << 40


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


class NothingLeft:
    """No child, no descriptor and no thread of this process is there that was not there before."""

    def __init__(self) -> None:
        self._children = set(children(os.getpid()))
        self._threads = self._count_threads()
        self._descriptors = list(descriptors(os.getpid()).values())

    @staticmethod
    def _count_threads() -> int:
        return len(os.listdir("/proc/self/task"))

    def check(self) -> None:
        def only_those() -> bool:
            for child in children(os.getpid()):
                if child not in self._children and state(child) == "Z":
                    os.waitpid(child, 0)  # of a killed caller or target; nobody else asks for it
            gone = set(children(os.getpid())) <= self._children
            return gone and self._count_threads() <= self._threads

        wait_until(only_those)
        before, now = Counter(self._descriptors), Counter(descriptors(os.getpid()).values())
        assert now == before, f"new: {list(now - before)}, gone: {list(before - now)}"


def send_numbered(pid: int, tid: int, number: int, value: int) -> None:
    """Queue a signal with a value for one thread: rt_tgsigqueueinfo(2)."""
    sys_rt_tgsigqueueinfo, si_queue = 297 if X86_64 else 240, -1
    info = (ctypes.c_int * 32)()
    info[0], info[2], info[4], info[6] = number, si_queue, os.getpid(), value
    result = LIBC.syscall(sys_rt_tgsigqueueinfo, pid, tid, number, info)
    assert result == 0, os.strerror(ctypes.get_errno())


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def timed_poller() -> Iterator[int]:
    """The pid of a process in an epoll_wait with a timeout, whose early return nobody can mend."""
    code = "import select\npoller = select.epoll()\nprint('ready', flush=True)\nwhile True: poller.poll(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(
            lambda: Path(f"/proc/{process.pid}/wchan").read_text() in ("ep_poll", "do_epoll_wait")
        )
        yield process.pid
    finally:
        process.kill()
        process.communicate()
