# SPDX-License-Identifier: Apache-2.0
"""Every kind of target, by every way to capture it: it works, or ends in the right exception, and leaves nothing behind.

docs/targets.md is the table of what is asserted here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from linux_support import children, is_untouched, kill, state, states, status, will_be_untouched
from support import Target, programs, wait_until

import snapcore
from snapcore import CaptureFlags, MiniDumpType

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 4096
NOBODY = 65534
FULL = MiniDumpType.WITH_FULL_MEMORY | MiniDumpType.WITH_FULL_MEMORY_INFO


def way_clone(pid: int, folder: Path, **options: Any) -> snapcore.DumpResult:
    return snapcore.dump(pid, folder / "clone.dmp", FULL, overwrite=True, **options)


def way_live(pid: int, folder: Path, **options: Any) -> snapcore.DumpResult:
    path = folder / "live.dmp"
    return snapcore.dump(
        pid, path, FULL, method="live", overwrite=True, **{"max_pause": 5.0, **options}
    )


def way_stacks(pid: int, folder: Path, **options: Any) -> snapcore.DumpResult:
    return snapcore.dump(pid, folder / "stacks.dmp", overwrite=True, **options)


WAYS = [way_clone, way_live, way_stacks]
every_way = pytest.mark.parametrize("way", WAYS)
ways_without_clone = pytest.mark.parametrize("way", WAYS[1:])


def no_file(folder: Path) -> bool:
    return not [entry for entry in folder.iterdir() if entry.suffix != ".lock"]


# --- This process itself


@pytest.mark.parametrize("way", [way_clone, way_stacks])
def test_self(way, tmp_path):
    result = way(os.getpid(), tmp_path)
    # The thread that waits for the job, and the job's own, which has ended since.
    assert result.threads > len(os.listdir("/proc/self/task"))
    assert result.file_size > 0


def test_self_live_is_refused(tmp_path):
    with pytest.raises(snapcore.Unsupported, match="its own memory"):
        way_live(os.getpid(), tmp_path)
    assert no_file(tmp_path)


def test_self_with_the_tracer_in_a_thread_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SNAPCORE_TRACER", "thread")
    with pytest.raises(snapcore.Unsupported, match="helper program"):
        way_clone(os.getpid(), tmp_path)


def test_self_from_several_threads(tmp_path):
    known = bytearray(os.urandom(64))
    address = id(known)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            folder = tmp_path / str(number)
            folder.mkdir()
            for _ in range(3):
                way_stacks(os.getpid(), folder)
                with snapcore.capture(os.getpid()) as snap:
                    assert snap.read(address, 8)
                    assert threading.get_native_id() in snap.threads()["tid"]
        except BaseException as error:  # noqa: BLE001  (reported below)
            failures.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


# --- A program of 32 bits

I386 = """
.globl _start
_start:
    mov $29, %eax   # pause
    int $0x80
    jmp _start
"""


@pytest.fixture
def i386(tmp_path_factory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("i386")
    (folder / "pause.s").write_text(I386)
    subprocess.run(["as", "--32", "pause.s", "-o", "pause.o"], cwd=folder, check=True)
    subprocess.run(["ld", "-m", "elf_i386", "pause.o", "-o", "pause"], cwd=folder, check=True)
    with subprocess.Popen([folder / "pause"]) as process:
        wait_until(lambda: Path(f"/proc/{process.pid}/syscall").read_text().startswith("29 "))
        try:
            yield process.pid
            is_untouched(process.pid)
            wait_until(lambda: state(process.pid) == "S")
        finally:
            process.kill()


@every_way
def test_32_bit(i386, placement, way, tmp_path):
    with pytest.raises(snapcore.Unsupported, match=r"32-bit.*snapcore\.handles\(\)"):
        way(i386, tmp_path)
    assert no_file(tmp_path)


def test_32_bit_tables(i386):
    assert len(snapcore.handles(i386)) >= 3
    assert list(snapcore.threads(i386)["tid"]) == [i386]


# --- At the limit of processes


@contextlib.contextmanager
def cgroup(controller: str, name: str) -> Iterator[Path]:
    """A group of our own in a hierarchy of cgroup v1, or of v2 for ``unified``."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    kind = "cgroup2" if controller == "unified" else "cgroup"
    found = [
        m[1]
        for m in mounts
        if m[2] == kind and (kind == "cgroup2" or controller in m[3].split(","))
    ]
    mounted = None
    if not found:
        mounted = Path(f"/tmp/snapcore-cgroup-{os.getpid()}")
        mounted.mkdir()
        options = [] if kind == "cgroup2" else ["-o", controller]
        subprocess.run(["mount", "-t", kind, *options, "none", mounted], check=True)
        found = [str(mounted)]
    group = Path(found[0]) / f"snapcore-{name}-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:

        def empty() -> bool:
            with contextlib.suppress(OSError):
                group.rmdir()
            return not group.exists()

        wait_until(empty)
        if mounted is not None:
            subprocess.run(["umount", mounted], check=True)
            mounted.rmdir()


