# SPDX-License-Identifier: Apache-2.0
"""One HTML page about a process or a dump file."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from snapcore.dumpfile import open as open_dump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snapcore.snapshot import ProcessView

__all__ = ["report"]


@contextlib.contextmanager
def _opened(what: ProcessView | str | os.PathLike[str]) -> Iterator[ProcessView]:
    if isinstance(what, (str, bytes, os.PathLike)):
        with open_dump(what) as file:
            yield file
    else:
        yield what


def report(
    view_or_path: ProcessView | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    since: ProcessView | str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write one self-contained HTML page about a snapshot or a dump file.

    It needs the extra ``report``. The page loads nothing and runs nothing. It holds names, paths
    and arguments of the process, and so is readable by its owner alone.

    Parameters
    ----------
    view_or_path : Snapshot, DumpFile or path
        What it is about.
    path : path
        The page; it appears whole or not at all.
    since : Snapshot, DumpFile or path, optional
        An earlier view of the same process: the page says what grew.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    ImportError
        Without the extra.
    FileExistsError, OSError
        From the file system.
    DumpFormatError
        If a path names no minidump.
    """
    from snapcore.report.page import render

    goal = Path(path)
    if not overwrite and os.path.lexists(goal):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(goal))
    with contextlib.ExitStack() as stack:
        view = stack.enter_context(_opened(view_or_path))
        earlier = None if since is None else stack.enter_context(_opened(since))
        text = render(view, earlier)
    _write(goal, text.encode("utf-8"), overwrite=overwrite)


def _write(goal: Path, data: bytes, *, overwrite: bool) -> None:
    """Write a file that is whole or not there."""
    if overwrite and goal.exists() and not goal.is_file():
        message = f"{goal} is no file"
        raise ValueError(message)
    written = goal.with_name(f"{goal.name}.{os.getpid()}.tmp") if overwrite else goal
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(written, how, 0o600), "wb") as file:
        try:
            file.write(data)
            file.flush()
        except BaseException:
            file.close()
            written.unlink()
            raise
    if overwrite:
        written.replace(goal)
