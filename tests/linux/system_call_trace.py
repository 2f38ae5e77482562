# SPDX-License-Identifier: Apache-2.0
"""What the kernel itself says of the system calls of a process: its raw_syscalls trace events, through tracefs."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

EINTR = -4
# Never seen by a program: the call is started again when the thread goes on (ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND).
STARTED_AGAIN = {-512, -513, -514}
RESTART_BLOCK = -516
RESTART_SYSCALL = 219
CLONE, WAIT4, CLOSE_RANGE, RT_SIGRETURN = 56, 61, 436, 15
# Those that end with EINTR for any stop, whoever stops, and are mended by the tracer: epoll_wait, epoll_pwait, epoll_pwait2, io_getevents, io_pgetevents,
# semop, semtimedop, rt_sigtimedwait.
MENDED = {232, 281, 441, 208, 333, 65, 220, 128}


@dataclass(frozen=True)
class Event:
    task: int
    number: int
    arguments: tuple[int, ...] | None  # of an entry
    result: int | None  # of an exit


LINE = re.compile(r".*-(\d+)\s+\[\d+\].*: sys_(enter|exit): NR (-?\d+) (?:\((.*)\)|= (-?\d+))$")


def parse(text: str) -> list[Event]:
    """The events of a trace, oldest first."""
    events = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        assert found, line
        task, kind, number, arguments, result = found.groups()
        if kind == "enter":
            values = tuple(int(value, 16) for value in arguments.split(", "))
            events.append(Event(int(task), int(number), values, None))
        else:
            events.append(Event(int(task), int(number), None, int(result)))
    return events


@contextlib.contextmanager
def tracefs() -> Iterator[Path]:
    """Where tracefs is mounted; for the time of the test, where it is nowhere."""
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.split()[2] == "tracefs":
            yield Path(line.split()[1])
            return
    with tempfile.TemporaryDirectory(prefix="snapcore-tracefs-") as folder:
        subprocess.run(["mount", "-t", "tracefs", "none", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def traced(pid: int) -> Iterator[list[Event]]:
    """The events of all threads that a process has, and of what they make: the list is filled at the end."""
    events: list[Event] = []
    with tracefs() as root:
        instance = root / "instances" / f"snapcore-{os.getpid()}"
        instance.mkdir()
        try:
            (instance / "buffer_size_kb").write_text("16384")
            (instance / "options" / "event-fork").write_text("1")
            tasks = os.listdir(f"/proc/{pid}/task")
            (instance / "set_event_pid").write_text(" ".join(tasks))
            (instance / "events" / "raw_syscalls" / "enable").write_text("1")
            yield events
            (instance / "tracing_on").write_text("0")
            for stats in instance.glob("per_cpu/cpu*/stats"):
                said = dict(line.split(": ") for line in stats.read_text().splitlines())
                assert said["overrun"] == "0", "the buffer is too small"
            events += parse((instance / "trace").read_text())
        finally:
            (instance / "events" / "raw_syscalls" / "enable").write_text("0")
            instance.rmdir()


@dataclass
class Findings:
    """What a tracer did, and what its target had to see of it."""

    clones: int = 0
    collected: int = 0
    mended: int = 0
    started_again: int = 0
    restart_blocks: int = 0
    wrong: list[tuple[Event, Event | None]] = field(default_factory=list)
    own_calls: set[int] = field(default_factory=set)
    of_clones: set[int] = field(default_factory=set)


def judge(events: list[Event], threads: set[int]) -> Findings:
    """Match each call that ended early with what its thread did next."""
    out = Findings()
    entered: dict[int, Event] = {}
    ended: dict[int, tuple[Event, Event]] = {}  # early: the entry and the exit
    injected: set[int] = set()
    for event in events:
        task = event.task
        if task not in threads:
            out.of_clones.add(event.number)
            continue
        if event.arguments is not None:
            # Only the tracer makes these: no program here does.
            if event.number == CLONE and event.arguments[0] == 0x400:
                out.clones += 1
                injected.add(task)
            elif event.number == WAIT4 and event.arguments[2] == 0x40000001:
                out.collected += 1
                injected.add(task)
            else:
                out.own_calls.add(event.number)
                before = ended.pop(task, None)
                if before is not None and not goes_on(*before, event, out):
                    out.wrong.append((before[1], event))
                entered[task] = event
        elif task in injected:
            # Begun again by the kernel, or done.
            injected.discard(task)
            if event.result in STARTED_AGAIN:
                kind = "clones" if event.number == CLONE else "collected"
                setattr(out, kind, getattr(out, kind) - 1)
        elif event.result in STARTED_AGAIN | {RESTART_BLOCK, EINTR} and task in entered:
            ended[task] = (entered.pop(task), event)
    return out


def goes_on(entry: Event, end: Event, following: Event, out: Findings) -> bool:
    """Whether a call that ended early is gone on with, as if nothing had been."""
    same = (following.number, following.arguments) == (entry.number, entry.arguments)
    if end.result == RESTART_BLOCK:
        out.restart_blocks += 1
        return following.number == RESTART_SYSCALL
    if end.result == EINTR:
        out.mended += 1
        return same and entry.number in MENDED
    out.started_again += 1
    return same
