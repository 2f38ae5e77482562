# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a dump file has a name, `strict` refuses it, and the rest of the file is given all the same."""

from __future__ import annotations

import contextlib
import os
import struct
import time

import dump_structures as structures
import pytest
import sample_dumps
from dump_builder import DumpBuilder, Thread
from dump_files import everything
from sample_dumps import sparse

import snapcore
from snapcore import DumpFormatError

THREADS = [
    Thread(7, "a", structures.context(structures.CONTEXT_AMD64, rip=0x10, rsp=0x20)),
    Thread(8, "b", structures.context(structures.CONTEXT_AMD64, rip=0x30, rsp=0x40)),
]


def base() -> DumpBuilder:
    return DumpBuilder().system_info(structures.AMD64, structures.WINDOWS).threads(THREADS)


class Patched:
    """A file whose words are changed where its directory says that a stream lies."""

    def __init__(self, dump: DumpBuilder, path) -> None:
        self.path = dump.write(path)
        self.data = bytearray(self.path.read_bytes())

    def entry(self, type_: int) -> int:
        """Where the directory has a stream."""
        count, at = struct.unpack_from("<II", self.data, 8)
        places = range(at, at + 12 * count, 12)
        return next(p for p in places if struct.unpack_from("<I", self.data, p)[0] == type_)

    def stream(self, type_: int) -> int:
        """Where a stream lies."""
        return struct.unpack_from("<I", self.data, self.entry(type_) + 8)[0]

    def put(self, at: int, value: int, form: str = "<I") -> None:
        struct.pack_into(form, self.data, at, value)
        self.path.write_bytes(self.data)


@pytest.fixture
def patched(tmp_path):
    return lambda dump: Patched(dump, tmp_path / "a.dmp")


def codes(file: Patched) -> set[str]:
    """Diagnostics of all that a file answers; with `strict` there is an error if there are any."""
    with snapcore.open(file.path) as opened:
        for question in ("process", "threads", "contexts", "modules", "memory_ranges"):
            getattr(opened, question)()
        for question in ("handles", "regions"):
            with contextlib.suppress(ValueError):  # the file has none
                getattr(opened, question)()
        for question in ("unloaded_modules", "handle_information", "handle_operations", "tokens"):
            getattr(opened, question)()
        for question in ("crashpad", "dso_debug", "mac_crash_info"):
            getattr(opened, question)()
        found = {d.code for d in opened.diagnostics}
    if found:
        with pytest.raises(DumpFormatError):
            everything(file.path, strict=True)
    else:
        assert everything(file.path, strict=True) == 0
    return found


def test_nothing_is_wrong_with_what_is_right(patched):
    assert codes(patched(base())) == set()
    assert codes(patched(sample_dumps.everything())) == set()


@pytest.mark.parametrize("size", [0, 1, 4, 31])
def test_too_short_to_be_a_dump(tmp_path, size):
    path = tmp_path / "a.dmp"
    path.write_bytes(base().build()[:size])
    with pytest.raises(DumpFormatError, match="too short"):
        snapcore.open(path)


def test_not_a_dump(patched):
    file = patched(base())
    file.put(4, 0x1234)
    with pytest.raises(DumpFormatError, match="MDMP"):
        snapcore.open(file.path)


@pytest.mark.parametrize(
    ("type_", "code"), [(3, "list_truncated"), (24, "list_truncated"), (17, "list_truncated")]
)
def test_counts_that_no_file_has_room_for(patched, type_, code):
    file = patched(base())
    at = file.stream(type_) + (8 if type_ == 17 else 0)
    file.put(at, 0xFFFFFFFF)
    start = time.perf_counter()
    assert codes(file) == {code}
    assert time.perf_counter() - start < 5
    with snapcore.open(file.path) as opened:
        # What is whole is there: the entries that the stream has room for.
        assert opened.threads()["tid"].tolist() == [7, 8]


def test_a_directory_that_lies(patched):
    file = patched(base())
    file.put(8, 0xFFFFFFFF)
    assert "directory_truncated" in codes(file)
    file = patched(base())
    file.put(12, 0xFFFFFFF0)
    assert {"directory_truncated", "no_system_info", "no_threads"} <= codes(file)


def test_a_stream_outside_of_the_file(patched):
    file = patched(base())
    file.put(file.entry(24) + 8, 0x7FFFFFFF)
    assert codes(file) == {"stream_truncated", "list_truncated"}
    with snapcore.open(file.path) as opened:
        assert opened.threads()["tid"].tolist() == [7, 8]
        assert list(opened.threads()["name"]) == [None, None]


def test_two_streams_of_one_type(patched):
    file = patched(base().comment_w("one"))
    file.put(file.entry(11), 3)
    assert "stream_twice" in codes(file)


def test_registers_outside_of_the_file(patched):
    file = patched(base())
    thread = file.stream(3) + 4
    file.put(thread + 44, 0x7FFFFFFF)
    assert codes(file) == {"context_unreadable"}
    with snapcore.open(file.path) as opened:
        assert opened.contexts()["valid"].tolist() == [0, 1]
        assert opened.threads().valid("instruction_pointer").tolist() == [False, True]


