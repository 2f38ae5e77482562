# SPDX-License-Identifier: Apache-2.0
"""dump(): whole or not at all, and the target runs whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest
from linux_support import children, is_untouched, will_be_untouched
from support import SLOWER

import snapcore
from snapcore import CaptureFlags, MiniDumpType

FULL = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
)


def test_a_dump_is_whole_and_its_owners_alone(start, placement, tmp_path):
    target = start("memory", 64)
    path = tmp_path / "a.dmp"
    seen = []
    result = snapcore.dump(target.pid, path, FULL, progress=lambda *a: seen.append(a))
    assert result.path == str(path)
    assert path.read_bytes()[:4] == b"MDMP"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert result.file_size == path.stat().st_size
    assert result.bytes_written == path.stat().st_blocks * 512
    assert result.method == "snapshot"
    assert result.memory_bytes > 64 << 20
    assert 0 < result.pause_ns < result.elapsed_ns
    assert seen[-1] == (result.memory_bytes, result.memory_bytes, "done")
    assert [p.name for p in tmp_path.iterdir()] == ["a.dmp"]
    is_untouched(target.pid)


def test_an_existing_file_stays_unless_it_is_to_be_replaced(start, tmp_path):
    target = start("memory", 16)
    path = tmp_path / "a.dmp"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        snapcore.dump(target.pid, path)
    assert path.read_text() == "precious"
    snapcore.dump(target.pid, path, overwrite=True)
    assert path.read_bytes()[:4] == b"MDMP"
    with pytest.raises(FileNotFoundError):
        snapcore.dump(target.pid, tmp_path / "missing" / "a.dmp")
    with pytest.raises(IsADirectoryError):
        snapcore.dump(target.pid, tmp_path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.dmp"]


def test_small_dumps_never_fork(start, placement, tmp_path):
    target = start("memory", 1024, "threads=8")
    result = snapcore.dump(target.pid, tmp_path / "a.dmp")
    assert result.threads == 11
    assert result.pause_ns < 10_000_000
    # A clone of 1 GiB in 4 KiB pages takes longer than that.
    assert result.pause_ns < target.ask("fork")["fork_ns"]
    cloned = snapcore.dump(target.pid, tmp_path / "b.dmp", capture=CaptureFlags.VA_CLONE)
    assert cloned.pause_ns > result.pause_ns


@pytest.mark.parametrize("method", ["live", "auto"])
def test_methods(start, placement, tmp_path, method):
    target = start("memory", 64)
    target.ask("measure")
    result = snapcore.dump(target.pid, tmp_path / "a.dmp", FULL, method=method, max_pause=30)
    assert result.method == ("live" if method == "live" else "snapshot")
    assert result.bytes_not_of_the_instant == 0
    if method == "live":
        assert target.ask("gap")["gap_ns"] > 0.5 * result.pause_ns
    is_untouched(target.pid)


def test_live_ends_at_max_pause(start, placement, tmp_path):
    target = start("memory", 1024)
    with pytest.raises(snapcore.TimedOut, match="max_pause"):
        snapcore.dump(target.pid, tmp_path / "a.dmp", FULL, method="live", max_pause=0.05)
    assert list(tmp_path.iterdir()) == []
    is_untouched(target.pid)


def test_timeout(start, placement, tmp_path):
    target = start("memory", 1024)
    with pytest.raises(snapcore.TimedOut, match="timeout"):
        snapcore.dump(target.pid, tmp_path / "a.dmp", FULL, timeout=0.1)
    assert list(tmp_path.iterdir()) == []
    assert children(target.pid) == []


def test_an_exception_of_the_callback_ends_the_dump(start, placement, tmp_path):
    target = start("memory", 1024)

    def progress(done, total, phase):
        msg = "enough"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="enough"):
        snapcore.dump(target.pid, tmp_path / "a.dmp", FULL, progress=progress)
    assert list(tmp_path.iterdir()) == []
    is_untouched(target.pid)


def test_ctrl_c(start, placement, tmp_path):
    target = start("memory", 2048 if SLOWER == 1 else 512)
    # Whoever starts the tests in the background may have them ignore SIGINT; Python then leaves it so.
    code = """
