# SPDX-License-Identifier: Apache-2.0
"""Text for people: safe for a terminal, with units."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

__all__ = [
    "DURATIONS",
    "UNKNOWN",
    "cell_width",
    "human_size",
    "human_time",
    "iso_time",
    "printable",
    "shortened",
]

#: What the table form shows for a value that is not known.
UNKNOWN = "-"

_NS = 1_000_000_000
#: Units of a duration, in ns.
DURATIONS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": _NS}


def printable(text: str) -> str:
    r"""Text that cannot move the cursor, change colours or turn the writing direction.

    Parameters
    ----------
    text : str
        Anything that a hostile process may have called itself.

    Returns
    -------
    str
        With ``\xNN`` or ``\uNNNN`` for what is not printable.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that os.fsdecode() could not decode
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def cell_width(text: str) -> int:
    """Columns of a terminal that a printable text takes.

    Parameters
    ----------
    text : str
        One line.

    Returns
    -------
    int
        Two for each wide character, none for a combining one.
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def shortened(text: str, width: int) -> str:
    """Text with its middle left out, since the end of a path says more than its start.

    Parameters
    ----------
    text : str
        One line.
    width : int
        Columns that it may take, at least 5.

    Returns
    -------
    str
        At most as wide.
    """
    if cell_width(text) <= width:
        return text
    head = (width - 3) // 3
    start = text[:head]
    while cell_width(start) > head:
        start = start[:-1]
    end = text[-(width - 3 - head) :]
    while cell_width(end) > width - 3 - head:
        end = end[1:]
    return f"{start}...{end}"


def human_size(count: int) -> str:
    """Number of bytes with a unit.

    Parameters
    ----------
    count : int
        Bytes.

    Returns
    -------
    str
        Such as ``"1.5 MiB"``.
    """
    if count < 1024:
        return f"{count} bytes"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1023.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def human_time(ns: int) -> str:
    """Duration with a unit.

    Parameters
    ----------
    ns : int
        Nanoseconds.

    Returns
    -------
    str
        Such as ``"1.25 ms"``.
    """
    for unit in ("s", "ms", "us"):
        if abs(ns) >= DURATIONS[unit]:
            return f"{ns / DURATIONS[unit]:.2f} {unit}"
    return f"{ns} ns"


def iso_time(ns: int) -> str:
    """Instant as ISO 8601.

    Parameters
    ----------
    ns : int
        Nanoseconds since 1970-01-01 UTC.

    Returns
    -------
    str
        In UTC, with milliseconds where it has any; the number where no calendar reaches so far.
    """
    seconds, rest = divmod(ns, _NS)
    try:
        # Not fromtimestamp(), which on Windows knows nothing before 1970.
        text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return str(ns)
    return f"{text}.{rest // 1_000_000:03}Z" if rest else f"{text}Z"
