# SPDX-License-Identifier: Apache-2.0
"""``snapcore scan``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import snapcore
from snapcore.cli.columnar import BINARY_FORMATS, check_output, writer_of
from snapcore.cli.exit_codes import CommandError, ExitCode
from snapcore.cli.streams import complain, write_bytes
from snapcore.fleet import SCANNED_TABLES
from snapcore.newfile import NewFile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from snapcore import Scan

__all__ = ["COMMANDS", "ScanCommand"]

_MOST_WARNINGS = 20


def _host_by(pattern: str) -> Callable[[str], str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        message = f"--host {pattern!r}: {error}"
        raise ValueError(message) from None
    if expression.groups != 1:
        message = f"--host {pattern!r}: a regular expression with one group"
        raise ValueError(message)

    def host(path: str) -> str:
        found = expression.search(path)
        return (found[1] or "") if found else ""

    return host


class ScanCommand:
    """Gather one table of many dump files."""

    name = "scan"
    description = (
        "Gather one table of many dump files, with the file, host, day, time and process of each row. A "
        "file that cannot be read is a warning, and the exit code is 5. Needs the extra snapcore[arrow]."
    )

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        parser.add_argument(
            "paths",
            metavar="FILE|GLOB|FOLDER",
            nargs="+",
            help="dump files, patterns of their names (** is any depth), and folders: of these every "
            "*.dmp and *.dmp.zst in them and below",
        )
        parser.add_argument(
            "--table",
            choices=SCANNED_TABLES,
            default="handles",
            help="which table (default: %(default)s)",
        )
        parser.add_argument("--columns", metavar="A,B,...", help="columns of it (default: all)")
        parser.add_argument(
            "--format",
            choices=BINARY_FORMATS,
            default=BINARY_FORMATS[0],
            help="form of the output; arrow is an IPC stream (default: %(default)s)",
        )
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE|FOLDER",
            help="a file, or of parquet a folder that gets a folder for each host and day: what is a "
            "folder, ends in a separator or has no suffix (default: stdout)",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="replace an existing file; add to a folder that has files",
        )
        parser.add_argument(
            "--host",
            metavar="REGEX",
            help="its one group, found in the path, is the host (default: the name of the file's folder)",
        )
        parser.add_argument(
            "--workers", metavar="N", type=int, help="threads that read (default: one a processor)"
        )
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
        columns = arguments.columns and [name.strip() for name in arguments.columns.split(",")]
        scan = snapcore.scan(
            arguments.paths,
            arguments.table,
            columns=columns or None,
            workers=arguments.workers,
            host=_host_by(arguments.host) if arguments.host else None,
        )
        if not scan.paths:
            message = f"no dump files in {', '.join(arguments.paths)}"
            raise CommandError(message)
        _write(scan, arguments)
        for found in scan.diagnostics[: 0 if arguments.quiet else _MOST_WARNINGS]:
            complain(f"{found.severity}: {found.path}: {found.message}")
        rest = len(scan.diagnostics) - _MOST_WARNINGS
        if rest > 0 and not arguments.quiet:
            complain(f"and {rest} more")
        return ExitCode.WARNINGS if scan.diagnostics else ExitCode.OK


def _write(scan: Scan, arguments: argparse.Namespace) -> None:
    output = arguments.output
    if output is None:
        _write_batches(scan, arguments.format, write_bytes)
    elif arguments.format == "parquet" and _is_folder(output):
        scan.to_parquet(output, append=arguments.force)
    else:
        with NewFile(output, overwrite=arguments.force) as file:
            _write_batches(scan, arguments.format, file.write)


def _is_folder(output: str) -> bool:
    path = Path(output)
    return path.is_dir() or not path.suffix or output.endswith(("/", "\\"))


def _write_batches(scan: Scan, form: str, put: Callable[[memoryview], object]) -> None:
    with writer_of(put, scan.schema, form) as writer:
        for batch in scan:
            writer.write_batch(batch)


COMMANDS = (ScanCommand(),)
