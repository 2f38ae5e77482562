# SPDX-License-Identifier: Apache-2.0
"""snapcore info, threads, handles, regions, modules, read: the same rows of a process and of its dump file, in every form."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
from support import WINDOWS

import snapcore
from snapcore import CaptureFlags, Table, dtypes
from snapcore.cli import main, output, streams
from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.frame import Frame
from snapcore.cli.tables import COMMANDS as TABLE_COMMANDS
from snapcore.display.values import enumeration_of

TABLES = ("threads", "handles", "regions", "modules")
FORMS = ("table", "json", "jsonl", "csv")

# What a file of this system's writer holds of each table, and what is the same at any time.
SAME = {
    "threads": "tid,suspend_count,priority,teb"
    if WINDOWS
    else "tid,pid,name,suspend_count,priority,exit_status,affinity",
    "handles": "handle,type_name,object_name,granted_access,attributes",
    "regions": "base,size,protect,state,type",
    "modules": "base,size" if WINDOWS else "base,size,path,debug_id,code_id",
}
# A file has a row for each part of a region whose pages are there, so that only code has the same rows.
ONLY = {"regions": ["--where", "protect=EXECUTE_READ"], "modules": ["--sort", "base"]}


@dataclass
class Said:
    """What a command printed."""

    code: int
    out: str
    err: str

    def rows(self, form: str) -> list[dict]:
        """Rows as dictionaries of text, "" where a value is not known or empty."""
        if form == "json":
            rows = json.loads(self.out)["rows"]
        elif form == "jsonl":
            rows = [json.loads(line) for line in self.out.splitlines()]
        elif form == "csv":
            return list(csv.DictReader(io.StringIO(self.out)))
        else:
            return table_rows(self.out)
        for row in rows:
            for name, value in row.items():
                text = "" if value is None else value
                row[name] = str(text).lower() if isinstance(text, bool) else str(text)
        return rows


def table_rows(text: str) -> list[dict]:
    """Rows of the table form: columns are where all lines have a gap of two spaces."""
    lines = text.splitlines()
    width = max(map(len, lines))
    blank = [all(line[at : at + 1] in ("", " ") for line in lines) for at in range(width)]
    edges = [m.span() for m in re.finditer("x+(?:ox+)*", "".join("xo"[b] for b in blank))]
    cells = [[line[start:end].strip() for start, end in edges] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


@pytest.fixture
def run(capsys):
    """Run the command in this process."""

    def runner(*arguments: object) -> Said:
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        return Said(int(code), said.out, said.err)

    return runner


@pytest.fixture
def dumped(facts, tmp_path):
    """A dump file of the process `facts`."""
    path = tmp_path / "facts.dmp"
    snapcore.dump(facts.pid, path, "full", comment="one\x1b[31mtwo", streams={0x20000: b"mine"})
    return path


@pytest.mark.parametrize("name", TABLES)
def test_a_process_and_its_file_have_the_same_rows_in_every_form(run, facts, dumped, name):
    chosen = ["--columns", SAME[name], *ONLY.get(name, [])]
    expected = None
    for target in (facts.pid, dumped):
        of_forms = {}
        for form in FORMS:
            said = run(name, target, *chosen, "--format", form)
            assert (said.code, said.err) == (0, ""), form
            of_forms[form] = said.rows(form)
            assert list(of_forms[form][0]) == SAME[name].split(","), form
        assert of_forms["jsonl"] == of_forms["json"] == of_forms["csv"]
        assert len(of_forms["table"]) == len(of_forms["json"]) > 1
        for column in dtypes.TABLES[name]:
            if column.name in SAME[name].split(","):
                shown = [row[column.name] for row in of_forms["table"]]
                given = [row[column.name] for row in of_forms["json"]]
                assert shown == [as_shown(column, text) for text in given], column.name
        if expected is None:
            expected = of_forms["json"]
        elif WINDOWS and name == "modules":
            # The system's own writer lists more.
            assert {r["base"] for r in expected} <= {r["base"] for r in of_forms["json"]}
        else:
            assert of_forms["json"] == expected


def as_shown(column: dtypes.Column, text: str) -> str:
    """What the table form must show for a value."""
    if not text:
        return "" if column.dtype == "str" and WINDOWS else "-"
    if column.dtype == "str":
        return text
    kind = enumeration_of(column)
    if kind is not None:
        return kind(int(text)).name
    if column.unit in ("address", "bit mask") or column.name in ("granted_access", "attributes"):
        return hex(int(text))
    if column.unit == "bytes":
        size, unit = int(text), 0
        while size >= 1024:
            size, unit = size / 1024, unit + 1
        return f"{size:.1f} {['', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}" if unit else f"{size} bytes"
    return text


def test_the_snapshot_has_registers_and_the_look_has_not(run, facts):
    looked = json.loads(run("threads", facts.pid, "--json").out)["rows"]
    taken = json.loads(run("threads", facts.pid, "--snapshot", "--json").out)["rows"]
    assert [r["tid"] for r in looked] == [r["tid"] for r in taken]
    assert all(r["stack_pointer"] for r in taken if r["flags"] == 0)
    if not WINDOWS:
        assert not any(r["stack_pointer"] for r in looked)


def test_what_is_only_looked_at_is_not_stopped(run, facts, monkeypatch):
    def refuse(*_: object) -> None:
        pytest.fail("a snapshot was taken")

    monkeypatch.setattr(snapcore, "capture", refuse)
    for name in ("threads", "handles", "info"):
        assert run(name, facts.pid).code == 0


def test_a_snapshot_holds_no_more_than_is_asked_for(run, facts, monkeypatch):
    asked = []
    capture = snapcore.capture
    monkeypatch.setattr(snapcore, "capture", lambda pid, f: asked.append(f) or capture(pid, f))
    for name in ("regions", "modules"):
        assert run(name, facts.pid, "--limit", 1).code == 0
    assert run("read", facts.pid, facts.facts["sentinels"]["heap sentinel"], 8).code == 0
    assert [bool(f & CaptureFlags.VA_CLONE) for f in asked] == [False, True, True]
    assert not any(f & (CaptureFlags.THREADS | CaptureFlags.HANDLES) for f in asked)


def test_the_json_object(run, facts, dumped):
    of_process = json.loads(run("handles", facts.pid, "--json").out)
    of_file = json.loads(run("handles", dumped, "--json").out)
    assert list(of_process) == ["schema", "pid", "table", "columns", "rows", "diagnostics"]
    assert list(of_file) == ["schema", "path", "table", "columns", "rows", "diagnostics"]
    assert of_file["path"] == str(dumped)
    assert of_process["pid"] == facts.pid
    for said in (of_process, of_file):
        assert said["schema"] == 1
        assert said["columns"] == [c.name for c in dtypes.HANDLES]
        assert all(list(row) == said["columns"] for row in said["rows"])
        assert any(value is None for value in said["rows"][0].values())
    nothing = json.loads(run("handles", dumped, "--json", "--limit", 0).out)
    assert nothing["rows"] == []


def test_columns(run, dumped):
    by_default = table_rows(run("regions", dumped).out)
    assert list(by_default[0])[:2] == ["base", "size"]
    assert "image_base" not in by_default[0] or WINDOWS, "Linux does not know it"
    all_columns = [c.name for c in dtypes.REGIONS]
    assert run("regions", dumped, "--columns", "all").out.splitlines()[0].split() == all_columns
    assert run("regions", dumped, "--format", "csv").out.split("\n")[0] == ",".join(all_columns)
    asked = run("regions", dumped, "--columns", "resident, base").out
    assert list(table_rows(asked)[0]) == ["resident", "base"]
    said = run("regions", dumped, "--columns", "base,sise")
    assert said.code == ExitCode.USAGE
    assert "'sise'" in said.err
    assert "size" in said.err


def test_where(run, dumped):
    def bases(*conditions: str) -> set[int]:
        options = [word for c in conditions for word in ("--where", c)]
        rows = json.loads(run("regions", dumped, "--json", *options).out)["rows"]
        return {row["base"] for row in rows}

    with snapcore.open(dumped) as file:
        table = file.regions()
    base, size, protect = table["base"], table["size"], table["protect"]
    some = int(np.sort(base)[len(base) // 2])
    assert bases(f"base={some}") == bases(f"base = {some:#x}") == {some}
    assert bases(f"base!={some}") == set(base.tolist()) - {some}
    assert bases(f"base<{some}") == set(base[base < some].tolist())
    assert bases(f"base<={some}") - bases(f"base<{some}") == {some}
    assert bases(f"base>={some}", f"base<={some}") == {some}
    assert bases("size>4k") == set(base[size > 4096].tolist()) != set(base.tolist())
    assert bases("size>=0x1000", "size<=4KiB") == set(base[size == 4096].tolist())
    assert bases("protect=READWRITE") == set(base[protect == 4].tolist()) != set()
    assert bases("protect=4") == bases("protect=readwrite") == bases("protect=READWRITE")
    assert bases("protect~^EXECUTE") == set(base[protect & 0xF0 != 0].tolist()) != set()
    assert bases("size<-1") == set(), "no unsigned number is"
    assert bases("size>-1") == bases("size<99999999999999999999999") == set(base.tolist())
    if not WINDOWS:
        assert bases("image_base=") == set(base.tolist()), "not known"
        assert bases("image_base!=") == bases("image_base<5") == bases("image_base=0") == set()
    for wrong, hint in [
        ("base", "COLUMN=VALUE"),
        ("nothing=1", "known: base"),
        ("size=big", "bytes"),
        ("protect=RWX", "READWRITE"),
        ("base<", "needs a value"),
        ("mapped_file~(", "regular expression"),
    ]:
        said = run("regions", dumped, "--where", wrong)
        assert (said.code, said.out) == (ExitCode.USAGE, ""), wrong
        assert hint in said.err, wrong


def test_where_of_strings_and_times(run, facts):
    def count(*conditions: str) -> int:
        options = [word for c in conditions for word in ("--where", c)]
        return len(json.loads(run("threads", facts.pid, "--json", *options).out)["rows"])

    every = count()
    assert count("name=parked") == 1
    assert count("name!=parked") == every - 1
    assert count("name~^park") == 1
    assert count("name>=parked", "name<=parked") == 1
    assert count("created_at_ns>2020-01-01", "created_at_ns<2100-01-01T00:00:00Z") == every
    assert count("created_at_ns<2020-01-01") == count("user_time_ns>=1000s") == 0
    assert count("user_time_ns<1000s") == every
    assert run("threads", facts.pid, "--where", "created_at_ns>yesterday").code == ExitCode.USAGE


@pytest.mark.parametrize("sort", [["--sort", "-size"], ["--sort=-size"]])
def test_sort_and_limit(run, dumped, sort):
    with snapcore.open(dumped) as file:
        sizes = sorted(file.regions()["size"].tolist(), reverse=True)
    rows = json.loads(run("regions", dumped, "--json", *sort, "--limit", 5).out)["rows"]
    assert [r["size"] for r in rows] == sizes[:5]
    rows = json.loads(run("regions", dumped, "--json", "--sort", "size").out)["rows"]
    assert [r["size"] for r in rows] == sizes[::-1]
    for options in (["--sort", "nothing"], ["--limit", "-1"], ["--limit", "x"]):
        assert run("regions", dumped, *options).code == ExitCode.USAGE


@pytest.mark.parametrize("form", FORMS)
def test_by(run, dumped, form):
    said = run("handles", dumped, "--by", "type_name", "--format", form)
    rows = said.rows(form)
    counts = [int(row["count"]) for row in rows]
    assert list(rows[0]) == ["type_name", "count"]
    assert counts == sorted(counts, reverse=True)
    with snapcore.open(dumped) as file:
        names = list(file.handles()["type_name"])
    known = {name: names.count(name) for name in names}
    assert {row["type_name"]: int(row["count"]) for row in rows} == known
    least = run("handles", dumped, "--by", "type_name", "--sort", "count", "--format", form)
    assert int(least.rows(form)[0]["count"]) == counts[-1]
    for short, column in (("type", "type_name"), ("name", "object_name")):
        said = run("handles", dumped, "--by", short, "--format", form)
        assert said.out == run("handles", dumped, "--by", column, "--format", form).out
        assert column in said.out
    wrong = run("handles", dumped, "--by", "type_name", "--columns", "handle")
    assert wrong.code == ExitCode.USAGE


def a_table() -> Table:
    """Threads with all that a column may hold."""
    n = 4
    names = [b"\x1b[31mred", b"a\nb\xff", "\u202eevil".encode()]
    codes = np.array([2, 0, -1, 1], np.int32)
    known = np.array([True, False, True, True])
    values = {
        "tid": (np.array([3, 1, 2, 4], np.uint32), None),
        "name": (codes, names),
        "affinity": (np.array([2**64 - 1, 0, 0, 1], np.uint64), known),
        "created_at_ns": (np.array([-1, 0, 2**62, 1_700_000_000_123_000_000]), known),
        "flags": (np.array([0, 1, 3, 1], np.uint32), None),
        "user_time_ns": (np.array([0, 999, 1_500_000, 2_000_000_000]), None),
    }
    columns = []
    for column in dtypes.THREADS:
        if column.dtype == "str":
            absent = (np.full(n, -1, np.int32), [])
        else:
            absent = (np.zeros(n, column.dtype), np.zeros(n, np.bool_))
        columns.append((column.name, *values.get(column.name, absent)))
    return Table("threads", columns)


def test_hostile_names_and_extreme_values(capsys):
    frame = Frame.from_table(a_table())
    output.write_frame(frame.known(), "table", identity={}, diagnostics=[])
    said = capsys.readouterr().out
    assert said.count("\n") == 5
    assert "".join(said.split("\n")).isprintable()
    shown = table_rows(said)
    assert [r["name"] for r in shown] == [r"\u202eevil", r"\x1b[31mred", "-", r"a\x0ab\xff"]
    assert [r["flags"] for r in shown] == ["0", "TERMINATED", "TERMINATED|0x2", "TERMINATED"]
    assert [r["affinity"] for r in shown] == ["0xffffffffffffffff", "-", "0x0", "0x1"]
    assert [r["user_time_ns"] for r in shown] == ["0 ns", "999 ns", "1.50 ms", "2.00 s"]
    assert shown[0]["created_at_ns"] == "1969-12-31T23:59:59.999Z"
    assert shown[3]["created_at_ns"] == "2023-11-14T22:13:20.123Z"
    output.write_frame(frame, "json", identity={}, diagnostics=[])
    said = capsys.readouterr().out
    assert said.isascii()
    rows = json.loads(said)["rows"]
    assert [r["name"] for r in rows] == ["\u202eevil", "\x1b[31mred", None, "a\nb\\xff"]
    assert [r["affinity"] for r in rows] == [2**64 - 1, None, 0, 1]
    output.write_frame(frame, "csv", identity={}, diagnostics=[])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [r["name"] for r in rows] == ["\u202eevil", "\x1b[31mred", "", "a\nb\\xff"]
    assert [r["affinity"] for r in rows] == [str(2**64 - 1), "", "0", "1"]


def test_order_of_what_is_not_known(capsys):
    frame = Frame.from_table(a_table())
    assert frame.sort("affinity")["tid"].python() == [2, 4, 3, 1]
    assert frame.sort("-affinity")["tid"].python() == [3, 4, 2, 1]
    assert frame.sort("-name")["tid"].python() == [3, 4, 1, 2]
    assert frame.sort("-flags")["tid"].python() == [2, 1, 4, 3], "equal rows keep their order"
    assert frame.count_by("affinity")["affinity"].python() == [0, 1, 2**64 - 1, None]
    assert frame.count_by("flags")["count"].python() == [2, 1, 1]
    assert frame.where("affinity!=0")["tid"].python() == [3, 1, 4]
    assert frame.where("affinity>=0")["tid"].python() == [3, 2, 4]
    assert frame.where("name=")["tid"].python() == [2]


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_not_made_one_by_one(capsys, form):
    n, sample = 10_000, 500
    columns = []
    for number, column in enumerate(dtypes.HANDLES):
        if column.dtype == "str":
            paths = [f"/some/path/{column.name}/{row}".encode() for row in range(n)]
            columns.append((column.name, np.arange(n, dtype=np.int32), paths))
        else:
            known = np.arange(n) % 2 == 0 if number % 2 else None
            columns.append((column.name, np.arange(n).astype(column.dtype), known))
    table = Table("handles", columns)
    started = time.process_time()
    for row in range(sample):
        json.dumps(table.row(row))
    one_by_one = (time.process_time() - started) * n / sample
    started = time.process_time()
    frame = Frame.from_table(table)
    if form == "table":
        frame = frame.select(TABLE_COMMANDS[TABLES.index("handles")].columns)
    output.write_frame(frame, form, identity={}, diagnostics=[])
    spent = time.process_time() - started
    assert len(capsys.readouterr().out.splitlines()) >= n
    assert spent < one_by_one / 2


class Terminal(io.StringIO):
    """A terminal's stdout."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [70, 80, 170])
