# SPDX-License-Identifier: Apache-2.0
"""dump(): what the file holds, and that it appears whole or not at all; the same on both systems."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys

import minidump_file as md
import pytest
from minidump.minidumpfile import MinidumpFile
from support import WINDOWS, wait_until

import snapcore
from snapcore import PRESETS, CaptureFlags, MiniDumpType

FULL = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
)


@pytest.fixture
def parse():
    """Parse with the package `minidump`; of a log record that is kept, the traceback would keep a descriptor."""
    logging.disable(logging.CRITICAL)
    opened = []

    def parser(path) -> MinidumpFile:
        opened.append(MinidumpFile.parse(str(path)))
        return opened[-1]

    yield parser
    for file in opened:
        file.file_handle.close()
    logging.disable(logging.NOTSET)


def test_a_full_dump_holds_what_the_target_knows(facts, tmp_path, parse):
    path = tmp_path / "full.dmp"
    result = snapcore.dump(facts.pid, path, FULL)
    assert result.path == str(path)
    assert result.file_size == path.stat().st_size
    assert result.method == "snapshot"
    assert result.flags == FULL
    assert 0 < result.pause_ns <= result.elapsed_ns
    file = parse(path)
    threads = {str(t.ThreadId): t for t in file.threads.threads}
    assert set(facts.facts["threads"]) <= set(threads)
    assert len(threads) == result.threads
    parked = threads[str(facts.facts["parked"])].ContextObject
    if platform.machine() != "ARM64":
        assert (parked.Rbx, parked.R12) == (0x5B5B5B5B00000001, 0x5B5B5B5B0000000C)
    assert len(file.modules.modules) == result.modules > 0
    assert len(file.handles.handles) == result.handles > 0
    reader = file.get_reader()
    for name, address in facts.facts["sentinels"].items():
        text = f"snapcore: {name}".encode()
        assert reader.read(address, len(text)) == text


def test_a_normal_dump_has_stacks_and_little_more(facts, tmp_path, parse):
    path = tmp_path / "normal.dmp"
    result = snapcore.dump(facts.pid, path)
    assert result.file_size < 4 << 20
    text = b"snapcore: stack sentinel"
    reader = parse(path).get_reader()
    assert reader.read(facts.facts["sentinels"]["stack sentinel"], len(text)) == text
    assert result.handles == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_the_same_flags_everywhere(facts, tmp_path, preset):
    path = tmp_path / "a.dmp"
    result = snapcore.dump(facts.pid, path, preset)
    assert result.flags == PRESETS[preset]
    file = md.MinidumpFile(path)
    assert file.flags == PRESETS[preset]
    least = {md.THREAD_LIST, md.MODULE_LIST, md.SYSTEM_INFO, md.HANDLE_DATA}
    assert least <= set(file.streams)
    assert (md.MEMORY_INFO_LIST in file.streams) == (preset in ("heap", "full"))
    assert (md.MEMORY64_LIST in file.streams) == (preset in ("heap", "full"))
    assert result.threads >= 3
    assert result.handles > 0
    heap = file.text(facts.facts["sentinels"]["heap sentinel"])
    assert (heap == "snapcore: heap sentinel") == (preset in ("heap", "full"))
    assert all(d.severity == "info" for d in result.diagnostics)


def test_streams_of_a_user_and_a_comment(facts, tmp_path):
    path = tmp_path / "a.dmp"
    snapcore.dump(facts.pid, path, streams={0x10000: b"mine", 0x20000: b"\0\1"}, comment="hello")
    streams = md.MinidumpFile(path).streams
    assert streams[0x10000] == b"mine"
    assert streams[0x20000] == b"\0\1"
    assert streams[md.COMMENT_W].decode("utf-16-le") == "hello\0"
    with pytest.raises(ValueError, match="reserved"):
        snapcore.dump(facts.pid, path, streams={7: b"x"}, overwrite=True)


def test_the_environment_is_opt_in(facts, tmp_path):
    path = tmp_path / "a.dmp"
    result = snapcore.dump(facts.pid, path, environment=True)
    if WINDOWS:
        assert "environment_not_kept" in {d.code for d in result.diagnostics}
        return
    assert b"PATH=" in md.MinidumpFile(path).streams[md.LINUX_ENVIRON]
    snapcore.dump(facts.pid, path, overwrite=True)
    assert b"PATH=" not in path.read_bytes()


def test_an_existing_file_is_kept(facts, tmp_path):
    path = tmp_path / "a.dmp"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError) as caught:
        snapcore.dump(facts.pid, path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"mine"
    snapcore.dump(facts.pid, path, overwrite=True)
    assert path.read_bytes()[:4] == b"MDMP"
    assert [p.name for p in tmp_path.iterdir() if p.suffix in (".dmp", ".tmp")] == ["a.dmp"]


def test_a_folder_that_is_not_there(facts, tmp_path):
    with pytest.raises(FileNotFoundError):
        snapcore.dump(facts.pid, tmp_path / "nowhere" / "a.dmp")


def test_one_snapshot_many_dumps(facts, tmp_path):
    with snapcore.capture(facts.pid) as snap:
        first = snap.dump(tmp_path / "1.dmp", FULL)
        second = snap.dump(tmp_path / "2.dmp", MiniDumpType.NORMAL, comment="größe")
        assert first.threads == second.threads
    assert "größe".encode("utf-16-le") in (tmp_path / "2.dmp").read_bytes()


def test_a_dump_of_what_was_not_captured_names_the_flag(facts, tmp_path):
    flags = CaptureFlags.VA_CLONE | CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT
    with snapcore.capture(facts.pid, flags) as snap:
        with pytest.raises(ValueError, match=r"CaptureFlags\.HANDLES"):
            snap.dump(tmp_path / "a.dmp", MiniDumpType.WITH_HANDLE_DATA)
        snap.dump(tmp_path / "b.dmp")
    assert not (tmp_path / "a.dmp").exists()


def test_progress_is_told(facts, tmp_path):
    told = []
    snapcore.dump(facts.pid, tmp_path / "a.dmp", FULL, progress=lambda *a: told.append(a))
    done, total, phase = told[-1]
    assert phase == "done"
    assert done > 0
    assert total > 0


def test_a_process_that_is_not_there_leaves_no_file(tmp_path):
    with pytest.raises(snapcore.ProcessGone):
        snapcore.dump(0x7FFFFFF0, tmp_path / "a.dmp")
    assert list(tmp_path.iterdir()) == []


def test_the_live_method(facts, tmp_path):
    path = tmp_path / "live.dmp"
    result = snapcore.dump(facts.pid, path, 2, method="live", max_pause=60)
    assert result.method == "live"
    assert result.pause_ns > 0
    data = path.read_bytes()
    assert data[:4] == b"MDMP"
    assert b"snapcore: heap sentinel" in data


def test_the_command(facts, tmp_path):
    path = tmp_path / "a.dmp"
    command = [sys.executable, "-m", "snapcore", "dump", hex(facts.pid), "-o", str(path)]
    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["path"] == str(path)
    assert said["file_size"] == path.stat().st_size
    again = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert again.returncode == 1
    assert "--force" in again.stderr


def test_presets_of_the_command(facts, tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snapcore", "dump", str(facts.pid), "-o", str(tmp_path)]
        return subprocess.run(
            [*command, *arguments, "--json"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    for preset in PRESETS:
        done = run(f"--{preset}", "--force")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["flags"] == PRESETS[preset]
    done = run("--flags", "data-segs,handle-data", "--force")
    assert json.loads(done.stdout)["flags"] == 5
    assert run("--mini", "--flags", "5").returncode == 2


def test_a_name_of_any_length_and_letter(facts, tmp_path):
    folder = tmp_path
    while len(str(folder)) < 300:
        folder = folder / ("ordner-ü-" * 8)
        os.mkdir(rf"\\?\{folder}" if os.name == "nt" else folder)
    path = folder / "größe.dmp"
    result = snapcore.dump(facts.pid, path)
    long_name = rf"\\?\{path}" if os.name == "nt" else path
    wait_until(lambda: os.path.getsize(long_name) == result.file_size)
