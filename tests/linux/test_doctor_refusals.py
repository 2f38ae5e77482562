# SPDX-License-Identifier: Apache-2.0
"""snapcore doctor says what a capture then meets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from isolation import (
    DAC_READ_SEARCH,
    OTHER_USER,
    SYS_PTRACE,
    USER,
    Started,
    apart,
    copied,
    mount_proc,
    no_new_privs,
    own_user_namespace,
    package_within_reach,
    private_mounts,
    refuse,
    user,
    yama,
)
from linux_support import is_untouched, state, status
from support import wait_until

import snapcore
from snapcore import _core
from snapcore.cli import main
from snapcore.cli.doctor import linux_checks
from snapcore.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SYS_PTRACE_CALL, SYS_PROCESS_VM_READV = 101, 310
PTRACE_SEIZE = 0x4206
OPERATIONS = ["threads", "handles", "stacks", "memory", "snapshot"]


@pytest.fixture
def begin(shared_folder: Path) -> Iterator[Callable[[int], Started]]:
    """Start a program as a user."""
    running: list[Started] = []

    def starter(uid: int) -> Started:
        program = copied("facts", shared_folder, 0o755)
        folder = shared_folder / f"of-{uid}"
        folder.mkdir()
        os.chown(folder, uid, uid)
        running.append(Started([str(program), str(folder)], user=uid, group=uid, extra_groups=[]))
        return running[-1]

    yield starter
    try:
        for target in running:
            is_untouched(target.pid)
    finally:
        for target in running:
            target.end()


def checks() -> dict[str, Any]:
    facts = {name: value.decode() for name, value in _core.system_facts()}
    return {c.name: [c.status, c.value, c.advice] for c in linux_checks(facts, os.geteuid())}


def operations(pid: int) -> dict[str, str]:
    """The reason against each; empty where it is allowed."""
    return {name: reason.decode() for name, _, _, reason in _core.check_access(pid)}


def captures(pid: int) -> bool:
    try:
        with snapcore.capture(pid, snapcore.CaptureFlags.THREADS):
            return True
    except snapcore.AccessDenied:
        return False


def handles_are_had(pid: int) -> bool:
    try:
        snapcore.handles(pid)
    except snapcore.AccessDenied:
        return False
    return True


def dumps(pid: int, path: Path, method: str) -> bool:
    try:
        snapcore.dump(pid, path, "full", method=method, overwrite=True, max_pause=10)
    except (snapcore.AccessDenied, snapcore.Unsupported):
        return False
    return True


def both(pid: int, folder: Path) -> dict[str, Any]:
    """What the doctor says, and what captures say."""
    said = operations(pid)
    assert list(said) == OPERATIONS
    met = {
        "handles": handles_are_had(pid),
        "stacks": captures(pid),
        "memory": dumps(pid, folder / f"{os.getuid()}-live.dmp", "live"),
        "snapshot": dumps(pid, folder / f"{os.getuid()}-snapshot.dmp", "snapshot"),
    }
    assert {name: not said[name] for name in met} == met, said
    return said


def test_root_may_do_all(begin, shared_folder):
    assert set(both(begin(USER).pid, shared_folder).values()) == {""}
    found = checks()
    assert found["tracer program"][0] == "ok"
    assert "CAP_SYS_PTRACE" in found["capabilities"][1]
    assert {status for status, _, _ in found.values()} <= {"ok", "note"}


def test_a_user_may_do_all_with_its_own_process(begin, shared_folder):
    target = begin(USER)
    said = apart(
        lambda: {**both(target.pid, shared_folder), "found": checks()},
        package_within_reach,
        user(USER),
    )
    found = said.pop("found")
    assert set(said.values()) == {""}
    assert found["user"] == [
        "note",
        str(USER),
        "processes of other users need root or CAP_SYS_PTRACE",
    ]
    assert found["capabilities"][:2] == ["note", "none of use"]


def test_another_users_process(begin, shared_folder):
    target = begin(OTHER_USER)
    said = apart(lambda: both(target.pid, shared_folder), package_within_reach, user(USER))
    assert said["threads"] == ""
    for name in OPERATIONS[1:]:
        assert f"belongs to user {OTHER_USER} and this is user {USER}" in said[name]


def test_the_ptrace_capability_alone(begin, shared_folder):
    target = begin(OTHER_USER)
    said = apart(
        lambda: both(target.pid, shared_folder),
        package_within_reach,
        user(USER, keep=(SYS_PTRACE,)),
    )
    assert said["stacks"] == ""
    for name in ("memory", "snapshot"):
        assert "add CAP_DAC_READ_SEARCH" in said[name]
    both_of_them = (SYS_PTRACE, DAC_READ_SEARCH)
    said = apart(
        lambda: both(target.pid, shared_folder), package_within_reach, user(USER, keep=both_of_them)
    )
    assert set(said.values()) == {""}


@pytest.mark.parametrize("scope", [1, 2, 3])
def test_yama(begin, shared_folder, scope):
    """A file stands in for the kernel's own, and filters for its refusal."""
    target = begin(USER)
    steps = (
        package_within_reach,
        yama(scope),
        user(USER),
        refuse(SYS_PTRACE_CALL, first_argument=PTRACE_SEIZE),
        refuse(SYS_PROCESS_VM_READV),
    )
    said = apart(
        lambda: {
            "operations": operations(target.pid),
            "captures": captures(target.pid),
            "found": checks(),
        },
        *steps,
    )
    assert not said["captures"]
    assert f"kernel.yama.ptrace_scope is {scope}" in said["operations"]["stacks"]
    assert said["operations"]["handles"] == ""
    status_, value, advice = said["found"]["Yama ptrace_scope"]
    assert (status_, value) == ("note" if scope == 1 else "no", str(scope))
    assert advice