def test_a_table_fits_a_terminal(run, dumped, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    for name in TABLES:
        monkeypatch.setattr(sys, "stdout", Terminal())
        assert main([name, str(dumped)]) == 0
        text = sys.stdout.getvalue()
        assert max(map(len, text.splitlines())) <= width, name
        assert "\x1b" not in text
        with snapcore.open(dumped) as file:
            assert len(text.splitlines()) == 1 + len(getattr(file, name)())


def test_a_terminal_gets_no_raw_bytes_and_no_control_characters(capsys, dumped, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    with snapcore.open(dumped) as file:
        base = hex(file.modules()["base"][0])
    assert main(["read", str(dumped), base, "16", "--format", "raw"]) == ExitCode.USAGE
    assert sys.stdout.getvalue() == ""
    assert "--force" in capsys.readouterr().err
    frame = Frame.from_table(a_table())
    output.write_frame(frame, "csv", identity={}, diagnostics=[])
    assert "\x1b" not in sys.stdout.getvalue()


def test_info_of_a_file(run, facts, dumped):
    said = json.loads(run("info", dumped, "--json").out)
    with snapcore.open(dumped) as file:
        assert said["file"] == {
            "size": dumped.stat().st_size,
            "flags": int(file.flags),
            "captured_at_ns": file.captured_at_ns,
        }
        assert said["tables"]["threads"] == len(file.threads())
        assert said["tables"]["regions"] == len(file.regions())
        assert said["memory"]["ranges"] == len(file.memory_ranges())
        assert len(said["streams"]) == len(file.streams())
        assert said["system"]["os_text"] == file.system().os_text
    assert said["process"]["pid"] == facts.pid
    assert said["exception"] is None
    assert said["comment"] == "one\x1b[31mtwo"
    assert said["diagnostics"] == []
    streams_of = {row["type"]: row["name"] for row in said["streams"]}
    assert streams_of[3] == "ThreadListStream"
    assert streams_of[0x20000] is None
    text = run("info", dumped).out
    assert "WITH_FULL_MEMORY, WITH_HANDLE_DATA" in text
    assert r"one\x1b[31mtwo" in text
    assert "\x1b" not in text
    assert re.search(r"captured_at_ns +20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)


def test_info_of_a_process(run, facts):
    looked = json.loads(run("info", facts.pid, "--json").out)
    assert looked["pid"] == looked["process"]["pid"] == facts.pid
    assert looked["tables"]["threads"] >= 3
    assert looked["tables"]["handles"] > 0
    assert looked["tables"]["modules"] is None
    taken = json.loads(run("info", facts.pid, "--snapshot", "--json").out)
    assert taken["tables"]["modules"] > 0
    assert taken["tables"]["regions"] > 0
    assert taken["capture"]["pause_ns"] > 0
    assert f" {facts.pid}\n" in run("info", facts.pid).out


@pytest.mark.parametrize("what", ["process", "file"])
def test_read(run, facts, dumped, tmp_path, what):
    target = facts.pid if what == "process" else dumped
    address = facts.facts["sentinels"]["heap sentinel"]
    text = b"snapcore: heap sentinel\0"
    width = 8 if address < 1 << 32 else 16
    assert run("read", target, hex(address), len(text)).out.splitlines() == [
        f"{address:0{width}x}  73 6e 61 70 63 6f 72 65  3a 20 68 65 61 70 20 73  |snapcore: heap s|",
        f"{address + 16:0{width}x}  65 6e 74 69 6e 65 6c 00  {'':23}  |entinel.|",
    ]
    said = json.loads(run("read", target, address, "0x18", "--json").out)
    assert base64.b64decode(said["data_base64"]) == text
    assert (said["address"], said["size"], said["first_missing"]) == (address, 24, None)
    path = tmp_path / "bytes"
    assert run("read", target, address, 24, "-o", path).out == ""
    assert path.read_bytes() == text
    assert WINDOWS or path.stat().st_mode & 0o777 == 0o600
    again = run("read", target, address, 4, "-o", path)
    assert again.code == ExitCode.FAILURE
    assert "--force" in again.err
    assert path.read_bytes() == text
    assert run("read", target, address, 4, "-o", path, "--force").code == 0
    assert path.read_bytes() == text[:4]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".tmp"] == []


def test_read_raw(facts, dumped, capsysbinary):
    address = facts.facts["sentinels"]["heap sentinel"]
    assert main(["read", str(dumped), str(address), "9", "--format", "raw"]) == 0
    assert capsysbinary.readouterr().out == b"snapcore:"


def test_read_to_the_end_of_what_is_there(run, dumped):
    with snapcore.open(dumped) as file:
        ranges = file.memory_ranges()
        ends = ranges["address"] + ranges["size"]
        gap = int(np.flatnonzero(ends[:-1] < ranges["address"][1:])[0])
        end = int(ends[gap])
        last = file.read(end - 40, 40)
    said = run("read", dumped, end - 40, "1k")
    assert said.code == ExitCode.FAILURE
    assert hex(end) in said.err
    assert [line.split("  ", 1)[0] for line in said.out.splitlines()] == [
        f"{end - at:016x}" if end >= 1 << 32 else f"{end - at:08x}" for at in (40, 24, 8)
    ]
    said = run("read", dumped, end - 40, "1k", "--json")
    assert said.code == ExitCode.FAILURE
    assert base64.b64decode(json.loads(said.out)["data_base64"]) == last
    assert json.loads(said.out)["first_missing"] == end
    nothing = run("read", dumped, "0x10", 8)
    assert (nothing.code, nothing.out) == (ExitCode.FAILURE, "")
    assert "0x10 " in nothing.err
    for wrong in (["x", "1"], ["1", "x"], ["1", "-1"], ["0xffffffffffffffff", "2"]):
        assert run("read", dumped, *wrong).code == ExitCode.USAGE, wrong


@pytest.mark.parametrize("chunk", [16, 48])
def test_pieces_do_not_matter(run, facts, dumped, monkeypatch, chunk):
    address = facts.facts["sentinels"]["stack sentinel"] + 3
    whole = run("read", dumped, address, 100).out
    monkeypatch.setattr("snapcore.cli.read._CHUNK", chunk)
    assert run("read", dumped, address, 100).out == whole
    assert len(whole.splitlines()) == 7


def test_a_file_without_a_table(run, facts, tmp_path):
    path = tmp_path / "a.dmp"
    snapcore.dump(facts.pid, path)
    # On Linux regions come from LinuxMaps, which is in every dump.
    missing = {"handles": "WITH_HANDLE_DATA"}
    missing |= {"regions": "WITH_FULL_MEMORY_INFO"} if WINDOWS else {}
    for name, flag in missing.items():
        said = run(name, path)
        assert (said.code, said.out) == (ExitCode.FAILURE, "")
        assert flag in said.err
        assert str(path) in said.err
    said = run("info", path, "--json")
    assert said.code == 0
    assert json.loads(said.out)["tables"]["handles"] is None


def test_a_broken_file(run, dumped, tmp_path):
    cut = tmp_path / "cut.dmp"
    with snapcore.open(dumped) as file:
        memory = next(s for s in file.streams() if s.type in (5, 9))
        threads = len(file.threads())
    cut.write_bytes(dumped.read_bytes()[: memory.offset + memory.size + 1000])
    said = run("info", cut)
    assert said.code == ExitCode.WARNINGS
    assert "present" in said.out
    assert said.err.startswith("snapcore: warning: ")
    quiet = run("info", cut, "-q")
    assert (quiet.code, quiet.err) == (ExitCode.WARNINGS, "")
    assert quiet.out == said.out
    said = json.loads(run("info", cut, "--json").out)
    assert said["tables"]["threads"] == threads
    assert [d["severity"] for d in said["diagnostics"]] == ["warning"] * len(said["diagnostics"])
    strict = run("info", cut, "--strict")
    assert (strict.code, strict.out) == (ExitCode.FAILURE, "")
    assert str(cut) in strict.err
    # A table that its stream cuts short.
    whole = dumped.read_bytes()
    with snapcore.open(dumped) as file:
        handles = next(s for s in file.streams() if s.type == 12)
        rows = len(file.handles())
    entry = whole.index(b"\x0c\0\0\0" + handles.size.to_bytes(4, "little"))
    broken = bytearray(whole)
    broken[entry + 4 : entry + 8] = (handles.size - 50).to_bytes(4, "little")
    cut.write_bytes(broken)
    said = run("handles", cut, "--json")
    assert said.code == ExitCode.WARNINGS
    assert 0 < len(json.loads(said.out)["rows"]) < rows
    assert json.loads(said.out)["diagnostics"]
    assert run("handles", cut, "--strict").code == ExitCode.FAILURE
    assert run("threads", dumped, "--strict").code == 0


def test_what_is_no_target(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = run("threads", tmp_path / "missing")
    assert missing.code == ExitCode.FAILURE
    assert "missing" in missing.err
    assert run("threads", "missing.dmp").code == ExitCode.FAILURE
    nobody = run("threads", "no-such-program")
    assert nobody.code == ExitCode.NO_SUCH_PROCESS
    assert "no such file" in nobody.err
    assert run("threads", 0x7FFFFFF0).code == ExitCode.NO_SUCH_PROCESS
    assert run("threads", "99999999999").code == ExitCode.USAGE
    (tmp_path / "some-program").write_bytes(b"no dump")
    no_dump = run("threads", "some-program")
    assert no_dump.code == ExitCode.FAILURE
    assert "id" in no_dump.err
    (tmp_path / "2147483632").write_bytes(b"no dump")
    assert run("threads", 0x7FFFFFF0).code == ExitCode.NO_SUCH_PROCESS, "a number is a process"
    assert run("threads", os.path.join(".", "2147483632")).code == ExitCode.FAILURE
    assert run("threads").code == ExitCode.USAGE


def test_a_reader_that_goes_away(capsys, dumped, monkeypatch):
    class Gone(Terminal):
        def write(self, _: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Gone())
    assert main(["regions", str(dumped), "--json"]) == ExitCode.PIPE_CLOSED
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("options", [["--json"], ["--by", "type"]], ids=["much", "little"])
def test_a_pipe_that_is_closed(dumped, options):
    command = [sys.executable, "-m", "snapcore", "regions", str(dumped), *options]
    # What is still in a buffer is written once more when the interpreter ends.
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=buffered,
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""
    assert process.returncode == ExitCode.PIPE_CLOSED


def test_streams_write_many_lines(capsys, monkeypatch):
    monkeypatch.setattr(streams, "_LINES_AT_ONCE", 3)
    for count in (0, 1, 3, 4, 6):
        streams.write_lines(map(str, range(count)))
        assert capsys.readouterr().out == "".join(f"{n}\n" for n in range(count))
