# SPDX-License-Identifier: Apache-2.0
"""Who may capture what: every test of the kernel that refuses is met for real, and named in the exception.

This kernel need not have Yama: what it allows is then read from a file that stands in for its own, and what it would
refuse is refused by a seccomp filter on PTRACE_SEIZE alone.
"""

from __future__ import annotations

import os
import stat
import subprocess
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
    own_pids,
    package_within_reach,
    private_mounts,
    refusal,
    refuse,
    root_of_a_container,
    user,
    yama,
)
from linux_support import children, is_untouched, status
from minidump.minidumpfile import MinidumpFile
from support import Target, wait_until
from symbolic.minidump import ProcessState

import snapcore
from snapcore import CaptureFlags, MiniDumpType, _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FULL = MiniDumpType.WITH_FULL_MEMORY | MiniDumpType.WITH_HANDLE_DATA
METHODS = ["snapshot", "live", "stacks"]

SYS_PTRACE_CALL, SYS_PROCESS_VM_READV, SYS_PROCESS_VM_WRITEV = 101, 310, 311
PTRACE_SEIZE = 0x4206


def as_user(uid: int) -> dict[str, Any]:
    return {"user": uid, "group": uid, "extra_groups": []}


@pytest.fixture
def begin(shared_folder: Path) -> Iterator[Callable[..., Started]]:
    """Start a target program as a user; it must be untouched in the end."""
    running: list[Started] = []

    def starter(name: str, uid: int, *arguments: str, mode: int = 0o755) -> Started:
        program = copied(name, shared_folder, mode)
        folder = shared_folder / f"of-{uid}"
        folder.mkdir()
        os.chown(folder, uid, uid)
        running.append(Started([str(program), str(folder), *arguments], **as_user(uid)))
        return running[-1]

    yield starter
    try:
        for target in running:
            is_untouched(target.pid)
    finally:
        for target in running:
            target.end()


def dump(target: Target, path: Path, method: str) -> snapcore.DumpResult:
    if method == "stacks":
        return snapcore.dump(target.pid, path)
    return snapcore.dump(target.pid, path, FULL, method=method, max_pause=10)


def holds_what_the_target_has(path: Path, target: Target, method: str) -> None:
    """Registers, the main module, and sentinels in every kind of memory that the dump should hold."""
    parsed = MinidumpFile.parse(str(path))
    try:
        assert {str(t.ThreadId) for t in parsed.threads.threads} == set(target.facts["threads"])
        (parked,) = [t for t in parsed.threads.threads if t.ThreadId == target.facts["parked"]]
        assert parked.ContextObject.Rbx == 0x5B5B5B5B00000001
        assert parsed.modules.modules[0].name.endswith("/facts")
        reader = parsed.get_reader()
        sentinels = target.facts["sentinels"]
        for text in ["stack sentinel"] if method == "stacks" else sentinels:
            expected = f"snapcore: {text}".encode()
            assert reader.read(sentinels[text], len(expected)) == expected
        if method != "stacks":
            assert parsed.handles.handles
    finally:
        parsed.file_handle.close()


