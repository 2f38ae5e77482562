# SPDX-License-Identifier: Apache-2.0
"""The module that users get, under a Wine that has no process snapshots and a MiniDumpWriteDump that knows none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import snapcore
from snapcore import MiniDumpType


def test_a_capture_says_what_it_needs(facts):
    with pytest.raises(snapcore.Unsupported, match=r"Windows 8\.1"):
        snapcore.capture(facts.pid)
    with pytest.raises(snapcore.Unsupported, match=r"Windows 8\.1"):
        snapcore.handles(facts.pid)


@pytest.mark.parametrize("method", ["live", "auto"])
def test_the_live_method_writes_through_the_systems_own_dbghelp(facts, tmp_path, method):
    path = tmp_path / "a.dmp"
    result = snapcore.dump(facts.pid, path, MiniDumpType.WITH_FULL_MEMORY, method=method)
    assert result.method == "live"
    assert result.pause_ns > 0
    data = path.read_bytes()
    assert data[:4] == b"MDMP"
    assert len(data) == result.file_size
    assert b"snapcore: heap sentinel" in data
    assert result.threads >= 3
    assert result.modules > 0
    # A file of Wine's own writer.
    with snapcore.open(path) as file:
        assert len(file.threads()) == result.threads
        assert len(file.modules()) == result.modules
        address = facts.facts["sentinels"]["heap sentinel"]
        assert file.read(address, 23) == b"snapcore: heap sentinel"
        assert file.pid == facts.pid
        assert file.system().platform == "Windows"


def test_a_snapshot_that_cannot_be_had_leaves_no_file(facts, tmp_path):
    with pytest.raises(snapcore.Unsupported):
        snapcore.dump(facts.pid, tmp_path / "a.dmp")
    assert [p.name for p in tmp_path.iterdir()] == ["facts-file.txt"]


def test_the_command(facts, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "snapcore", "dump", str(facts.pid), "-o", str(tmp_path / "a.dmp")],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert "Windows 8.1" in done.stderr


def test_handles_of_the_whole_system(facts):
    table = snapcore.system_handles()
    assert facts.facts["handles"]["manual"] in table["handle"][table["pid"] == facts.pid]


def test_dlls_come_from_the_folder_of_the_system_alone(facts, tmp_path, monkeypatch):
    """Files of their names lie beside the program, in the current folder and on the PATH."""
    beside = Path(sys.executable).parent
    planted = [
        folder / name for folder in (beside, tmp_path) for name in ("dbghelp.dll", "dbgcore.dll")
    ]
    assert not any(path.exists() for path in planted)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=";")
    program = """
import ctypes, sys, snapcore
print(snapcore.dump(int(sys.argv[1]), "a.dmp", method="live").threads)
try:
    ctypes.WinDLL("dbgcore.dll", winmode=0)
except OSError:
    print("whoever searches as usual meets what was planted")
"""
    try:
        for path in planted:
            path.write_text("no library")
        done = subprocess.run(
            [sys.executable, "-c", program, str(facts.pid)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
        )
    finally:
        for path in planted:
            path.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr
    threads, control = done.stdout.splitlines()
    assert int(threads) >= 3
    assert control.startswith("whoever")
