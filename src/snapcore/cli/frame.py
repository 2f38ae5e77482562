# SPDX-License-Identifier: Apache-2.0
"""Rows to print: chosen, filtered, sorted and counted a column at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapcore.cli.field import Field
from snapcore.dtypes import Column
from snapcore.table import StringColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from snapcore import Table

__all__ = ["Frame"]

_CONDITION = re.compile(r"\s*(\w+)\s*(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Columns of equal length.

    Parameters
    ----------
    name : str
        Name of the table.
    fields : tuple of Field
        Its columns, in order.
    """

    name: str
    fields: tuple[Field, ...]

    @classmethod
    def from_table(cls, table: Table) -> Frame:
        """All of a table.

        Parameters
        ----------
        table : Table
            As a snapshot or a dump file gives it.

        Returns
        -------
        Frame
            A view of it.
        """
        fields = []
        for column in table.schema:
            values = table[column.name]
            known = table.valid(column.name)
            if isinstance(values, StringColumn):
                fields.append(Field(column, values.codes, known, values.categories))
            else:
                fields.append(Field(column, values, known))
        return cls(table.name, tuple(fields))

    @classmethod
    def from_rows(
        cls, name: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]
    ) -> Frame:
        """A small one, row by row.

        Parameters
        ----------
        name : str
            Name of the table.
        columns : sequence of Column
            Its columns.
        rows : iterable of sequences
            Values; None where not known.

        Returns
        -------
        Frame
            A copy of them.
        """
        all_rows = list(rows)
        fields = []
        for index, column in enumerate(columns):
            values = [row[index] for row in all_rows]
            known = np.array([value is not None for value in values], dtype=np.bool_)
            if column.dtype == "str":
                codes = np.where(known, np.arange(len(values)), -1)
                texts = tuple("" if value is None else value for value in values)
                fields.append(Field(column, codes, known, texts))
            else:
                numbers = np.array([value or 0 for value in values], dtype=column.dtype)
                fields.append(Field(column, numbers, known))
        return cls(name, tuple(fields))

    def __len__(self) -> int:
        return len(self.fields[0].values)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(field.name for field in self.fields)

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        message = f"{self.name} has no column {name!r}; known: {', '.join(self.names)}"
        raise ValueError(message)

    def select(self, names: Sequence[str]) -> Frame:
        """Some of the columns.

        Parameters
        ----------
        names : sequence of str
            Their names, in the order that is wanted.

        Returns
        -------
        Frame
            With these alone.

        Raises
        ------
        ValueError
            If one is unknown; the text lists those that are known.
        """
        return Frame(self.name, tuple(self[name] for name in names))

    def take(self, rows: NDArray[Any]) -> Frame:
        """Some of the rows.

        Parameters
        ----------
        rows : ndarray
            Numbers of rows, or a mask.

        Returns
        -------
        Frame
            With these alone.
        """
        return Frame(self.name, tuple(field.take(rows) for field in self.fields))

    def head(self, count: int) -> Frame:
        """The first rows.

        Parameters
        ----------
        count : int
            How many at the most.

        Returns
        -------
        Frame
            With these alone.
        """
        return self.take(np.arange(min(count, len(self))))

    def known(self) -> Frame:
        """Columns of which something is known.

        Returns
        -------
        Frame
            All columns where there are no rows.
        """
        some = tuple(field for field in self.fields if field.known.any())
        return Frame(self.name, some) if some else self

    def where(self, condition: str) -> Frame:
        """Rows that a condition holds for.

        Parameters
        ----------
        condition : str
            Column, relation and value, as :meth:`Field.matches`.

        Returns
        -------
        Frame
            With these alone.

        Raises
        ------
        ValueError
            If it is no condition, the column is unknown, or the value none of the column's.
        """
        found = _CONDITION.fullmatch(condition)
        if found is None:
            message = f"{condition!r} is no condition; COLUMN=VALUE, or with != < > <= >= ~"
            raise ValueError(message)
        name, relation, text = found.groups()
        return self.take(self[name].matches(relation, text.strip()))

    def sort(self, key: str) -> Frame:
        """Rows in another order.

        Parameters
        ----------
        key : str
            Name of a column; with ``-`` in front, descending.

        Returns
        -------
        Frame
            Equal rows stay in their order, and what is not known comes last.
        """
        field = self[key.removeprefix("-")]
        ranks = field.ranks()
        if key.startswith("-"):
            # The places of equal values counted from the end, so that they keep their order.
            order = len(self) - 1 - np.argsort(ranks[::-1], kind="stable")[::-1]
        else:
            order = np.argsort(ranks, kind="stable")
        known = field.known[order]
        return self.take(np.concatenate([order[known], order[~known]]))

    def count_by(self, name: str) -> Frame:
        """How many rows have each value of a column.

        Parameters
        ----------
        name : str
            Name of the column.

        Returns
        -------
        Frame
            That column and ``count``, the greatest count first.
        """
        field = self[name]
        _, firsts, counts = np.unique(field.groups(), return_index=True, return_counts=True)
        known = np.ones(len(counts), dtype=np.bool_)
        count = Field(Column("count", "u8", "", "rows"), counts.astype(np.uint64), known)
        return Frame(self.name, (field.take(firsts), count)).sort(name).sort("-count")
