# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, closed, gone or broken: the error says which and where, no part of a file is left, the target runs."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from isolation import apart
from linux_support import is_untouched
from support import wait_until

import snapcore
from snapcore import MiniDumpType
from snapcore.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = MiniDumpType.WITH_FULL_MEMORY
MIB = 1 << 20
FUSE_DISK = Path(__file__).parent / "fuse_disk.py"


@pytest.fixture(scope="module", autouse=True)
def threads_of_pyarrow():
    """They start with the first file and stay."""
    pq.write_table(pa.table({"a": [1]}), io.BytesIO())


@pytest.fixture
def target(start):
    return start("memory", 8)


@pytest.fixture
def source(target, tmp_path_factory):
    """A dump on a disk that is right."""
    path = tmp_path_factory.mktemp("right") / "source.dmp"
    snapcore.dump(target.pid, path, FULL | MiniDumpType.WITH_FULL_MEMORY_INFO)
    return path


def plain(pid: int, path: Path, source: Path) -> None:
    snapcore.dump(pid, path, FULL)


def compressed(pid: int, path: Path, source: Path) -> None:
    snapcore.dump(pid, path, FULL, compression="zstd", level=1)


def of_snapshot(pid: int, path: Path, source: Path) -> None:
    with snapcore.capture(pid) as snap:
        snap.dump(path, FULL)


def live(pid: int, path: Path, source: Path) -> None:
    snapcore.dump(pid, path, FULL, method="live", max_pause=10)


def saved(pid: int, path: Path, source: Path) -> None:
    with snapcore.open(source) as dump:
        dump.save(path)


def saved_compressed(pid: int, path: Path, source: Path) -> None:
    with snapcore.open(source) as dump:
        dump.save(path, compression="zstd")


def report(pid: int, path: Path, source: Path) -> None:
    snapcore.report(source, path)


def parquet(pid: int, path: Path, source: Path) -> None:
    snapcore.scan([source], "regions").to_parquet(path, partition=None)


WAYS = {
    way.__name__: way
    for way in (plain, compressed, of_snapshot, live, saved, saved_compressed, report, parquet)
}
every_way = pytest.mark.parametrize("way", WAYS)


def fails(way: str, pid: int, path: Path, source: Path, number: int) -> None:
    """Assert that it ends in an OSError with this number and the file's name, and that nothing is left."""
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()} if path.parent.is_dir() else {}
    with pytest.raises(OSError, match=r".") as caught:
        WAYS[way](pid, path, source)
    assert caught.value.errno == number, repr(caught.value)
    assert caught.value.filename == str(path)
    assert os.strerror(number) in str(caught.value)
    after = {p.name: p.read_bytes() for p in path.parent.iterdir()} if path.parent.is_dir() else {}
    assert after == before
    is_untouched(pid)
    # The frames of a traceback hold what was opened in them.
    del caught
    gc.collect()


# --- Full, read-only, gone


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@every_way
@pytest.mark.parametrize("room", [0, 1, 3])
def test_full_disk(target, source, tmp_path, way, room):
    """Of no page, or of a few: what is written first, or later."""
    with mounted(tmp_path / "small", "size=4m") as disk:
        (disk / "fill").write_bytes(bytes(4 * MIB - room * 4096))
        fails(way, target.pid, disk / "a", source, errno.ENOSPC)
        assert os.statvfs(disk).f_bfree == room


@pytest.mark.parametrize("way", ["plain", "compressed", "of_snapshot", "live", "saved"])
def test_a_disk_that_gets_full_in_the_middle(target, source, tmp_path, way):
    size = 4 if way != "compressed" else 1
    with mounted(tmp_path / "small", "size=4m") as disk:
        (disk / "fill").write_bytes(bytes((4 - size) * MIB + (512 * 1024 if size == 1 else 0)))
        fails(way, target.pid, disk / "a", source, errno.ENOSPC)


