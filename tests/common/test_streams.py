# SPDX-License-Identifier: Apache-2.0
"""Dumps that are written to a file object."""

from __future__ import annotations

import gzip
import io

import pytest
from dump_files import answers

import snapcore
from snapcore import MiniDumpType
from snapcore.cli import main

FULL = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
)


class Pieces:
    """Takes what write() is given, as no file does: it keeps the bytes and says nothing."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


class Greedless(io.RawIOBase):
    """Takes a part of what it is given."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        part = bytes(data[:300_001])
        self.taken += part
        return len(part)


@pytest.mark.parametrize("flags", [MiniDumpType.NORMAL, FULL], ids=["normal", "full"])
def test_a_stream_gets_what_a_file_gets(facts, tmp_path, flags):
    files = {}
    stream = io.BytesIO()
    with snapcore.capture(facts.pid) as snap:
        snap.dump(tmp_path / "a.dmp", flags)
        result = snap.dump(stream, flags)
    assert result.path == ""
    assert result.file_size == result.bytes_written == result.uncompressed_size
    assert result.file_size == len(stream.getvalue())
    (tmp_path / "b.dmp").write_bytes(stream.getvalue())
    for name in ("a", "b"):
        with snapcore.open(tmp_path / f"{name}.dmp", strict=True) as file:
            files[name] = answers(file)
    # What an earlier dump of the snapshot could not do is told by a later one too: all else is equal.
    assert files["a"] == files["b"]


def test_any_object_with_write(facts):
    pieces, greedless, packed = Pieces(), Greedless(), io.BytesIO()
    with snapcore.capture(facts.pid) as snap:
        sizes = [snap.dump(pieces, FULL).file_size, snap.dump(greedless, FULL).file_size]
        with gzip.GzipFile(fileobj=packed, mode="wb") as file:
            sizes.append(snap.dump(file, FULL).file_size)
    assert {len(piece) for piece in pieces.pieces[:-1]} == {1 << 20}
    assert all(type(piece) is bytes for piece in pieces.pieces)
    dumps = b"".join(pieces.pieces), bytes(greedless.taken), gzip.decompress(packed.getvalue())
    assert [len(dump) for dump in dumps] == sizes
    assert {dump[:4] for dump in dumps} == {b"MDMP"}


def test_progress_and_the_result_of_a_stream(facts):
    seen = []
    result = snapcore.dump(facts.pid, io.BytesIO(), FULL, progress=lambda *a: seen.append(a))
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen[-1][2] == "done"
    assert 0 < result.pause_ns < result.elapsed_ns
    assert result.threads > 0


def test_an_exception_of_write_ends_the_dump(facts):
    class Full:
        def write(self, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        snapcore.dump(facts.pid, Full(), FULL)


@pytest.mark.parametrize(
    ("answer", "error"), [(0, OSError), (-1, OSError), (1 << 30, OSError)], ids=str
)
def test_a_write_that_lies(facts, answer, error):
    class Liar:
        def write(self, _data: bytes) -> int:
            return answer

    with pytest.raises(error, match="took"):
        snapcore.dump(facts.pid, Liar())


def test_a_file_of_text_is_refused(facts):
    with pytest.raises(TypeError, match="binary"):
        snapcore.dump(facts.pid, io.StringIO())


def test_a_write_that_would_block_is_an_error(facts):
    class Never(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _data) -> None:
            return None

    with pytest.raises(BlockingIOError):
        snapcore.dump(facts.pid, Never())


def test_dump_to_stdout(facts, tmp_path, capsysbinary):
    assert main(["dump", str(facts.pid), "--mini", "-o", "-"]) == 0
    captured = capsysbinary.readouterr()
    path = tmp_path / "a.dmp"
    path.write_bytes(captured.out)
    with snapcore.open(path, strict=True) as file:
        assert file.pid == facts.pid
    assert b"stood still" in captured.err
    assert main(["dump", str(facts.pid), "--mini", "-o", "-", "--json"]) == 0
    captured = capsysbinary.readouterr()
    assert captured.out[:4] == b"MDMP"
    assert b'"path": ""' in captured.err
