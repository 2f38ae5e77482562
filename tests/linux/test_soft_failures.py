# SPDX-License-Identifier: Apache-2.0
"""Each soft failure of the Linux backend, of watch() and of leaks(), provoked by name: it is told everywhere."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from fcntl import F_GETPIPE_SZ, fcntl, ioctl
from pathlib import Path
from termios import FIONREAD
from typing import TYPE_CHECKING, Any

import pytest
from isolation import apart, package_within_reach, read_only_proc, refuse, user
from linux_support import ENDLESS_ARGUMENTS, LIBC, TEBIBYTE, children, kill, state, status
from soft_failures import (
    LINUX,
    PYTHON,
    Evidence,
    command_json,
    dump_evidence,
    is_told,
    logged,
    opened,
    provoked,
    provokes,
    rows,
)
from support import Target, programs, wait_until

import snapcore
from snapcore import CaptureFlags, MiniDumpType, watch_base, watching
from snapcore.headroom import Headroom, headroom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL = MiniDumpType.WITH_FULL_MEMORY
PIDFD_GETFD, SWAPON = 438, 167
PTRACE_SEIZE = 0x4206


@pytest.mark.parametrize("code", sorted(LINUX | PYTHON - {"whole_dumps_only"}))
def test_it_is_told(code, request, tmp_path):
    is_told(code, provoked(code, request, tmp_path))


# --- Of the target


@contextlib.contextmanager
def python(code: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A Python that has said `ready`."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@provokes("timed_call_interrupted")
def _(folder):
    code = "import select\npoller = select.epoll()\nprint('ready', flush=True)\nwhile True: poller.poll(60)"
    with python(code) as target:
        channel = Path(f"/proc/{target.pid}/wchan")
        waiting = ("ep_poll", "do_epoll_wait")
        wait_until(lambda: channel.read_text() in waiting)
        return dump_evidence(target.pid, folder, "timed_call_interrupted")


@provokes("handles_not_atomic")
def _(folder):
    code = "import os\nmany = [os.dup(0) for _ in range(300)]\nprint('ready', flush=True)\ninput()"
    with python(code) as target:
        return dump_evidence(
            target.pid, folder, "handles_not_atomic", MiniDumpType.WITH_HANDLE_DATA
        )


@provokes("threads_gone")
def _(start, folder):
    target = start("kinds", "threads")
    return dump_evidence(target.pid, folder, "threads_gone", tries=500)


@provokes("pause_exceeded")
def _(start, folder):
    target = start("kinds", "crowd", 300, 0)
    usual_ns = snapcore.dump(target.pid, folder / "usual.dmp").pause_ns

    def options(at: int) -> dict[str, Any]:
        return {"max_pause": usual_ns * (20 + at * 4 % 180) / 1e11}

    return dump_evidence(target.pid, folder, "pause_exceeded", options=options, tries=300)


@provokes("flag_without_meaning")
def _(idle, folder):
    def options(_: int) -> dict[str, Any]:
        return {"capture": int(CaptureFlags.HANDLES | CaptureFlags.HANDLE_TRACE)}

    return dump_evidence(idle, folder, "flag_without_meaning", options=options)


@provokes("flag_without_effect")
def _(idle, folder):
    flags = MiniDumpType.WITH_UNLOADED_MODULES
    return dump_evidence(idle, folder, "flag_without_effect", flags)


@provokes("arguments_cut")
def _(folder):
    with python(ENDLESS_ARGUMENTS.read_text(encoding="utf-8"), TEBIBYTE) as process:
        return dump_evidence(process.pid, folder, "arguments_cut")


@provokes("unmapped_file_pages_left_out")
def _(idle, folder):
    return dump_evidence(idle, folder, "unmapped_file_pages_left_out", FULL)


def of_kind(kind: str, code: str, flags: MiniDumpType) -> None:
    @provokes(code)
    def _(start, folder):
        return dump_evidence(start("kinds", kind).pid, folder, code, flags)


of_kind("refers", "referenced_memory_left_out", MiniDumpType.WITH_INDIRECTLY_REFERENCED_MEMORY)
of_kind("device", "device_memory_left_out", FULL)
of_kind("dontdump", "dontdump_left_out", FULL)
of_kind("dontfork", "memory_kept_from_clone", FULL)
of_kind("coroutine", "no_way_home", FULL)
of_kind("dontfork_stack", "dead_stack_not_restored", FULL)


@provokes("unreadable_memory_left_out")
def _(start, folder):
    # It maps one page more of a file than the file has.
    target = start("parts", folder, programs() / "parts_library.so")
    return dump_evidence(target.pid, folder, "unreadable_memory_left_out", FULL)


# --- Of what the system grants


def started_apart(*steps: Callable[[], None], code: str, folder: Path, **more: Any) -> Evidence:
    """Evidence of a process that took the steps, as its target did."""
    arguments = more.pop("target")

    def work() -> Evidence:
        target = Target(*arguments)
        try:
            return dump_evidence(target.pid, folder, code, **more)
        finally:
            target.end()

    return apart(work, *steps)


@provokes("clone_not_preferred_by_oom_killer")
def _(folder):
    return started_apart(
        read_only_proc,
        code="clone_not_preferred_by_oom_killer",
        folder=folder,
        target=("facts", folder),
        flags=FULL,
    )


@provokes("clone_shares_descriptors")
def _(start, folder, monkeypatch):
    # No kernel that runs these tests lacks the call.
    monkeypatch.setenv("SNAPCORE_TRACER_WITHOUT", "close_range")
    return dump_evidence(start("kinds", "shared").pid, folder, "clone_shares_descriptors", FULL)


@provokes("seals_refused")
def _(folder):
    return started_apart(
        refuse(PIDFD_GETFD),
        code="seals_refused",
        folder=folder,
        target=("kinds", "memfd"),
        flags=MiniDumpType.WITH_HANDLE_DATA,
    )


@provokes("fell_back_to_live")
def _(folder):
    # A filtered target whose filter the filtered caller cannot suspend.
    return started_apart(
        refuse(SWAPON),
        code="fell_back_to_live",
        folder=folder,
        target=("seccomp", "kill"),
        flags=FULL,
        options=lambda _: {"method": "auto", "max_pause": 10},
    )


@provokes("processes_refused")
def _(start, shared_folder):
    start("facts", shared_folder)  # root's: another user is refused it
    command_json("handles", os.getpid(), "--json")  # imported while that may be read

    def work() -> Evidence:
        with logged() as log:
            table = snapcore.system_handles()
        (printed,) = command_json("handles", "--all", "--json")
        return {"result": rows(table.diagnostics), "log": log, "json": printed["diagnostics"]}

    return apart(work, package_within_reach, user())


# --- While the dump is written


class HeldDump:
    """A dump into a pipe that nobody reads yet: all memory has been read, nothing is freed."""

    def __init__(self, descriptor: int) -> None:
        self._reader = descriptor
        room = fcntl(descriptor, F_GETPIPE_SZ)
        self._held = bytearray()
        wait_until(lambda: self._waiting() > room // 2)
        before = -1
        while before != (now := self._waiting()):
            before = now
            time.sleep(0.3)

    def _waiting(self) -> int:
        count = bytearray(4)
        ioctl(self._reader, FIONREAD, count)
        return int.from_bytes(count, sys.byteorder)

    def all(self) -> bytes:
        while select.select([self._reader], [], [], 30)[0]:
            piece = os.read(self._reader, 1 << 20)
            if not piece:
                break
            self._held += piece
        return bytes(self._held)


def held_evidence(folder: Path, act: Callable[[int, int], None]) -> Evidence:
    """Of dumps during which `act(pid of who dumps, pid of the target)` is done when memory has been read."""
    path = folder / "held.dmp"
    results: list[Any] = []
    idle = "print('ready', flush=True)\nimport time\ntime.sleep(600)"
    with python(idle) as target, logged() as log:
        reader, writer = os.pipe()

        def work() -> None:
            with os.fdopen(writer, "wb", buffering=0) as stream:
                results.append(snapcore.dump(target.pid, stream, FULL))

        thread = threading.Thread(target=work)
        thread.start()
        held = HeldDump(reader)
        act(os.getpid(), target.pid)
        path.write_bytes(held.all())
        thread.join()
        os.close(reader)
        found = list(log)
    said = {"result": rows(results[0].diagnostics), "log": found, "file": opened(path)}
    with python(idle) as target:
        command = [
            sys.executable,
            "-m",
            "snapcore",
            "dump",
            str(target.pid),
            "-o",
            "-",
            "--json",
            "-q",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            held = HeldDump(process.stdout.fileno())
            act(process.pid, target.pid)
            path.write_bytes(held.all())
            printed = json.loads(process.stderr.read())
    told = {d["code"] for d in opened(path) if "severity" in d}
    assert told == {d["code"] for d in printed["diagnostics"]}
    return {**said, "json": printed["diagnostics"]}


@provokes("tracer_killed")
def _(folder, monkeypatch):
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    before = set(children(os.getpid()))

    def kill_tracer(dumper: int, target: int) -> None:
        tracers = set(children(dumper)) - before - {target}
        (tracer,) = [t for t in tracers if "python" not in Path(f"/proc/{t}/comm").read_text()]
        kill(tracer)
        wait_until(lambda: state(tracer) in ("Z", "gone"))

    return held_evidence(folder, kill_tracer)


@provokes("zombie_left")
def _(folder):
    def trace(_: int, target: int) -> None:
        # Nobody else can collect the clone then; it goes with the target.
        assert LIBC.ptrace(PTRACE_SEIZE, target, 0, 0) == 0

    return held_evidence(folder, trace)


# --- Of watch() and leaks()


def watch_evidence(
    folder: Path,
    act: Callable[[int, Path], None] = lambda _, __: None,
    *,
    target: tuple[object, ...] = ("print('ready', flush=True)\nimport time\ntime.sleep(600)",),
    every: float = 0.3,
    count: int = 3,
    **options: Any,
) -> Evidence:
    """Of a watch during which `act(pid of the target, folder)` runs in a thread."""
    found: dict[str, Any] = {"result": [], "file": [], "json": []}
    for way in ("python", "command"):
        where = folder / way
        where.mkdir()
        with python(*target) as process:
            thread = threading.Thread(target=act, args=(process.pid, where))
            thread.start()
            if way == "python":
                with logged() as log:
                    watch = snapcore.watch(process.pid, where, every=every, count=count, **options)
                    assert len(list(watch)) == count
                found["result"] = rows(watch.diagnostics)
                found["log"] = log
                for path in sorted(where.glob("*.dmp")):
                    found["file"] += opened(path)
            else:
                words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
                for printed in command_json(
                    *("watch", process.pid, "-o", where, f"--every={every}s", f"--count={count}"),
                    *words,
                    "--json",
                ):
                    found["json"] += printed["diagnostics"]
            thread.join()
    return found


def until_first_dump(where: Path) -> Path:
    wait_until(lambda: any(where.glob("*.dmp")))
    return next(where.glob("*.dmp"))


@provokes("base_gone")
def _(folder):
    return watch_evidence(folder, lambda _, where: until_first_dump(where).unlink(), every=1)


@provokes("no_clone_held")
def _(folder):
    # As if two other watches of this process held theirs.
    for _ in range(2):
        assert watch_base.HELD.acquire(blocking=False)
    try:
        return watch_evidence(folder)
    finally:
        for _ in range(2):
            watch_base.HELD.release()


@provokes("busy")
def _(folder):
    def dumps_of_others(_: int, where: Path) -> None:
        until_first_dump(where)
        for _ in range(2):
            watching._DUMPS.acquire()
        time.sleep(1)
        for _ in range(2):
            watching._DUMPS.release()

    return watch_evidence(folder, dumps_of_others)


@provokes("clone_released")
def _(folder, monkeypatch):
    def little_memory_left(_: int, where: Path) -> None:
        monkeypatch.setattr(watching, "headroom", headroom)
        until_first_dump(where)
        time.sleep(0.3)  # the clone is held by now
        monkeypatch.setattr(watching, "headroom", lambda _: Headroom(1, 1000))

    return watch_evidence(folder, little_memory_left, every=1.2)


# Its main thread sleeps uninterruptibly until the FIFO is opened, when it is told to.
VFORK = """
import os, signal, sys, time
def vfork(*_):
    os.posix_spawn("/bin/true", ["true"], {}, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)])
    os.wait()
