# SPDX-License-Identifier: Apache-2.0
"""``snapcore report``."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import snapcore
from snapcore import DumpFile, DumpFormatError
from snapcore.cli.exit_codes import CommandError, ExitCode
from snapcore.cli.streams import warn, write_lines
from snapcore.cli.views import add_target, open_view
from snapcore.display.text import printable
from snapcore.naming import process_name, safe_name

if TYPE_CHECKING:
    import argparse

    from snapcore import Snapshot

__all__ = ["COMMANDS", "ReportCommand"]


class ReportCommand:
    """Write a page about a process or a dump file."""

    name = "report"
    description = (
        "Write one HTML page about a process or a dump file: what it is, its handles, threads and "
        "address space, and what grew since an earlier dump. The page loads nothing and runs "
        "nothing. A process stands still for about as long as a fork of it would take. Needs the "
        "extra 'report' (jinja2)."
    )

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        add_target(parser)
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            help="the page (default: snapcore-NAME.PID.html or FILE.html in the current folder)",
        )
        parser.add_argument(
            "--since",
            metavar="EARLIER.dmp",
            help="an earlier dump of the same process: say what grew",
        )
        parser.add_argument("--force", action="store_true", help="replace an existing file")
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
        with ExitStack() as stack:
            earlier = None
            if arguments.since is not None:
                earlier = stack.enter_context(_earlier(arguments.since, strict=arguments.strict))
            view = stack.enter_context(open_view(self.name, arguments))
            output = arguments.output or _output_path(view)
            try:
                snapcore.report(view, output, since=earlier, overwrite=arguments.force)
            except ImportError as error:
                raise CommandError(str(error)) from None
            diagnostics = view.diagnostics
        if not arguments.quiet:
            write_lines([printable(output)])
        return ExitCode.WARNINGS if warn(diagnostics, quiet=arguments.quiet) else ExitCode.OK


def _earlier(path: str, *, strict: bool) -> DumpFile:
    try:
        return snapcore.open(path, strict=strict)
    except DumpFormatError as error:
        message = f"{path}: {error}"
        raise DumpFormatError(message) from None


def _output_path(view: Snapshot | DumpFile) -> str:
    if isinstance(view, DumpFile):
        return f"{Path(view.path).name}.html"
    name = safe_name(process_name(view.pid))
    return os.fspath(Path(f"snapcore-{name}.{view.pid}.html"))


COMMANDS = (ReportCommand(),)