@every_way
def test_read_only_disk(target, source, tmp_path, way):
    with mounted(tmp_path / "closed", "ro") as disk:
        fails(way, target.pid, disk / "a", source, errno.EROFS)


@every_way
def test_a_folder_that_is_not_there(target, source, tmp_path, way):
    fails(way, target.pid, tmp_path / "missing" / "a", source, errno.ENOENT)


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_folder_that_vanishes(start, tmp_path, compression):
    target = start("memory", 512)  # enough for a look at how far it is
    folder = tmp_path / "gone"
    folder.mkdir()

    def remove(_done: int, _total: int, _phase: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()

    with pytest.raises(FileNotFoundError) as caught:
        snapcore.dump(target.pid, folder / "a", FULL, progress=remove, compression=compression)
    assert caught.value.filename == str(folder / "a")
    assert not folder.exists()
    is_untouched(target.pid)


@every_way
@pytest.mark.parametrize("disposition", ["ignored", "default"])
def test_limit_of_file_size(target, source, tmp_path, way, disposition):
    """Python ignores SIGXFSZ; a program that does not is not killed by it either."""
    folder = tmp_path / "limited"
    folder.mkdir()

    def work() -> dict[str, Any]:
        import signal

        if disposition == "default":
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        # What a tracer hands over goes through a file as well: registers, whose size is the
        # processor's, or memory.
        limit = {"live": MIB, "parquet": 4096}.get(way, 16 * 1024)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        fails(way, target.pid, folder / "a", source, errno.EFBIG)
        assert signal.SIGXFSZ not in signal.sigpending()
        return {"done": True}

    assert apart(work) == {"done": True}


# --- Broken: a file system of our own


@contextlib.contextmanager
def broken_disk(folder: Path, **faults: object) -> Iterator[Path]:
    folder.mkdir()
    command = [sys.executable, str(FUSE_DISK), str(folder), json.dumps(faults)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
            process.wait(20)


# The fault, and the ways that come across it.
FAULTS: dict[str, dict[str, Any]] = {
    "first write": {"write": [errno.EIO, 0]},
    "quota at a write": {"write": [errno.EDQUOT, 4096]},
    "no space at a write": {"write": [errno.ENOSPC, 4096]},
    "close": {"flush": [errno.EIO, 0]},
    "quota at close": {"flush": [errno.EDQUOT, 0]},
    "link": {"link": [errno.EIO, 0]},
    "unnamed file": {"tmpfile": [errno.EIO, 0]},
    "first write, named": {"write": [errno.EIO, 0], "no_tmpfile": True},
    "rename": {"rename": [errno.EIO, 0], "no_tmpfile": True},
    "create": {"create": [errno.EIO, 0], "no_tmpfile": True},
}


@every_way
@pytest.mark.parametrize("fault", FAULTS)
def test_broken_disk(target, source, tmp_path, way, fault):
    faults = FAULTS[fault]
    (number,) = [value[0] for value in faults.values() if isinstance(value, list)]
    with broken_disk(tmp_path / "broken", **faults) as disk:
        fails(way, target.pid, disk / "a", source, number)


@pytest.mark.parametrize("way", ["plain", "saved"])
def test_a_disk_that_breaks_when_the_size_is_set(target, source, tmp_path, way):
    # The first call sets the mode.
    with broken_disk(tmp_path / "broken", setattr=[errno.EIO, 1]) as disk:
        fails(way, target.pid, disk / "a", source, errno.EIO)


@pytest.mark.parametrize("way", ["plain", "compressed", "live", "saved"])
def test_a_disk_that_breaks_late(target, source, tmp_path, way):
    good = 100_000 if way == "compressed" else 4 * MIB
    with broken_disk(tmp_path / "broken", write=[errno.EIO, good]) as disk:
        fails(way, target.pid, disk / "a", source, errno.EIO)


def test_space_that_cannot_be_reserved_is_written_all_the_same(target, tmp_path):
    with broken_disk(tmp_path / "broken", fallocate=[errno.EIO, 0]) as disk:
        result = snapcore.dump(target.pid, disk / "a", FULL)
        assert result.file_size == (disk / "a").stat().st_size
        with snapcore.open(disk / "a", strict=True) as dump:
            assert len(dump.threads()) > 0


@pytest.mark.parametrize("fault", ["first write", "close", "rename"])
@pytest.mark.parametrize("way", ["plain", "compressed", "saved"])
def test_what_was_there_stays(target, source, tmp_path, way, fault):
    faults = {**FAULTS[fault]}
    faults.pop("no_tmpfile", None)
    for name in ("write", "flush"):
        if name in faults:
            # The old file is written first, by three bytes and one close.
            faults[name] = [faults[name][0], {"write": 3, "flush": 1}[name]]
    overwriting = {
        "plain": lambda path: snapcore.dump(target.pid, path, FULL, overwrite=True),
        "compressed": lambda path: snapcore.dump(
            target.pid, path, FULL, overwrite=True, compression="zstd"
        ),
        "saved": lambda path: snapcore.open(source).save(path, overwrite=True),
    }
    with broken_disk(tmp_path / "broken", **faults) as disk:
        descriptor = os.open(disk / "a", os.O_WRONLY | os.O_CREAT)
        assert os.write(descriptor, b"old") == 3
        os.close(descriptor)
        with pytest.raises(OSError, match="Input/output error"):
            overwriting[way](disk / "a")
        descriptor = os.open(disk / "a", os.O_RDONLY)
        assert os.read(descriptor, 9) == b"old"
        with contextlib.suppress(OSError):  # of a disk that fails at each close
            os.close(descriptor)
        assert [p.name for p in disk.iterdir()] == ["a"]
    is_untouched(target.pid)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_file_of_the_callers_own(target, tmp_path, number):
    """What it got is no whole dump, and the error is the disk's."""
    with broken_disk(tmp_path / "broken", write=[number, MIB]) as disk:
        with (
            (disk / "a").open("wb", buffering=0) as stream,
            pytest.raises(OSError, match=r".") as caught,
        ):
            snapcore.dump(target.pid, stream, FULL)
        assert caught.value.errno == number
        (disk / "a").unlink()
    is_untouched(target.pid)


def test_watch_on_a_disk_that_breaks(target, tmp_path):
    with broken_disk(tmp_path / "broken", write=[errno.EIO, 20 * MIB]) as disk:
        made = []
        with (
            pytest.raises(OSError, match="Input/output error"),
            snapcore.watch(target.pid, disk, every=0.1, rebase=1) as watch,
        ):
            made += [Path(result.path).name for result in watch]
        assert len(list(disk.iterdir())) == 1
    wait_until(lambda: is_untouched(target.pid) is None)


# --- The command


@pytest.mark.parametrize("words", [["dump"], ["report"], ["regions", "--format", "arrow"]])
def test_the_command_names_file_and_reason(target, source, tmp_path, words, capsys):
    asked = str(target.pid) if words == ["dump"] else str(source)
    with mounted(tmp_path / "small", "size=4m") as disk:
        (disk / "fill").write_bytes(bytes(4 * MIB - 4096))
        assert main([words[0], asked, *words[1:], "-o", str(disk / "a"), "-q"]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "No space left on device" in error
        assert str(disk / "a") in error
        assert [p.name for p in disk.iterdir()] == ["fill"]


def test_the_command_and_a_reader_that_goes(target):
    dump = subprocess.Popen(
        [sys.executable, "-m", "snapcore", "dump", str(target.pid), "-o", "-", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert dump.stdout is not None
    assert dump.stderr is not None
    assert dump.stdout.read(4) == b"MDMP"
    dump.stdout.close()
    assert dump.wait(30) == 141
    assert dump.stderr.read() == b""
    dump.stderr.close()
    is_untouched(target.pid)
