# SPDX-License-Identifier: Apache-2.0
"""Compressed dump files: read in place, and whatever their table and frames say, in bounded time and memory."""

from __future__ import annotations

import itertools
import random
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import dump_builder
import pytest
import sample_dumps
import zstd_frames as z
from dump_files import answers, everything

import snapcore
from snapcore import DumpFormatError

SMALL = sample_dumps.small_linux().build()


@pytest.fixture
def write(tmp_path):
    """Write a file; its name says nothing of what is in it."""
    numbers = itertools.count()

    def writer(data: bytes):
        path = tmp_path / f"{next(numbers)}.bin"
        path.write_bytes(data)
        return path

    return writer


@pytest.mark.parametrize("size", [1, 7, 100, 4096, 1 << 20])
def test_frames_of_any_size_give_the_same_file(write, size):
    with (
        snapcore.open(write(SMALL)) as plain,
        snapcore.open(write(z.seekable(SMALL, size)), strict=True) as packed,
    ):
        assert plain.compression is None
        assert packed.compression == "zstd"
        assert answers(packed) == answers(plain)
        assert packed.streams() == plain.streams()


def test_what_others_make_is_read_as_well(write):
    frame = z.frame(SMALL)
    skippable = struct.pack("<II", 0x184D2A53, 5) + b"other"
    sizes = [(len(skippable), 0), (len(z.frame(b"")), 0), (len(frame), len(SMALL))]
    data = skippable + z.frame(b"") + frame
    for table in (z.table(sizes), z.table(sizes, descriptor=0x80), b""):
        path = write(data + table)
        with snapcore.open(path, strict=True) as file:
            assert len(file.threads()) > 0
        assert everything(path, strict=True) == 0


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (z.frame(SMALL) + z.table([(1, len(SMALL))]), "bytes of frames"),
        (z.frame(SMALL) + z.table([(len(z.frame(SMALL)), len(SMALL))], count=2**32 - 1), "table"),
        (
            z.frame(SMALL) + z.table([], count=0)[:-9] + struct.pack("<IBI", 0, 4, z.SEEKABLE),
            "table",
        ),
        (z.frame(SMALL) + z.table([(len(z.frame(SMALL)), 1 << 30)]), "too large"),
        (z.frame(SMALL) + z.table([(len(z.frame(SMALL)), len(SMALL) + 1)]), "frame 0"),
        (z.frame(SMALL) + z.table([(len(z.frame(SMALL)), len(SMALL) - 1)]), "frame 0"),
        (z.frame(SMALL)[:-100], "cut off"),
        (z.frame(SMALL) + b"something", "between its frames"),
        (z.repeated(0, 17 << 20), "zstd -d"),
        # A frame that does not say how long it is, as a pipe into zstd makes them.
        (struct.pack("<IBB", 0xFD2FB528, 0, 0x58) + b"\1\0\0", "zstd -d"),
        (b"\x28\xb5\x2f\xfd", "cut off"),
        (z.table([]), "too short"),
        (z.seekable(b"no minidump" * 100), "MDMP"),
    ],
    ids=range(13),
)
def test_what_is_broken_is_an_error(write, data, text):
    with pytest.raises(DumpFormatError, match=text), snapcore.open(write(data)) as file:
        file.threads()


def test_a_broken_frame_breaks_what_lies_in_it_alone(write):
    whole = bytearray(z.seekable(SMALL, 64))
    with snapcore.open(write(SMALL)) as plain:
        address, size, offset, *_ = plain.memory_ranges()[0].tolist()
        assert size > 128
        threads = len(plain.threads())
    number = offset // 64 + 1
    # The kind of its block becomes the one that is reserved.
    whole[number * (12 + 64) + 9] |= 6
    with snapcore.open(write(bytes(whole)), strict=True) as file:
        assert len(file.threads()) == threads
        before = number * 64 - offset
        assert len(file.read(address, before)) == before
        with pytest.raises(DumpFormatError, match=f"frame {number} "):
            file.read(address, before + 1)
        with pytest.raises(DumpFormatError, match=f"frame {number} "):
            list(file.chunks())


def test_one_that_was_cut_off_gives_its_whole_frames(write):
    whole = z.seekable(SMALL, 512)
    packed = whole[: whole.index(struct.pack("<I", z.SKIPPABLE))]
    cut = packed[: len(packed) * 3 // 4]
    frames = len(cut) // (512 + 12)
    with snapcore.open(write(cut)) as file:
        found = {d.code for d in file.diagnostics}
        assert "compressed_truncated" in found
        plain = snapcore.open(write(SMALL[: frames * 512]))
        assert answers(file) == answers(plain)
        plain.close()
    with pytest.raises(DumpFormatError, match="cut off"):
        snapcore.open(write(cut), strict=True)


def test_a_bomb_is_not_made_into_tables(write):
    """192 MiB of zeros, as four million threads, in a few kB."""
    bomb = dump_builder.DumpBuilder().system_info().stream(3, struct.pack("<I", 4_000_000))
    bomb.directory[-1][1] = 12 << 24
    head, zeros = z.frame(bomb.build()), z.repeated(0, 16 << 20)
    sizes = [(len(head), len(bomb.build())), *[(len(zeros), 16 << 20)] * 12]
    data = head + zeros * 12 + z.table(sizes)
    assert len(data) < 10_000
    started = time.monotonic()
    with snapcore.open(write(data)) as file:
        assert len(file.threads()) < 50_000
        assert "stream_inflated" in {d.code for d in file.diagnostics}
    assert time.monotonic() - started < 5
    with pytest.raises(DumpFormatError, match="hundredth"):
        snapcore.open(write(data), strict=True)


def test_any_truncation_and_any_changed_byte(write):
    """A result or DumpFormatError."""
    rng = random.Random(7)
    whole = z.seekable(SMALL, 1000)
    seen = {"result": 0, "error": 0}
    for number in range(600):
        data = bytearray(whole)
        if number % 2:
            del data[rng.randrange(len(data)) :]
        else:
            # Headers of frames and the table more often than what is in them.
            at = rng.choice(
                [rng.randrange(len(data)), len(data) - 1 - rng.randrange(60), rng.randrange(13)]
            )
            data[at] = rng.randrange(256)
        try:
            everything(write(bytes(data)), strict=False)
            seen["result"] += 1
        except DumpFormatError:
            seen["error"] += 1
    assert min(seen.values()) > 50


def test_several_threads_read_one_file(write):
    builder = dump_builder.DumpBuilder().system_info()
    memory = random.Random(1).randbytes(4 << 20)
    builder.memory64_list([(0x10000, memory)])
    with snapcore.open(write(z.seekable(builder.build(), 65536)), strict=True) as file:

        def read(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(300):
                at = rng.randrange(len(memory) - 70_000)
                size = rng.choice([1, 4096, 70_000])
                assert file.read(0x10000 + at, size) == memory[at : at + size]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read, range(8)))


def test_the_file_may_shrink(write):
    path = write(z.seekable(SMALL, 512))
    with snapcore.open(path) as file:
        path.write_bytes(path.read_bytes()[:600])
        with pytest.raises(DumpFormatError, match="shorter"):
            list(file.chunks())
