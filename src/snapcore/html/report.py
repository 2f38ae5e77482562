# SPDX-License-Identifier: Apache-2.0
"""One HTML page about a process or a dump file."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from snapcore.dumpfile import open as open_dump
from snapcore.newfile import NewFile
from snapcore.snapshot import ProcessView

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["report"]


@contextlib.contextmanager
def _opened(what: ProcessView | str | os.PathLike[str]) -> Iterator[ProcessView]:
    if isinstance(what, ProcessView):
        yield what
    else:
        with open_dump(what) as file:
            yield file


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

    Examples
    --------
    >>> snapcore.report("app.dmp", "app.html", since="before.dmp")
    """
    from snapcore.html.page import render

    with contextlib.ExitStack() as stack:
        # First: what exists is said before the work.
        page = stack.enter_context(NewFile(path, overwrite=overwrite))
        view = stack.enter_context(_opened(view_or_path))
        earlier = None if since is None else stack.enter_context(_opened(since))
        page.write(render(view, earlier).encode("utf-8"))