@pytest.mark.parametrize("method", METHODS)
def test_root_dumps_another_users_process(begin, placement, tmp_path, quiet_parser, method):
    target = begin("facts", USER)
    path = tmp_path / "a.dmp"
    dump(target, path, method)
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    holds_what_the_target_has(path, target, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_user_dumps_its_own_process(begin, placement, shared_folder, quiet_parser, method):
    """Which is no child of its own, and without any capability."""
    target = begin("facts", USER)
    path = shared_folder / "a.dmp"

    def work() -> dict[str, Any]:
        assert int(status(os.getpid(), "CapEff"), 16) == 0
        result = dump(target, path, method)
        assert len(snapcore.handles(target.pid)) > 9
        return {"warnings": [d.code for d in result.diagnostics if d.severity == "warning"]}

    assert apart(work, package_within_reach, user()) == {"warnings": []}
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (USER, 0o600)
    holds_what_the_target_has(path, target, method)


def all_refused(target: Target, path: Path) -> dict[str, Any]:
    """The text of the exception, which is the same for whatever is asked for."""
    said = [refusal(lambda m=m: dump(target, path, m)) for m in METHODS]
    said.append(refusal(lambda: snapcore.capture(target.pid)))
    said.append(refusal(lambda: snapcore.handles(target.pid)))
    assert not path.exists()
    # What is open to everyone.
    assert len(snapcore.threads(target.pid)) == len(target.facts["threads"])
    assert {s["pid"] for s in said} == {target.pid}
    causes = {s["text"].partition(": ")[2] for s in said}
    return {"texts": sorted(causes)}


def test_another_users_process(begin, placement, shared_folder):
    target = begin("facts", OTHER_USER)
    said = apart(lambda: all_refused(target, shared_folder / "a.dmp"), package_within_reach, user())
    for text in said["texts"]:
        assert f"belongs to user {OTHER_USER} and this is user {USER}" in text
        assert "run as that user, as root, or with CAP_SYS_PTRACE" in text


def test_another_group(begin, placement, shared_folder):
    target = begin("facts", USER)
    said = apart(
        lambda: all_refused(target, shared_folder / "a.dmp"),
        package_within_reach,
        user(USER, group=OTHER_USER),
    )
    for text in said["texts"]:
        assert f"its group is {USER} and here it is {OTHER_USER}" in text


def not_dumpable_by_mode(begin: Callable[..., Started]) -> Started:
    # Root owns the program, and its user may run but not read it.
    return begin("facts", USER, mode=0o711)


def not_dumpable_by_prctl(begin: Callable[..., Started]) -> Started:
    return begin("facts", USER, "undumpable")


def set_user_id_program(begin: Callable[..., Started]) -> Started:
    # Root's, started by the user.
    return begin("facts", USER, mode=0o4755)


NOT_DUMPABLE = [not_dumpable_by_mode, not_dumpable_by_prctl]


@pytest.mark.parametrize("make", NOT_DUMPABLE)
def test_a_process_that_is_not_dumpable(begin, placement, shared_folder, make):
    target = make(begin)
    said = apart(lambda: all_refused(target, shared_folder / "a.dmp"), package_within_reach, user())
    for text in said["texts"]:
        assert "it is not dumpable: prctl(PR_SET_DUMPABLE, 0)" in text
        assert "may not read" in text
        assert "run as root or with CAP_SYS_PTRACE" in text


def test_a_set_user_id_program(begin, placement, shared_folder):
    target = set_user_id_program(begin)
    said = apart(lambda: all_refused(target, shared_folder / "a.dmp"), package_within_reach, user())
    for text in said["texts"]:
        assert f"set-user-id program (its user is {USER}, effective 0, saved 0" in text


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [*NOT_DUMPABLE, set_user_id_program])
def test_root_dumps_them(begin, placement, tmp_path, quiet_parser, make, method):
    target = make(begin)
    dump(target, tmp_path / "a.dmp", method)
    holds_what_the_target_has(tmp_path / "a.dmp", target, method)