signal.signal(signal.SIGUSR1, vfork)
print("ready", flush=True)
while True:
    time.sleep(600)
"""


@provokes("dump_timed_out")
def _(folder):
    fifo = folder / "fifo"
    os.mkfifo(fifo)

    def cannot_be_stopped_for_one_dump(target: int, where: Path) -> None:
        until_first_dump(where)
        wait_until(lambda: status(target, "TracerPid") == "0")
        os.kill(target, signal.SIGUSR1)
        wait_until(lambda: status(target, "TracerPid") != "0")
        wait_until(lambda: status(target, "TracerPid") == "0")
        fifo.write_bytes(b"")

    return watch_evidence(
        folder,
        cannot_be_stopped_for_one_dump,
        target=(VFORK, fifo),
        every=2,
        count=2,
        max_held=0,
        max_pause=0.5,
    )


@provokes("process_ended")
def _(folder):
    """For a watch it is the end, not a dump's diagnostic: in its own ones and in the log."""
    with python("print('ready', flush=True)\nimport time\ntime.sleep(600)") as target:
        with logged() as log, snapcore.watch(target.pid, folder, every=0.2) as watch:
            next(watch)
            target.kill()
            assert list(watch) == []
        assert [d["code"] for d in rows(watch.diagnostics)] == ["process_ended"]
        assert [d["code"] for d in log if d["logger"] == "snapcore.watch"] == ["process_ended"]

    def ended_soon() -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "1"])

    with ended_soon() as target, logged() as log:
        result = rows(snapcore.leaks(target.pid, 0.3, 10).diagnostics)
    with ended_soon() as target:
        (printed,) = command_json("leaks", target.pid, "--interval=0.3", "--count=10", "--json")
    return {"result": result, "log": log, "json": printed["diagnostics"]}


