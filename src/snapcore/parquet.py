# SPDX-License-Identifier: Apache-2.0
"""Parquet files that appear whole or not at all, alone or in folders by the values of columns."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import numpy as np

from snapcore.newfile import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

__all__ = ["ParquetFile", "PartitionedWriter"]

# What Hive, and whoever reads its folders, takes for a value that is not known.
_UNKNOWN = "__HIVE_DEFAULT_PARTITION__"
# One that is closed to make room is followed by another file in its folder.
_MOST_OPEN_FILES = 64


class ParquetFile:
    """One file that gets its name when it is whole."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._file = NewFile(path, overwrite=False)
        try:
            self._writer: Any = pq.ParquetWriter(self._file, schema, compression="zstd")
        except BaseException:
            self._file.close()
            raise

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self, *, keep: bool = True) -> None:
        try:
            self._writer.close()
            if keep:
                self._file.commit()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(keep=kind is None)


class PartitionedWriter:
    """Files in folders ``name=value/...`` of a folder; those columns are not in the files."""

    def __init__(self, folder: Path, keys: tuple[str, ...], schema: pa.Schema) -> None:
        import pyarrow as pa

        self._pa = pa
        self._folder = folder
        self._keys = keys
        self._kept = [name for name in schema.names if name not in keys]
        self._schema = pa.schema([schema.field(n) for n in self._kept], schema.metadata)
        self._files: OrderedDict[str, ParquetFile] = OrderedDict()
        # Names of files are unique, so that many processes may write to one folder.
        self._name = uuid.uuid4().hex
        self._count = 0

    def write(self, batch: pa.RecordBatch) -> None:
        for folder, part in self._parts(batch):
            self._file(folder).write(part)

    def _parts(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows that go to one folder."""
        encoded = [self._encoded(batch.column(name)) for name in self._keys]
        codes = np.stack([c.indices.fill_null(-1).to_numpy() for c in encoded], axis=1)
        combinations, which = np.unique(codes, axis=0, return_inverse=True)
        which = which.reshape(-1)
        kept = batch.select(self._kept)
        for number, combination in enumerate(combinations.tolist()):
            values = [
                None if code < 0 else column.dictionary[code].as_py()
                for code, column in zip(combination, encoded, strict=True)
            ]
            names = map(self._folder_name, self._keys, values)
            if len(combinations) == 1:
                yield "/".join(names), kept
            else:
                yield "/".join(names), self._taken(kept, np.flatnonzero(which == number))

    def _encoded(self, column: pa.Array) -> Any:
        return column if self._pa.types.is_dictionary(column.type) else column.dictionary_encode()

    def _taken(self, batch: pa.RecordBatch, rows: Any) -> pa.RecordBatch:
        """Some rows, with dictionaries of their own: a file would hold the whole ones."""
        part = batch.take(self._pa.array(rows))
        columns = [
            c.dictionary_decode().dictionary_encode() if self._pa.types.is_dictionary(c.type) else c
            for c in part.columns
        ]
        return self._pa.RecordBatch.from_arrays(columns, schema=self._schema)

    @staticmethod
    def _folder_name(key: str, value: object) -> str:
        text = "" if value is None else str(value)
        return f"{key}={quote(text, safe=' ') or _UNKNOWN}"

    def _file(self, folder: str) -> ParquetFile:
        found = self._files.get(folder)
        if found is not None:
            self._files.move_to_end(folder)
            return found
        if len(self._files) >= _MOST_OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        where = self._folder / folder
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = ParquetFile(where / f"{self._name}-{self._count}.parquet", self._schema)
        self._count += 1
        self._files[folder] = opened
        return opened

    def close(self, *, keep: bool = True) -> None:
        # All of them, also where one fails.
        with ExitStack() as stack:
            while self._files:
                stack.callback(self._files.popitem()[1].close, keep=keep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(keep=kind is None)
