# SPDX-License-Identifier: Apache-2.0
"""A process by id or by name."""

from __future__ import annotations

import os

from snapcore import _core

__all__ = ["NoSuchProcess", "find_process", "process_name"]


class NoSuchProcess(LookupError):
    """No process has the name that was given."""


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


def find_process(text: str) -> int:
    """Process id from a number (decimal, or hexadecimal with 0x) or the name of one process.

    Parameters
    ----------
    text : str
        As given on the command line. A name is that of the executable, without ``.exe`` too, or the
        short one of the kernel, which cuts it at 15 bytes.

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
    wanted = os.fsencode(text)
    found = [
        pid
        for pid, name, short_name in _core.list_processes()
        if wanted in (name, short_name, name.removesuffix(b".exe")) and pid != os.getpid()
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"no process is called {text!r}"
        raise NoSuchProcess(message)
    pids = ", ".join(map(str, sorted(found)))
    message = f"{len(found)} processes are called {text!r}: {pids}; give one of these ids"
    raise ValueError(message)