# --- The log itself


def test_nothing_is_said_unless_it_is_asked_for(idle, tmp_path):
    """A program that has not set up logging sees nothing of it on stderr."""
    code = (
        "import sys, snapcore\n"
        "result = snapcore.dump(int(sys.argv[1]), sys.argv[2], 0x10000000 | 0x20)\n"
        "assert {d.severity for d in result.diagnostics} == {'info', 'warning'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(idle), tmp_path / "a.dmp"],
        stderr=subprocess.PIPE,
        check=True,
    )
    assert done.stderr == b""


def test_what_happens_after_the_capture_is_logged_when_it_does(start, tmp_path):
    target = start("parts", tmp_path, programs() / "parts_library.so")
    with logged() as log, snapcore.capture(target.pid) as snap:
        of_capture = [d["code"] for d in log]
        assert of_capture
        assert {d["logger"] for d in log} == {"snapcore.capture"}
        for number in range(3):
            before = len(log)
            result = snap.dump(tmp_path / f"{number}.dmp", FULL)
            own = [d["code"] for d in log[before:]]
            assert own.count("unreadable_memory_left_out") == 1
            assert {d["logger"] for d in log[before:]} == {"snapcore.dump"}
            # Those of the dumps before are not this one's.
            assert [d.code for d in result.diagnostics] == of_capture + own
            said = [d["code"] for d in opened(tmp_path / f"{number}.dmp") if "severity" in d]
            assert said == of_capture + own
        assert [d.code for d in snap.diagnostics] == of_capture