CAPABLE = [
    *NOT_DUMPABLE,
    set_user_id_program,
    pytest.param(lambda begin: begin("facts", OTHER_USER), id="another user"),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", CAPABLE)
def test_two_capabilities_are_enough(begin, placement, shared_folder, quiet_parser, make, method):
    """CAP_SYS_PTRACE, and CAP_DAC_READ_SEARCH for the files of /proc that only their owner may open."""
    target = make(begin)
    path = shared_folder / "a.dmp"

    def work() -> dict[str, Any]:
        result = dump(target, path, method)
        return {"warnings": [d.code for d in result.diagnostics if d.severity == "warning"]}

    keep = (SYS_PTRACE, DAC_READ_SEARCH)
    said = apart(work, package_within_reach, user(keep=keep))
    # The score of another user's clone is that user's to set.
    expected = ["clone_not_preferred_by_oom_killer"] if method == "snapshot" else []
    assert said == {"warnings": expected}
    holds_what_the_target_has(path, target, method)


@pytest.mark.parametrize("make", CAPABLE)
def test_the_ptrace_capability_alone(begin, placement, shared_folder, quiet_parser, make):
    """Registers, threads, regions and stacks-only dumps; the rest says which other capability it needs."""
    target = make(begin)
    path = shared_folder / "a.dmp"
    said = {}

    def work() -> dict[str, Any]:
        assert int(status(os.getpid(), "CapEff"), 16) == 1 << SYS_PTRACE
        flags = CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT | CaptureFlags.VA_SPACE
        with snapcore.capture(target.pid, flags) as snap:
            assert len(snap.contexts()) == len(target.facts["threads"])
            assert len(snap.regions()) > 10
        dump(target, path, "stacks")
        wide = path.with_suffix(".wide")
        for method in ("snapshot", "live"):
            said[method] = refusal(lambda m=method: dump(target, wide, m))["text"]
        indirect = MiniDumpType.WITH_INDIRECTLY_REFERENCED_MEMORY
        said["parts"] = refusal(lambda: snapcore.dump(target.pid, wide, indirect))["text"]
        said["handles"] = refusal(lambda: snapcore.handles(target.pid))["text"]
        assert not wide.exists()
        return said

    said = apart(work, package_within_reach, user(keep=(SYS_PTRACE,)))
    assert set(said) == {"snapshot", "live", "parts", "handles"}
    for text in said.values():
        assert "CAP_DAC_READ_SEARCH" in text, text
    holds_what_the_target_has(path, target, "stacks")
    # Read from the memory of the target, since its files need not be those that are seen here.
    ids = [m.debug_id for m in ProcessState.from_minidump(str(path)).modules()]
    assert len(ids) > 3
    assert all(ids)


def test_root_without_capabilities(start, placement, tmp_path):
    """As in a container that drops all of them: a process with more is refused, one with as many is not."""
    more = start("sleepers", tmp_path)

    def work() -> dict[str, Any]:
        said = refusal(lambda: snapcore.capture(more.pid))
        equal = subprocess.Popen(["sleep", "60"])
        try:
            wait_until(lambda: status(equal.pid, "Name") == "sleep")
            with snapcore.capture(equal.pid) as snap:
                said["threads"] = len(snap.threads())
        finally:
            equal.kill()
            equal.wait()
        return said

    said = apart(work, root_of_a_container())
    assert "it holds capabilities that this process lacks (CapPrm " in said["text"]
    assert " there, 0000000000000000 here)" in said["text"]
    assert said["threads"] == 1


def test_root_without_capabilities_and_a_process_that_is_not_dumpable(tmp_path, placement):
    """Nothing shows it, since its files are root's in any case: the text counts it among what is left."""

    def work() -> dict[str, Any]:
        target = Target("facts", tmp_path, "undumpable")
        try:
            return refusal(lambda: snapcore.capture(target.pid))
        finally:
            target.end()

    said = apart(work, root_of_a_container())
    assert "or the target is not dumpable" in said["text"]
    assert "or run with CAP_SYS_PTRACE" in said["text"]


DOCKER_DEFAULT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)


@pytest.mark.parametrize("method", METHODS)
def test_root_with_the_capabilities_of_a_docker_container(
    shared_folder, placement, quiet_parser, method
):
    """No CAP_SYS_PTRACE: root's processes beside it can be dumped, those of other users cannot."""
    path = shared_folder / "a.dmp"
    program = copied("facts", shared_folder)
    folder = shared_folder / "of-the-other"
    folder.mkdir()
    folder.chmod(0o777)

    def work() -> dict[str, Any]:
        same = Started([str(program), str(shared_folder)])
        other = Started([str(program), str(folder)], **as_user(USER))
        try:
            said = refusal(lambda: dump(other, path, method))
            result = dump(same, path, method)
            said["warnings"] = [d.code for d in result.diagnostics if d.severity == "warning"]
            holds_what_the_target_has(path, same, method)
        finally:
            same.end()
            other.end()
        return said

    said = apart(work, own_pids, root_of_a_container(*DOCKER_DEFAULT))
    assert said["warnings"] == []
    assert f"belongs to user {USER} and this is user 0; run as that user" in said["text"]
    assert "CAP_SYS_PTRACE" in said["text"]


@pytest.mark.parametrize("method", METHODS)
def test_root_of_a_docker_container_with_the_ptrace_capability(
    begin, placement, shared_folder, quiet_parser, method
):
    """--cap-add=SYS_PTRACE: the default set has CAP_DAC_OVERRIDE, which opens the files as well."""
    target = begin("facts", USER)
    path = shared_folder / "a.dmp"

    def work() -> dict[str, Any]:
        result = dump(target, path, method)
        assert len(snapcore.handles(target.pid)) > 9
        return {"warnings": [d.code for d in result.diagnostics if d.severity == "warning"]}

    said = apart(work, root_of_a_container(*DOCKER_DEFAULT, SYS_PTRACE))
    assert said == {"warnings": []}
    holds_what_the_target_has(path, target, method)


