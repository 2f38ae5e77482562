# SPDX-License-Identifier: Apache-2.0
"""A process by id or by name, or a dump file by its path."""

from __future__ import annotations

import os
from pathlib import Path

from snapcore.cli.exit_codes import NoSuchProcess
from snapcore.native import _core

__all__ = ["find_process", "find_target"]

_SUFFIXES = (".dmp", ".dmp.zst")
_SEPARATORS = tuple(s for s in (os.sep, os.altsep) if s)


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
    number = _number(text)
    if number is not None:
        return number
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


def find_target(text: str) -> int | Path:
    """Process id, or path of a dump file.

    Parameters
    ----------
    text : str
        A number is a process id. What exists as a file, contains a path separator or ends in
        ``.dmp`` or ``.dmp.zst`` is a file. All else is the name of a process.

    Returns
    -------
    int or Path
        Which of the two it is.

    Raises
    ------
    NoSuchProcess, ValueError
        As :func:`find_process`.
    """
    if _number(text) is None:
        path = Path(text)
        named_like_a_file = any(s in text for s in _SEPARATORS) or text.lower().endswith(_SUFFIXES)
        if named_like_a_file or path.is_file():
            return path
    try:
        return find_process(text)
    except NoSuchProcess as error:
        message = f"{error}, and there is no such file"
        raise NoSuchProcess(message) from None


def _number(text: str) -> int | None:
    if text.isdecimal():
        return int(text)
    try:
        return int(text, 0)
    except ValueError:
        return None
