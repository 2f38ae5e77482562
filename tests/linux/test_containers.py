# SPDX-License-Identifier: Apache-2.0
"""Targets and callers in namespaces of their own: everything is as it is without them, or the exception names the namespace."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from isolation import (
    USER,
    Contained,
    Started,
    apart,
    copied,
    own_pids,
    own_user_namespace,
    package_within_reach,
    pids_of,
    private_mounts,
    read_only_proc,
    refusal,
    refuse,
    user,
)
from linux_support import children, descriptors, is_untouched, status
from minidump.minidumpfile import MinidumpFile
from support import Target, programs, wait_until

import snapcore
from snapcore import MiniDumpType

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = MiniDumpType.WITH_FULL_MEMORY | MiniDumpType.WITH_HANDLE_DATA

SYS_SWAPON = 167  # which nothing here calls

KINDS = {
    "mount": [],
    "net, ipc, uts, cgroup": ["--net", "--ipc", "--uts", "--cgroup"],
    "user": ["--user", "--map-root-user"],
    "pid": ["--pid", "--mount-proc"],
}
KINDS["all"] = [option for kind in KINDS.values() for option in kind] + [
    "--time",
    "--boottime=99999",
]


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def contained(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Contained]:
    folder = tmp_path / "file system of the container"
    folder.mkdir()
    target = Contained(request.param, folder)
    try:
        yield target
        is_untouched(target.pid)
    finally:
        target.end()


def thread_names(target: Target) -> dict[int, str]:
    """By the number that a thread has here; the target's facts have those of its own namespace."""
    names = {}
    for task in os.listdir(f"/proc/{target.pid}/task"):
        text = Path(f"/proc/{target.pid}/task/{task}/status").read_text()
        numbers = re.search(r"NSpid:(.*)", text)
        assert numbers
        names[int(task)] = target.facts["threads"][numbers[1].split()[-1]]
    return names


def build_id(path: Path) -> str:
    notes = subprocess.run(
        ["readelf", "-n", path], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"Build ID: ([0-9a-f]+)", notes)
    assert found
    return found[1]


def check_snapshot(target: Target, program: str, file: Path | None = None) -> None:
    """All that a snapshot tells, and that its clone is gone afterwards."""
    names, links = thread_names(target), descriptors(target.pid)
    with snapcore.capture(target.pid) as snap:
        threads, handles, modules = snap.threads(), snap.handles(), snap.modules()
        (clone,) = children(target.pid)
        assert status(clone, "NSpid").split()[0] == str(clone)
        for text, address in target.facts["sentinels"].items():
            assert snap.read(address, len(text)) == f"snapcore: {text}".encode()[: len(text)]
        registers = {int(c["tid"]): int(c["rbx"]) for c in snap.contexts()}
    assert children(target.pid) == []
    assert dict(zip(map(int, threads["tid"]), threads["name"], strict=True)) == names
    assert abs(threads["created_at_ns"].min() / 1e9 - time.time()) < 60
    assert set(registers) == set(names)
    (parked,) = [tid for tid, name in names.items() if name == "parked"]
    assert registers[parked] == 0x5B5B5B5B00000001
    assert dict(zip(map(str, handles["handle"]), handles["object_name"], strict=True)) == links
    types = dict(zip(map(int, handles["handle"]), handles["type_name"], strict=True))
    assert all(types[n] == name for name, n in target.facts["descriptors"].items())
    pidfd = [h for h in map(handles.row, range(len(handles))) if h["type_name"] == "PidFd"]
    assert [h["target_pid"] for h in pidfd] == [target.pid]
    assert modules["path"][0] == program
    assert modules.row(0)["code_id"] == build_id(file or programs() / "facts_target")
    libc = [row for row in map(modules.row, range(len(modules))) if "libc.so" in row["path"]]
    assert libc
    assert all(row["code_id"] == build_id(Path(row["path"])) for row in libc)


def check_dump(target: Target, program: str, path: Path, method: str) -> None:
    names, links = thread_names(target), descriptors(target.pid)
    if method == "stacks":
        result = snapcore.dump(target.pid, path)
    else:
        result = snapcore.dump(target.pid, path, FULL, method=method, max_pause=10)
        assert result.method == method
    parsed = MinidumpFile.parse(str(path))
    try:
        assert parsed.misc_info.ProcessId == target.pid
        assert {t.ThreadId for t in parsed.threads.threads} == set(names)
        assert parsed.modules.modules[0].name == program
        reader = parsed.get_reader()
        sentinels = target.facts["sentinels"]
        wanted = ["stack sentinel"] if method == "stacks" else sentinels
        for text in wanted:
            expected = f"snapcore: {text}".encode()
            assert reader.read(sentinels[text], len(expected)) == expected
        if method != "stacks":
            assert {str(h.Handle): h.ObjectName for h in parsed.handles.handles} == links
    finally:
        parsed.file_handle.close()
        path.unlink()
    is_untouched(target.pid)


