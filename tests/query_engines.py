# SPDX-License-Identifier: Apache-2.0
"""The questions of a leak hunt, in NumPy, and in each library that takes a table as Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from snapcore import Table

TOP = 10


class Engine(Protocol):
    """Answers about one column of texts."""

    def counts(self, table: Table, column: str) -> dict[str | None, int]:
        """Rows of each value; None is a value that is not known."""

    def top(self, table: Table, column: str) -> list[tuple[str, int]]:
        """The most frequent known values; of equal ones the first by name."""

    def growth(self, before: Table, after: Table, column: str) -> dict[str, int]:
        """How many more rows each known value of both tables has afterwards."""


class NumPy:
    """The answers that the others are compared with."""

    def counts(self, table: Table, column: str) -> dict[str | None, int]:
        texts = table[column]
        known = texts.codes[texts.codes >= 0]
        numbers = np.bincount(known, minlength=len(texts.categories)).tolist()
        counted = zip(texts.categories, numbers, strict=True)
        out: dict[str | None, int] = {text: number for text, number in counted if number}
        unknown = int((texts.codes < 0).sum())
        return out | ({None: unknown} if unknown else {})

    def top(self, table: Table, column: str) -> list[tuple[str, int]]:
        known = [(k, n) for k, n in self.counts(table, column).items() if k is not None]
        return sorted(known, key=lambda row: (-row[1], row[0]))[:TOP]

    def growth(self, before: Table, after: Table, column: str) -> dict[str, int]:
        first, second = self.counts(before, column), self.counts(after, column)
        return {k: second[k] - first[k] for k in first if k is not None and k in second}


class Polars:
    """polars takes the stream."""

    def _counted(self, table: Table, column: str) -> Any:
        import polars as pl

        frame = pl.DataFrame(table).with_columns(pl.col(column).cast(pl.String))
        return frame.group_by(column).len()

    def counts(self, table: Table, column: str) -> dict[str | None, int]:
        return dict(self._counted(table, column).iter_rows())

    def top(self, table: Table, column: str) -> list[tuple[str, int]]:
        counted = self._counted(table, column).drop_nulls(column)
        return counted.sort(["len", column], descending=[True, False]).head(TOP).rows()

    def growth(self, before: Table, after: Table, column: str) -> dict[str, int]:
        first = self._counted(before, column)
        joined = self._counted(after, column).join(first, on=column, suffix="_before")
        return {name: int(b) - int(a) for name, b, a in joined.iter_rows()}


class Pandas:
    """pandas takes it through pyarrow."""

    def _sizes(self, table: Table, column: str) -> Any:
        import pandas as pd

        frame = pd.DataFrame.from_arrow(table)
        return frame.groupby(column, observed=True, dropna=False).size()

    def counts(self, table: Table, column: str) -> dict[str | None, int]:
        import pandas as pd

        sizes = self._sizes(table, column).to_dict()
        return {None if pd.isna(k) else k: n for k, n in sizes.items()}

    def top(self, table: Table, column: str) -> list[tuple[str, int]]:
        sizes = self._sizes(table, column).reset_index(name="n").dropna()
        sizes[column] = sizes[column].astype(str)
        ranked = sizes.sort_values(["n", column], ascending=[False, True]).head(TOP)
        return list(ranked.itertuples(index=False, name=None))

    def growth(self, before: Table, after: Table, column: str) -> dict[str, int]:
        frames = [self._sizes(t, column).reset_index(name="n").dropna() for t in (before, after)]
        for frame in frames:
            frame[column] = frame[column].astype(str)
        joined = frames[0].merge(frames[1], on=column, suffixes=("_before", "_after"))
        return dict(zip(joined[column], joined["n_after"] - joined["n_before"], strict=True))


class DuckDB:
    """DuckDB takes the stream as a view."""

    def _asked(self, query: str, table: Table, other: Table | None = None) -> list[Any]:
        import duckdb

        with duckdb.connect() as connection:
            connection.register("first_table", table)
            if other is not None:
                connection.register("second_table", other)
            return connection.execute(query).fetchall()

    def counts(self, table: Table, column: str) -> dict[str | None, int]:
        return dict(self._asked(f"SELECT {column}, count(*) FROM first_table GROUP BY 1", table))

    def top(self, table: Table, column: str) -> list[tuple[str, int]]:
        return self._asked(
            f"SELECT {column}, count(*) AS n FROM first_table WHERE {column} IS NOT NULL "
            f"GROUP BY 1 ORDER BY n DESC, {column} LIMIT {TOP}",
            table,
        )

    def growth(self, before: Table, after: Table, column: str) -> dict[str, int]:
        return dict(
            self._asked(
                f"SELECT {column}, b.n - a.n FROM "
                f"(SELECT {column}, count(*) AS n FROM first_table GROUP BY 1) a JOIN "
                f"(SELECT {column}, count(*) AS n FROM second_table GROUP BY 1) b USING ({column})",
                before,
                after,
            )
        )


ENGINES: dict[str, Engine] = {"polars": Polars(), "pandas": Pandas(), "duckdb": DuckDB()}