def test_no_new_privileges_here(begin, placement, shared_folder):
    """Nothing is refused because of it, but sudo is no way out."""
    target = begin("facts", OTHER_USER)
    own = copied("sleepers", shared_folder)

    def work() -> dict[str, Any]:
        said = refusal(lambda: snapcore.capture(target.pid))
        child = Started([str(own), str(shared_folder)])
        try:
            with snapcore.capture(child.pid) as snap:
                said["threads"] = len(snap.threads())
        finally:
            child.end()
        return said

    said = apart(work, package_within_reach, user(), no_new_privs)
    assert "NoNewPrivs is 1 here" in said["text"]
    assert said["threads"] > 5


# --- Yama


def test_yama_scope_1_puts_the_tracer_where_the_ancestor_is(shared_folder, monkeypatch):
    """A helper program would be no ancestor of a child of this process; of a stranger neither is."""
    monkeypatch.delenv("SNAPCORE_TRACER", raising=False)
    program = copied("sleepers", shared_folder)

    def tracer_is_a_thread(pid: int) -> bool:
        with snapcore.capture(pid):
            (clone,) = children(pid)
            return int(status(clone, "TracerPid")) in map(int, os.listdir("/proc/self/task"))

    def work() -> dict[str, Any]:
        child = Started([str(program), str(shared_folder)])
        try:
            return {"thread": tracer_is_a_thread(child.pid)}
        finally:
            child.end()

    unprivileged = (package_within_reach, user())
    assert apart(work, *unprivileged) == {"thread": False}
    assert apart(work, yama(1), *unprivileged) == {"thread": True}
    assert apart(work, yama(2), *unprivileged) == {"thread": False}
    # Root of a container is root without the capability.
    container = root_of_a_container(*range(SYS_PTRACE))
    assert apart(work, yama(1), container) == {"thread": True}
    assert apart(work, yama(1)) == {"thread": False}


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        (1, ["ptrace_scope is 1", "start the target from this process", "PR_SET_PTRACER"]),
        (2, ["ptrace_scope is 2", "run as root or with CAP_SYS_PTRACE"]),
        (3, ["ptrace_scope is 3", "until the next boot"]),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_yama_refuses(begin, placement, shared_folder, method, scope, told):
    target = begin("facts", USER)

    def work() -> dict[str, Any]:
        said = refusal(lambda: dump(target, shared_folder / "a.dmp", method))
        # Nothing is traced for a table.
        return {**said, "handles": len(snapcore.handles(target.pid))}

    seize_refused = refuse(SYS_PTRACE_CALL, first_argument=PTRACE_SEIZE)
    said = apart(work, yama(scope), package_within_reach, user(), seize_refused)
    for text in told:
        assert text in said["text"]
    assert said["call"] == "PTRACE_SEIZE"
    assert said["handles"] > 9
    assert not (shared_folder / "a.dmp").exists()


def test_yama_scope_3_refuses_root(begin, placement, tmp_path):
    target = begin("facts", USER)
    seize_refused = refuse(SYS_PTRACE_CALL, first_argument=PTRACE_SEIZE)
    said = apart(lambda: refusal(lambda: snapcore.capture(target.pid)), yama(3), seize_refused)
    assert "ptrace_scope is 3" in said["text"]


# --- hidepid


def proc_with(options: str) -> Callable[[], None]:
    def step() -> None:
        private_mounts()
        mount_proc(options)

    return step


