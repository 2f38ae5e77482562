# SPDX-License-Identifier: Apache-2.0
"""A later dump and its base: what opens without it, hostile ones, and whole dumps made of both."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import pytest
from dump_files import answers
from watch_target import PAGE, changing, is_whole, own_pages

import snapcore
from snapcore.cli import main

SHORT = 0.05
BASE_STREAM, IDENTITY_STREAM = 0x534E5005, 0x534E5004


@pytest.fixture
def target():
    with changing() as process:
        yield process


@pytest.fixture
def pair(target, tmp_path):
    """A base and a dump that needs it."""
    folder = tmp_path / "pair"
    at = target.do("at = small(500, 1); answer = at")
    with snapcore.watch(target.pid, folder, every=SHORT) as watch:
        base = next(watch)
        target.do("put(at + 4096 * 9, 12)")
        later = next(watch)
    return Path(base.path), Path(later.path), at


def opened_as_part(path: Path, code: str, at: int) -> str:
    """What is said of a dump whose base is not to be had: it opens, and holds what changed."""
    with pytest.raises(snapcore.DumpFormatError):
        snapcore.open(path, strict=True)
    with snapcore.open(path) as dump:
        assert {each.code for each in dump.diagnostics} == {code}
        assert dump.base.path is None
        assert own_pages(dump, at, 500) == [9]
        assert dump.read(at + 9 * PAGE, 8) == struct.pack("<Q", 12)
        with pytest.raises(snapcore.SnapError):
            dump.read(at, 8)
        assert not dump.memory_ranges()["in_base"].any()
        assert len(dump.threads()) > 0
        assert len(dump.regions()) > 0
        with pytest.raises(snapcore.DumpFormatError, match="base"):
            dump.save(path.with_suffix(".whole"))
        assert not path.with_suffix(".whole").exists()
        return dump.diagnostics[0].message


def test_a_missing_base(pair):
    base, later, at = pair
    base.unlink()
    assert base.name in opened_as_part(later, "base_missing", at)


def test_a_base_of_another_identity(pair, target, tmp_path):
    base, later, at = pair
    with snapcore.watch(target.pid, tmp_path / "other", every=SHORT, count=1) as watch:
        shutil.copy(next(watch).path, base)
    assert base.name in opened_as_part(later, "base_differs", at)


def test_a_base_that_is_cut_off(pair):
    base, later, at = pair
    with base.open("r+b") as file:
        file.truncate(base.stat().st_size - PAGE)
    opened_as_part(later, "base_differs", at)


def test_a_base_that_is_no_dump(pair):
    base, later, at = pair
    base.write_bytes(b"x" * 100)
    opened_as_part(later, "base_broken", at)


def test_a_base_that_is_a_link(pair, tmp_path):
    base, later, at = pair
    base.rename(tmp_path / "elsewhere.dmp")
    base.symlink_to(tmp_path / "elsewhere.dmp")
    opened_as_part(later, "base_missing", at)


def test_a_base_that_is_a_pipe_or_a_folder(pair):
    base, later, at = pair
    base.unlink()
    os.mkfifo(base)
    opened_as_part(later, "base_missing", at)
    base.unlink()
    base.mkdir()
    opened_as_part(later, "base_missing", at)


def with_name(path: Path, name: bytes) -> None:
    with snapcore.open(path) as dump:
        offset = next(each.offset for each in dump.streams() if each.type == BASE_STREAM)
    with path.open("r+b") as file:
        file.seek(offset + 40)
        file.write(name.ljust(256, b"\0"))


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"..",
        b"../pair/x",
        b"/etc/passwd",
        b"a\\b",
        b"C:x",
        b"line\nbreak",
        b"\x1b[31m",
    ],
)
def test_hostile_names(pair, name):
    _, later, at = pair
    with_name(later, name)
    said = opened_as_part(later, "base_name_refused", at)
    assert said.isprintable()


def test_names_without_an_end_or_that_are_no_text(pair):
    _, later, at = pair
    with_name(later, b"n" * 256)
    opened_as_part(later, "base_missing", at)
    with_name(later, b"\xff\xfe")
    opened_as_part(later, "base_missing", at)


def test_a_dump_is_not_its_own_base_and_no_base_has_one(pair, target, tmp_path):
    _, later, at = pair
    with_name(later, later.name.encode())
    opened_as_part(later, "base_differs", at)


def test_commands_take_both_for_one(pair, capsys):
    base, later, at = pair
    assert main(["read", str(later), hex(at), "16", "--format", "raw"]) == 0
    assert main(["info", str(later)]) == 0
    assert base.name in capsys.readouterr().out
    base.unlink()
    assert main(["info", str(later)]) == 5
    assert base.name in capsys.readouterr().err


# --- Whole again


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_save(pair, target, tmp_path, compression):
    _, later, _ = pair
    path = tmp_path / "whole.dmp"
    with snapcore.open(later) as dump:
        dump.save(path, compression=compression)
        expected = answers(dump)
    is_whole(path, target)
    with snapcore.open(path, strict=True) as whole:
        assert whole.base is None
        assert not whole.memory_ranges()["in_base"].any()
        assert whole.stream(IDENTITY_STREAM) is None
        found = answers(whole)
        for name in ("streams", "memory_ranges"):
            expected.pop(name, None)
            found.pop(name, None)
        assert found == expected
    assert os.stat(path).st_mode & 0o777 == 0o600
    with snapcore.open(later) as dump, pytest.raises(FileExistsError):
        dump.save(path)


def test_save_is_read_by_others(pair, target, tmp_path, quiet_parser):
    import minidump.minidumpfile

    _, later, at = pair
    path = tmp_path / "whole.dmp"
    with snapcore.open(later) as dump:
        dump.save(path)
    file = minidump.minidumpfile.MinidumpFile.parse(str(path))
    reader = file.get_reader()
    assert reader.read(at, 500 * PAGE) == target.memory(at, 500 * PAGE)
    stack = int(snapcore.open(path).threads()["stack_pointer"][0])
    assert reader.read(stack, 64) == target.memory(stack, 64)
    file.file_handle.close()
    # Its first thread points to the same stack.
    thread = file.threads.threads[0]
    data = path.read_bytes()[thread.Stack.MemoryLocation.Rva :][
        : thread.Stack.MemoryLocation.DataSize
    ]
    assert data == target.memory(thread.Stack.StartOfMemoryRange, len(data))


def test_what_is_whole_is_saved_as_it_is(pair, tmp_path):
    base, _, _ = pair
    with snapcore.open(base) as dump:
        dump.save(tmp_path / "plain.dmp")
        dump.save(tmp_path / "packed.dmp", compression="zstd")
    assert (tmp_path / "plain.dmp").read_bytes() == base.read_bytes()
    with snapcore.open(tmp_path / "packed.dmp") as packed:
        packed.save(tmp_path / "again.dmp")
    assert (tmp_path / "again.dmp").read_bytes() == base.read_bytes()
