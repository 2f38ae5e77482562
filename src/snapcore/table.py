# SPDX-License-Identifier: Apache-2.0
"""Tables: named columns of equal length, views of the native core's own memory."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from snapcore.dtypes import TABLES, Column
from snapcore.native import _core

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from numpy.typing import NDArray
    from typing_extensions import CapsuleType

__all__ = ["StringColumn", "Table"]


# In the native core's order, which is generated from the same place.
_NAMES = {table: tuple(c.name for c in columns) for table, columns in TABLES.items()}


# What Arrow's types of time are called in its C data interface.
_TIMESTAMP, _DURATION = "tsn:UTC", "tDn"


def _arrow_type(column: Column) -> str:
    """Type of a column's values in Arrow, empty where it follows from those themselves."""
    if column.dtype != "i8":
        return ""
    if column.name.endswith("_at_ns"):
        return _TIMESTAMP
    return _DURATION if column.name.endswith("_ns") else ""


def arrow_field(
    column: Column, arrow_type: str | None = None
) -> tuple[str, str, list[tuple[str, str]]]:
    facts = {
        "unit": column.unit,
        "meaning": column.meaning,
        "source.windows": column.windows,
        "source.linux": column.linux,
        "source.file": column.file,
    }
    metadata = [(f"snapcore.{key}", value) for key, value in facts.items() if value]
    return column.name, arrow_type or _arrow_type(column), metadata


@functools.cache
def _arrow_fields(table: str) -> dict[str, tuple[str, str, list[tuple[str, str]]]]:
    return {column.name: arrow_field(column) for column in TABLES.get(table, ())}


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", errors="backslashreplace")


