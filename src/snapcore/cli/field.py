# SPDX-License-Identifier: Apache-2.0
"""One column of what is printed."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii as _json_string
from typing import TYPE_CHECKING, Any

import numpy as np

from snapcore.display.text import UNKNOWN, printable
from snapcore.display.values import formatter, parse_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from snapcore.dtypes import Column


__all__ = ["Field"]

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One column of what is printed.

    Parameters
    ----------
    column : Column
        Its declaration.
    values : ndarray, shape (n,)
        Numbers; of strings the codes.
    known : ndarray of bool, shape (n,)
        Which of them are known.
    categories : tuple of str or None
        What the codes stand for.
    """

    column: Column
    values: NDArray[Any]
    known: NDArray[np.bool_]
    categories: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.column.name

    def take(self, rows: NDArray[Any]) -> Field:
        """Some of the rows.

        Parameters
        ----------
        rows : ndarray
            Numbers of rows, or a mask.

        Returns
        -------
        Field
            With these alone.
        """
        return replace(self, values=self.values[rows], known=self.known[rows])

    def _distinct(self) -> tuple[list[Any], NDArray[np.intp]]:
        """Distinct values, and which of them each row has."""
        if self.categories is not None:
            return list(self.categories), self.values.astype(np.intp)
        distinct, which = np.unique(self.values, return_inverse=True)
        return distinct.tolist(), which.reshape(-1)

    def groups(self) -> NDArray[np.intp]:
        """The same number for rows that have the same value.

        Returns
        -------
        ndarray, shape (n,)
            All that are not known are one group.
        """
        distinct, which = self._distinct()
        return np.where(self.known, which, len(distinct))

    def mapped(self, function: Callable[[Any], Any], unknown: Any) -> list[Any]:
        """What a function makes of each row; it is called once a distinct value.

        Parameters
        ----------
        function : callable
            From a Python number, bool or string.
        unknown : object
            Stands for rows that are not known.

        Returns
        -------
        list
            One object a row.
        """
        distinct, which = self._distinct()
        results = np.empty(len(distinct) + 1, dtype=object)
        results[:-1] = [function(value) for value in distinct]
        results[-1] = unknown
        rows: list[Any] = results[np.where(self.known, which, len(distinct))].tolist()
        return rows

    def python(self) -> list[Any]:
        """Python numbers, bools and strings, None where not known.

        Returns
        -------
        list
            One object a row.
        """
        return self.mapped(lambda value: value, None)

    def json(self) -> list[str]:
        """JSON of each row.

        Returns
        -------
        list of str
            ``null`` where not known.
        """
        return self._plain(_json_string, "null")

    def csv(self, string: Callable[[str], str]) -> list[str]:
        """Text of each row for CSV.

        Parameters
        ----------
        string : callable
            What becomes of strings.

        Returns
        -------
        list of str
            Empty where not known; numbers as in JSON.
        """
        return self._plain(string, "")

    def _plain(self, string: Callable[[str], str], unknown: str) -> list[str]:
        if not self.known.any():
            return [unknown] * len(self.values)
        if self.categories is not None:
            return self.mapped(string, unknown)
        values = self.values.tolist()
        texts = ["true" if v else "false" for v in values] if self.column.dtype == "b1" else values
        if self.known.all():
            return list(map(str, texts))
        return [str(v) if k else unknown for v, k in zip(texts, self.known.tolist(), strict=True)]

    def texts(self) -> list[str]:
        """Text of each row as the table form shows it.

        Returns
        -------
        list of str
            Safe for a terminal.
        """
        form = formatter(self.column)
        return self.mapped(lambda value: printable(form(value)), UNKNOWN)

    def ranks(self) -> NDArray[Any]:
        """Numbers that are in the order of the values.

        Returns
        -------
        ndarray, shape (n,)
            The values themselves; of strings the place among the categories.
        """
        if self.categories is None:
            return self.values
        ranks = np.empty(len(self.categories) + 1, dtype=np.int64)
        ranks[sorted(range(len(self.categories)), key=self.categories.__getitem__)] = np.arange(
            len(self.categories)
        )
        return np.asarray(ranks[self.values])

    def matches(self, relation: str, text: str) -> NDArray[np.bool_]:
        """Which rows a condition holds for.

        Parameters
        ----------
        relation : {"=", "!=", "<", "<=", ">", ">=", "~"}
            ``~`` looks for a regular expression in the text that the table form shows.
        text : str
            The other side; an empty one stands for what is not known.

        Returns
        -------
        ndarray of bool, shape (n,)
            A row that is not known is unequal to everything, and neither less nor greater.
        """
        if relation == "~":
            try:
                pattern = re.compile(text)
            except re.error as error:
                message = f"{text!r} is no regular expression: {error}"
                raise ValueError(message) from None
            form = formatter(self.column)
            return self._where(lambda value: pattern.search(form(value)) is not None, unknown=False)
        if not text:
            if relation not in ("=", "!="):
                message = f"{self.name}{relation} needs a value"
                raise ValueError(message)
            empty = self._where(lambda value: value == "", unknown=True)
            return empty if relation == "=" else ~empty
        wanted = parse_value(self.column, text)
        compare = _COMPARISONS[relation]
        return self._where(lambda value: compare(value, wanted), unknown=relation == "!=")

    def _where(self, test: Callable[[Any], bool], *, unknown: bool) -> NDArray[np.bool_]:
        return np.array(self.mapped(test, unknown), dtype=np.bool_)
