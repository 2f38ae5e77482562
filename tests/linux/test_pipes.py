# SPDX-License-Identifier: Apache-2.0
"""Dumps into pipes and sockets: byte for byte those of a file, and nobody who reads slowly holds the target."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from linux_support import NothingLeft, children, is_untouched, states, status
from support import programs, wait_until

import snapcore
from snapcore import MiniDumpType
from snapcore.cli.exit_codes import ExitCode
from snapcore.streaming import descriptor_of

# Without optional data: what it tells of the machine differs from one second to the next.
FULL = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
    | MiniDumpType.WITHOUT_OPTIONAL_DATA
)


class Reader(threading.Thread):
    """Reads all that comes, from when it is let."""

    def __init__(self, read, *, at_once: bool = True) -> None:
        super().__init__()
        self.data = bytearray()
        self.may_read = threading.Event()
        self._read = read
        if at_once:
            self.may_read.set()
        self.start()

    def run(self) -> None:
        self.may_read.wait()
        while piece := self._read(1 << 20):
            self.data += piece

    def all(self) -> bytes:
        self.may_read.set()
        self.join()
        return bytes(self.data)


@contextmanager
def pipe(*, at_once: bool = True):
    """The file to write to, unbuffered, and a reader of the other end."""
    ours, theirs = os.pipe()
    reader = Reader(lambda size: os.read(ours, size), at_once=at_once)
    try:
        with open(theirs, "wb", buffering=0) as file:
            yield file, reader
    finally:
        reader.all()
        os.close(ours)


def differences(a: bytes, b: bytes) -> list[int]:
    """Pages in which they differ: readable where a comparison of all bytes is not."""
    assert len(a) == len(b)
    return [at for at in range(0, len(a), 4096) if a[at : at + 4096] != b[at : at + 4096]]


@pytest.mark.parametrize("flags", [FULL, MiniDumpType.WITHOUT_OPTIONAL_DATA], ids=["full", "small"])
def test_a_pipe_gets_the_bytes_of_the_file(start, placement, tmp_path, flags):
    target = start("memory", 64)
    path = tmp_path / "a.dmp"
    with snapcore.capture(target.pid) as snap:
        snap.dump(path, flags)
        with pipe() as (file, reader):
            assert descriptor_of(file) == file.fileno()
            result = snap.dump(file, flags)
        assert differences(reader.all(), path.read_bytes()) == []
    assert result.file_size == path.stat().st_size
    assert result.memory_bytes > (64 << 20 if flags == FULL else 0)


def test_pages_that_cannot_be_read_are_listed_behind_memory(start, tmp_path):
    # The target maps one page more of a file than the file has.
    target = start("parts", tmp_path, programs() / "parts_library.so")
    with snapcore.capture(target.pid) as snap, pipe() as (file, reader):
        result = snap.dump(file, FULL)
    (found,) = [d for d in result.diagnostics if d.code == "unreadable_memory_left_out"]
    assert found.subject == 4096
    data = reader.all()
    (tmp_path / "a.dmp").write_bytes(data)
    with snapcore.open(tmp_path / "a.dmp", strict=True) as dump:
        (listed,) = [e for e in dump.soft_errors() if e["code"] == "unreadable_memory"]
        assert listed["size"] == 4096
        assert dump.read(int(listed["address"], 16), 4096) == bytes(4096)
        (errors,) = [s for s in dump.streams() if s.type == 0x4D7A0004]
    assert errors.offset + errors.size == len(data)


@pytest.mark.parametrize("buffered", [False, True], ids=["raw", "buffered"])
def test_a_socket(start, tmp_path, buffered):
    target = start("memory", 16)
    ours, theirs = socket.socketpair()
    with ours, theirs, snapcore.capture(target.pid) as snap:
        reader = Reader(ours.recv)
        theirs.settimeout(5)  # which makes it non-blocking below
        with theirs.makefile("wb", buffering=-1 if buffered else 0) as file:
            file.write(b"before")
            assert descriptor_of(file) == theirs.fileno()
            snap.dump(file, FULL)
            file.write(b"behind")
        theirs.shutdown(socket.SHUT_WR)
        snap.dump(tmp_path / "a.dmp", FULL)
    assert reader.all() == b"before" + (tmp_path / "a.dmp").read_bytes() + b"behind"


def test_an_open_file_is_written_at_its_place(start, tmp_path):
    target = start("memory", 16)
    with snapcore.capture(target.pid) as snap, open(tmp_path / "b", "wb") as file:
        snap.dump(tmp_path / "a.dmp", FULL)
        file.write(b"before")
        assert descriptor_of(file) is not None
        snap.dump(file, FULL)
        end = file.tell()
        file.write(b"behind")
    dump = (tmp_path / "a.dmp").read_bytes()
    assert end == 6 + len(dump)
    assert (tmp_path / "b").read_bytes() == b"before" + dump + b"behind"


def test_what_only_looks_like_a_descriptor_is_written_by_its_write():
    class Loud(socket.socket):
        pass

    a, b = socket.socketpair()
    loud = Loud(fileno=a.detach())
    with loud, b, loud.makefile("wb") as file:
        # As a TLS socket does: what goes past it would go out in clear.
        assert descriptor_of(file) is None
    assert issubclass(ssl.SSLSocket, socket.socket)
    with pytest.raises(OSError, match="descriptor"), open(os.devnull, "rb") as file:
        snapcore.dump(os.getpid(), file.raw)


def test_a_slow_reader_does_not_hold_the_target(start, placement):
    target = start("memory", 256)
    with pipe(at_once=False) as (file, reader):
        target.ask("measure")
        done: list[snapcore.DumpResult] = []
        writer = threading.Thread(target=lambda: done.append(snapcore.dump(target.pid, file, FULL)))
        writer.start()
        time.sleep(1)
        assert writer.is_alive(), "nobody has read anything yet"
        assert states(target.pid) <= {"R", "S"}
        gap = target.ask("gap")["gap_ns"]
        # The clone is there, and belongs to the target.
        assert len(children(target.pid)) == 1
        whole = reader.all
        reader.may_read.set()
        writer.join()
        file.close()
        data = whole()
    assert len(data) == done[0].file_size > 256 << 20
    assert done[0].pause_ns < 500_000_000
    assert gap < 500_000_000
    is_untouched(target.pid)


@pytest.mark.parametrize("native", [True, False], ids=["descriptor", "chunks"])
def test_a_timeout_while_nobody_reads(start, placement, native):
    target = start("memory", 64)
    before = NothingLeft()
    with pipe(at_once=False) as (file, reader):
        if native:
            started = time.monotonic()
            with pytest.raises(snapcore.TimedOut, match="timeout"):
                snapcore.dump(target.pid, file, FULL, timeout=0.5)
            assert time.monotonic() - started < 5
            is_untouched(target.pid)
        else:

            class Slow:
                def write(self, _data: bytes) -> None:
                    time.sleep(1)
                    assert children(target.pid) == [], "the job ends in time all the same"

            with pytest.raises(snapcore.TimedOut, match="timeout"):
                snapcore.dump(target.pid, Slow(), FULL, timeout=0.5)
        reader.may_read.set()
    before.check()


def test_a_slow_reader_holds_a_live_dump_for_max_pause_at_the_most(start, placement):
    target = start("memory", 64)
    with pipe(at_once=False) as (file, reader):
        errors: list[BaseException] = []

        def dump() -> None:
            try:
                snapcore.dump(target.pid, file, FULL, method="live", max_pause=0.5)
            except snapcore.TimedOut as error:
                errors.append(error)

        writer = threading.Thread(target=dump)
        target.ask("measure")
        writer.start()
        time.sleep(1.5)
        assert 400_000_000 < target.ask("gap")["gap_ns"] < 1_400_000_000
        is_untouched(target.pid)
        reader.may_read.set()
        writer.join()
    assert "max_pause" in str(errors[0])


def test_a_reader_that_goes_away(start, placement):
    target = start("memory", 64)
    before = NothingLeft()
    ours, theirs = os.pipe()
    with open(theirs, "wb", buffering=0) as file:

        def read_a_little() -> None:
            os.read(ours, 100_000)
            os.close(ours)

        reader = threading.Thread(target=read_a_little)
        reader.start()
        # Whoever lets SIGPIPE kill this process must not be killed by a dump.
        handler = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            with pytest.raises(BrokenPipeError):
                snapcore.dump(target.pid, file, FULL)
        finally:
            signal.signal(signal.SIGPIPE, handler)
        reader.join()
    is_untouched(target.pid)
    before.check()


def test_a_descriptor_that_is_closed_meanwhile_is_not_missed(start):
    """Its number may belong to another file by then: the dump has a descriptor of its own."""
    target = start("memory", 64)
    with pipe(at_once=False) as (file, reader):

        def close_it() -> None:
            time.sleep(0.3)
            file.close()
            reader.may_read.set()

        closer = threading.Thread(target=close_it)
        closer.start()
        result = snapcore.dump(target.pid, file, FULL)
        closer.join()
    assert len(reader.all()) == result.file_size


def test_a_pipe_that_may_not_be_opened_again(start):
    """Of another user's pipe the descriptor is all there is: it is written a page at a time."""
    target = start("memory", 16)
    # The file system's user alone: the clone may still be read.
    code = """
import ctypes, os, sys, snapcore
with snapcore.capture(int(sys.argv[1])) as snap:
    libc = ctypes.CDLL(None)
    with open(int(sys.argv[2]), "wb", buffering=0) as file:
        libc.setfsuid(65534)
        try:
            os.open(f"/proc/self/fd/{file.fileno()}", os.O_WRONLY)
        except PermissionError:
            print("refused", file=sys.stderr)
        print(snap.dump(file, int(sys.argv[3])).file_size, file=sys.stderr)
"""
    ours, theirs = os.pipe()
    reader = Reader(lambda size: os.read(ours, size))
    with subprocess.Popen(
        [sys.executable, "-c", code, str(target.pid), str(theirs), str(int(FULL))],
        pass_fds=[theirs],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        data = reader.all()
        _, said = process.communicate()
    os.close(ours)
    assert said.splitlines() == ["refused", str(len(data))]
    assert data[:4] == b"MDMP"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "snapcore", *map(str, arguments)]


