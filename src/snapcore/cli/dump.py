# SPDX-License-Identifier: Apache-2.0
"""``snapcore dump``."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import snapcore
from snapcore.cli.exit_codes import CommandError, ExitCode
from snapcore.cli.streams import is_terminal
from snapcore.cli.target import find_process
from snapcore.display.text import human_size
from snapcore.display.values import parse_duration, parse_flags
from snapcore.flags import CaptureFlags, MiniDumpType
from snapcore.naming import dump_name, process_name
from snapcore.presets import PRESETS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from snapcore import DumpResult

__all__ = [
    "COMMANDS",
    "DumpCommand",
    "add_content",
    "add_preset_flags",
    "chosen_flags",
    "compression_of",
    "parse_flags",
    "progress_bar",
]

_DEFAULT_PRESET = "full"
_PRESET_HELP = {
    "mini": "stacks, threads, modules and handles",
    "triage": "the same without what may be private: no paths, no names of files, no arguments, "
    "and of the stacks only pointers",
    "heap": "every private writable page",
    "full": "all memory",
}
_SCHEMA = 1
_STDOUT = "-"


def add_preset_flags(parser: argparse.ArgumentParser) -> None:
    """Add the choice of what a dump holds, which `chosen_flags` reads.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of a command that dumps.
    """
    content = parser.add_mutually_exclusive_group()
    for preset, text in _PRESET_HELP.items():
        default = " (default)" if preset == _DEFAULT_PRESET else ""
        content.add_argument(
            f"--{preset}",
            dest="preset",
            action="store_const",
            const=preset,
            default=_DEFAULT_PRESET,
            help=f"{text}{default}",
        )
    content.add_argument(
        "--flags", metavar="FLAGS", help="what else: MiniDumpType names or a number"
    )


def chosen_flags(arguments: argparse.Namespace) -> int:
    """What a dump is to hold.

    Parameters
    ----------
    arguments : argparse.Namespace
        What the parser made.

    Returns
    -------
    int
        Of ``MiniDumpType``.
    """
    if arguments.flags is None:
        return PRESETS[arguments.preset]
    return parse_flags(MiniDumpType, arguments.flags)


def add_content(parser: argparse.ArgumentParser) -> None:
    """Add what else a dump takes.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of a command that dumps.
    """
    parser.add_argument(
        "--environment",
        action="store_true",
        help="keep the environment of the process, which may hold secrets (Linux)",
    )
    parser.add_argument(
        "--compress",
        metavar="zstd[:LEVEL]",
        help="compress it, at level 1 to 22 (default: 3), in frames that the other commands "
        "unpack one at a time and zstd -d all together; a name that is made ends in .dmp.zst "
        "(extra 'zstd')",
    )
    parser.add_argument("--comment", metavar="TEXT", help="text kept in the file")
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=parse_duration,
        help="for the whole command: 30, 500ms, 5m",
    )
    parser.add_argument(
        "--max-pause",
        metavar="TIME",
        type=parse_duration,
        default=1.0,
        help="the target is let go after it, whatever was reached: 2, 500ms (default: 1)",
    )


class DumpCommand:
    """Write a minidump of a running process."""

    name = "dump"
    description = (
        "Write a minidump of a running process, which stands still for milliseconds only. "
        "The file appears whole or not at all and is readable by its owner alone: it holds the "
        "memory of the process, and so its secrets."
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
            "-o",
            "--output",
            metavar="FILE|DIR|-",
            help="file, or folder for snapcore-NAME.PID.UTC.dmp, or - for stdout, with what is said "
            "of it on stderr (default: the current folder)",
        )
        add_preset_flags(parser)
        parser.add_argument(
            "--capture", metavar="FLAGS", help="CaptureFlags to capture besides what FLAGS need"
        )
        parser.add_argument(
            "--method",
            choices=("snapshot", "live", "auto"),
            default="snapshot",
            help="from a clone, from the standing process, or whichever can be had "
            "(default: %(default)s)",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="replace an existing file; write to stdout even where it is a terminal",
        )
        add_content(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")

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
        capture = (
            None if arguments.capture is None else parse_flags(CaptureFlags, arguments.capture)
        )
        compression, level = compression_of(arguments.compress)
        to_stdout = arguments.output == _STDOUT
        if to_stdout and sys.stdout is None:
            message = "stdout is closed"
            raise CommandError(message)
        if to_stdout and is_terminal() and not arguments.force:
            message = "a dump is no text for a terminal; give a file, a pipe, or --force"
            raise CommandError(message)
        pid = find_process(arguments.target)
        with progress_bar(enabled=not arguments.quiet) as progress:
            result = snapcore.dump(
                pid,
                sys.stdout.buffer
                if to_stdout
                else _output_path(arguments.output, pid, compression),
                chosen_flags(arguments),
                capture=capture,
                method=arguments.method,
                overwrite=arguments.force,
                progress=progress,
                comment=arguments.comment,
                environment=arguments.environment,
                timeout=arguments.timeout,
                max_pause=arguments.max_pause,
                compression=compression,
                level=level,
            )
        out = sys.stderr if to_stdout else sys.stdout
        if arguments.json:
            text = json.dumps({"schema": _SCHEMA, "pid": pid, **asdict(result)}, sort_keys=True)
            print(text, file=out)
        elif not arguments.quiet:
            print("\n".join(_summary(pid, result)), file=out)
        warnings = [d.message for d in result.diagnostics if d.severity == "warning"]
        for warning in () if arguments.quiet else warnings:
            print(f"snapcore: warning: {warning}", file=sys.stderr)
        return ExitCode.WARNINGS if warnings else ExitCode.OK


def compression_of(text: str | None) -> tuple[str | None, int | None]:
    """Name and level of ``--compress``.

    Parameters
    ----------
    text : str or None
        As given.

    Returns
    -------
    tuple of str or None, and int or None
        None where nothing is compressed, and for the default level.
    """
    if text is None:
        return None, None
    name, colon, level = text.partition(":")
    if not colon:
        return name, None
    if not level.isdecimal():
        message = f"--compress {text!r}: the level is a number"
        raise ValueError(message)
    return name, int(level)


def _output_path(output: str | None, pid: int, compression: str | None) -> str:
    if output is not None and not Path(output).is_dir() and not output.endswith(os.sep):
        return output
    name = dump_name(process_name(pid), pid, compressed=compression is not None)
    return str(Path(output or "") / name)


def _summary(pid: int, result: DumpResult) -> Iterator[str]:
    yield result.path or "stdout"
    yield (
        f"  process {pid} stood still for {result.pause_ns / 1e6:.2f} ms; "
        f"{result.elapsed_ns / 1e6:.0f} ms in all ({result.method})"
    )
    size = human_size(result.file_size)
    if result.file_size != result.uncompressed_size:
        size += f", compressed from {human_size(result.uncompressed_size)}"
    elif result.path:
        size += f", {human_size(result.bytes_written)} on the disk"
    yield f"  {size}"
    yield (
        f"  {result.threads} threads, {result.modules} modules, {result.handles} handles, "
        f"{result.regions} regions, {human_size(result.memory_bytes)} of memory in "
        f"{result.memory_ranges} ranges"
    )
    if result.bytes_not_of_the_instant:
        late = human_size(result.bytes_not_of_the_instant)
        yield f"  {late} of shared memory is not of the instant"


@contextmanager
def progress_bar(*, enabled: bool) -> Iterator[Callable[[int, int, str], object] | None]:
    """Show on the terminal how a dump goes.

    Parameters
    ----------
    enabled : bool
        Whether it is wanted.

    Yields
    ------
    callable or None
        The `progress` of a dump.
    """
    if not enabled or not sys.stderr.isatty():
        yield None
        return
    try:
        # An extra, and a slow import: only where it is seen.
        from rich import progress as rich_progress
        from rich.console import Console
    except ImportError:
        yield None
        return
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(binary_units=True),
        rich_progress.TransferSpeedColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def update(done: int, total: int, phase: str) -> None:
            bar.update(task, completed=done, total=total or None, description=phase)

        yield update


COMMANDS = (DumpCommand(),)
