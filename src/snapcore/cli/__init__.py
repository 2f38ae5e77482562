# SPDX-License-Identifier: Apache-2.0
"""The command ``snapcore``."""

from __future__ import annotations

import argparse
import io
import sys
from typing import TYPE_CHECKING

import snapcore
from snapcore.cli.completion import SHELLS, PrintCompletion
from snapcore.cli.diff import DiffCommand
from snapcore.cli.doctor import DoctorCommand
from snapcore.cli.dump import DumpCommand
from snapcore.cli.exit_codes import CommandError, ExitCode, NoSuchProcess, exit_code_of
from snapcore.cli.info import InfoCommand
from snapcore.cli.leaks import LeaksCommand
from snapcore.cli.read import ReadCommand
from snapcore.cli.report import ReportCommand
from snapcore.cli.scan import ScanCommand
from snapcore.cli.streams import complain, discard, flush
from snapcore.cli.tables import TABLE_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["build_parser", "main"]

_COMMANDS = (
    DumpCommand(),
    InfoCommand(),
    *TABLE_COMMANDS,
    ReadCommand(),
    DiffCommand(),
    LeaksCommand(),
    ScanCommand(),
    ReportCommand(),
    DoctorCommand(),
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command.

    Returns
    -------
    argparse.ArgumentParser
        With one subparser a command.
    """
    parser = argparse.ArgumentParser(
        prog="snapcore",
        description="Point-in-time snapshots of running processes.",
        epilog="exit codes: 0 done, 1 failure, 2 usage, 3 access denied, 4 no such process, "
        "5 done with warnings, 130 interrupted, 141 output closed by its reader",
    )
    parser.add_argument("--version", action="version", version=f"snapcore {snapcore.__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=SHELLS,
        help="print what makes a shell complete the command, and end (extra 'cli')",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.prepare_parser(
            commands.add_parser(command.name, help=command.summary, description=command.description)
        )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        # A path, or a process's name, may be anything; the terminal's encoding may be ASCII.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = build_parser().parse_args(_with_values(sys.argv[1:] if argv is None else argv))
    command = next(c for c in _COMMANDS if c.name == arguments.command)
    try:
        code = command.run(arguments)
        flush()
    except KeyboardInterrupt:
        complain("interrupted; the target runs and no file was left")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        discard()
        return ExitCode.PIPE_CLOSED
    except FileExistsError as error:
        complain(f"{error}; --force replaces it")
        return exit_code_of(error)
    except (OSError, ValueError, NoSuchProcess, CommandError) as error:
        complain(error)
        try:
            flush()
        except OSError:
            discard()
        return exit_code_of(error)
    return code


def _with_values(argv: Sequence[str]) -> list[str]:
    """Join ``--sort -COLUMN``, of which argparse takes the second word for an option."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--sort" and word.startswith("-"):
            words[-1] = f"--sort={word}"
        else:
            words.append(word)
    return words
