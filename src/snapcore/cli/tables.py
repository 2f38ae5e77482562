# SPDX-License-Identifier: Apache-2.0
"""``snapcore threads``, ``handles``, ``regions`` and ``modules``."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import snapcore
from snapcore.cli.columnar import BINARY_FORMATS, check_output, encoded
from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.frame import Frame
from snapcore.cli.output import FORMATS, write_frame
from snapcore.cli.streams import complain, warn, write_bytes
from snapcore.cli.views import add_target, ask, identity_of, open_view
from snapcore.newfile import NewFile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from snapcore import Diagnostic

__all__ = [
    "COMMANDS",
    "TableCommand",
    "add_format",
    "add_output",
    "add_rows",
    "by_column",
    "choose",
    "write_rows",
]


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


# What --by takes of handles besides names of columns; their column "type" is known on Windows alone.
_SHORT = {"type": "type_name", "name": "object_name"}
_HANDLES = ("handles", "system_handles")


def by_column(frame: Frame, name: str) -> str:
    """Column that ``--by`` means.

    Parameters
    ----------
    frame : Frame
        The rows.
    name : str
        As given on the command line.

    Returns
    -------
    str
        Of handles ``type`` is ``type_name``, and ``name`` is ``object_name``.
    """
    return _SHORT.get(name, name) if frame.name in _HANDLES else name


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add ``--format`` with all forms of rows, ``-o`` and ``--force``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The subparser of a command.
    """
    add_format(parser, (*FORMATS, *BINARY_FORMATS))
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="of --format parquet and arrow (an IPC stream): write to this file; both need the extra "
        "snapcore[arrow]",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def write_rows(
    frame: Frame,
    arguments: argparse.Namespace,
    *,
    identity: dict[str, Any],
    diagnostics: Sequence[Diagnostic],
    droppable: Sequence[str] = (),
) -> None:
    """Write rows in the form, and to the file, that were asked for.

    Parameters
    ----------
    frame : Frame
        The rows.
    arguments : argparse.Namespace
        With what :func:`add_output` adds, of which :func:`check_output` approved.
    identity : dict
        What the JSON object says of the process or the file.
    diagnostics : sequence of Diagnostic
        What went less than perfectly, for the JSON object.
    droppable : sequence of str
        Columns that the table form may leave out on a narrow terminal, the first one first.
    """
    if arguments.format not in BINARY_FORMATS:
        write_frame(
            frame,
            arguments.format,
            identity=identity,
            diagnostics=diagnostics,
            droppable=droppable,
        )
        return
    data = encoded(frame, arguments.format)
    if arguments.output is None:
        write_bytes(data)
    else:
        with NewFile(arguments.output, overwrite=arguments.force) as file:
            file.write(data)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


# What argparse calls a value that it refuses.
_count.__name__ = "number of rows"


def add_rows(parser: argparse.ArgumentParser, *, by_help: str) -> None:
    """Add what chooses rows and columns, and ``--quiet``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The subparser of a command.
    by_help : str
        What ``--by`` does.
    """
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
    parser.add_argument("--by", metavar="COLUMN", help=by_help)
    parser.add_argument(
        "--sort",
        metavar="[-]COLUMN",
        help="order of the rows, with - descending; what is not known comes last",
    )
    parser.add_argument("--limit", metavar="N", type=_count, help="the first N rows alone")
    parser.add_argument("-q", "--quiet", action="store_true", help="print no warnings")


def choose(
    frame: Frame, arguments: argparse.Namespace, by_default: Sequence[str], *, counted: bool
) -> Frame:
    """Sort, cut and choose columns of rows that ``--where`` and ``--by`` have chosen.

    Parameters
    ----------
    frame : Frame
        The rows.
    arguments : argparse.Namespace
        With what :func:`add_rows` and :func:`add_format` add.
    by_default : sequence of str
        Columns of the table form where none are given.
    counted : bool
        These are counts, which have columns of their own.

    Returns
    -------
    Frame
        What is to be written.
    """
    names: Sequence[str] = frame.names
    if not counted and arguments.columns not in (None, "all"):
        wanted = dict.fromkeys(name.strip() for name in arguments.columns.split(","))
        names = frame.select(tuple(wanted)).names
    elif not counted and arguments.columns is None and arguments.format == "table":
        names = by_default
    if arguments.sort is not None:
        frame = frame.sort(arguments.sort)
    if arguments.limit is not None:
        frame = frame.head(arguments.limit)
    frame = frame.select(names)
    handy = arguments.columns is None and not counted and arguments.format == "table"
    return frame.known() if handy else frame


