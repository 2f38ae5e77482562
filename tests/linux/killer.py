# SPDX-License-Identifier: Apache-2.0
"""A program that has a process take snapshots and kills it, its tracer or both, or does something to the target: at random
instants, or after a step of the tracer that was chosen.

A step is a call of ptrace or process_vm_writev, of all threads of the tracer together. They are counted by tracing the
tracer itself, which stands still after the chosen one: ["SETREGSET", 2] is the second of this kind. Orders are lines of JSON, and so are the answers. Callers are forks
of this process: starting an interpreter takes a hundred times as long as a capture.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from linux_support import LIBC, X86_64, children, kill, send_numbered, state

import snapcore
from snapcore import CaptureFlags, MiniDumpType

# --- ptrace, as much of it as is needed

SEIZE, CONT, SYSCALL, GETEVENTMSG, GET_SYSCALL_INFO = 0x4206, 7, 24, 0x4201, 0x420E
OPTIONS = 1 | 2 | 4 | 8 | 16  # TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC
WALL = 0x40000000
ENTRY, EXIT = 1, 2
STEPS = {101 if X86_64 else 117: "ptrace", 311 if X86_64 else 271: "process_vm_writev"}
REQUESTS = {
    7: "CONT", 17: "DETACH", 24: "SYSCALL", 0x4200: "SETOPTIONS", 0x4201: "GETEVENTMSG",
    0x4204: "GETREGSET", 0x4205: "SETREGSET", 0x4206: "SEIZE", 0x4207: "INTERRUPT",
    0x420A: "GETSIGMASK", 0x420B: "SETSIGMASK", 0x420E: "GET_SYSCALL_INFO",
    0x420F: "GET_RSEQ_CONFIGURATION", 3: "PEEKUSER",
}  # fmt: skip
PTRACE = LIBC.ptrace
PTRACE.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE.restype = ctypes.c_long


class Stepped:
    """A caller under our own tracing, and the tracer that it starts."""

    def __init__(self, caller: int) -> None:
        self.caller = caller
        self.status: int | None = None  # of the caller, once it has ended
        self.kinds: list[str] = []
        self._known = {caller}
        self._call: dict[int, str] = {}
        assert PTRACE(SEIZE, caller, None, OPTIONS) == 0, os.strerror(ctypes.get_errno())

    def tracer(self, task: int) -> int:
        """The process that has this task."""
        for line in Path(f"/proc/{task}/status").read_text().splitlines():
            if line.startswith("Tgid:"):
                return int(line.split()[1])
        raise AssertionError(task)

    def run_to(self, kind: str, number: int) -> int:
        """The task that has just made the step of this kind and number; 0 once everything has ended before."""
        while self._known:
            task, status = os.waitpid(-1, WALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self._known.discard(task)
                if task == self.caller:
                    self.status = status
                continue
            self._known.add(task)
            if status >> 16 in (1, 2, 3):  # a child or a thread, which has not reported itself yet
                born = ctypes.c_ulong()
                if PTRACE(GETEVENTMSG, task, None, ctypes.addressof(born)) == 0:
                    self._known.add(born.value)
            if self._at_step(task, status >> 8):
                self.kinds.append(self._call.pop(task))
                if self.kinds[-1] == kind and self.kinds.count(kind) == number:
                    return task
            self.go_on(task, status >> 8)
        return 0

    def _at_step(self, task: int, stop: int) -> bool:
        if stop != signal.SIGTRAP | 0x80:
            return False
        info = (ctypes.c_uint64 * 11)()
        if PTRACE(GET_SYSCALL_INFO, task, ctypes.sizeof(info), info) < 0:
            return False
        if info[0] & 0xFF == ENTRY:
            name = STEPS.get(info[3])
            if name == "ptrace":
                name = REQUESTS.get(info[4], hex(info[4]))
            if name:
                self._call[task] = name
            return False
        return task in self._call

    def go_on(self, task: int, stop: int = 0) -> None:
        # The caller itself makes no step: in a thread of it, or in another process.
        request = CONT if task == self.caller else SYSCALL
        delivered = stop if stop < 0x80 and stop != signal.SIGTRAP else 0
        PTRACE(request, task, None, delivered)


# --- Snapshots

MAX_PAUSE = 30.0  # who stops at every system call of a tracer makes it slow
FULL = MiniDumpType.WITH_FULL_MEMORY | MiniDumpType.WITH_HANDLE_DATA


def snapshot(pid: int, folder: str, dump: bool) -> None:
    if dump:
        snapcore.dump(pid, Path(folder) / "snapshot.dmp", FULL, overwrite=True, max_pause=MAX_PAUSE)
    else:
        with snapcore.capture(pid, CaptureFlags.DOCUMENTED, max_pause=MAX_PAUSE):
            pass


def fork_caller(order: dict[str, Any], once: bool) -> tuple[int, int]:
    """A process that takes snapshots without end, or one; it begins when the pipe is closed."""
    reader, writer = os.pipe()
    caller = os.fork()
    if caller:
        os.close(reader)
        return caller, writer
    code = 3
    try:
        os.close(writer)
        os.read(reader, 1)
        number = random.randrange(4)
        while True:
            number += 1
            try:
                snapshot(order["pid"], order["folder"], not once and number % 4 == 0)
                code = 0
            except snapcore.ProcessGone:
                code = 4
            except snapcore.TimedOut:
                code = 5
            except snapcore.SnapError:
                code = 1
            if once:
                break
            if code == 4:
                time.sleep(0.001)
    finally:
        os._exit(code)


def collect(*pids: int) -> None:
    """Wait for those, and take whatever else has ended."""
    for pid in pids:
        os.waitpid(pid, 0)
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def warm_up() -> None:
    """Import what a first snapshot imports, so that a fork of this process begins with the capture at once."""
    process = subprocess.Popen(["sleep", "600"])
    for dump in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            snapshot(process.pid, folder, dump)
    process.kill()
    process.wait()


def seconds_of_a_snapshot(order: dict[str, Any]) -> float:
    """How long one takes here and now, from the start of the tracer to its end."""
    taken = []
    for number in range(8):
        started = time.monotonic()
        with contextlib.suppress(snapcore.SnapError):
            snapshot(order["pid"], order["folder"], number % 4 == 0)
        taken.append(time.monotonic() - started)
    return statistics.median(taken)


def kill_at_random(order: dict[str, Any]) -> dict[str, Any]:
    """Kill `count` times: the tracer, the caller or both."""
    pick = random.Random(order["seed"])
    who, done, with_tracer = order["who"], 0, 0
    span = 1.5 * seconds_of_a_snapshot(order)
    caller = 0
    deadline = time.monotonic() + order["seconds"]
    while done < order["count"] and time.monotonic() < deadline:
        if not caller:
            caller, writer = fork_caller(order, False)
            os.close(writer)
        time.sleep(pick.uniform(0, span))
        tracers = [child for child in children(caller) if state(child) != "Z"]
        if not tracers and who != "caller":
            continue
        victims = {"tracer": tracers, "caller": [caller], "both": [*tracers, caller]}[who]
        pick.shuffle(victims)
        for victim in victims:
            kill(victim)
        done += 1
        with_tracer += bool(tracers)
        if who != "tracer":
            collect(caller)
            caller = 0
    if caller:
        kill(caller)
        collect(caller)
    return {"kills": done, "tracers_alive": with_tracer}


def stop_again_and_again(stepped: Stepped, task: int, order: dict[str, Any]) -> int:
    """Whenever the tracer lets the target's only thread go, it stops before its next instruction, so often; how often it did."""
    pid = order["pid"]
    os.kill(pid, signal.SIGSTOP)
    stepped.go_on(task)
    for number in range(1, order["times"] + 1):
        task = stepped.run_to("SYSCALL", number)
        if not task:
            return number - 1
        while state(pid) != "t":
            time.sleep(0.0001)
        os.kill(pid, signal.SIGCONT)
        if number < order["times"]:
            os.kill(pid, signal.SIGSTOP)
        stepped.go_on(task)
    return int(order["times"])