@pytest.fixture
def at_its_limit() -> Iterator[subprocess.Popen[bytes]]:
    def become_nobody() -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))

    with subprocess.Popen(
        ["sh", "-c", "echo ready; read x; echo done"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=become_nobody,  # noqa: PLW1509
        cwd="/",
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
            is_untouched(process.pid)
            assert process.communicate(b"\n")[0] == b"done\n"
        finally:
            process.kill()


def test_process_limit_clone(at_its_limit, placement, tmp_path):
    with pytest.raises(snapcore.Unsupported, match="RLIMIT_NPROC") as caught:
        way_clone(at_its_limit.pid, tmp_path)
    assert "live" in str(caught.value)
    assert no_file(tmp_path)


@ways_without_clone
def test_process_limit_without_clone(at_its_limit, placement, way, tmp_path):
    assert way(at_its_limit.pid, tmp_path).threads == 1


@every_way
def test_pids_max(start, way, tmp_path):
    target = start("memory", 1)
    with cgroup("pids", "pids") as group:
        (group / "cgroup.procs").write_text(str(target.pid))
        (group / "pids.max").write_text("3")
        if way is way_clone:
            with pytest.raises(snapcore.Unsupported, match=r"pids\.max"):
                way(target.pid, tmp_path)
        else:
            assert way(target.pid, tmp_path).threads == 3
        is_untouched(target.pid)
        target.end()


# --- Stopped, asleep, frozen


@every_way
def test_stopped_by_job_control(start, placement, way, tmp_path):
    target = start("sleepers", tmp_path)
    os.kill(target.pid, signal.SIGSTOP)
    wait_until(lambda: states(target.pid) == {"T"})
    for _ in range(3):
        assert way(target.pid, tmp_path).threads > 10
        wait_until(lambda: states(target.pid) == {"T"})
        assert status(target.pid, "TracerPid") == "0"
    os.kill(target.pid, signal.SIGCONT)
    after = target.ask("check")
    assert after["violations"] == 0, after["report"]
    assert after["interrupted"] == 0
    will_be_untouched(target.pid)


@every_way
def test_vfork_parent(start, placement, way, tmp_path):
    target = start("kinds", "vfork")
    begin = time.monotonic()
    with pytest.raises(snapcore.TimedOut, match="uninterruptible"):
        way(target.pid, tmp_path, max_pause=0.2)
    assert time.monotonic() - begin < 5
    assert no_file(tmp_path)
    wait_until(lambda: status(target.pid, "TracerPid") == "0")
    assert target.ask("wake") == {"done": "wake"}
    assert way(target.pid, tmp_path).threads == 1


@every_way
def test_frozen_cgroup_v1(start, placement, way, tmp_path):
    target = start("sleepers", tmp_path)
    with cgroup("freezer", "frozen") as group:
        (group / "cgroup.procs").write_text(str(target.pid))
        (group / "freezer.state").write_text("FROZEN")
        try:
            wait_until(lambda: (group / "freezer.state").read_text() == "FROZEN\n")
            begin = time.monotonic()
            with pytest.raises(snapcore.TimedOut, match="frozen"):
                way(target.pid, tmp_path, max_pause=0.2)
            assert time.monotonic() - begin < 5
        finally:
            (group / "freezer.state").write_text("THAWED")
        assert no_file(tmp_path)
        after = target.ask("check")
        assert after["violations"] == 0, after["report"]
        will_be_untouched(target.pid)
        target.end()


@every_way
def test_frozen_cgroup_v2(start, placement, way, tmp_path):
    # This freezer lets a tracer stop a thread, but not make a call in it.
    target = start("sleepers", tmp_path)
    with cgroup("unified", "frozen") as group:
        (group / "cgroup.procs").write_text(str(target.pid))
        (group / "cgroup.freeze").write_text("1")
        try:
            wait_until(lambda: "frozen 1" in (group / "cgroup.events").read_text())
            begin = time.monotonic()
            if way is way_clone:
                with pytest.raises(snapcore.TimedOut, match="frozen"):
                    way(target.pid, tmp_path, max_pause=0.2)
            else:
                assert way(target.pid, tmp_path).threads > 10
            assert time.monotonic() - begin < 5
            wait_until(lambda: status(target.pid, "TracerPid") == "0")
            assert children(target.pid) == []
        finally:
            (group / "cgroup.freeze").write_text("0")
        after = target.ask("check")
        assert after["violations"] == 0, after["report"]
        will_be_untouched(target.pid)
        target.end()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_frozen_while_it_is_captured(start, placement, tmp_path, version):
    """Frozen and thawed at random while it is captured: a snapshot, or TimedOut, and no harm."""
    target = start("sleepers", tmp_path)
    controller, file, on, off = {
        "v1": ("freezer", "freezer.state", "FROZEN", "THAWED"),
        "v2": ("unified", "cgroup.freeze", "1", "0"),
    }[version]
    with cgroup(controller, "often") as group:
        (group / "cgroup.procs").write_text(str(target.pid))
        ending = threading.Event()

        def freeze() -> None:
            while not ending.is_set():
                with contextlib.suppress(OSError):
                    (group / file).write_text(on)
                time.sleep(0.02)
                (group / file).write_text(off)
                time.sleep(0.01)

        freezer = threading.Thread(target=freeze)
        freezer.start()
        good = 0
        try:
            for _ in range(12):
                with contextlib.suppress(snapcore.TimedOut), snapcore.capture(target.pid) as snap:
                    assert len(snap.threads()) == len(snap.contexts())
                    good += 1
        finally:
            ending.set()
            freezer.join()
            (group / file).write_text(off)
        assert good > 0
        after = target.ask("check")
        assert after["violations"] == 0, after["report"]
        wait_until(lambda: all(state(child) in ("Z", "gone") for child in children(target.pid)))
        target.end()


def test_tracer_that_does_not_answer(start, tmp_path, monkeypatch):
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    monkeypatch.setenv("SNAPCORE_TRACER_GRACE", "0.5")
    target = start("memory", 64)
    before = set(children(os.getpid()))
    ending = threading.Event()

    def stop_tracers() -> None:
        while not ending.is_set():
            for child in set(children(os.getpid())) - before:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    # Not before its own execve, which its parent waits for.
                    if Path(f"/proc/{child}/comm").read_text() == "snapcore-tracer\n":
                        os.kill(child, signal.SIGSTOP)
            time.sleep(0.0005)

    stopper = threading.Thread(target=stop_tracers)
    stopper.start()
    try:
        begin = time.monotonic()
        with pytest.raises(snapcore.TimedOut, match="given up"):
            way_clone(target.pid, tmp_path, max_pause=0.2)
        assert time.monotonic() - begin < 5
    finally:
        ending.set()
        stopper.join()
    assert no_file(tmp_path)
    assert set(children(os.getpid())) == before
    assert way_clone(target.pid, tmp_path).threads == 3


def test_tracer_that_does_not_release(start, monkeypatch):
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    monkeypatch.setenv("SNAPCORE_TRACER_GRACE", "0.5")
    target = start("memory", 64)
    before = set(children(os.getpid()))
    snap = snapcore.capture(target.pid)
    (tracer,) = set(children(os.getpid())) - before
    os.kill(tracer, signal.SIGSTOP)
    begin = time.monotonic()
    snap.close()
    assert time.monotonic() - begin < 5
    assert "tracer_killed" in [d.code for d in snap.diagnostics]
    assert children(target.pid) == []  # a second tracer has collected the zombie


def test_interrupt_while_the_tracer_does_not_answer(start, tmp_path):
    target = start("memory", 64)
    # The helper is stopped when it appears; then Ctrl-C, as a terminal sends it.
    code = """
import os, signal, sys, threading, time, snapcore
def children():
    out = []
    for task in os.listdir("/proc/self/task"):
        out += open(f"/proc/self/task/{task}/children").read().split()
    return out
def act():
    while not children() or open(f"/proc/{children()[0]}/comm").read() != "snapcore-tracer\\n":
        time.sleep(0.0005)
    os.kill(int(children()[0]), signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=act).start()
begin = time.monotonic()
try:
    snapcore.dump(int(sys.argv[1]), sys.argv[2], max_pause=0.5)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - begin < 15, children())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(target.pid), str(tmp_path / "x.dmp")],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={**os.environ, "SNAPCORE_TRACER": "helper"},
    )
    assert ran.stdout == "interrupted True []\n", ran.stderr
    assert no_file(tmp_path)
    will_be_untouched(target.pid)


# --- execve


def test_execve_that_waits_for_a_slow_disk(tmp_path, placement):
    """PTRACE_SEIZE waits for an execve that is under way: without a watchdog the target's other threads would wait with it."""
    interpreter = tmp_path / "slow.lock"
    shutil.copy(shutil.which("true"), interpreter)
    interpreter.chmod(0o755)
    script = tmp_path / "script.lock"
    script.write_text(f"#!{interpreter}\n")
    script.chmod(0o755)
    # A lease holds up whoever opens the file. Not open for writing: such a file cannot be executed.
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    lease = os.open(interpreter, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    process = subprocess.Popen(
        ["sh", "-c", 'echo ready; exec "$0"', script], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        wait_until(lambda: "lease" in Path(f"/proc/{process.pid}/wchan").read_text())
        begin = time.monotonic()
        with pytest.raises(snapcore.TimedOut, match="execve"):
            snapcore.capture(process.pid, max_pause=0.2)
        took = time.monotonic() - begin
        assert status(process.pid, "TracerPid") == "0"
    finally:
        fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(lease)
        signal.signal(signal.SIGIO, before)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert took < 10


CHURN = 50


def capture_again_and_again(
    pid: int, allowed: tuple[type[BaseException], ...], rounds: int = CHURN
) -> int:
    """Capture; each time a snapshot that is right, or an allowed exception. The number of snapshots."""
    good = 0
    for _ in range(rounds):
        with contextlib.suppress(*allowed), snapcore.capture(pid) as snap:
            threads = snap.threads()
            assert list(snap.contexts()["tid"]) == list(threads["tid"])
            assert len(set(threads["tid"])) == len(threads) > 0
            # Registers belong to this program: its instruction pointers lie in its memory.
            regions = snap.regions()
            starts, sizes = regions["base"], regions["size"]
            for pointer in threads["instruction_pointer"]:
                assert ((starts <= pointer) & (pointer - starts < sizes)).any(), hex(pointer)
            pointers = threads["stack_pointer"]
            assert all(snap.read(int(pointer), 8) for pointer in pointers)
            good += 1
    return good


@pytest.mark.parametrize("kind", ["forks", "spawns", "threads"])
def test_never_at_rest(start, placement, kind):
    target = start("kinds", kind)
    assert capture_again_and_again(target.pid, ()) == CHURN
    before = target.ask("check")
    wait_until(lambda: target.ask("check")["rounds"] > before["rounds"])
    assert target.ask("check")["violations"] == 0
    target.end()  # its own children come and go: that no clone is left is asserted by the next test


def test_no_clone_is_left_in_a_process_that_forks(start, placement):
    target = start("kinds", "forks")
    capture_again_and_again(target.pid, ())
    os.kill(target.pid, signal.SIGSTOP)
    # At most the one child that it is about to wait for.
    wait_until(lambda: len(children(target.pid)) <= 1)
    target.end()


@pytest.mark.parametrize("kind", ["execs", "execs_threaded", "execs_crowd"])
def test_execve_without_end(start, placement, kind, tmp_path):
    lives = tmp_path / "lives"
    target = start("kinds", kind, lives)
    good, longest = 0, 0.0
    for _ in range(40):
        begin = time.monotonic()
        good += capture_again_and_again(target.pid, (snapcore.ProcessGone,), CHURN // 10)
        longest = max(longest, time.monotonic() - begin)
    assert good > 0
    # One thread that was killed in a stop and is not collected holds up an execve, for seconds.
    assert longest < 2.9, "an execve of the target waited for the tracer"
    count = int.from_bytes(lives.read_bytes()[:8], "little")
    wait_until(lambda: int.from_bytes(lives.read_bytes()[:8], "little") > count + 5)
    wait_until(lambda: children(target.pid) == [])
    assert target.process.poll() is None
    target.end()


# --- Memory that fork treats apart


def bytes_of(snap: snapcore.Snapshot, target: Target, offset: int = 0, size: int = PAGE) -> bytes:
    return snap.read(target.facts["memory"] + offset, size)


def region_of(snap: snapcore.Snapshot, address: int) -> dict[str, Any]:
    regions = snap.regions()
    (row,) = [
        i
        for i in range(len(regions))
        if regions["base"][i] <= address < regions["base"][i] + regions["size"][i]
    ]
    return {"in_clone": bool(regions["in_clone"][row]), "flags": regions["linux_flags"][row]}


def holds(path: Path, pattern: bytes) -> bool:
    return pattern in path.read_bytes()


@pytest.mark.parametrize("kind", ["dontfork", "wipeonfork"])
def test_kept_from_forks_clone(start, placement, kind, tmp_path):
    target = start("kinds", kind)
    with snapcore.capture(target.pid) as snap:
        # Not in the clone: the running target's, and said to be so.
        assert bytes_of(snap, target) == b"\x11" * PAGE
        assert not region_of(snap, target.facts["memory"])["in_clone"]
        (note,) = [d for d in snap.diagnostics if d.code == "memory_kept_from_clone"]
        assert note.subject == target.facts["size"]
        target.ask("fill 34")
        assert bytes_of(snap, target) == b"\x22" * PAGE
    result = way_clone(target.pid, tmp_path)
    assert result.bytes_not_of_the_instant >= target.facts["size"]
    assert holds(tmp_path / "clone.dmp", b"\x22" * target.facts["size"])


@pytest.mark.parametrize("kind", ["dontfork", "wipeonfork", "shared", "memfd"])
def test_kept_from_forks_live(start, placement, kind, tmp_path):
    target = start("kinds", kind)
    assert way_live(target.pid, tmp_path).bytes_not_of_the_instant == 0
    assert holds(tmp_path / "live.dmp", b"\x11" * target.facts["size"])


@pytest.mark.parametrize(
    "kind",
    ["dontfork", "wipeonfork", "shared", "memfd", "guards", "hugetlb", "userfaultfd"],
)
def test_memory_of_every_kind_stacks(request, start, kind, tmp_path):
    if kind == "hugetlb":
        request.getfixturevalue("huge_pages")
    target = start("kinds", kind)
    assert way_stacks(target.pid, tmp_path).threads == (2 if kind == "userfaultfd" else 1)


@pytest.mark.parametrize("kind", ["shared", "memfd"])
def test_shared_memory_with_budget(start, placement, kind):
    target = start("kinds", kind)
    with snapcore.capture(target.pid, shared_budget=1 << 20) as snap:
        target.ask("fill 34")
        assert bytes_of(snap, target) == b"\x11" * PAGE
        assert region_of(snap, target.facts["memory"])["in_clone"]
    # A budget that ends in the middle: the rest is of a later instant, and the region says so.
    with snapcore.capture(target.pid, shared_budget=2 * PAGE) as snap:
        target.ask("fill 51")
        assert bytes_of(snap, target) == b"\x22" * PAGE
        assert bytes_of(snap, target, target.facts["size"] - PAGE) == b"\x33" * PAGE
        assert not region_of(snap, target.facts["memory"])["in_clone"]


@pytest.mark.parametrize("kind", ["shared", "memfd"])
def test_shared_memory_without_budget(start, placement, kind, tmp_path):
    target = start("kinds", kind)
    with snapcore.capture(target.pid) as snap:
        target.ask("fill 34")
        assert bytes_of(snap, target) == b"\x22" * PAGE
        assert not region_of(snap, target.facts["memory"])["in_clone"]
    assert way_clone(target.pid, tmp_path).bytes_not_of_the_instant >= target.facts["size"]
    assert holds(tmp_path / "clone.dmp", b"\x22" * target.facts["size"])


@pytest.mark.parametrize("way", WAYS[:2])
def test_guard_pages(start, placement, way, tmp_path):
    target = start("kinds", "guards")
    result = way(target.pid, tmp_path)
    assert result.threads == 1
    assert (
        Path(result.path).read_bytes().count(b"\x11" * PAGE) >= 14 // 2
    )  # the pages beside the guards
    with snapcore.capture(target.pid) as snap:
        assert bytes_of(snap, target) == b"\x11" * PAGE
        assert bytes_of(snap, target, 4 * PAGE) == b"\x11" * PAGE
        assert len(snap.read(target.facts["memory"] + 2 * PAGE, PAGE)) == PAGE


@pytest.mark.parametrize("way", WAYS[:2])
def test_transparent_huge_pages(start, way, tmp_path):
    target = start("memory", 16, "huge")
    smaps = Path(f"/proc/{target.pid}/smaps_rollup").read_text()
    assert "AnonHugePages:         0 kB" not in smaps, "this kernel gives no huge pages"
    result = way(target.pid, tmp_path)
    data = Path(result.path).read_bytes()
    assert all(at.to_bytes(8, "little") in data for at in range(PAGE, 16 << 20, 1 << 20))


@pytest.mark.parametrize("way", WAYS[:2])
def test_hugetlb(huge_pages, start, placement, way, tmp_path):
    target = start("kinds", "hugetlb")
    result = way(target.pid, tmp_path)
    assert holds(Path(result.path), b"\x11" * (2 << 20))


def test_hugetlb_in_an_empty_pool(huge_pages, start):
    target = start("kinds", "hugetlb")
    huge_pages.write_text(str(int(huge_pages.read_text()) - 1))
    with snapcore.capture(target.pid) as snap:
        assert bytes_of(snap, target) == b"\x11" * PAGE
        # The target writes: there is no page for a copy, and the kernel takes it from the clone.
        target.ask("fill 34")
        with contextlib.suppress(OSError):  # what is lost is not read as zeros
            assert bytes_of(snap, target) in (b"\x11" * PAGE, b"")
    assert target.ask("alive") == {"done": "alive"}


def test_userfaultfd_clone(start, placement, tmp_path):
    target = start("kinds", "userfaultfd")
    with pytest.raises(snapcore.Unsupported, match=r"userfaultfd.*live"):
        way_clone(target.pid, tmp_path)
    assert no_file(tmp_path)
    assert target.ask("fill 34") == {"done": "fill 34"}


def test_userfaultfd_live(start, placement, tmp_path):
    # The pages that are not there would be filled by a thread that stands still: they are left out, not waited for.
    target = start("kinds", "userfaultfd")
    assert way_live(target.pid, tmp_path).threads == 2
    assert holds(tmp_path / "live.dmp", b"\x11" * PAGE)
    assert target.ask("fill 34") == {"done": "fill 34"}


# --- Threads that are the kernel's, threads and mappings by the thousand


@every_way
@pytest.mark.parametrize(
    ("kind", "worker"), [("io_uring_polled", "iou-sqp"), ("io_uring_worker", "iou-wrk")]
)
def test_io_uring(start, placement, way, kind, worker, tmp_path):
    target = start("kinds", kind)

    def workers() -> set[int]:
        tasks = Path(f"/proc/{target.pid}/task").iterdir()
        return {int(t.name) for t in tasks if (t / "comm").read_text().startswith(worker)}

    wait_until(workers)
    before = workers()
    with snapcore.capture(target.pid, CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT) as snap:
        # They come and go as the kernel likes.
        assert before & workers() <= set(snap.threads()["tid"].tolist())
    assert way(target.pid, tmp_path).threads >= 2
    assert target.ask("complete") == {"completions": 1, "result": 1, "byte": "x"}


@every_way
def test_1000_threads(start, placement, way, tmp_path):
    target = start("kinds", "crowd", 1000, 0)
    assert way(target.pid, tmp_path).threads == 1001
    assert target.ask("alive") == {"done": "alive"}


def test_a_pause_beyond_max_pause_is_told(start, placement):
    target = start("kinds", "crowd", 500, 0)
    flags = CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT
    with snapcore.capture(target.pid, flags) as snap:
        usual_ns = snap.pause_ns
    told = 0
    # From limits that the stop alone overruns to those that even letting go keeps.
    for percent in range(20, 200, 4):
        limit_ns = usual_ns * percent // 100
        try:
            with snapcore.capture(target.pid, flags, max_pause=limit_ns / 1e9) as snap:
                codes = [d.code for d in snap.diagnostics]
                assert ("pause_exceeded" in codes) == (snap.pause_ns > limit_ns)
                told += "pause_exceeded" in codes
        except snapcore.TimedOut:
            pass
    assert told
    assert target.ask("alive") == {"done": "alive"}


def test_max_pause_where_two_threads_trace(start, placement):
    """The one that waits for the clone lets go of its half at max_pause, the other one of its own."""
    target = start("kinds", "crowd", 60, 60_000)
    with pytest.raises(snapcore.TimedOut, match="page tables took longer"):
        snapcore.capture(target.pid, max_pause=0.02)
    will_be_untouched(target.pid)
    assert target.ask("alive") == {"done": "alive"}
    with snapcore.capture(target.pid, max_pause=5) as snap:
        assert len(snap.threads()) == 61
    is_untouched(target.pid)


@every_way
def test_60000_mappings(start, way, tmp_path):
    target = start("kinds", "crowd", 0, 60_000)
    result = way(target.pid, tmp_path)
    assert result.threads == 1
    if way is not way_stacks:
        assert result.regions > 60_000


# --- Programs whose file is another one now, or that have no libraries


@every_way
@pytest.mark.parametrize("fate", ["deleted", "replaced"])
def test_program_file_gone(start, placement, way, fate, tmp_path_factory, tmp_path):
    folder = tmp_path_factory.mktemp("program")
    program = Path(shutil.copy(programs() / "sleepers_target", folder / "gone_target"))
    build_id = build_id_of(program)
    target = start(str(folder / "gone"), folder)
    program.unlink()
    if fate == "replaced":
        shutil.copy(programs() / "memory_target", program)
    with snapcore.capture(target.pid) as snap:
        modules = snap.modules()
        assert modules["path"][0] == str(program)
        assert modules["code_id"][0] == build_id
    result = way(target.pid, tmp_path)
    assert result.modules > 1
    assert holds(Path(result.path), bytes.fromhex(build_id))
    assert target.ask("check")["violations"] == 0


def build_id_of(program: Path) -> str:
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True)
    (line,) = [line for line in notes.stdout.splitlines() if "Build ID" in line]
    return line.split()[-1]


@every_way
@pytest.mark.parametrize("program", ["sleepers_static", "sleepers_static_pie"])
def test_static_program(start, placement, way, program, tmp_path):
    target = start(program, tmp_path)
    result = way(target.pid, tmp_path)
    assert result.threads > 10
    assert "no_way_home" not in [d.code for d in result.diagnostics]
    assert target.ask("check")["violations"] == 0


# --- Seccomp


@every_way
@pytest.mark.parametrize("mode", ["errno", "trap", "kill"])
def test_seccomp_filter(start, placement, way, mode, tmp_path):
    target = start("seccomp", mode)
    assert way(target.pid, tmp_path).threads == 1
    assert target.ask("alive") == {"done": "alive"}


@every_way
def test_seccomp_strict(start, placement, way, tmp_path):
    target = start("seccomp", "strict")
    if way is way_clone:
        with pytest.raises(snapcore.Unsupported, match="seccomp"):
            way(target.pid, tmp_path)
    else:
        assert way(target.pid, tmp_path).threads == 1
    assert target.ask("alive") == {"done": "alive"}


# --- Gone


@every_way
def test_killed_while_it_is_captured(placement, way, tmp_path):
    for delay in range(6):
        target = Target("memory", 64)
        killer = threading.Timer(delay * 0.01, kill, [target.pid])
        killer.start()
        try:
            for _ in range(1000):
                way(target.pid, tmp_path)
        except snapcore.ProcessGone:
            pass
        finally:
            killer.join()
            target.end()