def test_a_processor_that_is_not_known(patched):
    file = patched(base())
    file.put(file.stream(7), 0x4242, "<H")
    assert codes(file) == {"unknown_architecture", "context_unreadable"}
    with snapcore.open(file.path) as opened:
        assert opened.system().architecture == str(0x4242)
        assert opened.threads()["tid"].tolist() == [7, 8]


def test_ranges_that_overlap(patched):
    memory = [(0x1000, b"a" * 32), (0x1010, b"b" * 32), (0x1000, b"c" * 16), (0x2000, b"d" * 16)]
    file = patched(base().memory_list(memory))
    assert codes(file) == {"memory_overlaps"}
    with snapcore.open(file.path) as opened:
        assert opened.memory_ranges()["address"].tolist() == [0x1000, 0x1020, 0x2000]
        assert opened.read(0x1000, 48) == b"a" * 32 + b"b" * 16


def test_ranges_outside_of_the_file_and_of_all_addresses(patched):
    file = patched(base().memory64_list([(0x1000, b"a" * 64), (0x9000, b"b" * 64)]))
    at = file.stream(9)
    file.put(at + 16 + 8, 2**63, "<Q")
    # Which swallows the second range.
    assert codes(file) == {"memory_truncated", "memory_overlaps"}
    with snapcore.open(file.path) as opened:
        assert opened.read(0x1000, 64) == b"a" * 64
        with pytest.raises(snapcore.SnapError):
            opened.read(0x1000 + 2**40, 1)
    file.put(at + 16 + 8, 2**64 - 1, "<Q")
    assert {"memory_beyond_addresses", "memory_out_of_file"} <= codes(file)


def test_a_stream_that_names_no_base(patched):
    file = patched(base().stream(0x534E5005, bytes(4)))
    assert codes(file) == {"base_unnamed"}


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path):
    threads = [Thread(n, "a", THREADS[0].context) for n in range(1, 2000)]
    path = (
        DumpBuilder()
        .system_info(structures.AMD64, structures.WINDOWS)
        .threads(threads)
        .write(tmp_path / "a.dmp")
    )
    with snapcore.open(path) as opened:
        os.truncate(path, path.stat().st_size // 3)
        opened.threads()
        assert "file_shrank" in {d.code for d in opened.diagnostics}


def test_entries_of_no_size(patched):
    file = patched(base().memory_info_list([]).handle_data([]))
    for stream in (16, 12):
        file.put(file.stream(stream) + 4, 0)
    assert codes(file) == {"list_truncated"}


def test_tokens_and_lists_of_others_that_lie(patched):
    file = patched(base().tokens([(1, 2, b"abc"), (3, 4, b"def")]))
    file.put(file.stream(19) + 4, 0xFFFFFFFF)
    assert codes(file) == {"list_truncated"}
    with snapcore.open(file.path) as opened:
        assert [t.id for t in opened.tokens()] == [1, 3]
    file = patched(base().dso_debug([(0x400000, "a", 0)]))
    file.put(file.stream(0x4767000A) + 8, 0xFFFFFFF)
    assert codes(file) == {"list_truncated"}
    with snapcore.open(file.path) as opened:
        assert opened.dso_debug().link_map[0].address == 0x400000


def test_columns_of_our_own_that_lie(patched):
    def file_with(entry: bytes, data: bytes) -> Patched:
        return patched(base().stream(0x534E5003, struct.pack("<IIQ", 16, 72, 1) + entry + data))

    def entry(name: bytes, kind: int, rows: int, values: int, texts: int = 0) -> bytes:
        return struct.pack("<II32s4Q", 1, kind, name, rows, values, 0, texts)

    # A key, and nothing else.
    assert codes(file_with(entry(b"tid", 0x104, 2, 88), struct.pack("<II", 7, 8))) == set()
    for rows, values in ((2**60, 88), (2, 2**63), (3, 88)):
        assert codes(file_with(entry(b"tid", 0x104, rows, values), bytes(8))) == {"list_truncated"}
    # Another type than the column has, and a column that there is not.
    assert codes(file_with(entry(b"tid", 0x108, 1, 88), bytes(8))) == set()
    assert codes(file_with(entry(b"nothing", 0x104, 2, 88), bytes(8))) == set()


def test_a_file_of_more_than_4_gib(tmp_path):
    path = sparse(5 << 30).write(tmp_path / "large.dmp")
    assert path.stat().st_size > 5 << 30
    with snapcore.open(path, strict=True) as file:
        ranges = file.memory_ranges()
        first, last = int(ranges["address"][0]), int(ranges["address"][-1])
        assert int(ranges["offset"][-1]) > 5 << 30
        assert file.read(first, 5) == b"first"
        assert file.read(last, 4) == b"last"
        middle = int(ranges["address"][3])
        assert file.read(middle + (1 << 30) - 64, 64) == bytes(64)
    with path.open("rb+") as file:
        file.truncate(5 << 29)
    with snapcore.open(path) as file:
        assert file.read(first, 5) == b"first"
        assert "memory_truncated" in {d.code for d in file.diagnostics}
        with pytest.raises(snapcore.SnapError):
            file.read(last, 4)
