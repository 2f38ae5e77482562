# SPDX-License-Identifier: Apache-2.0
"""diff(), leaks(), the tables of the whole system, and their commands, against a process that does as it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from support import WINDOWS, wait_until

import snapcore
from snapcore import CaptureFlags
from snapcore.cli import main
from snapcore.cli.exit_codes import ExitCode

# Opens, closes and leaks as its standard input says, and answers each line with one.
CHILD = """
import os, socket, sys, threading, time

kept, files, threads = [], [], []

def leak(folder, per_second):
    while True:
        kept.append(open(os.path.join(folder, f"leak-{len(kept)}.log"), "w"))
        kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        time.sleep(1 / per_second)

print("ready", flush=True)
for line in sys.stdin:
    verb, *words = line.split(None, 1)
    word = words[0].rstrip("\\n") if words else ""
    if verb == "open":
        files.append(open(word, "w"))
    elif verb == "close":
        files.pop(0).close()
    elif verb == "pipe":
        kept.append(os.pipe())
    elif verb == "thread":
        threads.append(threading.Thread(target=time.sleep, args=(600,), daemon=True))
        threads[-1].start()
    elif verb == "leak":
        threading.Thread(target=leak, args=(word, 50), daemon=True).start()
    elif verb == "end":
        os._exit(0)
    print("done", flush=True)
