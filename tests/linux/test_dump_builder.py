# SPDX-License-Identifier: Apache-2.0
"""What the tests build synthetic minidumps with: other readers, and this package, accept what it makes."""

from __future__ import annotations

import logging
import time

import pytest
import sample_dumps
import udmp_parser
from dump_builder import DumpBuilder
from dump_files import everything
from dump_structures import ARM64, ARM64_OLD, X86
from minidump.minidumpfile import MinidumpFile

import snapcore

READY_MADE = {
    "windows": sample_dumps.small_windows,
    "linux": sample_dumps.small_linux,
    "linux x86": lambda: sample_dumps.small_linux(X86),
    "linux arm64": lambda: sample_dumps.small_linux(ARM64),
    "linux arm64 of Breakpad": lambda: sample_dumps.small_linux(ARM64_OLD),
    "everything": sample_dumps.everything,
}
# Neither knows Breakpad's number of ARM64, and minidump no number of it at all.
KNOWN_TO_MINIDUMP = [name for name in READY_MADE if "arm64" not in name]
KNOWN_TO_UDMP_PARSER = [name for name in READY_MADE if "Breakpad" not in name]


@pytest.fixture(params=READY_MADE)
def path(request, tmp_path):
    return READY_MADE[request.param]().write(tmp_path / "built.dmp")


@pytest.fixture
def written(tmp_path):
    """The file, and what a lenient open() sees of its threads, modules and memory."""

    def write(name):
        path = READY_MADE[name]().write(tmp_path / "built.dmp")
        with snapcore.open(path) as file:
            return path, file.threads(), file.modules(), file.memory_ranges()

    return write


def test_what_is_built_is_what_is_written(path):
    found = [f().build() for f in READY_MADE.values()]
    assert path.read_bytes() in found


def test_nothing_is_wrong_with_it(path):
    assert everything(path, strict=True) == 0


@pytest.mark.parametrize("name", KNOWN_TO_MINIDUMP)
def test_minidump_reads_it(name, written):
    path, threads, modules, ranges = written(name)
    logging.disable(logging.CRITICAL)  # it misses the PEB
    try:
        other = MinidumpFile.parse(str(path))
    finally:
        logging.disable(logging.NOTSET)
    with other.file_handle:
        assert [t.ThreadId for t in other.threads.threads] == threads["tid"].tolist()
        assert [m.name for m in other.modules.modules] == list(modules["path"])
        segments = [
            s
            for found in (other.memory_segments, other.memory_segments_64)
            if found is not None
            for s in found.memory_segments
        ]
        assert sorted(s.start_virtual_address for s in segments) == ranges["address"].tolist()


@pytest.mark.parametrize("name", KNOWN_TO_UDMP_PARSER)
def test_udmp_parser_reads_it(name, written):
    path, threads, modules, _ = written(name)
    other = udmp_parser.UserDumpParser()
    assert other.Parse(path)
    assert sorted(other.Threads()) == threads["tid"].tolist()
    assert sorted(other.Modules()) == sorted(modules["base"].tolist())


def test_handles_as_minidump_reads_them(tmp_path):
    path = sample_dumps.small_windows().write(tmp_path / "built.dmp")
    logging.disable(logging.CRITICAL)
    try:
        other = MinidumpFile.parse(str(path))
    finally:
        logging.disable(logging.NOTSET)
    with other.file_handle:
        found = [(h.Handle, h.TypeName, h.ObjectName) for h in other.handles.handles]
    assert found == [
        (4, "File", "\\Device\\HarddiskVolume1\\log.txt"),
        (8, "Event", "\\BaseNamedObjects\\ready"),
        (12, "Mutant", None),
    ]


def test_a_crowd_is_built_and_read_in_seconds(tmp_path):
    started = time.monotonic()
    path = sample_dumps.crowd().write(tmp_path / "crowd.dmp")
    assert time.monotonic() - started < 10
    with snapcore.open(path, strict=True) as file:
        sizes = [len(t) for t in (file.threads(), file.modules(), file.regions(), file.handles())]
    assert sizes == [5_000, 2_000, 100_000, 100_000]


def test_five_gib_of_memory_take_no_space(tmp_path):
    path = sample_dumps.sparse(5 << 30).write(tmp_path / "sparse.dmp")
    assert path.stat().st_size > 5 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    with snapcore.open(path, strict=True) as file:
        last = file.memory_ranges()[-1]
        assert file.read(int(last["address"]), 4) == b"last"


def test_words_that_a_test_may_break_lie_in_the_file():
    for make in READY_MADE.values():
        builder = make()
        data = builder.build()
        assert len(builder.all_words()) > 50
        assert all(at + width <= len(data) for at, width in builder.all_words())


def test_a_chain_may_be_a_circle():
    builder = DumpBuilder()
    at = builder.handle_information([(1, b"")])
    again = builder.handle_information([(1, b"1234"), (2, b"")], last_next=at)
    assert again > at