def test_snapshot_of_a_target_in_a_namespace(contained, placement):
    assert not Path(contained.program).exists()
    check_snapshot(contained, contained.program)
    assert len(snapcore.handles(contained.pid)) == len(descriptors(contained.pid))
    assert set(snapcore.threads(contained.pid)["tid"].tolist()) == set(thread_names(contained))


@pytest.mark.parametrize("method", ["snapshot", "live", "stacks"])
def test_dump_of_a_target_in_a_namespace(contained, placement, tmp_path, quiet_parser, method):
    check_dump(contained, contained.program, tmp_path / "a.dmp", method)


def test_the_clone_has_another_number_in_the_targets_pid_namespace(tmp_path, placement):
    target = Contained(KINDS["pid"], tmp_path)
    try:
        assert status(target.pid, "NSpid").split() == [str(target.pid), "1"]
        for _ in range(5):
            with snapcore.capture(target.pid) as snap:
                (clone,) = children(target.pid)
                outside, inside = status(clone, "NSpid").split()
                assert outside == str(clone) != inside
            assert "zombie_left" not in [d.code for d in snap.diagnostics]
            assert children(target.pid) == []
    finally:
        target.end()


def test_caller_and_target_in_one_container(tmp_path, placement, quiet_parser):
    """As process 1 of a pid namespace with its own /proc, and a child in the same one."""

    def work() -> dict[str, Any]:
        assert os.getpid() == 1
        target = Target("facts", tmp_path)
        assert target.pid == target.facts["pid"] < 10
        program = str(programs() / "facts_target")
        check_snapshot(target, program)
        for method in ("snapshot", "live", "stacks"):
            check_dump(target, program, tmp_path / "a.dmp", method)
        target.end()
        return {"left": children(1)}

    assert apart(work, own_pids) == {"left": []}


def test_container_of_the_tool_beside_that_of_the_target(tmp_path, placement, quiet_parser):
    """One pid namespace, whose process 1 is the target, and two mount namespaces (kubectl debug --target)."""
    folder = tmp_path / "container"
    folder.mkdir()
    target = Contained(KINDS["pid"], folder)

    def work() -> dict[str, Any]:
        target.pid = 1
        assert os.getppid() == 0
        check_snapshot(target, target.program)
        for method in ("snapshot", "live", "stacks"):
            check_dump(target, target.program, tmp_path / "a.dmp", method)
        return {"pid": target.facts["pid"]}

    try:
        assert apart(work, pids_of(target.pid)) == {"pid": 1}
        is_untouched(target.pid)
    finally:
        target.end()


def test_a_user_in_a_user_namespace_captures_its_own_child(shared_folder, placement, quiet_parser):
    program = copied("facts", shared_folder)

    def work() -> dict[str, Any]:
        assert os.getuid() == 0
        target = Started([str(program), str(shared_folder)])
        try:
            check_snapshot(target, str(program), program)
            for method in ("snapshot", "live", "stacks"):
                check_dump(target, str(program), shared_folder / "a.dmp", method)
        finally:
            target.end()
        return {"map": Path("/proc/self/uid_map").read_text().split()}

    said = apart(work, package_within_reach, user(), own_user_namespace)
    assert said == {"map": ["0", str(USER), "1"]}


@pytest.mark.parametrize("method", ["snapshot", "live", "stacks"])
def test_a_user_dumps_its_own_user_namespaces_process_from_outside(
    shared_folder, placement, quiet_parser, method
):
    """As rootless containers have it: root inside is the user who made the namespace."""
    program = copied("facts", shared_folder)
    target = Started(
        ["unshare", "--user", "--map-root-user", str(program), str(shared_folder)],
        user=USER,
        group=USER,
        extra_groups=[],
    )

    def work() -> dict[str, Any]:
        assert os.readlink("/proc/self/ns/user") != os.readlink(f"/proc/{target.pid}/ns/user")
        check_dump(target, str(program), shared_folder / "a.dmp", method)
        return {"uid": os.getuid()}

    try:
        assert apart(work, package_within_reach, user()) == {"uid": USER}
        is_untouched(target.pid)
    finally:
        target.end()


@pytest.mark.parametrize("same_user", [True, False], ids=["same user", "another user"])
@pytest.mark.parametrize("call", ["capture", "handles"])
def test_a_target_outside_the_callers_user_namespace(shared_folder, placement, call, same_user):
    program = copied("sleepers", shared_folder)
    who = {"user": USER, "group": USER, "extra_groups": []} if same_user else {}
    target = Started([str(program), str(shared_folder)], **who)

    def work() -> dict[str, Any]:
        return refusal(lambda: getattr(snapcore, call)(target.pid))

    try:
        said = apart(work, package_within_reach, user(), own_user_namespace)
        is_untouched(target.pid)
    finally:
        target.end()
    assert "another user namespace" in said["text"]
    assert "nsenter --user" in said["text"]
    assert said["pid"] == target.pid


