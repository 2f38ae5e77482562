# SPDX-License-Identifier: Apache-2.0
"""One table of many dump files, as a stream of Arrow record batches."""

from __future__ import annotations

import errno
import glob
import logging
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from snapcore.dtypes import TABLES, Column
from snapcore.dumpfile import open as open_dump
from snapcore.errors import DumpFormatError
from snapcore.logs import logger_of
from snapcore.native import _core
from snapcore.parquet import ParquetFile, PartitionedWriter
from snapcore.table import arrow_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    import pyarrow as pa
    from typing_extensions import CapsuleType

__all__ = ["SCANNED_TABLES", "Scan", "ScanDiagnostic", "import_pyarrow", "scan"]

_READERS: dict[str, Callable[[Sequence[bytes], int], tuple[_core.Columns, list[Any]]]] = {
    "handles": _core.scan_handles,
    "modules": _core.scan_modules,
    "regions": _core.scan_regions,
    "threads": _core.scan_threads,
}
SCANNED_TABLES = tuple(_READERS)
_SUFFIXES = (".dmp", ".dmp.zst")

# What a batch says of the file that each row is from.
_FILE_COLUMNS = (
    Column("source", "str", "", "path of the dump file"),
    Column("host", "str", "", "machine that the dump is from"),
    Column("day", "i4", "", "UTC day of the dump"),
    Column("dumped_at_ns", "i8", "ns since 1970-01-01 UTC", "when the dump was made"),
    Column("process_id", "u4", "", "process that the dump is of"),
    Column("process_name", "str", "", "name of the process"),
)
_DATE = "tdD"
_NS_OF_A_DAY = 86_400 * 10**9

# A batch ends with the file that reaches the first, or after so many files.
_ROWS_OF_A_BATCH = 1 << 16
_FILES_OF_A_BATCH = 256
_MOST_WORKERS = 8


