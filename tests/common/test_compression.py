# SPDX-License-Identifier: Apache-2.0
"""dump(compression="zstd"): what any zstd unpacks to the plain minidump, and open() reads in place."""

from __future__ import annotations

import io
import struct
import sys

import pytest
import zstandard
from dump_files import answers

import snapcore
from snapcore import MiniDumpType
from snapcore.cli import main
from snapcore.cli.exit_codes import ExitCode
from snapcore.compression import SeekableWriter

FULL = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
)


@pytest.fixture
def folder(tmp_path):
    """One that is empty; the target has its own file in the other."""
    path = tmp_path / "dumps"
    path.mkdir()
    return path


def unpacked(data: bytes) -> bytes:
    """What zstd makes of it, which knows nothing of the table."""
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


@pytest.mark.parametrize("flags", [MiniDumpType.NORMAL, FULL], ids=["normal", "full"])
def test_a_compressed_dump_answers_what_the_plain_one_does(facts, tmp_path, flags):
    plain, packed = tmp_path / "a.dmp", tmp_path / "anything"
    with snapcore.capture(facts.pid) as snap:
        snap.dump(plain, flags)
        result = snap.dump(packed, flags, compression="zstd")
    assert result.path == str(packed)
    assert result.file_size == packed.stat().st_size < result.uncompressed_size
    assert result.bytes_written > 0
    assert len(unpacked(packed.read_bytes())) == result.uncompressed_size
    (tmp_path / "b.dmp").write_bytes(unpacked(packed.read_bytes()))
    files = [snapcore.open(path, strict=True) for path in (plain, packed, tmp_path / "b.dmp")]
    assert [file.compression for file in files] == [None, "zstd", None]
    first, *others = map(answers, files)
    for file in files:
        file.close()
    assert others == [first, first]


def test_it_is_in_frames_of_a_mebibyte_with_a_table(facts):
    stream = io.BytesIO()
    result = snapcore.dump(facts.pid, stream, FULL, compression="zstd", level=1)
    data = stream.getvalue()
    assert result.path == ""
    assert result.file_size == result.bytes_written == len(data)
    count, descriptor, magic = struct.unpack("<IBI", data[-9:])
    assert (descriptor, magic) == (0, 0x8F92EAB1)
    entries = struct.unpack(f"<{2 * count}I", data[-9 - 8 * count : -9])
    assert struct.unpack_from("<II", data, len(data) - 17 - 8 * count) == (
        0x184D2A5E,
        8 * count + 9,
    )
    sizes = entries[1::2]
    assert set(sizes[:-1]) == {1 << 20}
    assert sum(sizes) == result.uncompressed_size
    at = 0
    for stored, size in zip(entries[::2], sizes, strict=True):
        parameters = zstandard.get_frame_parameters(data[at : at + stored])
        assert (parameters.content_size, parameters.has_checksum) == (size, True)
        at += stored


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"compression": "gzip"}, "zstd"),
        ({"compression": "zstd", "level": 0}, "level"),
        ({"compression": "zstd", "level": 23}, "level"),
        ({"level": 3}, "needs compression"),
    ],
    ids=range(4),
)
def test_what_cannot_be(facts, folder, arguments, text):
    with pytest.raises(ValueError, match=text):
        snapcore.dump(facts.pid, folder / "a.dmp", **arguments)
    assert list(folder.iterdir()) == []


def test_without_the_extra(facts, folder, monkeypatch):
    path = folder / "a.dmp"
    snapcore.dump(facts.pid, path, compression="zstd")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImportError, match=r"snapcore\[zstd\]"):
        snapcore.dump(facts.pid, folder / "b.dmp", compression="zstd")
    assert [p.name for p in folder.iterdir()] == ["a.dmp"]
    # Reading needs nothing.
    with snapcore.open(path, strict=True) as file:
        assert len(file.threads()) > 0


def test_an_existing_file_stays_unless_it_is_to_be_replaced(facts, folder):
    path = folder / "a.dmp.zst"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        snapcore.dump(facts.pid, path, compression="zstd")
    assert path.read_text() == "precious"
    snapcore.dump(facts.pid, path, compression="zstd", overwrite=True)
    with snapcore.open(path) as file:
        assert file.pid == facts.pid
    assert [p.name for p in folder.iterdir()] == ["a.dmp.zst"]


def test_progress_that_raises_leaves_nothing(facts, folder):
    class Enough(Exception):
        pass

    def progress(*_: object) -> None:
        raise Enough

    with pytest.raises(Enough):
        snapcore.dump(facts.pid, folder / "a", FULL, compression="zstd", progress=progress)
    assert list(folder.iterdir()) == []


def test_a_writer_that_fails_ends_its_threads():
    def full(_data: bytes) -> None:
        raise OSError(28, "No space left on device")

    def write_until_it_fails() -> None:
        with SeekableWriter(full) as writer:
            while True:
                writer.write(b"x" * 100_000)

    with pytest.raises(OSError, match="No space"):
        write_until_it_fails()


def test_nothing_is_a_file_of_no_frames():
    out = io.BytesIO()
    with SeekableWriter(out.write) as writer:
        writer.finish()
    assert len(out.getvalue()) == writer.size == 17
    assert unpacked(out.getvalue()) == b""


def test_the_command(facts, folder, capsysbinary):
    assert main(["dump", str(facts.pid), "-o", str(folder), "--compress", "zstd:1"]) == 0
    (path,) = folder.iterdir()
    assert path.name.endswith(".dmp.zst")
    said = capsysbinary.readouterr().out
    assert b"compressed from" in said
    for name in ("info", "threads", "handles", "regions", "modules"):
        assert main([name, str(path), "--strict"]) == ExitCode.OK
    with snapcore.open(path) as file:
        address = int(file.memory_ranges()["address"][0])
        first = file.read(address, 16)
    capsysbinary.readouterr()
    assert main(["read", str(path), hex(address), "16", "--format", "raw"]) == ExitCode.OK
    assert capsysbinary.readouterr().out == first
    assert main(["diff", str(path), str(path)]) == ExitCode.OK
    for bad in ("gzip", "zstd:x", "zstd:99"):
        arguments = ["dump", str(facts.pid), "-o", str(folder / "b"), "--compress", bad]
        assert main(arguments) == ExitCode.USAGE
    assert list(folder.iterdir()) == [path]


def test_the_command_to_stdout(facts, capsysbinary):
    assert main(["dump", str(facts.pid), "--mini", "-o", "-", "--compress", "zstd"]) == 0
    captured = capsysbinary.readouterr()
    assert unpacked(captured.out)[:4] == b"MDMP"
    assert b"compressed from" in captured.err
