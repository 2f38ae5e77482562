# SPDX-License-Identifier: Apache-2.0
"""Compressed dumps and the command zstd, large and sparse targets, pipes, and what ends one early."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from dump_files import answers
from linux_support import NothingLeft, children, is_untouched
from test_hostile_files import bounded

import snapcore
from snapcore import MiniDumpType
from snapcore.cli.exit_codes import ExitCode

# Without optional data: what it tells of the machine differs from one second to the next.
FULL = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
    | MiniDumpType.WITHOUT_OPTIONAL_DATA
)
SPARSE = """
import mmap, time
MAP_NORESERVE = 0x4000
memory = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
for at in (0, 5 << 30, (64 << 30) - 4096):
    memory[at : at + 8] = at.to_bytes(8, "little")
print("ready", flush=True)
time.sleep(600)
"""


def unpacked(path) -> bytes:
    return subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout


@pytest.mark.parametrize("level", [1, 3, 19])
def test_zstd_unpacks_it_to_the_plain_dump(start, placement, tmp_path, level):
    target = start("memory", 8 if level == 19 else 64)
    plain, packed = tmp_path / "a.dmp", tmp_path / "a.dmp.zst"
    with snapcore.capture(target.pid) as snap:
        snap.dump(plain, FULL)
        result = snap.dump(packed, FULL, compression="zstd", level=level)
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    assert result.bytes_written == packed.stat().st_blocks * 512
    subprocess.run(["zstd", "-tq", packed], check=True)
    assert unpacked(packed) == plain.read_bytes()
    with snapcore.open(plain, strict=True) as a, snapcore.open(packed, strict=True) as b:
        assert answers(a) == answers(b)
    is_untouched(target.pid)


def test_what_zstd_made_in_one_piece_is_refused_with_advice(facts, tmp_path):
    path = tmp_path / "a.dmp"
    snapcore.dump(facts.pid, path, FULL)
    with path.open("rb") as file, (tmp_path / "b.zst").open("wb") as out:
        subprocess.run(["zstd", "-cq"], check=True, stdin=file, stdout=out)
    with pytest.raises(snapcore.DumpFormatError, match="zstd -d"):
        snapcore.open(tmp_path / "b.zst")


def test_a_sparse_target_of_64_gib(tmp_path):
    path = tmp_path / "a.dmp.zst"
    with subprocess.Popen([sys.executable, "-c", SPARSE], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with bounded(60, 128 << 20):
            result = snapcore.dump(process.pid, path, "full", compression="zstd")
        process.kill()
    assert path.stat().st_size < 32 << 20
    assert result.uncompressed_size < 256 << 20, "what was never touched is not in it"
    with snapcore.open(path, strict=True) as file:
        regions = file.regions()
        base = int(regions["base"][np.argmax(regions["size"])])
        for at in (0, 5 << 30, (64 << 30) - 4096):
            assert file.read(base + at, 16) == at.to_bytes(8, "little") + bytes(8)
        assert file.read(base + (40 << 30), 4096) == bytes(4096)


def test_many_handles_that_hardly_differ_are_credible(tmp_path):
    """They compress many times; that is no bomb."""
    code = """
import os, resource, time
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
most = min(most, 100_000)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
first = os.open(os.devnull, os.O_RDONLY)
for _ in range(most - 10):
    os.dup(first)