def import_pyarrow() -> Any:
    """Import pyarrow, which is an extra.

    Returns
    -------
    module
        ``pyarrow``.

    Raises
    ------
    ImportError
        If it is not there; the text says how to install it.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        message = f"this needs pyarrow: pip install 'snapcore[arrow]' ({error})"
        raise ImportError(message, name="pyarrow") from None
    return pa


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanDiagnostic:
    """What was wrong with one file.

    Attributes
    ----------
    path : str
        The file.
    severity : str
        ``"error"`` where it has no rows, ``"warning"`` where those that are whole were taken.
    code : str
        Stable name, for programs.
    message : str
        For people.
    """

    path: str
    severity: str
    code: str
    message: str


def _log(found: Iterable[ScanDiagnostic]) -> None:
    log = logger_of("scan")
    for each in found:
        level = logging.ERROR if each.severity == "error" else logging.WARNING
        extra = {"code": each.code, "severity": each.severity, "path": each.path}
        log.log(level, "%s: %s: %s", each.path, each.code, each.message, extra=extra)


@dataclass(frozen=True, slots=True)
class _Exported:
    table: _core.ArrowTable

    def __arrow_c_schema__(self) -> CapsuleType:
        return self.table.schema()

    def __arrow_c_array__(
        self,
        requested_schema: object = None,
    ) -> tuple[CapsuleType, CapsuleType]:
        return self.table.schema(), self.table.array()


def _folder_of(path: str) -> str:
    return PurePath(path).parent.name


def _expanded(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    for given in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        text = os.fsdecode(given)
        if os.path.isdir(text):  # noqa: PTH112
            yield from sorted(str(p) for s in _SUFFIXES for p in Path(text).rglob(f"*{s}"))
        elif glob.has_magic(text) and not os.path.exists(text):  # noqa: PTH110
            found = sorted(glob.glob(text, recursive=True))  # noqa: PTH207
            yield from (path for path in found if not os.path.isdir(path))  # noqa: PTH112
        else:
            yield text


def _available_workers() -> int:
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    return min(count, _MOST_WORKERS)


class Scan:
    """One table of many dump files.

    Made by :func:`scan`. Nothing is read before it is iterated over or a library asks for its
    Arrow stream, and each time the files are read anew, in their order. At any time no more than a
    few batches are in memory, however many files there are.

    Attributes
    ----------
    paths : tuple of str
        The files.
    table : str
        Name of the table.
    schema : pyarrow.Schema
        ``source``, ``host``, ``day``, ``dumped_at_ns``, ``process_id``, ``process_name``, and the
        columns of the table.
    diagnostics : list of ScanDiagnostic
        What was wrong with files in the last reading, as far as it is.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        table: str,
        columns: tuple[str, ...],
        workers: int,
        on_error: str,
        host: Callable[[str], str],
    ) -> None:
        self.paths = paths
        self.table = table
        self.diagnostics: list[ScanDiagnostic] = []
        self._columns = columns
        self._workers = workers
        self._raises = on_error == "raise"
        self._host = host
        self._pa = import_pyarrow()
        self.schema: pa.Schema = self._pa.schema(_Exported(self._read(())[0]))

    def _read(
        self, paths: Sequence[str]
    ) -> tuple[_core.ArrowTable, int, list[ScanDiagnostic], Sequence[str]]:
        """A batch, its rows, what was wrong, and the files that had no room in it."""
        native, files = _READERS[self.table]([os.fsencode(p) for p in paths], _ROWS_OF_A_BATCH)
        rest = paths[len(files) :]
        wrong = []
        taken: list[tuple[str, int, int, int | None, bytes | None]] = []
        for path, (is_read, *facts, diagnostics) in zip(paths, files, strict=False):
            if is_read:
                taken.append((path, *facts))
            for severity, code, message, *_ in diagnostics:
                if severity == "warning":
                    kind = severity if is_read else "error"
                    wrong.append(
                        ScanDiagnostic(path=path, severity=kind, code=code, message=message)
                    )
        columns = [*self._file_columns(taken), *(native.arrow(name) for name in self._columns)]
        declared = {column.name: column for column in TABLES[self.table]}
        fields = [
            *(arrow_field(c, _DATE if c.name == "day" else None) for c in _FILE_COLUMNS),
            *(arrow_field(declared[name]) for name in self._columns),
        ]
        metadata = [("snapcore.table", self.table)]
        batch = _core.ArrowTable(native.rows, fields, metadata, columns)
        return batch, native.rows, wrong, rest

    def _file_columns(
        self, files: Sequence[tuple[str, int, int, int | None, bytes | None]]
    ) -> list[_core.ArrowColumn]:
        """Columns of which all rows of a file have the same value."""
        rows = [file[1] for file in files]

        def repeated(values: Sequence[Any], dtype: str) -> Any:
            return np.repeat(np.array(values, dtype=dtype), rows)

        def numbers(values: Sequence[int | None], dtype: str) -> _core.ArrowColumn:
            known = repeated([value is not None for value in values], "b1")
            return _core.ArrowColumn.numbers(repeated([v or 0 for v in values], dtype), known)

        def strings(values: Sequence[bytes | None]) -> _core.ArrowColumn:
            codes = [-1 if value is None else i for i, value in enumerate(values)]
            return _core.ArrowColumn.strings(repeated(codes, "i4"), [v or b"" for v in values])

        times = [file[2] for file in files]
        return [
            strings([os.fsencode(file[0]) for file in files]),
            strings([os.fsencode(self._host(file[0])) for file in files]),
            numbers([time // _NS_OF_A_DAY for time in times], "i4"),
            numbers(times, "i8"),
            numbers([file[3] for file in files], "u4"),
            strings([file[4] for file in files]),
        ]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Read the files.

        Yields
        ------
        pyarrow.RecordBatch
            Rows of some of them, in their order.
        """
        diagnostics: list[ScanDiagnostic] = []
        self.diagnostics = diagnostics
        paths = iter(self.paths)
        pending: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(self._workers, "snapcore-scan") as pool:
            try:
                while True:
                    while len(pending) <= self._workers:
                        part = list(islice(paths, _FILES_OF_A_BATCH))
                        if not part:
                            break
                        pending.append(pool.submit(self._read, part))
                    if not pending:
                        return
                    batch, rows, wrong, rest = pending.popleft().result()
                    if rest:
                        pending.appendleft(pool.submit(self._read, rest))
                    diagnostics += wrong
                    _log(wrong)
                    if self._raises:
                        self._raise_first(wrong)
                    if rows:
                        yield self._pa.record_batch(_Exported(batch))
            finally:
                for future in pending:
                    future.cancel()

    def _raise_first(self, wrong: Iterable[ScanDiagnostic]) -> None:
        failed = next((found for found in wrong if found.severity == "error"), None)
        if failed is None:
            return
        # It raises what it raises for one file.
        with open_dump(failed.path) as file:
            getattr(file, self.table)()
        message = f"{failed.path}: {failed.message}"
        raise DumpFormatError(message)

    def __arrow_c_schema__(self) -> CapsuleType:
        """Names and types of the columns, for libraries that read Arrow.

        Returns
        -------
        capsule
            An ``ArrowSchema``.
        """
        capsule: CapsuleType = self.schema.__arrow_c_schema__()
        return capsule

    def __arrow_c_stream__(self, requested_schema: CapsuleType | None = None) -> CapsuleType:
        """Read the files, for libraries that read Arrow.

        Parameters
        ----------
        requested_schema : capsule, optional
            The types that are wanted.

        Returns
        -------
        capsule
            An ``ArrowArrayStream``.
        """
        capsule: CapsuleType = self.reader().__arrow_c_stream__(requested_schema)
        return capsule

    def reader(self) -> pa.RecordBatchReader:
        """Read the files, as a reader of pyarrow's.

        Returns
        -------
        pyarrow.RecordBatchReader
            Reads them once.
        """
        return self._pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def to_parquet(
        self,
        where: str | os.PathLike[str],
        *,
        partition: Sequence[str] | None = ("host", "day"),
        append: bool = False,
    ) -> int:
        """Read the files and write their rows as Parquet.

        Parameters
        ----------
        where : path
            A folder, or with ``partition=None`` a file, which appears whole or not at all.
        partition : sequence of str, optional
            Columns that become folders of the form ``host=web-1/day=2026-11-25``.
        append : bool
            Add to a folder that has files. No file is ever replaced in it, so that many processes may
            write to one folder.

        Returns
        -------
        int
            How many rows there were; what was wrong with files is in ``diagnostics``.

        Raises
        ------
        FileExistsError
            If the file exists, or the folder has files and `append` is False.
        ValueError
            If `partition` names a column of the table; only those that are the same in a whole file are
            folders.
        """
        path = Path(where)
        if partition is None:
            return self._write_file(path)
        if not append and path.exists() and any(path.iterdir()):
            message = f"{path} is not empty; append=True adds to it"
            raise FileExistsError(message)
        unknown = set(partition) - {column.name for column in _FILE_COLUMNS}
        if unknown:
            message = f"{min(unknown)!r} does not tell files apart"
            raise ValueError(message)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        rows = 0
        with PartitionedWriter(path, tuple(partition), self.schema) as writer:
            for batch in self:
                rows += batch.num_rows
                writer.write(batch)
        return rows

    def _write_file(self, path: Path) -> int:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        rows = 0
        with ParquetFile(path, self.schema) as file:
            for batch in self:
                rows += batch.num_rows
                file.write(batch)
        return rows

    def __repr__(self) -> str:
        return f"<Scan {self.table}: {len(self.paths)} files, {len(self.schema)} columns>"


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    table: str = "handles",
    *,
    columns: Sequence[str] | None = None,
    workers: int | None = None,
    on_error: str = "record",
    host: Callable[[str], str] | None = None,
) -> Scan:
    """Read one table of many dump files, as a stream of Arrow record batches.

    Parameters
    ----------
    paths : path or iterable of paths
        Files, patterns (``"/dumps/**/*.dmp"``), and folders: of these every ``*.dmp`` and
        ``*.dmp.zst`` in them and below.
    table : str
        ``"threads"``, ``"handles"``, ``"regions"`` or ``"modules"``.
    columns : sequence of str, optional
        Columns of the table; all by default.
    workers : int, optional
        Threads that read; by default as many as there are processors, and 8 at the most.
    on_error : str
        ``"record"``: a file that cannot be read is a row of ``Scan.diagnostics``. ``"raise"``: it
        ends the scan with the exception of :func:`open`.
    host : callable, optional
        Gives the column ``host`` from a path, since a dump file does not name its machine. By default
        it is the name of the folder that the file lies in. Called on the threads that read.

    Returns
    -------
    Scan
        Iterable of ``pyarrow.RecordBatch``; polars, pandas, pyarrow and DuckDB take it as it is.

    Raises
    ------
    ImportError
        If pyarrow is missing; it is the extra ``snapcore[arrow]``.
    ValueError
        If there is no such table or column.

    Examples
    --------
    >>> scan = snapcore.scan(["app.dmp", "before.dmp"], "threads", columns=["tid", "name"])
    >>> scan
    <Scan threads: 2 files, 8 columns>
    >>> sum(batch.num_rows for batch in scan)
    4
    """
    if table not in _READERS:
        message = f"{table!r} is none of {', '.join(_READERS)}"
        raise ValueError(message)
    known = tuple(column.name for column in TABLES[table])
    chosen = known if columns is None else tuple(dict.fromkeys(columns))
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        message = f"{table} has no column {unknown[0]!r}; known: {', '.join(known)}"
        raise ValueError(message)
    if on_error not in ("record", "raise"):
        message = f"on_error is 'record' or 'raise', not {on_error!r}"
        raise ValueError(message)
    if workers is not None and workers < 1:
        message = "workers must be 1 or more"
        raise ValueError(message)
    return Scan(
        tuple(_expanded(paths)),
        table,
        chosen,
        workers or _available_workers(),
        on_error,
        host or _folder_of,
    )