class StringColumn:
    r"""Strings as codes into a table of unique strings.

    Parameters
    ----------
    codes : ndarray of int32, shape (n,)
        Index into `categories`; -1 where the value is not known.
    categories : sequence of bytes
        The unique strings as the operating system gave them.

    Attributes
    ----------
    codes : ndarray of int32, shape (n,)
        Read-only.

    Examples
    --------
    >>> names = snapcore.handles(pid)["type_name"]
    >>> names.codes
    array([0, 0, 1, 2, 3], dtype=int32)
    >>> names.categories
    ('Pipe', 'CharacterDevice', 'File', 'Socket')
    >>> names.isin(["File", "Socket"])
    array([False, False, False,  True,  True])
    """

    __slots__ = ("_categories", "_raw", "codes")

    def __init__(
        self, codes: NDArray[np.int32], categories: Sequence[bytes] | _core.Strings
    ) -> None:
        self.codes: NDArray[np.int32] = codes
        self._raw = categories
        self._categories: tuple[str, ...] | None = None

    @property
    def categories_bytes(self) -> tuple[bytes, ...]:
        """The unique strings as the operating system gave them."""
        if not isinstance(self._raw, tuple):
            strings: Any = self._raw
            self._raw = tuple(strings.to_list() if hasattr(strings, "to_list") else strings)
        return self._raw

    @property
    def categories(self) -> tuple[str, ...]:
        r"""The unique strings; undecodable bytes are escaped as ``\xNN``."""
        if self._categories is None:
            self._categories = tuple(_decode(raw) for raw in self.categories_bytes)
        return self._categories

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str | None:
        code = int(self.codes[row])
        return None if code < 0 else self.categories[code]

    def __iter__(self) -> Iterator[str | None]:
        categories = (*self.categories, None)  # code -1 is the last
        return (categories[code] for code in self.codes.tolist())

    def __eq__(self, other: object) -> NDArray[np.bool_]:  # type: ignore[override]
        """Compare with a string, or row by row with another string column."""
        if isinstance(other, str):
            return self.isin([other])
        if isinstance(other, StringColumn):
            mine = np.array([*self.categories, None], dtype=object)
            theirs = np.array([*other.categories, None], dtype=object)
            return np.asarray(mine[self.codes] == theirs[other.codes], dtype=np.bool_)
        return NotImplemented

    def __ne__(self, other: object) -> NDArray[np.bool_]:  # type: ignore[override]
        equal = self.__eq__(other)
        return NotImplemented if equal is NotImplemented else ~equal

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def isin(self, values: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each row is one of `values`.

        Parameters
        ----------
        values : sequence of str
            The strings to look for.

        Returns
        -------
        ndarray of bool, shape (n,)
            False where the row is not known.
        """
        wanted = set(values)
        # One more entry, for the code -1 of rows that are not known.
        hits = np.array([*(c in wanted for c in self.categories), False], dtype=np.bool_)
        return hits[self.codes]

    def unique(self) -> list[str]:
        """The distinct strings, in the order of their first row.

        Returns
        -------
        list of str
            Rows that are not known are left out.
        """
        used = np.unique(self.codes)
        return [self.categories[code] for code in used.tolist() if code >= 0]

    def to_numpy(self) -> NDArray[Any]:
        """One array of strings.

        Returns
        -------
        ndarray, shape (n,)
            ``StringDType`` on NumPy 2 (missing rows are None), ``object`` on NumPy 1.26.
        """
        values = np.array([*self.categories, None], dtype=object)[self.codes]
        if hasattr(np.dtypes, "StringDType"):
            return values.astype(np.dtypes.StringDType(na_object=None))
        return values

    def __repr__(self) -> str:
        return f"<StringColumn: {len(self)} rows, {len(self._raw)} categories>"

    def _repr_html_(self) -> str:
        from snapcore.html.notebook import strings_html

        return strings_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (StringColumn, (np.array(self.codes), self.categories_bytes))


class Table:
    """Named columns of equal length.

    ``table["tid"]`` is a contiguous, read-only array (or a :class:`StringColumn`) that views the
    native core's memory and outlives the snapshot.

    Parameters
    ----------
    name : str
        One of ``snapcore.dtypes.TABLES``: ``"threads"``, ``"handles"``, ...
    source : sequence of tuple
        ``(name, values, valid or None)`` or ``(name, codes, categories)`` each. Of the native core a
        table whose columns become arrays when they are asked for.
    diagnostics : sequence of Diagnostic, optional
        What went less than perfectly; empty for a table of a snapshot, which has its own.

    Examples
    --------
    >>> table = snapcore.handles(pid)
    >>> table
    <Table handles: 5 rows, ... columns>
    >>> table["handle"]
    array([0, 1, 2, 3, 4], dtype=uint64)
    >>> table["type_name"] == "Socket"
    array([False, False, False, False,  True])
    """

    __slots__ = (
        "_arrow",
        "_columns",
        "_names",
        "_native",
        "_rows",
        "_valid",
        "diagnostics",
        "name",
    )

    def __init__(
        self,
        name: str,
        source: Sequence[tuple[str, NDArray[Any], Any]] | _core.Columns,
        diagnostics: Sequence[Any] = (),
    ) -> None:
        self.name: str = name
        self.diagnostics: tuple[Any, ...] = tuple(diagnostics)
        self._columns: dict[str, NDArray[Any] | StringColumn] = {}
        self._valid: dict[str, NDArray[np.bool_] | None] = {}
        self._arrow: _core.ArrowTable | None = None
        if isinstance(source, (list, tuple)):
            self._native: _core.Columns | None = None
            for column, values, extra in source:
                self._add(column, values, extra)
            self._names = tuple(self._columns)
            self._rows = len(next(iter(self._columns.values()))) if self._columns else 0
        else:
            native: Any = source
            self._native = native
            self._names = _NAMES[name]
            self._rows = native.rows

    def _add(self, column: str, values: NDArray[Any], extra: Any) -> NDArray[Any] | StringColumn:
        if extra is None or isinstance(extra, np.ndarray):
            self._valid[column] = extra
            self._columns[column] = values
        else:
            self._columns[column] = StringColumn(values, extra)
        return self._columns[column]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return self._names

    @property
    def schema(self) -> tuple[Column, ...]:
        """Declaration of each column: name, dtype, unit, meaning and source."""
        return TABLES[self.name]

    def __len__(self) -> int:
        return self._rows

    def __contains__(self, column: object) -> bool:
        return column in self._names

    def __getitem__(self, column: str, /) -> Any:
        found = self._columns.get(column)
        if found is not None:
            return found
        if self._native is None:
            raise KeyError(column)
        return self._add(column, *self._native.column(column))

    def _items(self) -> Iterator[tuple[str, NDArray[Any] | StringColumn]]:
        return ((name, self[name]) for name in self._names)

    def valid(self, column: str) -> NDArray[np.bool_]:
        """Which rows of a column are known; the others hold 0.

        Parameters
        ----------
        column : str
            Name of the column.

        Returns
        -------
        ndarray of bool, shape (n,)
            All true where everything is known.

        Examples
        --------
        >>> table = snapcore.handles(pid)
        >>> bool(table.valid("section_size").any())  # no handle is shared memory
        False
        """
        values = self[column]
        if isinstance(values, StringColumn):
            return values.codes >= 0
        mask = self._valid[column]
        return np.ones(self._rows, dtype=np.bool_) if mask is None else mask

    def row(self, index: int) -> dict[str, Any]:
        """One row as a dictionary; slow in a loop over many rows, use the columns there.

        Parameters
        ----------
        index : int
            Row number; negative numbers count from the end.

        Returns
        -------
        dict
            Python numbers and strings; None where a value is not known.

        Examples
        --------
        >>> snapcore.threads(pid).row(-1)["name"]
        'worker'
        """
        if not -self._rows <= index < self._rows:
            message = f"row {index} of {self._rows}"
            raise IndexError(message)
        out: dict[str, Any] = {}
        for name, values in self._items():
            if isinstance(values, StringColumn):
                out[name] = values[index]
            else:
                mask = self._valid[name]
                out[name] = values[index].item() if mask is None or mask[index] else None
        return out

    def take(self, rows: Sequence[int] | Sequence[bool] | NDArray[Any]) -> Self:
        """Some of the rows.

        Parameters
        ----------
        rows : array_like of int or bool
            Numbers of rows, in the order that is wanted and as often as wanted, or one bool a row.

        Returns
        -------
        Table
            With the same columns and diagnostics; a copy.

        Raises
        ------
        IndexError
            If there is no such row, a mask has another length, or it is neither numbers nor a mask.

        Examples
        --------
        >>> table = snapcore.handles(pid)
        >>> table.take(table["type_name"] == "Socket")["socket_state"][0]
        'LISTEN'
        >>> table.take([0, -1])["handle"]
        array([0, 4], dtype=uint64)
        """
        chosen = np.asarray(rows)
        if chosen.size == 0 and chosen.dtype == np.float64:  # an empty list
            chosen = chosen.astype(np.intp)
        columns: list[tuple[str, NDArray[Any], Any]] = []
        for name, values in self._items():
            if isinstance(values, StringColumn):
                columns.append((name, values.codes[chosen], values._raw))
            else:
                mask = self._valid[name]
                columns.append((name, values[chosen], None if mask is None else mask[chosen]))
        for _, values, extra in columns:
            values.flags.writeable = False
            if isinstance(extra, np.ndarray):
                extra.flags.writeable = False
        return type(self)(self.name, columns, self.diagnostics)

    def to_records(self) -> NDArray[Any]:
        """All columns as one structured array.

        Returns
        -------
        ndarray, shape (n,)
            A copy, packed. Strings become fixed-width unicode (empty where not known); values that
            are not known are 0.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for name, values in self._items():
            if isinstance(values, StringColumn):
                texts = np.array([*values.categories, ""], dtype=np.str_)
                arrays[name] = texts[values.codes]
            else:
                arrays[name] = values
        dtype = np.dtype([(name, array.dtype) for name, array in arrays.items()])
        out = np.empty(self._rows, dtype=dtype)
        for name, array in arrays.items():
            out[name] = array
        return out

    def __arrow_c_schema__(self) -> CapsuleType:
        """Names and types of the columns, for libraries that read Arrow.

        Returns
        -------
        capsule
            An ``ArrowSchema``.
        """
        return self._arrow_table().schema()

    def __arrow_c_array__(
        self, requested_schema: CapsuleType | None = None
    ) -> tuple[CapsuleType, CapsuleType]:
        """The table as one struct array, for libraries that read Arrow.

        Numbers are the memory of the NumPy arrays, strings are dictionaries, and the arrays may be
        freed on any thread.

        Parameters
        ----------
        requested_schema : capsule, optional
            Other types are not made: who asks for them casts. Another number of columns is an error.

        Returns
        -------
        tuple of capsule
            An ``ArrowSchema`` and an ``ArrowArray``.

        Raises
        ------
        ValueError
            If `requested_schema` has another number of columns.
        """
        table = self._arrow_table(requested_schema)
        return table.schema(), table.array()

    def __arrow_c_stream__(self, requested_schema: CapsuleType | None = None) -> CapsuleType:
        """The table as a stream of one record batch, for libraries that read Arrow.

        Parameters
        ----------
        requested_schema : capsule, optional
            As of :meth:`__arrow_c_array__`.

        Returns
        -------
        capsule
            An ``ArrowArrayStream``.

        Raises
        ------
        ValueError
            If `requested_schema` has another number of columns.
        """
        return self._arrow_table(requested_schema).stream()

    def _arrow_table(self, requested_schema: CapsuleType | None = None) -> _core.ArrowTable:
        if requested_schema is not None:
            asked = _core.arrow_children(requested_schema)
            if asked != len(self._names):
                message = f"{asked} columns are asked for, the table has {len(self._names)}"
                raise ValueError(message)
        if self._arrow is not None:
            return self._arrow
        known = _arrow_fields(self.name)
        made = _core.ArrowTable(
            rows=self._rows,
            fields=[known.get(name, (name, "", [])) for name in self._names],
            metadata=[("snapcore.table", self.name)],
            columns=[self._arrow_column(name) for name in self._names],
        )
        # Of arrays that are not the native core's own it is a copy, and they may change.
        if self._native is not None:
            self._arrow = made
        return made

    def _arrow_column(self, name: str) -> _core.ArrowColumn:
        if self._native is not None:
            return self._native.arrow(name)
        values = self[name]
        if isinstance(values, StringColumn):
            return _core.ArrowColumn.strings(values.codes, values.categories_bytes)
        return _core.ArrowColumn.numbers(values, self._valid[name])

    def __repr__(self) -> str:
        return f"<Table {self.name}: {self._rows} rows, {len(self._names)} columns>"

    def _repr_html_(self) -> str:
        from snapcore.html.notebook import table_html

        return table_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        columns: list[tuple[str, NDArray[Any], Any]] = []
        for name, values in self._items():
            if isinstance(values, StringColumn):
                columns.append((name, np.array(values.codes), values.categories_bytes))
            else:
                mask = self._valid[name]
                columns.append((name, np.array(values), None if mask is None else np.array(mask)))
        return (type(self), (self.name, columns, self.diagnostics))
