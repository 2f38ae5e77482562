# SPDX-License-Identifier: Apache-2.0
"""The streams of the command: data to stdout, all else to stderr."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from snapcore.display.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from snapcore import Diagnostic

__all__ = [
    "complain",
    "discard",
    "flush",
    "is_terminal",
    "warn",
    "write",
    "write_bytes",
    "write_lines",
]

_LINES_AT_ONCE = 5000


def is_terminal() -> bool:
    """Whether stdout is a terminal.

    Returns
    -------
    bool
        False where it is closed as well.
    """
    return sys.stdout is not None and sys.stdout.isatty()


def write(text: str) -> None:
    """Write text.

    Parameters
    ----------
    text : str
        As it is, no end of line is added.

    Raises
    ------
    BrokenPipeError
        If nobody reads it any more.
    """
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _broken(error) from None


def write_lines(lines: Iterable[str]) -> None:
    """Write lines, many at once.

    Parameters
    ----------
    lines : iterable of str
        Without their ends.
    """
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _LINES_AT_ONCE:
            write("\n".join([*batch, ""]))
            batch.clear()
    write("\n".join([*batch, ""]))


def write_bytes(data: bytes | memoryview) -> None:
    """Write bytes.

    Parameters
    ----------
    data : bytes
        As they are.
    """
    try:
        sys.stdout.buffer.write(data)
    except OSError as error:
        raise _broken(error) from None


def flush() -> None:
    """See whether all could be written."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _broken(error) from None


def _broken(error: OSError) -> OSError:
    # Windows tells of a closed pipe by EINVAL.
    if error.errno == errno.EINVAL and os.name == "nt":
        return BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    return error


def discard() -> None:
    """Throw away what could not be written, which the interpreter would complain of at its end."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def complain(message: object) -> None:
    """Say something on stderr.

    Parameters
    ----------
    message : object
        One line; what is not printable is escaped.
    """
    print(f"snapcore: {printable(str(message))}", file=sys.stderr)


def warn(diagnostics: Iterable[Diagnostic], *, quiet: bool) -> bool:
    """Say on stderr what went less than perfectly.

    Parameters
    ----------
    diagnostics : iterable of Diagnostic
        Those that are warnings are said.
    quiet : bool
        Say nothing.

    Returns
    -------
    bool
        Whether there are any.
    """
    warnings = [d.message for d in diagnostics if d.severity == "warning"]
    for message in () if quiet else warnings:
        complain(f"warning: {message}")
    return bool(warnings)
