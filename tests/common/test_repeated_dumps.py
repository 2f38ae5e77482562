# SPDX-License-Identifier: Apache-2.0
"""Repeated dumps, and dump files that need another one; the same on both systems."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dump_builder import DumpBuilder
from sample_dumps import small_linux
from support import WINDOWS

import snapcore
from snapcore.cli import main

IDENTITY = bytes(range(16))


def test_dumps_come_by_the_clock(facts, tmp_path):
    folder = tmp_path / "made" / "for it"
    with snapcore.watch(facts.pid, folder, every=0.5, count=3) as watch:
        results = list(watch)
        assert list(watch) == []
    assert [result.number for result in results] == [0, 1, 2]
    assert watch.skipped == sum(result.skipped for result in results)
    paths = [result.path for result in results]
    assert paths == sorted(paths) == sorted(map(str, folder.iterdir())) == list(watch.files())
    for result in results:
        assert (result.base is None) == (WINDOWS or result.number == 0)
        assert result.pause_ns > 0
        with snapcore.open(result.path, strict=True) as dump:
            assert set(facts.facts["threads"]) <= set(map(str, dump.threads()["tid"].tolist()))
            assert len(dump.modules()) == result.modules
            assert (dump.base is None) == (result.base is None)
            first = int(dump.threads()["stack_pointer"][0])
            assert len(dump.read(first, 16)) == 16
    codes = {each.code for each in results[0].diagnostics}
    assert ("whole_dumps_only" in codes) == WINDOWS
    if WINDOWS:
        assert "whole_dumps_only" not in {each.code for each in results[1].diagnostics}


def test_what_is_due_meanwhile_is_skipped_and_old_ones_go(facts, tmp_path):
    folder = tmp_path / "dumps"
    folder.mkdir()
    (folder / "mine.dmp").write_bytes(b"mine")
    with snapcore.watch(facts.pid, folder, every=0.3, keep=2, count=4, flags="mini") as watch:
        first = next(watch)
        time.sleep(1)
        later = next(watch)
        assert later.skipped >= 2
        assert [first.path, later.path] == list(watch.files())
        last = list(watch)[-1]
    assert len(watch.files()) == 2
    assert last.path in watch.files()
    assert not Path(first.path).exists()
    assert (folder / "mine.dmp").read_bytes() == b"mine"
    assert len(list(folder.iterdir())) == 3


def test_a_process_that_is_not_there(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
        with pytest.raises(snapcore.ProcessGone):
            next(snapcore.watch(ended.pid, tmp_path, every=1))
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_ends_in_between(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", "print('ready', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        with snapcore.watch(process.pid, tmp_path, every=0.5, flags="mini") as watch:
            next(watch)
            process.kill()
            process.communicate()
            assert list(watch) == []
            assert [each.code for each in watch.diagnostics if each.code != "whole_dumps_only"] == [
                "process_ended"
            ]
    assert len(list(tmp_path.iterdir())) == 1


def test_the_command(facts, tmp_path, capsys):
    arguments = ["watch", str(facts.pid), "-o", str(tmp_path), "--every", "300ms", "--count", "2"]
    assert main(arguments) in (0, 5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "whole" in lines[0]
    assert ("changed" in lines[1]) != WINDOWS
    assert main([*arguments, "--json", "--mini", "-q"]) in (0, 5)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["number"] for each in said] == [0, 1]
    assert {each["schema"] for each in said} == {1}


@pytest.mark.parametrize("every", ["0", "-1s", "5 parsecs", ""])
def test_times_that_are_none(every, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["watch", "1", "-o", str(tmp_path), "--every", every])
    assert ended.value.code == 2


# --- Files that were made by hand


def write_pair(folder: Path, name: bytes = b"base.dmp", *, base_identity: bytes = IDENTITY) -> Path:
    """A base of two ranges, and a dump of which eight bytes are new."""
    base = DumpBuilder(flags=2).system_info().thread_list([])
    base.memory64_list([(0x10000, b"a" * 512), (0x20000, b"b" * 256)]).identity(base_identity)
    data = base.build()
    (folder / "base.dmp").write_bytes(data)
    later = DumpBuilder(flags=2).system_info().thread_list([])
    later.memory64_list([(0x10100, b"changed!")])
    later.base([(0x10000, 512), (0x20000, 256)], identity=IDENTITY, size=len(data), name=name)
    path = folder / "later.dmp"
    path.write_bytes(later.build())
    return path


def test_both_answer_as_one(tmp_path):
    path = write_pair(tmp_path)
    with snapcore.open(path, strict=True) as dump:
        assert dump.base == snapcore.DumpBase(
            name="base.dmp",
            path=str(tmp_path / "base.dmp"),
            identity=IDENTITY.hex(),
            size=(tmp_path / "base.dmp").stat().st_size,
        )
        assert dump.read(0x10000, 512) == b"a" * 256 + b"changed!" + b"a" * 248
        assert dump.read(0x20000, 256) == b"b" * 256
        assert dump.find(b"achanged!a").tolist() == [0x100FF]
        assert [text for _, text in dump.strings(300)] == ["a" * 256 + "changed!" + "a" * 248]
        ranges = dump.memory_ranges()
        assert ranges["address"].tolist() == [0x10000, 0x10100, 0x10108, 0x20000]
        assert ranges["in_base"].tolist() == [1, 0, 1, 1]
        dump.save(tmp_path / "whole.dmp")
    with snapcore.open(tmp_path / "whole.dmp", strict=True) as whole:
        assert whole.base is None
        ranges = whole.memory_ranges()
        assert ranges[["address", "size"]].tolist() == [(0x10000, 512), (0x20000, 256)]
        assert whole.read(0x10000, 512) == b"a" * 256 + b"changed!" + b"a" * 248


@pytest.mark.parametrize(
    "name", [b"", b".", b"..", b"../later.dmp", b"..\\base.dmp", b"c:base.dmp", b"base.dmp\x01"]
)
def test_names_that_lead_elsewhere(tmp_path, name):
    path = write_pair(tmp_path, name)
    with snapcore.open(path) as dump:
        assert [each.code for each in dump.diagnostics] == ["base_name_refused"]
        assert dump.memory_ranges()["in_base"].tolist() == [0]
    with pytest.raises(snapcore.DumpFormatError):
        snapcore.open(path, strict=True)


def test_a_base_that_is_another_or_gone(tmp_path):
    path = write_pair(tmp_path, base_identity=bytes(16))
    with snapcore.open(path) as dump:
        assert [each.code for each in dump.diagnostics] == ["base_differs"]
        assert dump.base.path is None
    (tmp_path / "base.dmp").unlink()
    with snapcore.open(path) as dump:
        (found,) = dump.diagnostics
        assert found.code == "base_missing"
        assert "base.dmp" in found.message
        with pytest.raises(snapcore.DumpFormatError, match=r"base\.dmp"):
            dump.save(tmp_path / "whole.dmp")
    assert [each.name for each in tmp_path.iterdir()] == ["later.dmp"]


def test_a_base_that_lacks_something(tmp_path):
    path = write_pair(tmp_path)
    size = (tmp_path / "base.dmp").stat().st_size
    later = DumpBuilder(flags=2).system_info().thread_list([]).memory64_list([(0x10100, b"new")])
    later.base([(0x10000, 513), (0x30000, 8)], identity=IDENTITY, size=size)
    path.write_bytes(later.build())
    with snapcore.open(path) as dump:
        assert dump.read(0x10000, 256) == b"a" * 256
        (found,) = dump.diagnostics
        assert (found.code, found.subject) == ("memory_not_in_base", 9)
        with pytest.raises(snapcore.DumpFormatError, match="9 bytes"):
            dump.save(tmp_path / "whole.dmp")
    assert not (tmp_path / "whole.dmp").exists()


def test_merge(tmp_path, capsys):
    path, out = write_pair(tmp_path), tmp_path / "whole.dmp"
    assert main(["merge", str(path), "-o", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    assert main(["merge", str(path), "-o", str(out)]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["merge", str(path), "-o", str(out), "--force", "-q"]) == 0
    with snapcore.open(out) as whole:
        assert whole.read(0x10100, 8) == b"changed!"
    (tmp_path / "base.dmp").unlink()
    assert main(["merge", str(path), "-o", str(out), "--force"]) == 1
    assert "base.dmp" in capsys.readouterr().err


def test_other_files_are_copied(tmp_path):
    path, out = tmp_path / "a.dmp", tmp_path / "b.dmp"
    path.write_bytes(small_linux().build())
    with snapcore.open(path) as dump:
        assert dump.base is None
        dump.save(out)
    assert out.read_bytes() == path.read_bytes()
