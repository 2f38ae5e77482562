# SPDX-License-Identifier: Apache-2.0
"""A process by id or by name."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["NoSuchProcess", "find_process", "process_name"]


class NoSuchProcess(LookupError):
    """No process has the name that was given."""


_PROC = Path("/proc")


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
    try:
        return (_PROC / str(pid) / "exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        pass
    try:
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "process"


def find_process(text: str) -> int:
    """Process id from a number (decimal, or hexadecimal with 0x) or the name of one process.

    Parameters
    ----------
    text : str
        As given on the command line.

    Returns
    -------
    int
        The process id.

    Raises
    ------
    NoSuchProcess
        If no process has the name.
    ValueError
        If several have it; the text lists them.
    """
    if text.isdecimal():
        return int(text)
    try:
        return int(text, 0)
    except ValueError:
        pass
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            comm = (entry / "comm").read_text(errors="replace").strip()
        except OSError:
            continue  # it ended meanwhile
        # The kernel cuts comm at 15 bytes; the executable's name is whole.
        if text in (comm, process_name(int(entry.name))):
            found.append(int(entry.name))
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"no process is called {text!r}"
        raise NoSuchProcess(message)
    pids = ", ".join(map(str, sorted(found)))
    message = f"{len(found)} processes are called {text!r}: {pids}; give one of these ids"
    raise ValueError(message)