def test_a_filter_that_refuses_ptrace(begin, shared_folder):
    target = begin(USER)
    said = apart(
        lambda: {**both(target.pid, shared_folder), "found": checks()},
        package_within_reach,
        user(USER),
        refuse(SYS_PTRACE_CALL),
    )
    assert "a seccomp filter on this process refuses ptrace" in said["stacks"]
    assert said["found"]["seccomp of this process"][0] == "no"


def test_a_filter_that_refuses_process_vm_readv(begin, shared_folder):
    """Captures do without it, and so does the doctor."""
    target = begin(USER)
    said = apart(
        lambda: {**both(target.pid, shared_folder), "found": checks()},
        package_within_reach,
        user(USER),
        refuse(SYS_PROCESS_VM_READV),
    )
    found = said.pop("found")
    assert set(said.values()) == {""}
    assert found["kernel"][0] == "note"
    assert "process_vm_readv missing" in found["kernel"][1]


def test_hidden_processes(begin):
    target = begin(OTHER_USER)

    def hidden() -> None:
        private_mounts()
        mount_proc("hidepid=2")

    def work() -> dict[str, Any]:
        try:
            operations(target.pid)
        except snapcore.AccessDenied as error:
            return {"text": str(error), "found": checks()}
        return {}

    said = apart(work, package_within_reach, hidden, user(USER))
    assert "/proc hides it" in said["text"]
    assert said["found"]["/proc"][:2] == ["note", "hidepid=invisible"] or said["found"]["/proc"][
        :2
    ] == ["note", "hidepid=2"]


def test_other_facts(begin):
    said = apart(checks, package_within_reach, user(USER), no_new_privs)
    assert said["NoNewPrivs"][0] == "note"
    said = apart(checks, own_user_namespace)
    assert said["user namespace"][0] == "note"
    assert "outside this user namespace" in said["targets with a seccomp filter"][2]


def test_a_traced_process(idle):
    """It is told by whom, and stays theirs."""
    code = (
        "import ctypes, sys\nlibc = ctypes.CDLL(None)\n"
        "assert libc.ptrace(0x4206, int(sys.argv[1]), None, None) == 0\n"
        "print('ready', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(idle)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tracer:
        assert tracer.stdout is not None
        tracer.stdout.readline()
        said = operations(idle)
        assert f"traced already by process {tracer.pid}" in said["stacks"]
        assert status(idle, "TracerPid") == str(tracer.pid)
        assert main(["doctor", str(idle)]) == ExitCode.ACCESS_DENIED
        assert tracer.stdin is not None
        tracer.stdin.close()
    assert operations(idle)["stacks"] == ""


def test_it_neither_stops_nor_traces(idle):
    wait_until(lambda: state(idle) == "S")
    before = status(idle, "voluntary_ctxt_switches"), status(idle, "nonvoluntary_ctxt_switches")
    for _ in range(100):
        assert operations(idle)["snapshot"] == ""
    after = status(idle, "voluntary_ctxt_switches"), status(idle, "nonvoluntary_ctxt_switches")
    assert before == after, "a stopped thread would have been switched away from"
    is_untouched(idle)


def test_the_command(idle, capsys):
    assert main(["doctor", "--json"]) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["pid"], said["can_capture"]) == (1, None, True)
    assert said["operations"] == []
    assert all(set(check) == {"name", "status", "value", "advice"} for check in said["checks"])
    assert main(["doctor", str(idle), "--json"]) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert [o["operation"] for o in said["operations"]] == OPERATIONS
    assert main(["doctor", str(idle)]) == ExitCode.OK
    out = capsys.readouterr().out
    assert re.search(rf"process {idle} \(\w*python", out)
    assert all(f"\nok    {name} " in out for name in OPERATIONS)
    assert main(["doctor", "99999999"]) == ExitCode.NO_SUCH_PROCESS


def test_no_capture_is_code_3():
    def work() -> dict[str, Any]:
        return {"code": int(main(["doctor"]))}

    assert apart(work, refuse(SYS_PTRACE_CALL)) == {"code": ExitCode.ACCESS_DENIED}
