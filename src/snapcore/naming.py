# SPDX-License-Identifier: Apache-2.0
"""Names of processes, and of the dump files that are made of them."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

from snapcore.native import _core

__all__ = ["dump_name", "process_name", "safe_name"]


def process_name(pid: int) -> str:
    """Name of the program that a process runs.

    Parameters
    ----------
    pid : int
        Process id.

    Returns
    -------
    str
        Base name of the executable, the short name where that cannot be read, ``"process"`` where
        neither can.
    """
    names = (os.fsdecode(name) for other, name, _ in _core.list_processes() if other == pid)
    return next(names, "") or "process"


def safe_name(program: str) -> str:
    """What of a program's name may be part of a file's; a process may call itself ``../../x``.

    Parameters
    ----------
    program : str
        Name of the program.

    Returns
    -------
    str
        Nothing in it is a separator.
    """
    # A file's name has at most 255 bytes, which a character may be four of.
    return re.sub(r"[^\w.+-]", "_", program)[:40]


def dump_name(program: str, pid: int, *, compressed: bool, milliseconds: bool = False) -> str:
    """Name of a dump file that is made now.

    Parameters
    ----------
    program : str
        Name of the program.
    pid : int
        Process id.
    compressed : bool
        Whether it will be.
    milliseconds : bool
        In the time; names of one process sort by it.

    Returns
    -------
    str
        ``snapcore-NAME.PID.UTC.dmp``.
    """
    now = datetime.now(UTC)
    fraction = f".{now.microsecond // 1000:03}" if milliseconds else ""
    suffix = ".dmp.zst" if compressed else ".dmp"
    return f"snapcore-{safe_name(program)}.{pid}.{now:%Y%m%dT%H%M%S}{fraction}Z{suffix}"