def test_the_command_in_a_pipeline(start, tmp_path):
    target = start("memory", 64)
    with subprocess.Popen(
        command("dump", target.pid, "-o", "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        data, said = process.communicate()
    assert process.returncode == ExitCode.OK, said
    assert said.startswith(b"stdout\n")
    (tmp_path / "a.dmp").write_bytes(data)
    with snapcore.open(tmp_path / "a.dmp", strict=True) as file:
        assert file.pid == target.pid
        assert file.read(target.facts["memory"] + 4096, 8) == (4096).to_bytes(8, "little")


def test_the_command_and_a_reader_that_goes_away(start):
    target = start("memory", 64)
    with subprocess.Popen(
        command("dump", target.pid, "-o", "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(100_000)
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait() == ExitCode.PIPE_CLOSED
    assert said == b""
    is_untouched(target.pid)


def test_the_command_and_ctrl_c_while_nobody_reads(start):
    target = start("memory", 256)
    # Whoever starts the tests in the background may have them ignore SIGINT; Python then leaves it so.
    code = """
import signal, sys
from snapcore.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, "dump", str(target.pid), "-o", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.read(4) == b"MDMP"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == ExitCode.INTERRUPTED
        assert b"interrupted" in process.stderr.read()
    is_untouched(target.pid)


def test_the_command_refuses_a_terminal(start):
    target = start("memory", 16)
    for force, expected in (([], ExitCode.FAILURE), (["--force"], ExitCode.OK)):
        ours, theirs = pty.openpty()
        seen = bytearray()

        def read(descriptor=ours, into=seen) -> None:
            try:
                while data := os.read(descriptor, 1 << 16):
                    into += data
            except OSError:  # the other end is closed
                pass

        with subprocess.Popen(
            command("dump", target.pid, "--mini", "-o", "-", *force),
            stdout=theirs,
            stderr=subprocess.PIPE,
        ) as process:
            os.close(theirs)
            reader = threading.Thread(target=read)
            reader.start()
            said = process.stderr.read()
        reader.join()
        os.close(ours)
        assert process.returncode == expected, said
        assert (b"MDMP" in seen) == bool(force)
        assert (b"--force" in said) == (not force)


@pytest.mark.parametrize("threads", [1, 100])
def test_the_clone_gives_back_what_was_read(start, placement, tmp_path, threads):
    mib = 256
    target = start("memory", mib, f"threads={threads}")

    def held() -> int:
        """Bytes of anonymous memory that the clone holds."""
        (clone,) = children(target.pid)
        return int(status(clone, "RssAnon").split()[0]) << 10

    whole = int(status(target.pid, "RssAnon").split()[0]) << 10
    path = tmp_path / "streamed.dmp"
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as source, open(theirs, "wb", buffering=0) as file:

        def write() -> None:
            snapcore.dump(target.pid, file, FULL)
            file.close()

        writer = threading.Thread(target=write)
        writer.start()
        with path.open("wb") as out:
            # A little is read ahead, and given back in steps.
            for done in (mib // 4, mib // 2, mib * 3 // 4):
                while out.tell() < done << 20:
                    out.write(source.read(1 << 20))
                wait_until(lambda done=done: held() < whole - (done - 40 << 20))
                assert held() > whole - (done + 60 << 20)
            shutil.copyfileobj(source, out)
        writer.join()
    is_untouched(target.pid)
    # What it holds is what a snapshot that gives nothing back holds.
    with snapcore.open(path, strict=True) as dump, snapcore.capture(target.pid) as snap:
        sizes = 0
        for address, size in dump.memory_ranges()[["address", "size"]].tolist():
            if size < 1 << 20:
                continue
            sizes += size
            for at in range(address, address + size, 1 << 20):
                n = min(1 << 20, address + size - at)
                assert dump.read(at, n) == snap.read(at, n)
        assert sizes > mib << 20


def test_a_snapshot_that_is_kept_gives_nothing_back(start):
    target = start("memory", 128)
    with snapcore.capture(target.pid) as snap, pipe() as (file, reader):
        (clone,) = children(target.pid)
        before = status(clone, "RssAnon")
        snap.dump(file, FULL)
        assert status(clone, "RssAnon") == before
        assert len(reader.data) > 128 << 20
