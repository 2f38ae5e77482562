# SPDX-License-Identifier: Apache-2.0
"""The command's forms for programs: Parquet and Arrow."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import snapcore
from snapcore.cli import main
from snapcore.cli.exit_codes import ExitCode


@pytest.fixture(autouse=True)
def nothing_left_here():
    """pyarrow keeps threads for its next work."""


@pytest.fixture
def dumped(facts, tmp_path):
    path = tmp_path / "facts.dmp"
    snapcore.dump(facts.pid, path, "full")
    return path


def read(form: str, data: bytes) -> pa.Table:
    if form == "parquet":
        return pq.read_table(pa.BufferReader(data))
    return pa.ipc.open_stream(data).read_all()


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("name", ["threads", "handles", "regions", "modules"])
def test_rows_types_and_metadata_are_those_of_the_table(dumped, capfdbinary, tmp_path, form, name):
    with snapcore.open(dumped) as file:
        expected = pa.table(getattr(file, name)())
    assert main([name, str(dumped), "--format", form]) == 0
    to_stdout = capfdbinary.readouterr().out
    out = tmp_path / f"out.{form}"
    assert main([name, str(dumped), "--format", form, "-o", str(out)]) == 0
    for data in (to_stdout, out.read_bytes()):
        found = read(form, data)
        for field, wanted in zip(found.schema, expected.schema, strict=True):
            # Parquet has one kind of text.
            texts = pa.types.is_dictionary(wanted.type) and form == "parquet"
            assert field.type == (
                pa.dictionary(pa.int32(), pa.string()) if texts else wanted.type
            ), field.name
        assert found.to_pydict() == expected.to_pydict()
        assert found.schema.field(0).metadata == expected.schema.field(0).metadata
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert main([name, str(dumped), "--format", form, "-o", str(out)]) == ExitCode.FAILURE
    assert b"--force" in capfdbinary.readouterr().err
    chosen = ["--columns", expected.column_names[0], "--limit", "1", "--force"]
    assert main([name, str(dumped), "--format", form, "-o", str(out), *chosen]) == 0
    assert read(form, out.read_bytes()).shape == (1, 1)


def test_chosen_rows(dumped, capfdbinary):
    chosen = ["--where", "type_name=File", "--sort", "-handle", "--columns", "handle,type_name"]
    assert main(["handles", str(dumped), "--format", "parquet", *chosen]) == 0
    found = read("parquet", capfdbinary.readouterr().out)
    assert set(found["type_name"].to_pylist()) == {"File"}
    assert found["handle"].to_pylist() == sorted(found["handle"].to_pylist(), reverse=True)
    assert main(["handles", str(dumped), "--format", "arrow", "--by", "type_name"]) == 0
    counts = read("arrow", capfdbinary.readouterr().out).to_pydict()
    with snapcore.open(dumped) as file:
        assert sum(counts["count"]) == len(file.handles())


def test_a_live_process(idle, capfdbinary):
    assert main(["handles", str(idle), "--format", "arrow"]) == 0
    assert read("arrow", capfdbinary.readouterr().out)["handle"].to_pylist()[:3] == [0, 1, 2]


def test_bytes_are_not_for_a_terminal(dumped):
    reader, writer = os.openpty()
    try:
        command = [sys.executable, "-m", "snapcore", "handles", str(dumped), "--format", "parquet"]
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(reader)
        os.close(writer)
    assert done.returncode == ExitCode.USAGE
    assert b"-o FILE" in done.stderr


def test_text_is_not_for_o(dumped, tmp_path, capfd):
    out = tmp_path / "x.json"
    assert main(["handles", str(dumped), "--json", "-o", str(out)]) == ExitCode.USAGE
    assert "parquet or arrow" in capfd.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("command", ["handles", "scan"])
def test_without_pyarrow_the_extra_is_named(dumped, tmp_path, monkeypatch, capfd, command):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = tmp_path / "x.parquet"
    done = main([command, str(dumped), "--format", "parquet", "-o", str(out)])
    assert done == ExitCode.FAILURE
    assert "snapcore[arrow]" in capfd.readouterr().err
    assert not out.exists()
    assert main(["handles", str(dumped), "--json"]) == 0
    with pytest.raises(ImportError, match=r"snapcore\[arrow\]"):
        snapcore.scan(dumped)


def test_nothing_imports_pyarrow_unasked(dumped):
    code = (
        "import sys, snapcore\nfrom snapcore.cli import main\n"
        f"main(['handles', {str(dumped)!r}])\n"
        "with snapcore.open(sys.argv[1]) as f: f.handles().__arrow_c_stream__()\n"
        "assert 'pyarrow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, dumped], check=True, stdout=subprocess.DEVNULL)
