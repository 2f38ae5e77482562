# SPDX-License-Identifier: Apache-2.0
"""The command in a real terminal, with hostile processes, into full disks."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios

import pytest
import support
from support import programs

import snapcore
from snapcore.cli import main
from snapcore.cli.exit_codes import ExitCode

HOSTILE = r"""
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(15, b"\x1b[31m\xffx\n", 0, 0, 0)
path = os.fsencode(sys.argv[1]) + b"/\x1b]0;title\x07\xfe\n.txt"
file = os.open(path, os.O_CREAT | os.O_RDWR)
print("ready", flush=True)
time.sleep(600)
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "snapcore", *map(str, arguments)]


@pytest.fixture
def hostile(tmp_path):
    """The pid of a process whose names try to command a terminal."""
    with subprocess.Popen(
        [sys.executable, "-c", HOSTILE, tmp_path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
def test_hostile_names(hostile, tmp_path, capsysbinary, form):
    path = tmp_path / "a.dmp"
    snapcore.dump(hostile, path, "full")
    for target in (str(hostile), str(path)):
        for name in ("threads", "handles", "regions", "modules"):
            assert main([name, target, "--format", form]) == 0
            said = capsysbinary.readouterr().out
            assert said.replace(b"\n", b"").decode().isprintable(), (name, target)
            if name == "threads":
                assert b"[31m" in said
            if name == "handles":
                assert b"]0;title" in said
        if form != "jsonl":
            assert main(["info", target, "--format", form]) == 0
            assert capsysbinary.readouterr().out.replace(b"\n", b"").decode().isprintable()


def in_terminal(arguments: list[str], columns: int, **environment: str) -> tuple[int, str]:
    """Run it with a pseudo terminal as stdout and stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "TERM")}
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
    )
    os.close(theirs)
    said = bytearray()
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        said += data
    os.close(ours)
    return process.wait(), said.decode().replace("\r\n", "\n")


def test_a_terminal_has_colours_unless_they_are_not_wanted(hostile):
    code, coloured = in_terminal(command("threads", hostile), 100)
    assert code == 0
    assert coloured.startswith("\x1b[1m")
    assert r"\x1b[31m\xffx\x0a" in coloured
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, plain = in_terminal(command("threads", hostile), 100, **environment)
        assert code == 0
        assert "\x1b" not in plain
        assert plain.split()[0] == "tid"


@pytest.mark.parametrize("columns", [80, 160])
def test_tables_fit(facts, columns):
    for name in ("threads", "handles", "regions", "modules"):
        code, said = in_terminal(command(name, facts.pid), columns, NO_COLOR="1")
        assert code == 0
        lines = said.splitlines()
        assert max(map(len, lines)) <= columns
        assert len(lines) > 2


def test_without_rich(facts, tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code, said = in_terminal(command("threads", facts.pid), 80, PYTHONPATH=path)
    assert code == 0
    assert "\x1b" not in said
    assert "stack-holder" in said


def test_an_import_that_is_not_needed_is_not_made(facts):
    program = (
        "import sys; from snapcore.cli import main; code = main(sys.argv[1:]);"
        "sys.exit(code or 'rich' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "handles", str(facts.pid)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_said(facts, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("handles", facts.pid, "--json"),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == ExitCode.FAILURE
    assert done.stderr == b"snapcore: [Errno 28] No space left on device\n"


def test_read_into_a_full_disk_leaves_nothing(facts, capsys):
    address = facts.facts["sentinels"]["heap sentinel"]
    assert main(["read", str(facts.pid), str(address), "8", "-o", "/dev/full", "--force"]) == 1
    assert "/dev/full" in capsys.readouterr().err
    assert os.path.exists("/dev/full")


def test_by_name_and_peers(start, tmp_path, monkeypatch, capsys):
    # Nobody else's processes have this name.
    name = f"facts-{os.getpid()}"
    shutil.copy(programs() / "facts_target", tmp_path / f"{name}_target")
    monkeypatch.setattr(support, "programs", lambda: tmp_path)
    facts = start(name, tmp_path)
    name += "_target"
    assert main(["handles", name, "--json", "--peers"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    socket = next(r for r in rows if r["handle"] == facts.facts["descriptors"]["Socket"])
    assert socket["peer_pid"] == facts.pid
    stdin = next(r for r in rows if r["handle"] == 0)
    assert stdin["peer_pid"] == os.getpid()
    assert main(["handles", name, "--peers", "--snapshot"]) == ExitCode.USAGE
