# SPDX-License-Identifier: Apache-2.0
"""scan(): one table of many dump files."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import zstd_frames
from dump_builder import DumpBuilder, Handle, Module, Thread
from dump_structures import LINUX
from support import ROOT

import snapcore
from snapcore import DumpFormatError, dtypes, fleet, parquet
from snapcore.cli import main
from snapcore.cli.exit_codes import ExitCode

DAY = 86_400
NOON = 1_764_072_000  # 2025-11-25 12:00 UTC
FILE_COLUMNS = ("source", "host", "day", "dumped_at_ns", "process_id", "process_name")


def in_parquet(path: Path) -> pa.Table:
    """What a file holds. Of a file that Arrow opens itself a thread of it has the descriptor for a while longer."""
    return pq.read_table(pa.BufferReader(path.read_bytes()))


@pytest.fixture(autouse=True)
def nothing_left_here():
    """The libraries keep threads for their next work."""


def write(path: Path, *, time: int = NOON, count: int = 5, pid: int = 4242, seed: int = 0) -> Path:
    rng = random.Random(seed)
    handles = [
        Handle(4 * i, rng.choice(("File", "Socket")), f"/var/{rng.randrange(9)}")
        for i in range(1, count + 1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    return (
        DumpBuilder(time=time)
        .system_info(platform=LINUX)
        .misc_info(pid=pid)
        .threads([Thread(pid, "main")])
        .module_list([Module(0x1000, 0x1000, "/usr/bin/app")])
        .memory_info_list([{"base": 0x1000 * i, "size": 0x1000} for i in range(1, count + 1)])
        .handle_data(handles)
        .write(path)
    )


@pytest.fixture
def fleet_of(tmp_path):
    """Dumps of three machines on two days, and what is no dump."""
    folder = tmp_path / "dumps"
    for number in range(12):
        name = folder / f"web-{number % 3}" / f"{number:02}.dmp"
        write(name, time=NOON + DAY * (number % 2), count=number, pid=1000 + number, seed=number)
    (folder / "web-0" / "broken.dmp").write_bytes(b"no dump")
    (folder / "web-1" / "not a dump.txt").write_bytes(b"")
    DumpBuilder().system_info().write(folder / "web-2" / "without.dmp")
    return folder


def reference(folder: Path, table: str) -> list[dict]:
    """The same rows, a file and a row at a time."""
    out = []
    for path in sorted(folder.rglob("*.dmp")):
        try:
            with snapcore.open(path) as file:
                rows = getattr(file, table)()
                facts = {
                    "source": str(path),
                    "host": path.parent.name,
                    "day": datetime.fromtimestamp(file.captured_at_ns / 1e9, UTC).date(),
                    "process_id": file.process().pid,
                    "process_name": file.process().name,
                }
        except ValueError:
            continue
        out += [facts | rows.row(i) for i in range(len(rows))]
    return out


def plain(batches: pa.Table) -> list[dict]:
    columns = [
        c.cast(pa.int64()) if pa.types.is_timestamp(c.type) or pa.types.is_duration(c.type) else c
        for c in batches.columns
    ]
    return pa.table(columns, names=batches.column_names).to_pylist()


@pytest.mark.parametrize("table", fleet.SCANNED_TABLES)
@pytest.mark.parametrize("workers", [1, 3])
def test_every_row(fleet_of, table, workers, monkeypatch):
    monkeypatch.setattr(fleet, "_FILES_OF_A_BATCH", 4)
    scan = snapcore.scan(fleet_of, table, workers=workers)
    rows = plain(pa.table(scan))
    expected = reference(fleet_of, table)
    assert len(expected) > 10
    assert [{k: v for k, v in row.items() if k != "dumped_at_ns"} for row in rows] == expected
    assert {row["dumped_at_ns"] // 10**9 for row in rows} <= {NOON, NOON + DAY, 1_700_000_000}
    assert tuple(rows[0]) == (*FILE_COLUMNS, *(c.name for c in dtypes.TABLES[table]))
    assert pa.table(scan).schema == scan.schema == pa.schema(scan)


def test_batches_do_not_matter(fleet_of, monkeypatch):
    whole = plain(pa.table(snapcore.scan(fleet_of)))
    for rows, files in ((1, 1), (1, 100), (10, 100), (10**6, 3)):
        monkeypatch.setattr(fleet, "_ROWS_OF_A_BATCH", rows)
        monkeypatch.setattr(fleet, "_FILES_OF_A_BATCH", files)
        scan = snapcore.scan(fleet_of, workers=2)
        assert plain(pa.table(scan)) == whole
        assert len(scan.diagnostics) == 2


def test_what_is_wrong_is_told(fleet_of):
    cut = fleet_of / "web-1" / "cut.dmp"
    whole = write(cut, count=50).read_bytes()
    cut.write_bytes(whole[: len(whole) - 600])
    missing = fleet_of / "missing.dmp"
    scan = snapcore.scan([fleet_of, missing])
    assert scan.diagnostics == [], "nothing was read"
    rows = pa.table(scan).num_rows
    found = {Path(d.path).name: d for d in scan.diagnostics}
    assert found["broken.dmp"].severity == "error"
    assert found["broken.dmp"].code == "no_minidump"
    assert found["without.dmp"].code == "table_missing"
    assert "WITH_HANDLE_DATA" in found["without.dmp"].message
    assert found["missing.dmp"].code == "file_unreadable"
    assert "cut.dmp" in found
    assert all(d.message for d in scan.diagnostics)
    assert rows >= sum(range(12))
    pa.table(scan)
    assert len({d.path for d in scan.diagnostics}) == len(found), "of the last reading alone"


def test_an_error_ends_it_where_that_is_asked_for(fleet_of):
    scan = snapcore.scan(fleet_of, on_error="raise")
    with pytest.raises(DumpFormatError):
        list(scan)
    with pytest.raises(FileNotFoundError):
        list(snapcore.scan(fleet_of / "missing.dmp", on_error="raise"))
    with pytest.raises(ValueError, match="WITH_HANDLE_DATA"):
        list(snapcore.scan(fleet_of / "web-2" / "without.dmp", on_error="raise"))
    assert len(list(snapcore.scan(fleet_of / "web-1", on_error="raise"))) == 1


def test_which_files(fleet_of, monkeypatch):
    names = [str(p) for p in sorted((fleet_of / "web-1").glob("*.dmp"))]
    assert snapcore.scan(fleet_of / "web-1").paths == tuple(names)
    assert snapcore.scan(str(fleet_of / "web-1" / "*.dmp")).paths == tuple(names)
    assert len(snapcore.scan(f"{fleet_of}/**/*.dmp").paths) == 14
    assert snapcore.scan(iter(names[:2])).paths == tuple(names[:2])
    odd = write(fleet_of / "[odd].dmp")
    assert snapcore.scan(odd).paths == (str(odd),)
    monkeypatch.chdir(fleet_of)
    assert snapcore.scan("web-1").paths[0] == os.path.join("web-1", "01.dmp")


@pytest.mark.parametrize(
    "arguments",
    [{"table": "streams"}, {"columns": ["missing"]}, {"workers": 0}, {"on_error": "ignore"}],
)
def test_arguments_are_checked(tmp_path, arguments):
    with pytest.raises(ValueError, match=r"missing|streams|workers|on_error"):
        snapcore.scan(tmp_path, **arguments)


def test_columns_and_host(fleet_of):
    scan = snapcore.scan(
        fleet_of, columns=["object_name", "handle"], host=lambda p: Path(p).name[:2]
    )
    taken = pa.table(scan)
    assert tuple(taken.column_names) == (*FILE_COLUMNS, "object_name", "handle")
    assert set(taken["host"].to_pylist()) == {f"{n:02}" for n in range(1, 12)}

    def fails(path: str) -> str:
        raise KeyError(path)

    with pytest.raises(KeyError):
        list(snapcore.scan(fleet_of, host=fails))


def test_engines_take_it_as_it_is(fleet_of, monkeypatch):
    monkeypatch.setattr(fleet, "_FILES_OF_A_BATCH", 3)
    scan = snapcore.scan(fleet_of, workers=2)
    expected: dict[str, int] = {}
    for row in reference(fleet_of, "handles"):
        expected[row["type_name"]] = expected.get(row["type_name"], 0) + 1
    assert dict(pl.DataFrame(scan).group_by("type_name").len().iter_rows()) == expected
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT type_name, count(*) FROM scan GROUP BY 1").fetchall()
        assert dict(rows) == expected


def test_an_iteration_that_is_left_early(fleet_of, monkeypatch):
    monkeypatch.setattr(fleet, "_FILES_OF_A_BATCH", 1)

    def working() -> list[str]:
        return [t.name for t in threading.enumerate() if t.name.startswith("snapcore")]

    for _ in snapcore.scan(fleet_of, workers=2):
        assert len(working()) == 2
        break
    assert working() == []
    reader = snapcore.scan(fleet_of).reader()
    reader.read_next_batch()
    assert working()
    reader.close()
    del reader
    assert working() == []


def test_folders_of_parquet(fleet_of, tmp_path):
    scan = snapcore.scan(fleet_of)
    out = tmp_path / "out"
    assert scan.to_parquet(out) == sum(range(12))
    assert len(scan.diagnostics) == 2
    folders = {str(p.parent.relative_to(out)) for p in out.rglob("*.parquet")}
    assert len(folders) == 6
    assert "host=web-0/day=2025-11-25" in folders
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    back = ds.dataset(out, partitioning="hive").to_table()
    assert back.num_rows == sum(range(12))
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT host, day, count(*), sum(handle) FROM '{out}/**/*.parquet' GROUP BY 1, 2"
        ).fetchall()
    expected: dict[tuple[str, date], list[int]] = {}
    for row in reference(fleet_of, "handles"):
        expected.setdefault((row["host"], row["day"]), []).append(row["handle"])
    assert {(h, d): (n, s) for h, d, n, s in found} == {
        k: (len(v), sum(v)) for k, v in expected.items()
    }
    with pytest.raises(FileExistsError, match="append"):
        scan.to_parquet(out)
    with pytest.raises(ValueError, match="tell files apart"):
        scan.to_parquet(out, partition=["handle"], append=True)
    assert scan.to_parquet(out, append=True) == sum(range(12))
    assert ds.dataset(out, partitioning="hive").count_rows() == 2 * sum(range(12))


def test_folders_whose_files_were_closed_to_make_room(fleet_of, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_MOST_OPEN_FILES", 2)
    monkeypatch.setattr(fleet, "_FILES_OF_A_BATCH", 3)
    scan = snapcore.scan(fleet_of)
    out = tmp_path / "out"
    assert scan.to_parquet(out, partition=("process_id", "day")) == sum(range(12))
    back = ds.dataset(out, partitioning="hive").to_table()
    assert sorted(back["handle"].to_pylist()) == sorted(pa.table(scan)["handle"].to_pylist())
    assert sorted(map(str, back["object_name"].to_pylist())) == sorted(
        map(str, pa.table(scan)["object_name"].to_pylist())
    )
    assert not [p for p in out.rglob("*") if p.name.endswith(".tmp")]


def test_names_of_folders_are_escaped(tmp_path):
    write(tmp_path / "dumps" / "a.dmp")
    scan = snapcore.scan(tmp_path / "dumps", host=lambda _: "../a=b/é ü")
    out = tmp_path / "out"
    scan.to_parquet(out, partition=("host",))
    assert len(list(out.iterdir())) == 1
    hosts = ds.dataset(out, partitioning="hive").to_table()["host"].to_pylist()
    assert set(hosts) == {"../a=b/é ü"}
    scan = snapcore.scan(tmp_path / "dumps", host=lambda _: "")
    scan.to_parquet(tmp_path / "none", partition=("host",))
    assert [p.name for p in (tmp_path / "none").iterdir()] == ["host=__HIVE_DEFAULT_PARTITION__"]


def test_a_folder_gets_no_file_of_a_scan_that_failed(fleet_of, tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, "_FILES_OF_A_BATCH", 1)
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="WITH_HANDLE_DATA"):
        snapcore.scan(fleet_of / "web-2", on_error="raise").to_parquet(out)
    assert [p for p in out.rglob("*") if p.is_file()] == []


def test_a_file_of_parquet(fleet_of, tmp_path):
    scan = snapcore.scan(fleet_of)
    path = tmp_path / "out.parquet"
    assert scan.to_parquet(path, partition=None) == sum(range(12))
    assert plain(in_parquet(path)) == plain(pa.table(scan))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        scan.to_parquet(path, partition=None)
    wrong = snapcore.scan(fleet_of, on_error="raise")
    with pytest.raises(DumpFormatError):
        wrong.to_parquet(tmp_path / "other.parquet", partition=None)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["out.parquet"]


def test_the_command(fleet_of, tmp_path, capfdbinary):
    out = tmp_path / "out.parquet"
    arguments = ["scan", str(fleet_of), "--table", "handles", "--workers", "2"]
    assert main([*arguments, "-o", str(out)]) == ExitCode.WARNINGS
    said = capfdbinary.readouterr().err.decode()
    assert said.count("snapcore: error: ") == 2
    assert "broken.dmp" in said
    expected = plain(pa.table(snapcore.scan(fleet_of)))
    assert plain(in_parquet(out)) == expected
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert main([*arguments, "-q", "-o", str(out)]) == ExitCode.FAILURE
    assert "--force" in capfdbinary.readouterr().err.decode()
    stream = tmp_path / "out.arrows"
    assert main([*arguments, "-q", "--format", "arrow", "-o", str(stream)]) == ExitCode.WARNINGS
    with pa.ipc.open_stream(stream.read_bytes()) as reader:
        assert plain(reader.read_all()) == expected
    folder = tmp_path / "folder"
    good = ["scan", str(fleet_of / "web-1"), "--columns", "handle", "--host", r"/(web-\d)/"]
    assert main([*good, "-o", f"{folder}/"]) == 0
    assert {p.name for p in folder.iterdir()} == {"host=web-1"}
    assert main([*good, "-o", str(folder)]) == ExitCode.FAILURE
    assert main([*good, "-o", str(folder), "--force"]) == 0
    assert main(["scan", str(tmp_path / "none*"), "-o", str(folder)]) == ExitCode.FAILURE
    assert "no dump files" in capfdbinary.readouterr().err.decode()
    for wrong in (["--host", "("], ["--host", "x"], ["--columns", "x"], ["--workers", "0"]):
        assert main([*good, *wrong, "-o", str(tmp_path / "x.parquet")]) == ExitCode.USAGE, wrong


def test_the_command_writes_to_a_pipe(fleet_of):
    command = [sys.executable, "-m", "snapcore", "scan", str(fleet_of / "web-1")]
    for form, read in (
        ("arrow", lambda b: pa.ipc.open_stream(b).read_all()),
        ("parquet", lambda b: pq.read_table(pa.BufferReader(b))),
    ):
        done = subprocess.run([*command, "--format", form], capture_output=True, check=True)
        assert plain(read(done.stdout)) == plain(pa.table(snapcore.scan(fleet_of / "web-1")))
        assert done.stderr == b""


PEAK = """
import resource, sys
import snapcore
scan = snapcore.scan(sys.argv[1], workers=2)
rows = scan.to_parquet(sys.argv[2], partition=eval(sys.argv[3]))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("partition", ["None", "('host', 'day')"])
def test_memory_does_not_grow_with_the_number_of_files(tmp_path, partition):
    one = write(tmp_path / "one.dmp", count=300).read_bytes()
    peaks = {}
    for count in (500, 4000):
        folder = tmp_path / str(count) / "host"
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"{number}.dmp").write_bytes(one)
        out = tmp_path / f"out-{count}"
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder), str(out), partition],
            capture_output=True,
            check=True,
            text=True,
        )
        rows, peak = map(int, done.stdout.split())
        assert rows == 300 * count
        peaks[count] = peak / 1024
    # The rows of all are 150 and 1,200 thousand; as Arrow arrays the latter take some 250 MiB.
    assert peaks[4000] - peaks[500] < 60, peaks


