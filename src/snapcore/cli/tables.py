# SPDX-License-Identifier: Apache-2.0
"""``snapcore threads``, ``handles``, ``regions`` and ``modules``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from snapcore.cli.columnar import BINARY_FORMATS, check_output, encoded
from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.frame import Frame
from snapcore.cli.output import FORMATS, write_frame
from snapcore.cli.streams import new_file, warn, write_bytes
from snapcore.cli.views import add_target, ask, identity_of, open_view

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["TABLE_COMMANDS", "TableCommand", "add_format", "add_output"]


def add_format(parser: argparse.ArgumentParser, forms: Sequence[str]) -> None:
    """Add ``--format`` and ``--json``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The subparser of a command.
    forms : sequence of str
        Forms that it has, the default first.
    """
    parser.add_argument(
        "--format",
        choices=forms,
        default=forms[0],
        help="form of the output (default: %(default)s)",
    )
    parser.add_argument(
        "--json",
        dest="format",
        action="store_const",
        const="json",
        help="short for --format json",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add ``-o`` and ``--force``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The subparser of a command.
    """
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="of --format parquet and arrow (an IPC stream): write to this file; both need the extra "
        "snapcore[arrow]",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


# What argparse calls a value that it refuses.
_count.__name__ = "number of rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCommand:
    """Print one table of a process or a dump file.

    Parameters
    ----------
    name : str
        Name of the command and of the table.
    summary, description : str
        For ``--help``.
    columns : tuple of str
        What the table form shows by default.
    droppable : tuple of str
        Which of them a narrow terminal does without, the first one first.
    snapshot_help : str
        What ``--snapshot`` does; empty where there is no choice.
    """

    name: str
    summary: str
    description: str
    columns: tuple[str, ...]
    droppable: tuple[str, ...] = ()
    snapshot_help: str = ""

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        add_target(parser)
        if self.snapshot_help:
            parser.add_argument("--snapshot", action="store_true", help=self.snapshot_help)
        if self.name == "handles":
            parser.add_argument(
                "--peers",
                action="store_true",
                help="of a process on Linux: look in every process for the other ends of pipes and "
                "sockets (peer_pid, peer_handle)",
            )
        add_format(parser, (*FORMATS, *BINARY_FORMATS))
        add_output(parser)
        parser.add_argument(
            "--columns",
            metavar="A,B,...",
            help="columns, in this order, or 'all' (default: of a table a handy choice, else all)",
        )
        parser.add_argument(
            "--where",
            metavar="CONDITION",
            action="append",
            default=[],
            help="rows for which COLUMN=VALUE, or with != < > <= >=, or ~ for a regular expression "
            "in the text that the table form shows; an empty VALUE is one that is not known; may be "
            "repeated; quote it for the shell",
        )
        parser.add_argument(
            "--by", metavar="COLUMN", help="count the rows by this column's values instead"
        )
        parser.add_argument(
            "--sort",
            metavar="[-]COLUMN",
            help="order of the rows, with - descending; what is not known comes last",
        )
        parser.add_argument("--limit", metavar="N", type=_count, help="the first N rows alone")
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
        peers = getattr(arguments, "peers", False)
        check_output(arguments.format, arguments.output)
        if arguments.by is not None and arguments.columns is not None:
            message = "--by has columns of its own: leave out --columns"
            raise ValueError(message)
        if peers and getattr(arguments, "snapshot", False):
            message = "--peers are looked for in running processes: leave out --snapshot"
            raise ValueError(message)
        with open_view(self.name, arguments, peers=peers) as view:
            frame = Frame.from_table(ask(view, getattr(view, self.name)))
            identity, diagnostics = identity_of(view), view.diagnostics
        frame = self._chosen(frame, arguments)
        if arguments.format in BINARY_FORMATS:
            data = encoded(frame, arguments.format)
            if arguments.output is None:
                write_bytes(data)
            else:
                with new_file(arguments.output, replace=arguments.force) as put:
                    put(data)
        else:
            write_frame(
                frame,
                arguments.format,
                identity=identity,
                diagnostics=diagnostics,
                droppable=() if arguments.columns else self.droppable,
            )
        return ExitCode.WARNINGS if warn(diagnostics, quiet=arguments.quiet) else ExitCode.OK

    def _chosen(self, frame: Frame, arguments: argparse.Namespace) -> Frame:
        columns = self._columns(frame, arguments)
        for condition in arguments.where:
            frame = frame.where(condition)
        if arguments.by is not None:
            frame = frame.count_by(arguments.by)
            columns = frame.names
        if arguments.sort is not None:
            frame = frame.sort(arguments.sort)
        if arguments.limit is not None:
            frame = frame.head(arguments.limit)
        frame = frame.select(columns)
        by_default = arguments.columns is None and arguments.by is None
        return frame.known() if by_default and arguments.format == "table" else frame

    def _columns(self, frame: Frame, arguments: argparse.Namespace) -> Sequence[str]:
        if arguments.columns is not None and arguments.columns != "all":
            names = dict.fromkeys(name.strip() for name in arguments.columns.split(","))
            return frame.select(tuple(names)).names
        if arguments.columns is None and arguments.format == "table":
            return self.columns
        return frame.names


_LIVE = "A process is looked at while it runs on, so that the rows are not of one instant"
_STOP = "of a process: let it stand still for a moment (milliseconds)"
_CLONE = "the process stands still for about as long as a fork of it would take"

TABLE_COMMANDS = (
    TableCommand(
        name="threads",
        summary="list the threads of a process or a dump file",
        description=f"List the threads of a process or a dump file. {_LIVE} and registers are not "
        "known; --snapshot gives both.",
        columns=(
            "tid",
            "name",
            "state",
            "user_time_ns",
            "kernel_time_ns",
            "instruction_pointer",
            "stack_pointer",
            "start_address",
            "last_syscall",
        ),
        droppable=("start_address", "last_syscall", "kernel_time_ns", "user_time_ns", "state"),
        snapshot_help=f"{_STOP}: registers, and all of one instant",
    ),
    TableCommand(
        name="handles",
        summary="list the handles (descriptors) of a process or a dump file",
        description="List the handles of a process or a dump file; on Linux these are its file "
        f"descriptors. {_LIVE}; --snapshot makes them so.",
        columns=(
            "handle",
            "type_name",
            "granted_access",
            "handle_count",
            "socket_state",
            "peer_pid",
            "peer_handle",
            "object_name",
        ),
        droppable=("handle_count", "granted_access", "socket_state", "peer_handle", "peer_pid"),
        snapshot_help=f"{_STOP}: all of one instant, on Linux up to 256 descriptors",
    ),
    TableCommand(
        name="regions",
        summary="list the memory regions of a process or a dump file",
        description="List the memory regions of a process or a dump file. A process stands still "
        "for a moment (milliseconds) while its map is read.",
        columns=("base", "size", "resident", "state", "protect", "type", "mapped_file"),
        droppable=("state", "resident"),
        snapshot_help="of a process: make a clone of it, on Linux for the columns resident, "
        f"linux_flags and in_clone; {_CLONE}",
    ),
    TableCommand(
        name="modules",
        summary="list the modules of a process or a dump file",
        description="List the modules of a process or a dump file: the executable and its "
        f"libraries. They are read from a clone of a process: {_CLONE}.",
        columns=("base", "size", "version", "debug_id", "path"),
        droppable=("debug_id", "version"),
    ),
)
