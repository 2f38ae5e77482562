# SPDX-License-Identifier: Apache-2.0
"""Targets that cannot be captured end in the right exception, with a text that says what to do, and are left as they were."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from linux_support import children, is_untouched, status
from support import Target, programs, wait_until

import snapcore
from snapcore import MiniDumpType

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = 65534


def vanished_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_vanished_pid(placement, tmp_path):
    pid = vanished_pid()
    with pytest.raises(snapcore.ProcessGone) as caught:
        snapcore.dump(pid, tmp_path / "x.dmp")
    assert caught.value.pid == pid
    assert isinstance(caught.value, ProcessLookupError)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(snapcore.ProcessGone):
        snapcore.capture(pid)
    with pytest.raises(snapcore.ProcessGone):
        snapcore.handles(pid)


def test_zombie(placement):
    process = subprocess.Popen(["true"])
    wait_until(lambda: status(process.pid, "State").startswith("Z"))
    with pytest.raises(snapcore.ProcessGone, match="zombie"):
        snapcore.capture(process.pid)
    process.wait()


def a_kernel_thread() -> int:
    is_kernel_thread = 0x00200000  # PF_KTHREAD
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[6]) & is_kernel_thread:
                return int(entry.name)
    pytest.fail(
        "no kernel thread is visible: run the tests in the machine's PID namespace (--pid=host)"
    )


def test_kernel_thread(placement):
    with pytest.raises(snapcore.Unsupported, match="kernel thread"):
        snapcore.capture(a_kernel_thread())


def test_traced_already(start, placement, tmp_path):
    target = start("sleepers", tmp_path)
    # gdb stays attached until its input ends.
    gdb = subprocess.Popen(
        ["gdb", "-q", "-nx", "-p", str(target.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: status(target.pid, "TracerPid") != "0", 60)
        with pytest.raises(snapcore.AccessDenied, match=rf"{gdb.pid} \(gdb\).*detach"):
            snapcore.capture(target.pid)
    finally:
        gdb.communicate(b"detach\nquit\n", timeout=60)
    wait_until(lambda: status(target.pid, "TracerPid") == "0")
    with snapcore.capture(target.pid):
        pass


def become_nobody() -> None:
    """Drop every right but one: the package, or the interpreter, may lie in a folder that is closed to others."""
    libc = ctypes.CDLL(None, use_errno=True)
    keep_capabilities, read_search, version = 8, 1 << 2, 0x20080522
    assert libc.prctl(keep_capabilities, 1, 0, 0, 0) == 0
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    header = (ctypes.c_uint32 * 2)(version, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(read_search, read_search, 0, 0, 0, 0)
    assert libc.capset(header, effective_permitted_inheritable) == 0


def as_nobody(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a function as another user, in a fork."""
    tracer = Path(snapcore.__file__).with_name("snapcore-tracer")
    assert tracer.stat().st_mode & 0o005 == 0o005, f"user {NOBODY} cannot run {tracer}"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become_nobody()
            os.write(writer, json.dumps(work()).encode())
        except BaseException as error:  # noqa: BLE001  (the parent reports it)
            os.write(writer, json.dumps({"failed": repr(error)}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = json.loads(stream.read())
    os.waitpid(child, 0)
    return said


@pytest.mark.parametrize("call", ["capture", "handles"])
def test_another_users_process(start, placement, tmp_path, call):
    target = start("sleepers", tmp_path)

    def work() -> dict[str, Any]:
        with pytest.raises(snapcore.AccessDenied) as caught:
            getattr(snapcore, call)(target.pid)
        return {"text": str(caught.value)}

    said = as_nobody(work)
    assert "belongs to user 0" in said["text"], said
    assert "CAP_SYS_PTRACE" in said["text"]
    is_untouched(target.pid)


def test_an_unprivileged_user_captures_a_process_of_its_own(placement):
    def work() -> dict[str, Any]:
        child = subprocess.Popen(["sleep", "60"])
        try:
            with snapcore.capture(child.pid) as snap:
                return {"threads": len(snap.threads()), "clone": "clone" in snap.performance()}
        finally:
            child.kill()
            child.wait()

    assert as_nobody(work) == {"threads": 1, "clone": True}


@pytest.mark.parametrize("mode", ["errno", "trap", "kill"])
def test_seccomp_filter_is_suspended_where_that_is_allowed(start, placement, mode):
    target = start("seccomp", mode)
    with snapcore.capture(target.pid) as snap:
        assert len(snap.threads()) == 1
        assert "clone" in snap.performance()
    assert target.ask("alive") == {"done": "alive"}
    assert children(target.pid) == []


@pytest.mark.parametrize("mode", ["errno", "trap", "kill"])
def test_seccomp_filter_is_not_provoked_without_the_right(placement, mode, tmp_path):
    # The program is copied to where the other user can run it.
    program = Path(
        shutil.copy(programs() / "seccomp_target", f"/tmp/snapcore-seccomp-{os.getpid()}")
    )

    def work() -> dict[str, Any]:
        target = subprocess.Popen(
            [program, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert target.stdin is not None
        assert target.stdout is not None
        target.stdout.readline()
        with pytest.raises(snapcore.Unsupported) as caught:
            snapcore.capture(target.pid)
        registers = snapcore.CaptureFlags.THREADS | snapcore.CaptureFlags.THREAD_CONTEXT
        with snapcore.capture(target.pid, registers) as snap:
            contexts = len(snap.contexts())
        target.stdin.write("alive\n")
        target.stdin.flush()
        answer = json.loads(target.stdout.readline())["done"]
        target.kill()
        target.communicate()
        return {"text": str(caught.value), "contexts": contexts, "answer": answer}

    try:
        said = as_nobody(work)
    finally:
        program.unlink()
    assert "seccomp filter" in said.get("text", ""), said
    assert "live" in said["text"]
    assert (said["contexts"], said["answer"]) == (1, "alive")


def test_parent_that_dies_in_the_middle(placement, tmp_path):
    # The target's parent ends while snapshots are taken: the target gets another one and nothing else changes.
    code = """
import subprocess, sys, time
p = subprocess.Popen([sys.argv[1], sys.argv[2]], stdin=open(sys.argv[3]), stdout=open(sys.argv[4], "w"))
print(p.pid, flush=True)
sys.stdin.readline()
"""
    fifo, out = tmp_path / "in", tmp_path / "out"
    os.mkfifo(fifo)
    holder = os.open(fifo, os.O_RDWR)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            str(programs() / "sleepers_target"),
            str(tmp_path),
            str(fifo),
            str(out),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/task")) > 5)
    try:
        with snapcore.capture(pid) as snap:
            parent.communicate("die\n")
            wait_until(lambda: int(status(pid, "PPid")) != parent.pid)
            assert len(snap.threads()) > 5
            snap.dump(tmp_path / "x.dmp", MiniDumpType.WITH_FULL_MEMORY)
        wait_until(lambda: children(pid) == [])
        is_untouched(pid)
    finally:
        os.close(holder)
        os.kill(pid, 9)
    (tmp_path / "x.dmp").unlink()


def test_target_that_ends_while_its_snapshot_is_open(start, placement, tmp_path):
    target = start("memory", 64)
    snap = snapcore.capture(target.pid)
    target.end()
    before = snap.read(target.facts["memory"], 4096)
    assert before[8:16] == b"\1" * 8
    result = snap.dump(tmp_path / "x.dmp", MiniDumpType.WITH_FULL_MEMORY)
    assert result.file_size > 64 << 20
    snap.close()


def test_target_that_ends_during_capture(placement, tmp_path):
    seen = set()
    for delay in range(20):
        target = Target("memory", 64)
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.0{delay:02}; kill -9 {target.pid}"])
        try:
            for _ in range(1000):
                with snapcore.capture(target.pid):
                    pass
                time.sleep(0)
        except snapcore.SnapError as error:
            seen.add(type(error))
        finally:
            killer.wait()
            target.end()
    assert seen
    assert seen <= {snapcore.ProcessGone, snapcore.SnapError}


def test_thread_that_cannot_be_stopped_ends_at_max_pause(placement):
    # A parent in vfork sleeps uninterruptibly until its child ends.
    # What it needs is loaded before it says so: until then it may sleep in the same way for a disk.
    code = """
import ctypes
libc = ctypes.CDLL(None)
vfork, sleep = libc.vfork, libc.sleep
print("ready", flush=True)
vfork() or sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        wait_until(lambda: children(process.pid) and status(process.pid, "State").startswith("D"))
        started = time.monotonic()
        with pytest.raises(snapcore.TimedOut, match="uninterruptible"):
            snapcore.capture(process.pid, max_pause=0.3)
        assert time.monotonic() - started < 5
        wait_until(lambda: status(process.pid, "TracerPid") == "0")
    finally:
        for child in children(process.pid):
            os.kill(child, 9)
        process.kill()
        process.communicate()


@pytest.mark.parametrize("bad", [0, -1, 2**31, True, "1", 1.5])
def test_arguments_that_are_no_pid(bad, tmp_path):
    with pytest.raises((TypeError, ValueError)):
        snapcore.dump(bad, tmp_path / "x.dmp")
