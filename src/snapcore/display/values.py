# SPDX-License-Identifier: Apache-2.0
"""Values of columns, as people read and type them."""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from snapcore import flags
from snapcore.display.text import DURATIONS, human_size, human_time, iso_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from snapcore.dtypes import Column

__all__ = [
    "enumeration_of",
    "formatter",
    "parse_duration",
    "parse_flags",
    "parse_size",
    "parse_value",
]

Enumeration: TypeAlias = type[enum.IntFlag] | type[enum.IntEnum]

_NS = 1_000_000_000
_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SIZE = re.compile(r"([0-9]+|0x[0-9a-f]+)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_TIME = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?)\s*(ns|us|ms|s)")
# Masks and numbers of devices, which dtypes.py gives no unit.
_HEXADECIMAL = frozenset({"granted_access", "attributes", "section_attributes", "device"})


def enumeration_of(column: Column) -> Enumeration | None:
    """Enumeration that a column's values are from.

    Parameters
    ----------
    column : Column
        Its meaning begins with the name of the enumeration.

    Returns
    -------
    type or None
        One of ``snapcore.flags``, None for plain numbers.
    """
    name = re.match(r"\w*", column.meaning)
    kind = getattr(flags, name[0], None) if name and name[0] in flags.__all__ else None
    return kind if column.dtype != "str" else None


def _names(kind: Enumeration, value: int) -> str:
    if issubclass(kind, enum.IntFlag):
        members = [m for m in kind if m & value == m and m]
        rest = value
        for member in members:
            rest &= ~int(member)
        return "|".join([*(m.name or "" for m in members), *([hex(rest)] if rest else [])]) or "0"
    return kind(value).name if value in set(kind) else str(value)


def formatter(column: Column) -> Callable[[Any], str]:
    """How the table form shows a column's values.

    Parameters
    ----------
    column : Column
        As ``snapcore.dtypes`` declares it.

    Returns
    -------
    callable
        From a known value to text, which is not yet safe for a terminal.
    """
    kind = enumeration_of(column)
    if kind is not None:
        return lambda value: _names(kind, value)
    if column.unit in ("address", "bit mask") or column.name in _HEXADECIMAL:
        return hex
    if column.dtype == "b1":
        return lambda value: "yes" if value else "no"
    by_unit: dict[str, Callable[[Any], str]] = {
        "bytes": human_size,
        "ns": human_time,
        "ns since 1970-01-01 UTC": iso_time,
        "s since 1970": lambda value: iso_time(value * _NS),
    }
    return by_unit.get(column.unit, str)


def parse_flags(kind: Enumeration, text: str) -> int:
    """Flags from names or a number.

    Parameters
    ----------
    kind : type of IntFlag or IntEnum
        Where the names come from.
    text : str
        A number (decimal, or hexadecimal with 0x), or names separated by ``|`` or ``,``; case does
        not matter, ``-`` stands for ``_``, and a leading ``WITH_`` may be left out.

    Returns
    -------
    int
        The value.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    try:
        return int(text, 0)
    except ValueError:
        pass
    members = kind.__members__
    value = 0
    for word in text.replace("|", ",").split(","):
        name = word.strip().upper().replace("-", "_")
        member = members.get(name, members.get(f"WITH_{name}"))
        if member is None:
            message = f"unknown {kind.__name__} {word.strip()!r}; known: {', '.join(members)}"
            raise ValueError(message)
        value |= int(member)
    return value


def parse_size(text: str) -> int:
    """Number of bytes.

    Parameters
    ----------
    text : str
        Decimal, or hexadecimal with 0x; a suffix k, M, G or T (KiB, MiB, ...) counts in 1024.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ValueError
        If it is nothing of the kind.
    """
    found = _SIZE.fullmatch(text.strip())
    try:
        return int(text, 0) if found is None else int(found[1], 0) << _SHIFTS[found[2].upper()]
    except ValueError:
        message = f"{text!r} is no size; a number, 0x..., or a number with k, M, G or T"
        raise ValueError(message) from None


def parse_duration(text: str) -> float:
    """Time in seconds.

    Parameters
    ----------
    text : str
        A positive number; of seconds, or with ms, s, m or h behind it.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ValueError
        If it is nothing of the kind.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None or not 0 < float(found[1]) < 1e9:
        message = f"{text!r} is no time; a number of seconds, or one with ms, s, m or h"
        raise ValueError(message)
    return float(found[1]) * _UNITS[found[2]]


# What argparse calls a value that it refuses.
parse_duration.__name__ = "time (30, 30s, 500ms, 5m, 1h)"


def parse_value(column: Column, text: str) -> int | str:
    """A column's value as somebody types it.

    Parameters
    ----------
    column : Column
        Of a table.
    text : str
        A number, the name of a flag, a time, a size with its unit, ``yes`` or ``no``.

    Returns
    -------
    int or str
        Comparable with the column's values.

    Raises
    ------
    ValueError
        If the column cannot have such a value.
    """
    if column.dtype == "str":
        return text
    kind = enumeration_of(column)
    if kind is not None:
        return parse_flags(kind, text)
    words = {"yes": 1, "true": 1, "no": 0, "false": 0} if column.dtype == "b1" else {}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return _number(column.unit, text)
    except ValueError:
        message = f"{text!r} is no value of {column.name} ({column.unit or column.meaning})"
        raise ValueError(message) from None


def _number(unit: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        pass
    if unit == "bytes":
        return parse_size(text)
    duration = _DURATION.fullmatch(text.strip())
    if unit == "ns" and duration is not None:
        return round(float(duration[1]) * DURATIONS[duration[2]])
    if "since 1970" in unit:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        whole = (since.days * 86400 + since.seconds) * _NS + since.microseconds * 1000
        return whole if unit.startswith("ns") else whole // _NS
    return int(text)  # a decimal number with leading zeros