print("ready", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        for name, compression in (("a", None), ("b", "zstd")):
            snapcore.dump(
                process.pid,
                tmp_path / name,
                MiniDumpType.WITH_HANDLE_DATA,
                compression=compression,
                level=compression and 19,
            )
        process.kill()
    with snapcore.open(tmp_path / "a") as a, snapcore.open(tmp_path / "b", strict=True) as b:
        assert len(b.handles()) == len(a.handles()) > 4000


def test_reading_one_place_unpacks_little(start, tmp_path):
    target = start("memory", 512)
    path = tmp_path / "a.dmp.zst"
    snapcore.dump(target.pid, path, FULL, compression="zstd", level=1)
    address = target.facts["memory"]
    with bounded(1, 64 << 20), snapcore.open(path) as file:
        for at in range(0, 512 << 20, 64 << 20):
            assert file.read(address + at, 8) == at.to_bytes(8, "little")
    # All of it, and no more than the frames that are kept.
    with bounded(60, 96 << 20), snapcore.open(path) as file:
        assert sum(len(data) for _, data in file.chunks()) > 512 << 20


def test_threads_read_different_places(start, tmp_path):
    target = start("memory", 64)
    path = tmp_path / "a.dmp.zst"
    snapcore.dump(target.pid, path, FULL, compression="zstd", level=1)
    address = target.facts["memory"]
    wrong = []
    with snapcore.open(path) as file:

        def read(number: int) -> None:
            for page in range(number, 16384, 97):
                if file.read(address + page * 4096, 8) != (page * 4096).to_bytes(8, "little"):
                    wrong.append(page)
                if page % 31 == 0:
                    file.threads(), file.comment(), file.misc(), file.stream(3)

        threads = [threading.Thread(target=read, args=[n]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
def test_a_timeout_while_nobody_reads(start, placement, buffering):
    target = start("memory", 64)
    before = NothingLeft()
    ours, theirs = os.pipe()
    with open(theirs, "wb", buffering=buffering) as file:
        started = time.monotonic()
        with pytest.raises(snapcore.TimedOut, match="timeout"):
            snapcore.dump(target.pid, file, FULL, compression="zstd", timeout=0.5)
        assert time.monotonic() - started < 5
        is_untouched(target.pid)
    os.close(ours)
    before.check()


def test_a_timeout_leaves_no_file(start, tmp_path):
    target = start("memory", 512)
    with pytest.raises(snapcore.TimedOut, match="timeout"):
        snapcore.dump(target.pid, tmp_path / "a", FULL, compression="zstd", level=19, timeout=0.3)
    assert list(tmp_path.iterdir()) == []
    assert children(target.pid) == []


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "snapcore", *map(str, arguments)]


def test_the_command_in_a_pipeline(start, tmp_path):
    target = start("memory", 64)
    path = tmp_path / "a.dmp"
    with (
        path.open("wb") as out,
        subprocess.Popen(
            command("dump", target.pid, "-q", "-o", "-", "--compress", "zstd:1"),
            stdout=subprocess.PIPE,
        ) as dump,
        subprocess.Popen(["zstd", "-dcq"], stdin=dump.stdout, stdout=out) as unpack,
    ):
        dump.stdout.close()
        assert unpack.wait() == 0
        assert dump.wait() == ExitCode.OK
    with snapcore.open(path, strict=True) as file:
        assert file.read(target.facts["memory"] + 4096, 8) == (4096).to_bytes(8, "little")


def test_the_command_and_a_reader_that_goes_away(start):
    target = start("memory", 64)
    with subprocess.Popen(
        command("dump", target.pid, "-o", "-", "--compress", "zstd"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.read(10_000)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == ExitCode.PIPE_CLOSED
    is_untouched(target.pid)


@pytest.mark.parametrize("output", ["-", "file"])
def test_the_command_and_ctrl_c(start, tmp_path, output):
    target = start("memory", 1024)
    # Whoever starts the tests in the background may have them ignore SIGINT; Python then leaves it so.
    code = """
import signal, sys
from snapcore.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
print("ready", file=sys.stderr, flush=True)
sys.exit(main(sys.argv[1:]))
"""
    path = "-" if output == "-" else str(tmp_path / "a.dmp.zst")
    with subprocess.Popen(
        [sys.executable, "-c", code, "dump", str(target.pid), "-o", path, "--compress", "zstd:19"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stderr.readline()
        if output == "-":
            process.stdout.read(4)  # and nobody reads any more
        else:
            time.sleep(1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == ExitCode.INTERRUPTED
        assert b"interrupted" in process.stderr.read()
    assert list(tmp_path.iterdir()) == []
    is_untouched(target.pid)


def test_a_truncated_stream_is_read_as_far_as_it_goes(start, tmp_path):
    target = start("memory", 64)
    path = tmp_path / "a.dmp.zst"
    snapcore.dump(target.pid, path, FULL, compression="zstd", level=1)
    whole = path.read_bytes()
    for part in (0.9, 0.5, 0.2):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(snapcore.DumpFormatError, match="cut off"):
            snapcore.open(path, strict=True)
        with snapcore.open(path) as file:
            assert len(file.threads()) > 0
            ranges = file.memory_ranges()
            assert 0 < int(ranges["present"].sum()) < int(ranges["size"].sum())
            codes = {d.code for d in file.diagnostics}
            assert {"compressed_truncated", "memory_truncated"} <= codes