import signal, sys, snapcore
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    snapcore.dump(int(sys.argv[1]), sys.argv[2], 2, progress=lambda *a: print(*a, flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    caller = subprocess.Popen(
        [sys.executable, "-c", code, str(target.pid), str(tmp_path / "a.dmp")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert caller.stdout is not None
    caller.stdout.readline()
    caller.send_signal(signal.SIGINT)
    out, _ = caller.communicate(timeout=30)
    assert out.splitlines()[-1] == "interrupted"
    assert list(tmp_path.iterdir()) == []
    is_untouched(target.pid)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(start, placement, small_disk):
    target = start("memory", 64)
    with pytest.raises(OSError, match="No space left") as caught:
        snapcore.dump(target.pid, small_disk / "a.dmp", FULL)
    assert caught.value.errno == 28
    assert caught.value.filename == str(small_disk / "a.dmp")
    assert list(small_disk.iterdir()) == []
    assert os.statvfs(small_disk).f_bfree * 4096 > 15 << 20
    is_untouched(target.pid)


def test_killed_in_the_middle_of_writing_nothing_is_left(start, tmp_path):
    target = start("memory", 1024)
    code = "import sys, snapcore; snapcore.dump(int(sys.argv[1]), sys.argv[2], 2, progress=lambda *a: print(*a, flush=True))"
    caller = subprocess.Popen(
        [sys.executable, "-c", code, str(target.pid), str(tmp_path / "a.dmp")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert caller.stdout is not None
    assert any("writing" in line for line in caller.stdout)
    caller.kill()
    caller.communicate()
    assert list(tmp_path.iterdir()) == []
    will_be_untouched(target.pid)


def test_snapshot_dumps_as_often_as_wanted(start, placement, tmp_path):
    target = start("facts", tmp_path)
    with snapcore.capture(target.pid) as snap:
        small = snap.dump(tmp_path / "a.dmp")
        full = snap.dump(tmp_path / "b.dmp", FULL, comment="why")
        assert small.file_size < full.file_size
        assert small.pause_ns == full.pause_ns == snap.pause_ns
    with (
        snapcore.capture(target.pid, CaptureFlags.THREADS | CaptureFlags.VA_CLONE) as snap,
        pytest.raises(ValueError, match=r"CaptureFlags\.THREAD_CONTEXT"),
    ):
        snap.dump(tmp_path / "c.dmp")
    with (
        snapcore.capture(
            target.pid, CaptureFlags.DOCUMENTED & ~CaptureFlags.HANDLES & ~0x38
        ) as snap,
        pytest.raises(ValueError, match=r"CaptureFlags\.HANDLES"),
    ):
        snap.dump(tmp_path / "c.dmp", MiniDumpType.WITH_HANDLE_DATA)
    assert not (tmp_path / "c.dmp").exists()


def test_flags_without_effect_are_said(start, tmp_path):
    target = start("memory", 16)
    result = snapcore.dump(target.pid, tmp_path / "a.dmp", MiniDumpType.SCAN_MEMORY | 1 << 30)
    said = {d.subject for d in result.diagnostics if d.code == "flag_without_effect"}
    assert said == {MiniDumpType.SCAN_MEMORY, 1 << 30}


def peak_kib(pid: int) -> int:
    """Private and shared resident memory, at its highest."""
    with open(f"/proc/{pid}/status") as text:
        return next(int(line.split()[1]) for line in text if line.startswith("VmHWM"))


@pytest.mark.slow
def test_memory_used_while_a_big_process_is_dumped(start, tmp_path):
    # 4 GiB as the aim has it, where the machine has room for target and file.
    target = start("memory", 4096)
    code = """
import os, sys, threading, snapcore
from pathlib import Path
def own():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmRSS"))
base = own()
print(base, flush=True)
sys.stdin.readline()
snapcore.dump(int(sys.argv[1]), sys.argv[2], 0x1806, max_pause=10)
print(next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")), flush=True)
"""
    caller = subprocess.Popen(
        [sys.executable, "-c", code, str(target.pid), str(tmp_path / "a.dmp")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert caller.stdin is not None
    assert caller.stdout is not None
    base = int(caller.stdout.readline())
    tracer_peak = 0
    caller.stdin.write("go\n")
    caller.stdin.flush()
    while caller.poll() is None:
        for child in children(caller.pid) if os.path.exists(f"/proc/{caller.pid}/task") else ():
            with contextlib.suppress(OSError, StopIteration):
                tracer_peak = max(tracer_peak, peak_kib(child))
        time.sleep(0.01)
    peak = int(caller.communicate()[0])
    assert (tmp_path / "a.dmp").stat().st_size > 4 << 30
    (tmp_path / "a.dmp").unlink()
    assert tracer_peak > 0
    assert (peak - base + tracer_peak) < 64 * 1024, (base, peak, tracer_peak)


def test_the_command(start, tmp_path):
    target = start("memory", 32)
    path = tmp_path / "a.dmp"
    command = [sys.executable, "-m", "snapcore", "dump", hex(target.pid), "-o", str(path)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["path"] == str(path)
    assert said["pid"] == target.pid
    assert said["flags"] == snapcore.PRESETS["full"]
    assert said["file_size"] == path.stat().st_size
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "exists" in refused.stderr
    assert "--force" in refused.stderr
    by_name = subprocess.run(
        [
            sys.executable,
            "-m",
            "snapcore",
            "dump",
            "memory_target",
            "-o",
            str(tmp_path),
            "--flags",
            "normal",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert by_name.returncode == 0, by_name.stderr
    assert "stood still" in by_name.stdout
    (named,) = tmp_path.glob(f"snapcore-memory_target.{target.pid}.*.dmp")
    assert named.stat().st_size > 0
    for nobody in ("2147483647", "02147483647", "no-such-program"):
        gone = subprocess.run(
            [sys.executable, "-m", "snapcore", "dump", nobody], capture_output=True, check=False
        )
        assert gone.returncode == 4, gone.stderr


def test_a_name_that_several_have_is_a_question_of_usage(start):
    pids = sorted(start("memory", 1).pid for _ in range(2))
    done = subprocess.run(
        [sys.executable, "-m", "snapcore", "dump", "memory_target"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert ", ".join(map(str, pids)) in done.stderr


def test_a_path_that_the_terminal_cannot_show(start, tmp_path):
    target = start("memory", 1)
    path = tmp_path / "übergröße.dmp"
    done = subprocess.run(
        [sys.executable, "-m", "snapcore", "dump", str(target.pid), "-o", str(path)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\xfcbergr" in done.stdout
    assert path.exists()


def test_dumps_of_two_targets_at_once(start, tmp_path):
    targets = [start("memory", 128), start("memory", 128)]
    results = {}

    def work(target):
        results[target.pid] = snapcore.dump(target.pid, tmp_path / f"{target.pid}.dmp", FULL)

    threads = [threading.Thread(target=work, args=(t,)) for t in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
