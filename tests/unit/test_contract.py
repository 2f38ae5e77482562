# SPDX-License-Identifier: Apache-2.0
"""Names, values and layouts that users rely on."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snapcore
from snapcore import CaptureFlags, MiniDumpType, _core, dtypes
from snapcore.cli import build_parser
from snapcore.cli import dump as cli_dump
from snapcore.cli.tables import COMMANDS as TABLE_COMMANDS
from snapcore.display.values import enumeration_of, parse_duration, parse_flags, parse_size
from snapcore.snapshot import ProcessView

HERE = Path(__file__).parent


def test_flags_have_the_sdk_values():
    assert CaptureFlags.DOCUMENTED == 0xAC0003FD
    assert CaptureFlags.DOCUMENTED.bit_count() == 13
    assert CaptureFlags.DEFAULT == CaptureFlags.DOCUMENTED | 0x1800
    assert MiniDumpType.WITH_FULL_MEMORY == 2
    assert MiniDumpType.WITH_AVX_XSTATE_CONTEXT == 0x200000
    assert MiniDumpType(1 << 30) == 1 << 30, "unknown bits are kept"


def test_a_core_of_another_version_is_refused():
    code = "import snapcore.version as v; v.__version__ = '9'; import snapcore.native"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert ran.stderr.splitlines()[-1].startswith(
        f"ImportError: snapcore 9 found a native module of version {snapcore.__version__}; "
    )
    assert _core.__version__ == snapcore.__version__ == importlib.metadata.version("snapcore")


def test_tables_are_those_that_dtypes_declares(idle):
    with snapcore.capture(idle) as snap:
        tables = {
            name: getattr(snap, name)() for name in ("threads", "handles", "regions", "modules")
        }
        tables["system_handles"] = snapcore.system_handles()
        tables["system_threads"] = snapcore.system_threads()
        for name, table in tables.items():
            columns = dtypes.TABLES[name]
            assert table.columns == tuple(c.name for c in columns)
            for column in columns:
                if column.dtype == "str":
                    assert isinstance(table[column.name], snapcore.StringColumn)
                else:
                    assert table[column.name].dtype == np.dtype(column.dtype)
                assert len(table[column.name]) == len(table)
        assert isinstance(snap, ProcessView)


def test_process_fields_are_those_that_dtypes_declares():
    assert [f.name for f in dataclasses.fields(snapcore.Process)] == [
        c.name for c in dtypes.PROCESS
    ]


def test_signatures():
    assert str(inspect.signature(snapcore.dump)).replace("'", "") == (
        "(pid: int, path: Path | BinaryWriter, flags: int | str = <MiniDumpType.NORMAL: 0>, *, capture: int | None = None, "
        "method: str = snapshot, overwrite: bool = False, progress: Progress | None = None, "
        "comment: str | None = None, streams: Mapping[int, bytes] | None = None, "
        "environment: bool = False, timeout: float | None = None, max_pause: float = 1.0, "
        "live_fallback: bool = False, debug_privilege: bool = False, compression: str | None = None, "
        "level: int | None = None) -> DumpResult"
    )


def test_all_is_there():
    for name in snapcore.__all__:
        assert getattr(snapcore, name).__doc__ or name == "PRESETS", name


def test_stub_has_what_the_module_has():
    stub = (Path(snapcore.__file__).parent / "_core.pyi").read_text()
    for kind in (_core.Snapshot, _core.CaptureJob, _core.DumpJob):
        body = stub[stub.index(f"class {kind.__name__}") :].split("\nclass ")[0]
        declared = set(re.findall(r"    def (\w+)", body))
        assert declared - {"__init__"} == {n for n in vars(kind) if not n.startswith("_")}
    for job in (_core.CaptureJob, _core.DumpJob):
        body = stub[stub.index(f"class {job.__name__}") :].split("\n    def wait")[0]
        text = job.__init__.__doc__
        assert (
            re.findall(r"^        (\w+):", body, re.MULTILINE) == re.findall(r"(\w+): ", text)[1:]
        )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1806", 0x1806),
        ("2", 2),
        ("WITH_FULL_MEMORY|WITH_HANDLE_DATA", 6),
        ("full-memory,handle-data", 6),
        ("normal", 0),
        ("Filter-Memory", 8),
    ],
)
def test_flags_on_the_command_line(text, value):
    assert parse_flags(MiniDumpType, text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("512", 512),
        ("0x1B", 27),
        ("2k", 2048),
        ("2 KiB", 2048),
        ("2KB", 2048),
        ("0x10k", 16384),
        ("3M", 3 << 20),
        ("1g", 1 << 30),
        ("10B", 10),
    ],
)
def test_sizes_on_the_command_line(text, value):
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["", "k", "1.5k", "0x", "1kk", "010", "-1k"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("30", 30), ("2.5", 2.5), (".5s", 0.5), ("500ms", 0.5), ("5m", 300), ("1h", 3600)],
)
def test_durations(text, value):
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "0", "0s", "-1", "1d", "s", "1 2", "nan", "inf", "1e3", "\N{ARABIC-INDIC DIGIT ONE}"],
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is no time"):
        parse_duration(text)


def test_type_checkers_see_the_names_that_are_there():
    stub = ast.parse((Path(snapcore.__file__).parent / "__init__.pyi").read_text())
    homes = {
        node.module: tuple(sorted(alias.name for alias in node.names))
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
    }
    assert homes == snapcore._HOMES
    (names,) = [ast.literal_eval(n.value) for n in stub.body if isinstance(n, ast.Assign)]
    assert sorted(names) == snapcore.__all__
    assert set(snapcore.__all__) < set(dir(snapcore))
    for module, names in snapcore._HOMES.items():
        for name in names:
            assert getattr(snapcore, name) is getattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        snapcore.frobnicate  # noqa: B018


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import snapcore", set()),
        ("from snapcore.cli import main; main(['--help'])", set()),
        ("from snapcore.cli import main; main(['--version'])", set()),
        ("import snapcore; snapcore.MiniDumpType", set()),
        ("import snapcore; snapcore.dump", {"numpy", "snapcore._core"}),
    ],
)
def test_what_an_import_loads(code, loaded):
    slow = {"numpy", "snapcore._core", "logging", "dataclasses", "pathlib", "importlib.metadata"}
    code = (
        f"import atexit, sys; before = set(sys.modules);"
        f"atexit.register(lambda: print(sorted((set(sys.modules) - before) & {slow}), file=sys.stderr)); {code}"
    )
    said = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path}; {code}"],
        capture_output=True,
        check=True,
        text=True,
    )
    found = set(ast.literal_eval(said.stderr.strip().splitlines()[-1]))
    assert found == loaded or (loaded and loaded <= found)


@pytest.mark.parametrize(
    "command",
    [
        "dump",
        "info",
        "threads",
        "handles",
        "regions",
        "modules",
        "read",
        "diff",
        "leaks",
        "watch",
        "merge",
        "scan",
        "report",
        "doctor",
    ],
)
def test_help_is_the_golden_one(monkeypatch, capsys, command):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    golden = HERE / f"help_{command}.txt"
    said = capsys.readouterr().out
    if os.environ.get("SNAPCORE_REGENERATE"):
        golden.write_text(said)
    assert said == golden.read_text()


def test_columns_of_enumerations_are_known_to_the_command():
    found = {
        (table, column.name): enumeration_of(column)
        for table, columns in dtypes.TABLES.items()
        for column in columns
        if enumeration_of(column) is not None and table in ("threads", "handles", "regions")
    }
    assert found == {
        ("threads", "flags"): snapcore.ThreadFlags,
        ("handles", "type"): snapcore.ObjectType,
        ("handles", "flags"): snapcore.HandleFlags,
        ("handles", "process_flags"): snapcore.ProcessFlags,
        ("regions", "allocation_protect"): snapcore.PageProtection,
        ("regions", "protect"): snapcore.PageProtection,
        ("regions", "state"): snapcore.MemoryState,
        ("regions", "type"): snapcore.MemoryType,
    }


def test_columns_that_the_command_shows_exist():
    for command in TABLE_COMMANDS:
        assert set(command.columns) <= {c.name for c in dtypes.TABLES[command.name]}
        assert set(command.droppable) < set(command.columns)


@pytest.mark.parametrize(
    "arguments",
    [
        {"flags": -1},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_pause": -1},
        {"method": "other"},
        {"path": "a\0b"},
    ],
)
def test_arguments_are_checked(arguments, tmp_path):
    given = {"path": tmp_path / "x.dmp", **arguments}
    with pytest.raises(ValueError, match=r".+"):
        snapcore.dump(os.getpid(), **given)


def test_tracer_placement_is_checked(monkeypatch):
    monkeypatch.setenv("SNAPCORE_TRACER", "elsewhere")
    with pytest.raises(ValueError, match="SNAPCORE_TRACER"):
        snapcore.threads(os.getpid())


def test_a_hostile_process_name_stays_a_file_name(monkeypatch, tmp_path):
    monkeypatch.setattr(cli_dump, "process_name", lambda _pid: "../../x y\n")
    path = Path(cli_dump._output_path(str(tmp_path), 7, None))
    assert path.parent == tmp_path
    assert path.name.startswith("snapcore-.._.._x_y_.7.")