@pytest.mark.parametrize(("level", "told"), [(1, "hidepid=1"), (2, "hidepid=2"), (4, "hidepid=2")])
def test_proc_hides_the_process(begin, placement, shared_folder, level, told):
    target = begin("facts", OTHER_USER)
    own = copied("sleepers", shared_folder)
    path = shared_folder / "a.dmp"
    tables = [snapcore.capture, snapcore.handles, snapcore.threads]
    calls = [lambda c=c: c(target.pid) for c in tables]
    calls += [lambda m=m: dump(target, path, m) for m in METHODS]

    def work() -> dict[str, Any]:
        said = {"texts": [refusal(call)["text"] for call in calls]}
        # There is none: the two are told apart.
        with pytest.raises(snapcore.ProcessGone):
            snapcore.capture(10_000_000)
        child = Started([str(own), str(shared_folder)])
        try:
            with snapcore.capture(child.pid) as snap:
                said["threads"] = len(snap.threads())
        finally:
            child.end()
        return said

    steps = (package_within_reach, proc_with(f"hidepid={level}"), user())
    said = apart(work, *steps)
    assert said["texts"]
    for text in said["texts"]:
        assert told in text
        assert "gid= option" in text
    assert said["threads"] > 5


def test_names_are_found_beside_hidden_processes(begin, placement, shared_folder):
    """hidepid=1 lists processes that it does not open."""
    target = begin("facts", OTHER_USER)
    own = copied("sleepers", shared_folder)

    def work() -> dict[str, Any]:
        child = Started([str(own), str(shared_folder)])
        try:
            names = {pid: name.decode() for pid, name, _ in _core.list_processes()}
            everything = snapcore.system_handles()
            (refused,) = [d for d in everything.diagnostics if d.code == "processes_refused"]
            assert refused.subject > 5
            assert child.pid in everything["pid"]
            assert target.pid not in everything["pid"]
            return {"child": names.get(child.pid), "other": names.get(target.pid)}
        finally:
            child.end()

    said = apart(work, package_within_reach, proc_with("hidepid=1"), user())
    assert said == {"child": "sleepers", "other": None}


# --- seccomp filters on the caller, as containers have them


def test_a_filter_that_refuses_ptrace(begin, placement, shared_folder):
    target = begin("facts", USER)

    def work() -> dict[str, Any]:
        said = refusal(lambda: snapcore.capture(target.pid))
        return {**said, "handles": len(snapcore.handles(target.pid))}

    everything = (SYS_PTRACE_CALL, SYS_PROCESS_VM_READV, SYS_PROCESS_VM_WRITEV)
    for steps in ((refuse(*everything),), (package_within_reach, user(), refuse(*everything))):
        said = apart(work, *steps)
        assert "a seccomp filter on this process refuses ptrace" in said["text"]
        assert "--cap-add=SYS_PTRACE" in said["text"]
        assert said["handles"] > 9


@pytest.mark.parametrize("method", METHODS)
def test_a_filter_that_refuses_process_vm_calls(
    begin, placement, shared_folder, quiet_parser, method
):
    """/proc/PID/mem does the same: the dump is right, and there is a way home if the tracer is killed."""
    target = begin("facts", USER)
    path = shared_folder / "a.dmp"

    def work() -> dict[str, Any]:
        result = dump(target, path, method)
        return {"warnings": [d.code for d in result.diagnostics if d.severity == "warning"]}

    refused = refuse(SYS_PROCESS_VM_READV, SYS_PROCESS_VM_WRITEV)
    assert apart(work, package_within_reach, user(), refused) == {"warnings": []}
    holds_what_the_target_has(path, target, method)


def test_a_filter_that_refuses_more_than_can_be_told(begin, placement):
    target = begin("facts", USER)
    seize_refused = refuse(SYS_PTRACE_CALL, first_argument=PTRACE_SEIZE)
    said = apart(
        lambda: refusal(lambda: snapcore.capture(target.pid)),
        package_within_reach,
        user(),
        seize_refused,
    )
    assert "the seccomp filter of this process (Seccomp is 2 here)" in said["text"]


def test_another_pid_namespace_and_another_user(begin, placement, shared_folder):
    """Both at once, as a tool container without rights has it."""
    program = copied("sleepers", shared_folder)

    def work() -> dict[str, Any]:
        target = Started([str(program), str(shared_folder)])
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            package_within_reach()
            user()()
            os.write(writer, refusal(lambda: snapcore.capture(target.pid))["text"].encode())
            os._exit(0)
        os.close(writer)
        text = os.read(reader, 65536).decode()
        os.waitpid(child, 0)
        target.end()
        return {"text": text, "pid": target.pid}

    said = apart(work, own_pids)
    assert said["pid"] < 10
    assert f"belongs to user 0 and this is user {USER}" in said["text"]