def test_the_example_under_dask(fleet_of, tmp_path):
    out = tmp_path / "table"
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "examples" / "fleet_dask.py", str(fleet_of), str(out)),
            *("--parts", "3"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["rows"] == sum(range(12))
    assert {Path(p).name for p in said["not_read"]} == {"broken.dmp", "without.dmp"}
    expected: dict[str, int] = {}
    for row in reference(fleet_of, "handles"):
        expected[row["host"]] = expected.get(row["host"], 0) + 1
    assert dict(said["handles_by_host"]) == expected


def test_compressed_files(tmp_path):
    """Of a folder *.dmp.zst as well, and a file that is named is read whatever it is called."""
    plain = write(tmp_path / "dumps" / "a.dmp", count=7)
    data = plain.read_bytes()
    (tmp_path / "dumps" / "sub").mkdir()
    (tmp_path / "dumps" / "sub" / "b.dmp.zst").write_bytes(zstd_frames.seekable(data, 512))
    (tmp_path / "dumps" / "broken.dmp.zst").write_bytes(zstd_frames.seekable(data, 512)[:100])
    (tmp_path / "dumps" / "c.zst").write_bytes(zstd_frames.seekable(data, 100))
    scan = snapcore.scan(tmp_path / "dumps", "handles")
    assert [Path(p).name for p in scan.paths] == ["a.dmp", "broken.dmp.zst", "b.dmp.zst"]
    table = pa.table(scan).to_pandas()
    assert table["source"].map(lambda s: Path(s).name).value_counts().to_dict() == {
        "a.dmp": 7,
        "b.dmp.zst": 7,
    }
    assert [Path(d.path).name for d in scan.diagnostics] == ["broken.dmp.zst"]
    assert pa.table(snapcore.scan(tmp_path / "dumps" / "c.zst", "handles")).num_rows == 7
    output = tmp_path / "out.parquet"
    assert main(["scan", str(tmp_path / "dumps"), "-q", "-o", str(output)]) == ExitCode.WARNINGS
    assert in_parquet(output).num_rows == 14