def errors_of_all(pid: int, path: Path) -> list[tuple[str, str]]:
    """What every way to look at a process says of one that cannot be looked at."""
    calls = [snapcore.capture, snapcore.handles, snapcore.threads]
    calls += [lambda pid: snapcore.dump(pid, path)]
    calls += [lambda pid: snapcore.dump(pid, path, FULL, method="live")]
    said = []
    for call in calls:
        with pytest.raises(snapcore.SnapError) as caught:
            call(pid)
        said.append((type(caught.value).__name__, str(caught.value)))
    return said


def test_proc_of_another_pid_namespace_is_refused(tmp_path, placement):
    """There a number of /proc is one process and the same number of ptrace another."""

    def work() -> dict[str, Any]:
        child = subprocess.Popen(["sleep", "60"])
        # One that /proc has as another process, perhaps one that it has not, and one that is nowhere.
        pids = [os.getpid(), child.pid, 10_000_000]
        try:
            return {"said": [errors_of_all(pid, tmp_path / "a.dmp") for pid in pids]}
        finally:
            child.kill()
            child.wait()

    def pids_without_proc() -> None:
        own_pids()
        # What was mounted over goes, and the outer one is seen again.
        subprocess.run(["umount", "/proc"], check=True)

    *foreign, missing = apart(work, pids_without_proc)["said"]
    assert {kind for kind, _ in missing} == {"ProcessGone"}
    for kind, text in foreign[0] + foreign[1]:
        assert kind == "Unsupported"
        assert "belongs to another pid namespace" in text
        assert "mount -t proc proc /proc" in text


def test_proc_that_is_not_mounted(tmp_path, placement):
    def work() -> dict[str, Any]:
        child = subprocess.Popen(["sleep", "60"])
        private_mounts()
        subprocess.run(["mount", "-t", "tmpfs", "none", "/proc"], check=True)
        try:
            return {"said": errors_of_all(child.pid, tmp_path / "a.dmp")}
        finally:
            child.kill()
            child.wait()

    for kind, text in apart(work)["said"]:
        assert kind == "Unsupported"
        assert "/proc is not mounted" in text


def test_read_only_proc_is_a_diagnostic(tmp_path, placement, quiet_parser):
    def work() -> dict[str, Any]:
        target = Target("facts", tmp_path)
        program = str(programs() / "facts_target")
        try:
            with pytest.raises(OSError, match="Read-only"):
                Path(f"/proc/{target.pid}/oom_score_adj").write_text("1000")
            with snapcore.capture(target.pid) as snap:
                codes = [d.code for d in snap.diagnostics if d.severity == "warning"]
            check_snapshot(target, program)
            for method in ("snapshot", "live", "stacks"):
                check_dump(target, program, tmp_path / "a.dmp", method)
        finally:
            target.end()
        return {"codes": codes}

    assert apart(work, read_only_proc) == {"codes": ["clone_not_preferred_by_oom_killer"]}


@pytest.mark.parametrize("case", ["user namespace", "filtered caller"])
def test_a_filtered_target_in_a_container_is_dumped_live(
    shared_folder, placement, case, quiet_parser
):
    """Root there cannot suspend the filter of the profile, and does not provoke it."""
    program = copied("seccomp", shared_folder)

    def work() -> dict[str, Any]:
        target = Started([str(program), "kill"])
        try:
            with pytest.raises(snapcore.Unsupported) as caught:
                snapcore.capture(target.pid)
            path = shared_folder / "a.dmp"
            snapcore.dump(target.pid, path)
            path.unlink()
            result = snapcore.dump(target.pid, path, FULL, method="auto", max_pause=10)
            path.unlink()
            codes = [d.code for d in result.diagnostics if d.severity == "warning"]
            alive = target.ask("alive")
        finally:
            target.end()
        return {"text": str(caught.value), "method": result.method, "codes": codes, **alive}

    if case == "user namespace":
        said = apart(work, package_within_reach, user(), own_user_namespace)
        assert "outside this user namespace" in said["text"]
    else:
        said = apart(work, refuse(SYS_SWAPON))
        assert "without a seccomp filter on this process (Seccomp is 2 here" in said["text"]
    assert (said["method"], said["codes"]) == ("live", ["fell_back_to_live"])
    assert said["done"] == "alive"


def test_a_tracer_outside_the_pid_namespace_is_suspected(tmp_path, placement):
    """It has no number here, so TracerPid is 0."""
    target = Contained(KINDS["pid"], tmp_path)
    gdb = subprocess.Popen(
        ["gdb", "-q", "-nx", "-p", str(target.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def work() -> dict[str, Any]:
        assert status(1, "TracerPid") == "0"
        return refusal(lambda: snapcore.capture(1))

    try:
        wait_until(lambda: status(target.pid, "State").startswith("t"), 60)
        said = apart(work, pids_of(target.pid))
    finally:
        gdb.communicate(b"detach\nquit\n", timeout=60)
        target.end()
    assert "outside this pid namespace" in said["text"]
    assert gdb.returncode != -signal.SIGKILL