def do_at_step(order: dict[str, Any]) -> dict[str, Any]:
    """One snapshot; after the chosen step something is killed, or something is done to the target."""
    caller, writer = fork_caller(order, True)
    stepped = Stepped(caller)
    os.close(writer)
    task = stepped.run_to(*order.get("step", ("", 0)))
    pid = order["pid"]
    stops = 0
    if task and order["act"] == "stops":
        stops = stop_again_and_again(stepped, task, order)
        stepped.run_to("", 0)
    elif task:
        act = order["act"]
        if act in ("tracer", "both"):
            kill(stepped.tracer(task))
        if act in ("caller", "both"):
            kill(caller)
        if act == "target":
            kill(pid)
        if act == "signals":
            for value in order["values"]:
                send_numbered(pid, order["tid"], order["number"], value)
        if act == "stop":
            os.kill(pid, signal.SIGSTOP)
        if act == "stop and continue":
            os.kill(pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
        if act == "wait":
            time.sleep(0.003)
        stepped.go_on(task)
        stepped.run_to("", 0)
    assert stepped.status is not None
    code = stepped.status >> 8 if os.WIFEXITED(stepped.status) else -stepped.status
    return {"reached": task != 0, "kinds": stepped.kinds, "code": code, "stops": stops}


def main() -> None:
    warm_up()
    print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        os.environ["SNAPCORE_TRACER"] = order["placement"]
        answer = do_at_step(order) if "act" in order else kill_at_random(order)
        print(json.dumps(answer), flush=True)


main()