def test_a_level_above_info_leaves_warnings(idle, tmp_path):
    with logged() as log:
        logging.getLogger("snapcore").setLevel(logging.WARNING)
        snapcore.dump(idle, tmp_path / "a.dmp", 0x10000000 | MiniDumpType.WITH_UNLOADED_MODULES)
    assert [(d["code"], d["level"]) for d in log] == [("flag_without_effect", "WARNING")]


def test_a_broken_dump_file_is_told_where_a_dump_is(idle, tmp_path):
    whole, half = tmp_path / "whole.dmp", tmp_path / "half.dmp"
    snapcore.dump(idle, whole, FULL)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with logged() as log, snapcore.open(half) as dump:
        dump.memory_ranges()
        dump.memory_ranges()
        result = rows(dump.diagnostics)
    assert {d["logger"] for d in log} == {"snapcore.open"}
    (printed,) = command_json("info", half, "--json")
    is_told("memory_truncated", {"result": result, "log": log, "json": printed["diagnostics"]})


def test_the_command_says_on_stderr_what_is_logged(idle, tmp_path):
    command = [sys.executable, "-m", "snapcore", "dump", str(idle), "--force"]
    command += ["-o", str(tmp_path / "a.dmp"), "--flags", str(0x10000000 | 0x20)]

    def said(*options: str) -> list[str]:
        done = subprocess.run([*command, *options], stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 5
        return [" ".join(line.split()[:2]) for line in done.stderr.splitlines()]

    assert said() == ["snapcore: warning:"]
    assert sorted(said("-v")) == ["snapcore: info:", "snapcore: warning:"]
    assert set(said("-vv")) == {"snapcore: debug:", "snapcore: info:", "snapcore: warning:"}
