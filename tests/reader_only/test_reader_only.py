# SPDX-License-Identifier: Apache-2.0
"""Where nothing is captured: dump files are read as everywhere, and all else says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support import ROOT

import snapcore
from snapcore.cli import main
from snapcore.cli.exit_codes import ExitCode

DUMPS = sorted((ROOT / "tests" / "corpus" / "file").glob("linux*.dmp"))
assert DUMPS
ADVICE = "reads dump files"


@pytest.mark.parametrize(
    "ask",
    [
        lambda _: snapcore.capture(os.getpid()),
        lambda path: snapcore.dump(os.getpid(), path / "never.dmp"),
        lambda path: snapcore.dump(os.getpid(), path / "never.dmp", method="live"),
        lambda path: snapcore.dump(os.getpid(), path / "never.dmp", method="auto"),
        lambda _: snapcore.threads(os.getpid()),
        lambda _: snapcore.handles(os.getpid()),
        lambda _: snapcore.system_threads(),
        lambda _: snapcore.system_handles(),
        lambda _: snapcore.leaks(os.getpid(), interval=0.01, count=2),
        lambda path: next(snapcore.watch(os.getpid(), path / "dumps", every=1, count=1)),
    ],
    ids=["capture", "dump", "live", "auto", "threads", "handles", "system_threads",
         "system_handles", "leaks", "watch"],
)  # fmt: skip
def test_what_needs_a_process_is_unsupported(ask, tmp_path):
    with pytest.raises(snapcore.Unsupported, match=ADVICE) as raised:
        ask(tmp_path)
    assert str(raised.value) == str(raised.value).strip()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.stem)
def test_a_dump_is_read(path):
    with snapcore.open(path) as dump:
        assert len(dump.modules()) > 0
        assert len(dump.threads()) > 0
        for piece in dump.memory_ranges():
            assert len(dump.read(int(piece["address"]), 1)) == 1


@pytest.mark.parametrize("name", ["info", "modules", "threads"])
def test_the_command_reads(name, capsys):
    assert main([name, str(DUMPS[0]), "--format", "json"]) in (ExitCode.OK, ExitCode.WARNINGS)
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("command", [["threads"], ["info"], ["dump"]], ids=lambda c: c[0])
def test_the_command_says_why_not(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "snapcore", *command, str(os.getpid())],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.FAILURE
    assert ADVICE in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_doctor_says_it(capsys):
    main(["doctor"])
    assert ADVICE in capsys.readouterr().out


def test_a_file_that_is_written_is_its_owners(tmp_path):
    whole = tmp_path / "whole.dmp"
    with snapcore.open(DUMPS[0]) as dump:
        dump.save(whole)
        assert whole.stat().st_mode & 0o777 == 0o600
        with pytest.raises(FileExistsError):
            dump.save(whole)
        dump.save(whole, overwrite=True)
        with snapcore.open(whole) as again:
            assert list(again.modules()["path"]) == list(dump.modules()["path"])
    assert [path.name for path in tmp_path.iterdir()] == ["whole.dmp"]
