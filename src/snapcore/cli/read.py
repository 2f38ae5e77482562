# SPDX-License-Identifier: Apache-2.0
"""``snapcore read``."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.output import write_json
from snapcore.cli.streams import (
    complain,
    is_terminal,
    warn,
    write_bytes,
    write_lines,
)
from snapcore.cli.tables import add_format
from snapcore.cli.views import add_target, identity_of, open_view
from snapcore.display.values import parse_size
from snapcore.newfile import NewFile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from snapcore import DumpFile, Snapshot

__all__ = ["COMMANDS", "ReadCommand"]

_CHUNK = 1 << 20
_ROW = 16
_PRINTABLE = bytes(b if 0x20 <= b < 0x7F else ord(".") for b in range(256))


def _address(text: str) -> int:
    return int(text, 0)


# What argparse calls a value that it refuses.
_address.__name__ = "address"


class ReadCommand:
    """Print bytes of memory."""

    name = "read"
    description = (
        "Print bytes of the memory of a process or a dump file. They are "
        "read from a clone of a process: the process stands still for about as long as a fork of it "
        "would take. Where a byte cannot "
        "be read, what lies before it is printed, and the exit code is 1."
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
            "address", metavar="ADDRESS", type=_address, help="first byte; hexadecimal with 0x"
        )
        parser.add_argument(
            "size",
            metavar="SIZE",
            help="number of bytes; hexadecimal with 0x, or with k, M or G (of 1024)",
        )
        add_format(parser, ("hex", "raw", "json"))
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            help="write the bytes there instead, as they are",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="replace an existing file; write raw bytes to a terminal",
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
        address, size = arguments.address, parse_size(arguments.size)
        if size < 0 or address < 0 or address + size > 1 << 64:
            message = "address and size must lie between 0 and 2**64"
            raise ValueError(message)
        raw = arguments.format == "raw"
        if raw and arguments.output is None and is_terminal() and not arguments.force:
            message = "raw bytes are not for a terminal: redirect them, or give -o FILE or --force"
            raise ValueError(message)
        if arguments.output is not None and arguments.format == "json":
            message = "-o takes raw bytes: leave out --json"
            raise ValueError(message)
        with open_view(self.name, arguments) as view:
            if arguments.output is not None:
                with NewFile(arguments.output, overwrite=arguments.force) as file:
                    end = _copy(view, address, size, file.write)
            elif raw:
                end = _copy(view, address, size, write_bytes)
            elif arguments.format == "hex":
                end = _print_hex(view, address, size)
            else:
                end = _print_json(view, address, size)
            warned = warn(view.diagnostics, quiet=arguments.quiet)
        if end < address + size:
            before = f"; the {end - address} bytes before it were given" if end > address else ""
            complain(f"memory at {end:#x} cannot be read{before}")
            return ExitCode.FAILURE
        return ExitCode.WARNINGS if warned else ExitCode.OK


def _chunks(view: Snapshot | DumpFile, address: int, size: int) -> Iterator[tuple[int, memoryview]]:
    """What can be read up to the first byte that cannot; pieces but the last are whole rows."""
    buffer = memoryview(bytearray(min(_CHUNK, size)))
    at = address
    while at < address + size:
        wanted = min(len(buffer), address + size - at)
        got = view.read_into(at, buffer[:wanted])
        if got:
            yield at, buffer[:got]
        at += got
        if got < wanted:
            return


def _copy(
    view: Snapshot | DumpFile, address: int, size: int, put: Callable[[memoryview], Any]
) -> int:
    end = address
    for at, data in _chunks(view, address, size):
        put(data)
        end = at + len(data)
    return end


def _print_hex(view: Snapshot | DumpFile, address: int, size: int) -> int:
    width = 8 if address + size <= 1 << 32 else 16
    end = address
    for at, data in _chunks(view, address, size):
        write_lines(_hex_lines(at, bytes(data), width))
        end = at + len(data)
    return end


def _hex_lines(address: int, data: bytes, width: int) -> Iterator[str]:
    text = data.translate(_PRINTABLE).decode("ascii")
    for at in range(0, len(data), _ROW):
        row = data[at : at + _ROW]
        pairs = f"{row[:8].hex(' ')}  {row[8:].hex(' ')}"
        yield f"{address + at:0{width}x}  {pairs:<48}  |{text[at : at + _ROW]}|"


def _print_json(view: Snapshot | DumpFile, address: int, size: int) -> int:
    data = bytearray()
    end = _copy(view, address, size, data.extend)
    write_json(
        {
            **identity_of(view),
            "address": address,
            "size": size,
            "data_base64": base64.b64encode(data).decode("ascii"),
            "first_missing": end if end < address + size else None,
            "diagnostics": [asdict(d) for d in view.diagnostics],
        }
    )
    return end


COMMANDS = (ReadCommand(),)