"""


class Child:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid
        self.process.stdout.readline()

    def ask(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture
def child():
    running = Child()
    with running.process:
        yield running
        running.process.kill()


@pytest.fixture
def run(capsys):
    """Run the command in this process; its exit code, output and what it said."""

    def runner(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        return int(code), said.out, said.err

    return runner


def names(table: snapcore.Table) -> list[str]:
    """The last parts of the names of files; Wine and Windows tell them with device names."""
    return [n.replace("\\", "/").rsplit("/", 1)[-1] for n in table["object_name"] if n]


# --- diff ---


def test_a_handle_that_was_closed_and_whose_number_was_used_again(child, tmp_path):
    child.ask(f"open {tmp_path / 'one'}")
    before = snapcore.handles(child.pid)
    child.ask("close")
    child.ask(f"open {tmp_path / 'two'}")
    child.ask("pipe")
    after = snapcore.handles(child.pid)
    found = snapcore.diff(before, after)
    if not WINDOWS:
        assert names(found.removed) == ["one"]
        assert sorted(found.added["type_name"]) == ["File", "Pipe", "Pipe"]
        assert found.removed["handle"][0] in found.added["handle"]
        assert found.by("type_name")[0] == snapcore.DifferenceCount("Pipe", 2, 0, 2)
    assert len(found.added) - len(found.removed) == len(after) - len(before)
    assert len(found.kept) == len(before) - len(found.removed)
    assert np.isin(found.kept["handle"], before["handle"]).all()
    nothing = snapcore.diff(after, snapcore.handles(child.pid))
    assert (len(nothing.added), len(nothing.removed)) == (0, 0)


def test_snapshots_files_and_paths(child, tmp_path):
    flags = CaptureFlags.DEFAULT
    with snapcore.capture(child.pid, flags) as first:
        first.dump(tmp_path / "first.dmp", "mini")
        child.ask("pipe")
        child.ask("thread")
        with snapcore.capture(child.pid, flags) as second:
            second.dump(tmp_path / "second.dmp", "mini")
            expected = {}
            for table in ("handles", "threads", "regions", "modules"):
                found = snapcore.diff(first, second, table=table)
                expected[table] = len(found.added), len(found.removed)
    assert expected["threads"] == (1, 0)
    assert expected["modules"] == (0, 0)
    # The stack of the thread.
    assert expected["regions"][0] >= 1
    if not WINDOWS:
        assert expected["handles"] == (2, 0)
    paths = tmp_path / "first.dmp", os.fspath(tmp_path / "second.dmp")
    with snapcore.open(paths[0]) as file:
        for table in ("handles", "threads", "modules"):
            for found in (
                snapcore.diff(*paths, table=table),
                snapcore.diff(file, paths[1], table=table),
            ):
                assert (len(found.added), len(found.removed)) == expected[table], table


def test_what_a_snapshot_does_not_hold(child):
    with (
        snapcore.capture(child.pid, CaptureFlags.THREADS) as snap,
        pytest.raises(ValueError, match="HANDLES"),
    ):
        snapcore.diff(snap, snap)


# --- the command diff ---


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_diff_of_files_in_every_form(run, child, tmp_path, form):
    paths = tmp_path / "first.dmp", tmp_path / "second.dmp"
    snapcore.dump(child.pid, paths[0], "mini")
    child.ask("thread")
    snapcore.dump(child.pid, paths[1], "mini")
    code, out, err = run("diff", *paths, "--table", "threads", "--format", form)
    assert (code, err) == (0, "")
    assert out.count("added") == 1
    assert "removed" not in out
    if form == "json":
        said = json.loads(out)
        assert said["before"] == {"path": os.fspath(paths[0])}
        assert said["columns"][0] == "change"
        assert [row["change"] for row in said["rows"]] == ["added"]
    code, out, err = run("diff", *paths, "--table", "threads", "--format", form, "--kept")
    assert out.count("kept") == len(snapcore.threads(child.pid)) - 1
    code, out, err = run("diff", *paths, "--table", "threads", "--by", "tid", "--format", "json")
    rows = json.loads(out)["rows"]
    assert rows[0] | {"tid": 0} == {"tid": 0, "added": 1, "removed": 0, "kept": 0, "net": 1}
    assert len(rows) == len(snapcore.threads(child.pid))


def test_two_looks_at_a_process(run, child):
    timer = threading.Timer(0.3, child.ask, ["thread"])
    timer.start()
    code, out, err = run(
        "diff", child.pid, "--interval", "1.5", "--table", "threads", "--format", "json"
    )
    timer.join()
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert said["before"] == said["after"] == {"pid": child.pid}
    assert [row["change"] for row in said["rows"]] == ["added"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["x.dmp"], "second"),
        (["1", "--by", "type", "--columns", "type"], "--columns"),
        (["1", "--interval", "0"], "invalid time"),
        (["1", "--table", "nothing"], "nothing"),
    ],
)
def test_diff_refuses(run, arguments, text):
    code, out, err = run("diff", *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert text in err


# --- leaks ---


def test_a_leak_of_known_rate(child, tmp_path):
    child.ask(f"leak {tmp_path}")
    seen = []
    found = snapcore.leaks(
        child.pid, 0.2, 8, progress=lambda taken, count, so_far: seen.append((taken, count, so_far))
    )
    assert [(taken, count, len(so_far.seconds)) for taken, count, so_far in seen] == [
        (n, 8, n) for n in range(1, 9)
    ]
    assert found.pid == child.pid
    assert len(found.seconds) == len(found.totals) == 8
    assert (np.diff(found.seconds) > 0).all()
    # At most 50 a second of each; how much less is the machine's affair.
    top = found.growth[0]
    assert top.grows
    files = next(g for g in found.by("object_name") if "leak-#.log" in g.value)
    assert 5 < files.per_second <= 60
    assert files.not_fallen == 1
    elapsed = found.seconds[-1]
    assert files.per_second == pytest.approx((files.last - files.first) / elapsed, rel=0.5)
    kinds = {g.value: g for g in found.by("type_name")}
    if not WINDOWS:
        sockets = found.difference.added["socket_type"]
        assert (sockets == "SOCK_DGRAM").sum() == kinds["Socket"].last - kinds["Socket"].first
        folder = found.by("folder")[0]
        assert (folder.value, folder.counts) == (f"{tmp_path}/", files.counts)
        assert kinds["File"].grows
        assert kinds["Socket"].grows
        assert not kinds["Pipe"].grows
        assert set(found.difference.by("type_name")[0:2]) == {
            snapcore.DifferenceCount(
                kind, kinds[kind].last - kinds[kind].first, 0, kinds[kind].first
            )
            for kind in ("File", "Socket")
        }
    assert found.totals[-1] - found.totals[0] == len(found.difference.added) - len(
        found.difference.removed
    )
    assert "leak-#.log" in found.plot(ascii_only=True)
    assert found.diagnostics == ()
    with pytest.raises(ValueError, match="group"):
        found.by("nothing")


def test_nothing_leaks(child):
    found = snapcore.leaks(child.pid, 0.05, 4)
    assert not any(g.grows for g in found.growth)
    assert found.plot() == ""
    assert len(found.difference.added) == 0


def test_the_process_ends_in_the_middle(child, run):
    def progress(taken, count, so_far):
        if taken == 2:
            child.process.kill()
            child.process.wait()

    found = snapcore.leaks(child.pid, 0.05, 50, progress=progress)
    assert len(found.seconds) == 2
    (ended,) = found.diagnostics
    assert (ended.code, ended.severity, ended.subject) == ("process_ended", "warning", child.pid)
    assert "2 of 50" in ended.message
    with pytest.raises(snapcore.ProcessGone):
        snapcore.leaks(child.pid, 0.05, 2)


def test_leaks_command(run, child, tmp_path):
    child.ask(f"leak {tmp_path}")
    code, out, err = run("leaks", child.pid, "--interval", "0.1", "--count", "4", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert (said["pid"], said["samples"]) == (child.pid, 4)
    assert said["rows"][0]["grows"] is True
    assert any("leak-#.log" in row["value"] for row in said["rows"])
    assert all(row["last"] > row["first"] for row in said["rows"])
    code, out, err = run("leaks", child.pid, "--interval", "0.1", "--count", "2", "--new")
    assert (code, err) == (0, "")
    assert "leak-" in out
    code, out, err = run(
        "leaks", child.pid, "--interval", "0.1", "--count", "2", "--all", "--format", "csv"
    )
    assert "true" in out
    assert "false" in out


def test_leaks_command_when_the_process_ends(run, child):
    timer = threading.Timer(0.5, child.process.kill)
    timer.start()
    code, out, err = run("leaks", child.pid, "--interval", "0.1", "--count", "100", "--json")
    timer.join()
    assert code == ExitCode.WARNINGS
    assert "ended after" in err
    assert json.loads(out)["diagnostics"][0]["code"] == "process_ended"


def test_leaks_command_interrupted(run, child, monkeypatch):
    sleep, calls = time.sleep, []

    def interrupted(seconds):
        calls.append(seconds)
        if len(calls) == 3:
            raise KeyboardInterrupt
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", interrupted)
    code, out, err = run("leaks", child.pid, "--interval", "0.05", "--count", "100", "--json")
    assert code == ExitCode.INTERRUPTED
    assert json.loads(out)["samples"] == 3
    assert "interrupted after 3 of 100" in err


@pytest.mark.parametrize("arguments", [["--interval", "0"], ["--count", "1"], ["--count", "x"]])
def test_leaks_command_refuses(run, arguments):
    code, _, err = run("leaks", 1, *arguments)
    assert code == ExitCode.USAGE
    assert arguments[0] in err


# --- every process ---


def test_handles_of_every_process(child, tmp_path):
    child.ask(f"open {tmp_path / 'held.log'}")
    table = snapcore.system_handles()
    assert table.columns[:3] == ("pid", "process_name", "handle")
    mine, theirs = table["pid"] == os.getpid(), table["pid"] == child.pid
    for rows in (mine, theirs):
        (name,) = set(table.take(rows)["process_name"])
        assert "python" in name
    wait_until(lambda: "held.log" in names(snapcore.handles(child.pid)))
    if not WINDOWS:
        assert set(table.take(theirs)["handle"]) == set(snapcore.handles(child.pid)["handle"])


def test_threads_of_every_process(child):
    child.ask("thread")
    table = snapcore.system_threads()
    assert table.columns[:3] == ("process_name", "tid", "pid")
    theirs = table.take(table["pid"] == child.pid)
    alone = snapcore.threads(child.pid)
    assert sorted(theirs["tid"].tolist()) == sorted(alone["tid"].tolist())
    assert len(theirs) >= 2
    assert {"python" in n for n in theirs["process_name"]} == {True}
    for column in ("priority", "base_priority", "created_at_ns"):
        assert theirs.valid(column).all(), column
    assert theirs.valid("state").all()
    found = snapcore.diff(theirs, table)
    assert len(found.kept) == len(theirs)
    assert len(np.unique(table["pid"])) >= 2
    if not WINDOWS:
        order = {int(t): i for i, t in enumerate(alone["tid"])}
        for i in range(len(theirs)):
            row, other = theirs.row(i), alone.row(order[int(theirs["tid"][i])])
            for column in ("name", "affinity", "flags", "exit_status", "base_priority"):
                assert row[column] == other[column]


def test_commands_over_every_process(run, child, tmp_path):
    child.ask(f"open {tmp_path / 'held.log'}")
    code, out, _ = run("handles", "--all", "--name", "*held.log", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["all"] is True
    assert [row["pid"] for row in said["rows"]] == [child.pid]
    assert "python" in said["rows"][0]["process_name"]
    _, out, _ = run("handles", "--all", "--name", "*held.log")
    header = out.splitlines()[0].split()
    assert header[:3] == ["pid", "process_name", "handle"]
    _, out, _ = run("handles", child.pid, "--name", "*held.log", "--json")
    assert len(json.loads(out)["rows"]) == 1
    assert json.loads(run("handles", child.pid, "--name", "held.log", "--json")[1])["rows"] == []
    _, out, _ = run("threads", "--all", "--where", f"pid={child.pid}", "--json")
    assert {row["pid"] for row in json.loads(out)["rows"]} == {child.pid}
    _, out, _ = run("handles", "--all", "--by", "process_name", "--format", "csv")
    assert out.splitlines()[0] == "process_name,count"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["handles"], "--all"),
        (["handles", "--all", "1"], "leave out 1"),
        (["threads", "--all", "--snapshot"], "--snapshot"),
        (["regions"], "PID|NAME|FILE"),
    ],
)
def test_all_refuses(run, arguments, text):
    code, out, err = run(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert text in err
