# SPDX-License-Identifier: Apache-2.0
"""The command ``snapcore``."""

from __future__ import annotations

import argparse
import importlib
import io
import sys

from snapcore.version import __version__

# Not typing's, whose import takes a tenth of the time of --help.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["build_parser", "main"]

# Name: module with its class, what --help says. Their modules are imported when one is chosen, since
# NumPy takes ten times as long as the rest.
_COMMANDS = {
    "dump": ("dump", "write a minidump of a running process"),
    "info": ("info", "tell what a process or a dump file is"),
    "threads": ("tables", "list the threads of a process, a dump file or the system"),
    "handles": (
        "tables",
        "list the handles (descriptors) of a process, a dump file or the system",
    ),
    "regions": ("tables", "list the memory regions of a process or a dump file"),
    "modules": ("tables", "list the modules of a process or a dump file"),
    "read": ("read", "print bytes of the memory of a process or a dump file"),
    "diff": ("diff", "show which handles, threads, regions or modules came and went"),
    "leaks": ("leaks", "sample the handles of a process and rank what grows"),
    "watch": ("watch", "dump a process again and again: later dumps hold what has changed"),
    "merge": ("watch", "make one plain dump of one of 'watch' and its base"),
    "scan": ("scan", "gather one table of many dump files into Parquet or Arrow"),
    "report": ("report", "write an HTML page about a process or a dump file"),
    "doctor": ("doctor", "tell what may be captured here, and why not"),
}
_SHELLS = ("bash", "zsh", "fish")


class _PrintCompletion(argparse.Action):
    """Print what makes a shell complete the command, and end."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002  (argparse's own signature)
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Do it.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            Of the whole command.
        namespace : argparse.Namespace
            Not used.
        values : str
            The shell.
        option_string : str, optional
            Not used.
        """
        from snapcore.cli.completion import print_completion

        print_completion(build_parser(), values)
        parser.exit()


def _command(name: str) -> Any:
    module = importlib.import_module(f"snapcore.cli.{_COMMANDS[name][0]}")
    return next(command for command in module.COMMANDS if command.name == name)


def build_parser(chosen: Sequence[str] = tuple(_COMMANDS)) -> argparse.ArgumentParser:
    """Build the parser of the command.

    Parameters
    ----------
    chosen : sequence of str
        Names of the commands whose arguments it knows; of the others the names alone.

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
    parser.add_argument("--version", action="version", version=f"snapcore {__version__}")
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=_SHELLS,
        help="print what makes a shell complete the command, and end (extra 'cli')",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, summary) in _COMMANDS.items():
        if name in chosen:
            command = _command(name)
            own = commands.add_parser(name, help=summary, description=command.description)
            command.prepare_parser(own)
            own.add_argument(
                "-v",
                "--verbose",
                action="count",
                default=0,
                help="say on stderr what went less than perfectly, be it of no consequence; -vv: and "
                "what is done",
            )
        else:
            commands.add_parser(name, help=summary)
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
    words = _with_values(sys.argv[1:] if argv is None else argv)
    # What comes before the command are options without values that could be taken for one.
    chosen = next((word for word in words if word in _COMMANDS), None)
    arguments = build_parser(() if chosen is None else (chosen,)).parse_args(words)
    if arguments.verbose:
        from snapcore.cli.verbose import log_to_stderr

        log_to_stderr(arguments.verbose)
    return _run(_command(arguments.command), arguments)


def _run(command: Any, arguments: argparse.Namespace) -> int:
    from snapcore.cli.exit_codes import CommandError, ExitCode, NoSuchProcess, exit_code_of
    from snapcore.cli.streams import complain, discard, flush

    try:
        code: int = command.run(arguments)
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
