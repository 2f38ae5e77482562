# SPDX-License-Identifier: Apache-2.0
"""``snapcore watch`` and ``snapcore merge``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import snapcore
from snapcore.cli.dump import (
    add_content,
    add_preset_flags,
    chosen_flags,
    compression_of,
    progress_bar,
)
from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.streams import complain, flush, warn, write
from snapcore.cli.target import find_process
from snapcore.display.text import human_size, printable
from snapcore.display.values import parse_duration, parse_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from snapcore import WatchedDump

__all__ = ["COMMANDS", "MergeCommand", "WatchCommand"]

_SCHEMA = 1


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


# What argparse calls a value that it refuses.
_number.__name__ = "number (at least 1)"


class WatchCommand:
    """Dump a process again and again."""

    name = "watch"
    description = (
        "Dump a running process again and again into a folder. On Linux the second and later dumps "
        "hold what has changed since the first, their base; every command opens one together with "
        "its base as a whole dump, and 'snapcore merge' makes one file of both. What is due while a "
        "dump is not done is skipped. Ctrl-C ends it, and so does the end of the process."
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
            metavar="FOLDER",
            default=".",
            help="for snapcore-NAME.PID.UTC.dmp; made where it is not there (default: the current one)",
        )
        parser.add_argument(
            "--every",
            metavar="TIME",
            type=parse_duration,
            default=60.0,
            help="from one dump to the next: 30s, 500ms, 5m (default: 60s)",
        )
        parser.add_argument(
            "--keep",
            metavar="N",
            type=_number,
            help="how many dumps are kept, the newest, besides the bases that they need (default: all)",
        )
        parser.add_argument(
            "--count", metavar="N", type=_number, help="how many to make (default: no end)"
        )
        parser.add_argument(
            "--rebase",
            metavar="N",
            type=_number,
            default=50,
            help="a whole dump at the latest after so many (default: %(default)s)",
        )
        parser.add_argument(
            "--max-held",
            metavar="SIZE",
            type=parse_size,
            help="what the clone of the base may hold alone, 512M, 0 for none (default: a quarter of the "
            "memory that is available)",
        )
        add_preset_flags(parser)
        add_content(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object a line")
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
        pid = find_process(arguments.target)
        compression, level = compression_of(arguments.compress)
        warned = False
        made = 0
        watch = snapcore.watch(
            pid,
            arguments.output,
            every=arguments.every,
            keep=arguments.keep,
            count=arguments.count,
            rebase=arguments.rebase,
            max_held=arguments.max_held,
            flags=chosen_flags(arguments),
            comment=arguments.comment,
            environment=arguments.environment,
            timeout=arguments.timeout,
            max_pause=arguments.max_pause,
            compression=compression,
            level=level,
        )
        with watch:
            try:
                for result in watch:
                    made += 1
                    if arguments.json:
                        said = {"schema": _SCHEMA, "pid": pid, **asdict(result)}
                        write(json.dumps(said, sort_keys=True) + "\n")
                    elif not arguments.quiet:
                        write(" ".join(_words(result)) + "\n")
                    flush()
                    sys.stdout.flush()
                    warned = warn(result.diagnostics, quiet=arguments.quiet) or warned
            except KeyboardInterrupt:
                if made == 0 or arguments.count is not None:
                    complain(f"interrupted after {made} dumps; the target runs")
                    return ExitCode.INTERRUPTED
        if not arguments.quiet:
            for diagnostic in watch.diagnostics:
                if diagnostic.code == "process_ended":
                    complain(diagnostic.message)
        return ExitCode.WARNINGS if warned else ExitCode.OK


def _words(result: WatchedDump) -> Iterator[str]:
    yield printable(result.path)
    yield f"{human_size(result.bytes_written)} on the disk,"
    if result.base is not None:
        memory = human_size(result.memory_bytes + result.base_bytes)
        yield f"{human_size(result.memory_bytes)} of {memory} changed,"
    else:
        yield f"whole, {human_size(result.memory_bytes)} of memory,"
    yield f"stood still {result.pause_ns / 1e6:.1f} ms, {result.elapsed_ns / 1e6:.0f} ms in all"
    if result.skipped:
        yield f"({result.skipped} skipped before)"


class MergeCommand:
    """Make one plain minidump of a dump and its base."""

    name = "merge"
    description = (
        "Write a dump of 'snapcore watch', and what its base in the same folder holds, as one plain "
        "minidump, which any tool opens as a whole one."
    )

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        parser.add_argument("file", metavar="FILE", help="the dump; its base lies beside it")
        parser.add_argument(
            "-o", "--output", metavar="FILE", required=True, help="the new dump file"
        )
        parser.add_argument("--force", action="store_true", help="replace an existing file")
        parser.add_argument(
            "--compress", metavar="zstd[:LEVEL]", help="compress it, as 'snapcore dump' does"
        )
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
        compression, level = compression_of(arguments.compress)
        with snapcore.open(arguments.file) as dump:
            with progress_bar(enabled=not arguments.quiet) as progress:
                dump.save(
                    arguments.output,
                    overwrite=arguments.force,
                    progress=progress,
                    compression=compression,
                    level=level,
                )
            if not arguments.quiet:
                size = human_size(Path(arguments.output).stat().st_size)
                write(f"{printable(arguments.output)} {size}\n")
            warned = warn(dump.diagnostics, quiet=arguments.quiet)
        return ExitCode.WARNINGS if warned else ExitCode.OK


COMMANDS = (WatchCommand(), MergeCommand())
