# SPDX-License-Identifier: Apache-2.0
"""A process or a dump file, opened to be asked."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import snapcore
from snapcore import CaptureFlags, DumpFile, DumpFormatError
from snapcore.capturing import HANDLE_DETAILS, look
from snapcore.cli.exit_codes import CommandError
from snapcore.cli.target import find_target

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from snapcore import Snapshot

__all__ = ["add_target", "ask", "identity_of", "open_view"]

_THREADS = CaptureFlags.THREADS
_REGISTERS = CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT
_REGIONS = CaptureFlags.VA_SPACE | CaptureFlags.VA_SPACE_SECTION_INFORMATION
_MEMORY = CaptureFlags.VA_CLONE
_EVERYTHING = _REGISTERS | HANDLE_DETAILS | _REGIONS | _MEMORY
# What each command wants of a process: by default, and with --snapshot.
_CAPTURES = {
    "info": (_THREADS | CaptureFlags.HANDLES, _EVERYTHING),
    "threads": (_THREADS, _REGISTERS),
    "handles": (HANDLE_DETAILS, HANDLE_DETAILS),
    "regions": (_REGIONS, _REGIONS | _MEMORY),
    "modules": (_MEMORY, _MEMORY),
    "read": (_MEMORY, _MEMORY),
    "report": (_EVERYTHING, _EVERYTHING),
}
# By default these do not stop it.
_WITHOUT_STOP = frozenset({"info", "threads", "handles"})


def add_target(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the arguments that say what is asked.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The subparser of a command.
    optional : bool
        The target may be left out.
    """
    parser.add_argument(
        "target",
        metavar="PID|NAME|FILE",
        nargs="?" if optional else None,
        help="process id, name of one process, or dump file; a file is what exists, has a path "
        "separator in it or ends in .dmp or .dmp.zst, and ./123 is a file where 123 is a process",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="of a dump file: fail where anything is wrong with it, instead of giving what is whole",
    )


@contextmanager
def open_view(
    command: str, arguments: argparse.Namespace, *, peers: bool = False
) -> Iterator[Snapshot | DumpFile]:
    """Open what the command names.

    Parameters
    ----------
    command : str
        Its name, which says what must be captured of a process.
    arguments : argparse.Namespace
        With ``target`` and ``strict``, and maybe ``snapshot``.
    peers : bool
        Of a process that is looked at: find the other ends of its pipes and sockets.

    Yields
    ------
    Snapshot or DumpFile
        Closed afterwards.
    """
    target = find_target(arguments.target)
    if isinstance(target, Path):
        try:
            file = snapcore.open(target, strict=arguments.strict)
        except DumpFormatError as error:
            message = f"{target}: {error}"
            if target.name == arguments.target and not target.suffix:
                message += "; for a process that is called so, give its id"
            raise DumpFormatError(message) from None
        with file:
            try:
                yield file
            except DumpFormatError as error:
                message = f"{target}: {error}"
                raise DumpFormatError(message) from None
        return
    by_default, with_snapshot = _CAPTURES[command]
    if getattr(arguments, "snapshot", False):
        snapshot = snapcore.capture(target, with_snapshot)
    elif command in _WITHOUT_STOP:
        snapshot = look(target, by_default, handle_peers=peers)
    else:
        snapshot = snapcore.capture(target, by_default)
    with snapshot:
        yield snapshot


def ask(view: Snapshot | DumpFile, question: Callable[[], Any]) -> Any:
    """Ask a view for what it may not hold.

    Parameters
    ----------
    view : Snapshot or DumpFile
        Who is asked.
    question : callable
        One of its methods.

    Returns
    -------
    object
        The answer.

    Raises
    ------
    CommandError
        If a file does not hold it: the command was right, and the file is not broken.
    """
    try:
        return question()
    except DumpFormatError:
        raise
    except ValueError as error:
        if not isinstance(view, DumpFile):
            raise
        message = f"{view.path}: {error}"
        raise CommandError(message) from None


def identity_of(view: Snapshot | DumpFile) -> dict[str, Any]:
    """What a JSON object says of who was asked.

    Parameters
    ----------
    view : Snapshot or DumpFile
        Who was asked.

    Returns
    -------
    dict
        ``path`` of a file, ``pid`` of a process.
    """
    if isinstance(view, DumpFile):
        return {"path": view.path}
    return {"pid": view.pid}