def _named(frame: Frame, glob: str) -> Frame:
    # Windows does not distinguish case in names.
    flags = re.IGNORECASE if os.name == "nt" else 0
    pattern = re.compile(fnmatch.translate(glob), flags)

    def matches(name: str) -> bool:
        return any(pattern.match(text) for text in (name, name.removesuffix(" (deleted)")))

    return frame.take(np.array(frame["object_name"].mapped(matches, False), dtype=np.bool_))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCommand:
    """Print one table of a process or a dump file.

    Parameters
    ----------
    name : str
        Name of the command and of the table.
    description : str
        For ``--help``.
    columns : tuple of str
        What the table form shows by default.
    droppable : tuple of str
        Which of them a narrow terminal does without, the first one first.
    snapshot_help : str
        What ``--snapshot`` does; empty where there is no choice.
    of_all : str
        Name of the function that asks every process; empty where there is none.
    """

    name: str
    description: str
    columns: tuple[str, ...]
    droppable: tuple[str, ...] = ()
    snapshot_help: str = ""
    of_all: str = ""

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        add_target(parser, optional=bool(self.of_all))
        if self.of_all:
            parser.add_argument(
                "--all", action="store_true", help="of every process that you may see"
            )
        if self.snapshot_help:
            parser.add_argument("--snapshot", action="store_true", help=self.snapshot_help)
        if self.name == "handles":
            parser.add_argument(
                "--name",
                metavar="GLOB",
                help="rows whose object_name matches, such as '*.log' or 'tcp *:443'; * matches "
                "everything, / too",
            )
            parser.add_argument(
                "--peers",
                action="store_true",
                help="of processes on Linux: look in every process for the other ends of pipes and "
                "sockets (peer_pid, peer_handle)",
            )
        add_output(parser)
        short = "; type and name are type_name and object_name" if self.name in _HANDLES else ""
        add_rows(parser, by_help=f"count the rows by this column's values instead{short}")

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
        frame, identity, diagnostics = self._ask(arguments, peers=peers)
        if getattr(arguments, "name", None) is not None:
            frame = _named(frame, arguments.name)
        for condition in arguments.where:
            frame = frame.where(condition)
        if arguments.by is not None:
            frame = frame.count_by(by_column(frame, arguments.by))
        of_whom = ("pid", "process_name") if getattr(arguments, "all", False) else ()
        columns = tuple(dict.fromkeys((*of_whom, *self.columns)))
        write_rows(
            choose(frame, arguments, columns, counted=arguments.by is not None),
            arguments,
            identity=identity,
            diagnostics=diagnostics,
            droppable=() if arguments.columns else self.droppable,
        )
        if not arguments.quiet:
            for diagnostic in diagnostics:
                if diagnostic.code == "processes_refused":
                    complain(diagnostic.message)
        return ExitCode.WARNINGS if warn(diagnostics, quiet=arguments.quiet) else ExitCode.OK

    def _ask(
        self, arguments: argparse.Namespace, *, peers: bool
    ) -> tuple[Frame, dict[str, Any], tuple[Diagnostic, ...]]:
        if not getattr(arguments, "all", False):
            if arguments.target is None:
                message = "give a process or a dump file, or --all"
                raise ValueError(message)
            with open_view(self.name, arguments, peers=peers) as view:
                frame = Frame.from_table(ask(view, getattr(view, self.name)))
                return frame, identity_of(view), view.diagnostics
        if arguments.target is not None:
            message = f"--all asks every process: leave out {arguments.target}"
            raise ValueError(message)
        if arguments.snapshot:
            message = "there is no snapshot of all processes: leave out --snapshot"
            raise ValueError(message)
        function = getattr(snapcore, self.of_all)
        table = function(peers=True) if peers else function()
        return Frame.from_table(table), {"all": True}, table.diagnostics


_LIVE = "A process is looked at while it runs on, so that the rows are not of one instant"
_STOP = "of a process: let it stand still for a moment (milliseconds)"
_CLONE = "the process stands still for about as long as a fork of it would take"

COMMANDS = (
    TableCommand(
        name="threads",
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
        of_all="system_threads",
    ),
    TableCommand(
        name="handles",
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
        of_all="system_handles",
    ),
    TableCommand(
        name="regions",
        description="List the memory regions of a process or a dump file. A process stands still "
        "for a moment (milliseconds) while its map is read.",
        columns=("base", "size", "resident", "state", "protect", "type", "mapped_file"),
        droppable=("state", "resident"),
        snapshot_help="of a process: make a clone of it, on Linux for the columns resident, "
        f"linux_flags and in_clone; {_CLONE}",
    ),
    TableCommand(
        name="modules",
        description="List the modules of a process or a dump file: the executable and its "
        f"libraries. They are read from a clone of a process: {_CLONE}.",
        columns=("base", "size", "version", "debug_id", "path"),
        droppable=("debug_id", "version"),
    ),
)
