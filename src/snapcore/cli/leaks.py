# SPDX-License-Identifier: Apache-2.0
"""``snapcore leaks``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import snapcore
from snapcore.cli.columnar import check_output
from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.frame import Frame
from snapcore.cli.streams import complain, warn
from snapcore.cli.tables import COMMANDS as TABLE_COMMANDS
from snapcore.cli.tables import add_output, choose, write_rows
from snapcore.cli.target import find_process
from snapcore.display.text import printable
from snapcore.display.values import parse_duration
from snapcore.dtypes import Column

if TYPE_CHECKING:
    import argparse

    from snapcore import Leaks

__all__ = ["COMMANDS", "LeaksCommand"]

_COLUMNS = (
    Column("group", "str", "", "what was grouped by"),
    Column("value", "str", "", "type, name or folder; # stands for a number"),
    Column("first", "u8", "", "count in the first sample"),
    Column("last", "u8", "", "count in the last sample"),
    Column("per_second", "f8", "", "slope by Theil and Sen"),
    Column("not_fallen", "f8", "", "share of the steps that did not fall"),
    Column("grows", "b1", "", "it looks like a leak"),
    Column("trend", "str", "", "the counts"),
)
_HANDLES = next(command for command in TABLE_COMMANDS if command.name == "handles")


def _samples(text: str) -> int:
    number = int(text)
    if number < 2:
        raise ValueError
    return number


# What argparse calls a value that it refuses.
_samples.__name__ = "number of samples (at least 2)"


class LeaksCommand:
    """Sample the handles of a process and print what grows."""

    name = "leaks"
    description = (
        "Sample the handles of a process, which runs on, and rank what grows: by type, by name "
        "with # for each number in it, and by folder. Ctrl-C ends it with what there is by then."
    )

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        parser.add_argument("target", metavar="PID|NAME", help="process id, or name of one process")
        parser.add_argument(
            "--interval",
            metavar="TIME",
            type=parse_duration,
            default=1.0,
            help="from one sample to the next: 5, 500ms, 10m (default: 1)",
        )
        parser.add_argument(
            "--count",
            metavar="N",
            type=_samples,
            default=10,
            help="number of samples (default: %(default)s)",
        )
        parser.add_argument(
            "--all", action="store_true", help="every group, those that do not grow as well"
        )
        parser.add_argument(
            "--new",
            action="store_true",
            help="instead of the groups, the handles that the last sample has and the first has not",
        )
        add_output(parser)
        parser.add_argument("-q", "--quiet", action="store_true", help="print no warnings")

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
        line = _Line(enabled=not arguments.quiet)
        code = ExitCode.OK
        try:
            found = snapcore.leaks(
                find_process(arguments.target),
                arguments.interval,
                arguments.count,
                progress=line.show,
            )
        except KeyboardInterrupt:
            if line.so_far is None:
                raise
            found, code = line.so_far, ExitCode.INTERRUPTED
        finally:
            line.clear()
        frame = Frame.from_table(found.difference.added) if arguments.new else _frame_of(found)
        if not arguments.all and not arguments.new:
            frame = frame.take(frame["last"].values > frame["first"].values)
        arguments.columns = arguments.sort = arguments.limit = None
        write_rows(
            choose(
                frame,
                arguments,
                _HANDLES.columns if arguments.new else frame.names,
                counted=not arguments.new,
            ),
            arguments,
            identity={
                "pid": found.pid,
                "samples": len(found.seconds),
                "seconds": round(float(found.seconds[-1]), 3),
            },
            diagnostics=found.diagnostics,
            droppable=("grows", "not_fallen", "trend"),
        )
        if code == ExitCode.INTERRUPTED:
            complain(f"interrupted after {len(found.seconds)} of {arguments.count} samples")
        if warn(found.diagnostics, quiet=arguments.quiet) and code == ExitCode.OK:
            return ExitCode.WARNINGS
        return code


class _Line:
    """One line on the terminal that says how it goes."""

    def __init__(self, *, enabled: bool) -> None:
        self.so_far: Leaks | None = None
        self._enabled = enabled and sys.stderr is not None and sys.stderr.isatty()

    def show(self, taken: int, count: int, so_far: Leaks) -> None:
        self.so_far = so_far
        if not self._enabled:
            return
        text = f"{taken} of {count} samples: {so_far.totals[-1]:,} handles"
        types = so_far.by("type_name")
        if types and types[0].per_second > 0:
            text += f", {printable(types[0].value)} {types[0].per_second:+.2f}/s"
        # Back to the start of the line, and clear it.
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._enabled:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _frame_of(found: Leaks) -> Frame:
    ascii_only = "utf" not in (getattr(sys.stdout, "encoding", None) or "").lower()
    return Frame.from_rows(
        "leaks",
        _COLUMNS,
        (
            (
                each.group,
                each.value,
                each.first,
                each.last,
                round(each.per_second, 3),
                round(each.not_fallen, 3),
                each.grows,
                each.sparkline(20, ascii_only=ascii_only),
            )
            for each in found.growth
        ),
    )


COMMANDS = (LeaksCommand(),)
