# SPDX-License-Identifier: Apache-2.0
"""Forms of output for programs: Parquet files and Arrow IPC streams, by pyarrow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from snapcore.cli.exit_codes import CommandError
from snapcore.cli.streams import is_terminal
from snapcore.fleet import import_pyarrow
from snapcore.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from snapcore.cli.frame import Frame

__all__ = ["BINARY_FORMATS", "check_output", "encoded", "writer_of"]

BINARY_FORMATS = ("parquet", "arrow")


def check_output(form: str, output: str | None) -> None:
    """See whether a form may go where it shall.

    Parameters
    ----------
    form : str
        Any form.
    output : str or None
        Name of a file, None for stdout.

    Raises
    ------
    ValueError
        If text shall go to a file, or bytes to a terminal.
    CommandError
        If pyarrow is needed and missing.
    """
    if form not in BINARY_FORMATS:
        if output is not None:
            message = f"-o takes --format {' or '.join(BINARY_FORMATS)}; redirect the others"
            raise ValueError(message)
        return
    if output is None and is_terminal():
        message = f"{form} is not for a terminal: redirect it, or give -o FILE"
        raise ValueError(message)
    try:
        import_pyarrow()
    except ImportError as error:
        message = f"--format {form}: {error}"
        raise CommandError(message) from None


def table_of(frame: Frame) -> Table:
    columns: list[tuple[str, Any, Any]] = []
    for field in frame.fields:
        if field.categories is None:
            known = None if field.known.all() else field.known
            columns.append((field.name, field.values, known))
        else:
            codes = np.where(field.known, field.values, -1).astype(np.int32)
            columns.append((field.name, codes, [text.encode() for text in field.categories]))
    return Table(frame.name, columns)


def encoded(frame: Frame, form: str) -> memoryview:
    """Rows in one of the forms.

    Parameters
    ----------
    frame : Frame
        The rows.
    form : str
        One of ``BINARY_FORMATS``.

    Returns
    -------
    memoryview
        All bytes of the file.
    """
    batch = import_pyarrow().record_batch(table_of(frame))
    out = io.BytesIO()
    with writer_of(out.write, batch.schema, form) as writer:
        writer.write_batch(batch)
    return out.getbuffer()


class _Sink(io.RawIOBase):
    """A stream that can be written to and nothing else."""

    def __init__(self, put: Callable[[memoryview], Any]) -> None:
        self._put = put

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._put(view)
        return view.nbytes


def writer_of(put: Callable[[Any], Any], schema: pa.Schema, form: str) -> Any:
    """A writer of record batches.

    Parameters
    ----------
    put : callable
        Takes the bytes.
    schema : pyarrow.Schema
        Of the batches.
    form : str
        One of ``BINARY_FORMATS``.

    Returns
    -------
    context manager
        With ``write_batch()``.
    """
    pa = import_pyarrow()
    sink = pa.PythonFile(_Sink(put), mode="w")
    if form == "parquet":
        import pyarrow.parquet as pq

        return pq.ParquetWriter(sink, schema, compression="zstd")
    return pa.ipc.new_stream(sink, schema)
