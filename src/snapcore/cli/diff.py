# SPDX-License-Identifier: Apache-2.0
"""``snapcore diff``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import snapcore
from snapcore.cli.columnar import check_output
from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.field import Field
from snapcore.cli.frame import Frame
from snapcore.cli.streams import warn
from snapcore.cli.tables import COMMANDS as TABLE_COMMANDS
from snapcore.cli.tables import add_output, add_rows, by_column, choose, write_rows
from snapcore.cli.target import find_target
from snapcore.cli.views import ask, identity_of, open_view
from snapcore.display.values import parse_duration
from snapcore.dtypes import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from snapcore import Diagnostic, Difference, Table

__all__ = ["COMMANDS", "DiffCommand"]

_TABLES = {command.name: command for command in TABLE_COMMANDS}
_CHANGES = ("added", "removed", "kept")


class DiffCommand:
    """Print what came and went between two states of a process."""

    name = "diff"
    description = (
        "Show which handles, threads, regions or modules came and went between two states of a "
        "process: two dump files, a dump file and the process, or two looks at the process. What "
        "was closed and whose number was used again is both removed and added."
    )

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        parser.add_argument(
            "before",
            metavar="BEFORE",
            help="dump file, or process (id, or name of one); see 'snapcore handles --help'",
        )
        parser.add_argument(
            "after",
            metavar="AFTER",
            nargs="?",
            help="the same; without it, BEFORE is a process that is looked at twice",
        )
        parser.add_argument(
            "--table",
            choices=tuple(_TABLES),
            default="handles",
            help="what to compare (default: %(default)s)",
        )
        parser.add_argument(
            "--interval",
            metavar="TIME",
            type=parse_duration,
            default=10.0,
            help="between two looks at a process: 5, 500ms, 10m (default: 10)",
        )
        parser.add_argument("--kept", action="store_true", help="list what stayed as well")
        parser.add_argument(
            "--strict", action="store_true", help="of dump files: fail where anything is wrong"
        )
        add_output(parser)
        add_rows(
            parser,
            by_help="count what was added, removed and kept by this column's values instead",
        )

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it.

        Parameters
        ----------
        arguments : argparse.Namespace
            What the parser made.

        Returns
        -------
        int
            The exit code.
        """
        check_output(arguments.format, arguments.output)
        if arguments.by is not None and arguments.columns is not None:
            message = "--by has columns of its own: leave out --columns"
            raise ValueError(message)
        if arguments.after is None and isinstance(find_target(arguments.before), Path):
            message = f"{arguments.before} is a file: give a second one, or the process"
            raise ValueError(message)
        before, who_before, said = _look(arguments, arguments.before)
        if arguments.after is None:
            time.sleep(arguments.interval)
        after, who_after, said_after = _look(arguments, arguments.after or arguments.before)
        difference = snapcore.diff(before, after)
        frame = _frame_of(difference)
        for condition in arguments.where:
            frame = frame.where(condition)
        if arguments.by is not None:
            frame = _count_by(frame, by_column(frame, arguments.by))
        elif not arguments.kept:
            frame = frame.where("change!=kept")
        command = _TABLES[arguments.table]
        diagnostics = (*said, *said_after)
        write_rows(
            choose(
                frame, arguments, ("change", *command.columns), counted=arguments.by is not None
            ),
            arguments,
            identity={"before": who_before, "after": who_after},
            diagnostics=diagnostics,
            droppable=() if arguments.columns else command.droppable,
        )
        return ExitCode.WARNINGS if warn(diagnostics, quiet=arguments.quiet) else ExitCode.OK


def _look(
    arguments: argparse.Namespace, target: str
) -> tuple[Table, dict[str, Any], tuple[Diagnostic, ...]]:
    of_this = argparse.Namespace(target=target, strict=arguments.strict)
    with open_view(arguments.table, of_this) as view:
        table: Table = ask(view, getattr(view, arguments.table))
        return table, identity_of(view), view.diagnostics


def _frame_of(difference: Difference) -> Frame:
    tables = [getattr(difference, change) for change in _CHANGES]
    frames = [Frame.from_table(table) for table in tables]
    codes = np.repeat(np.arange(len(_CHANGES)), [len(table) for table in tables])
    change = Field(
        Column("change", "str", "", "added, removed or kept"),
        codes,
        np.ones(len(codes), dtype=np.bool_),
        _CHANGES,
    )
    stacked = (_stacked([frame[name] for frame in frames]) for name in frames[0].names)
    return Frame(frames[0].name, (change, *stacked))


def _stacked(fields: Sequence[Field]) -> Field:
    known = np.concatenate([field.known for field in fields])
    values: list[NDArray[Any]] = [field.values for field in fields]
    numbers: dict[str, int] = {}
    if fields[0].categories is None:
        return Field(fields[0].column, np.concatenate(values), known)
    for index, field in enumerate(fields):
        codes = [numbers.setdefault(text, len(numbers)) for text in field.categories or ()]
        values[index] = np.array([*codes, -1])[field.values]
    return Field(fields[0].column, np.concatenate(values), known, tuple(numbers))


def _count_by(frame: Frame, name: str) -> Frame:
    field, changes = frame[name], frame["change"].values
    _, firsts, which = np.unique(field.groups(), return_index=True, return_inverse=True)
    counts = [
        np.bincount(which.reshape(-1)[changes == code], minlength=len(firsts))
        for code in range(len(_CHANGES))
    ]
    known = np.ones(len(firsts), dtype=np.bool_)
    columns = [
        Field(Column(text, "i8", "", "rows"), values.astype(np.int64), known)
        for text, values in (*zip(_CHANGES, counts, strict=True), ("net", counts[0] - counts[1]))
    ]
    return Frame(frame.name, (field.take(firsts), *columns)).sort(name).sort("-added").sort("-net")


COMMANDS = (DiffCommand(),)
