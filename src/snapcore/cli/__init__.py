# SPDX-License-Identifier: Apache-2.0
"""The command ``snapcore``."""

from __future__ import annotations

import argparse
import io
import sys
from typing import TYPE_CHECKING

import snapcore
from snapcore.cli.dump import DumpCommand
from snapcore.cli.exit_codes import ExitCode, exit_code_of
from snapcore.cli.target import NoSuchProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["build_parser", "main"]

_COMMANDS = (DumpCommand(),)


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
        "5 done with warnings, 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"snapcore {snapcore.__version__}")
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
    arguments = build_parser().parse_args(argv)
    command = next(c for c in _COMMANDS if c.name == arguments.command)
    try:
        return command.run(arguments)
    except KeyboardInterrupt:
        print("snapcore: interrupted; the target runs and no file was left", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except FileExistsError as error:
        print(f"snapcore: {error}; --force replaces it", file=sys.stderr)
        return exit_code_of(error)
    except (OSError, ValueError, NoSuchProcess) as error:
        print(f"snapcore: {error}", file=sys.stderr)
        return exit_code_of(error)
