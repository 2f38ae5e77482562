# SPDX-License-Identifier: Apache-2.0
"""Files that Python writes: whole or not there, and for their owner alone."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, Self

from snapcore.native import _core

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["NewFile"]


class NewFile(io.RawIOBase):
    """A file that gets its name when it is whole; in a ``with``, at its end without an exception.

    Parameters
    ----------
    path : path
        Its name.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    FileExistsError
        If it exists and is not to be replaced, or is a device or a pipe.
    OSError
        From the file system.
    """

    def __init__(self, path: str | bytes | os.PathLike[str], *, overwrite: bool) -> None:
        self._file = _core.NewFile(os.fsencode(path), overwrite)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def allocated_size(self) -> int:
        """Bytes that it takes on the disk so far."""
        return self._file.allocated_size()

    def commit(self) -> None:
        """Give it its name; it is closed then."""
        self._file.commit()
        self.close()

    def close(self) -> None:
        """Throw it away, unless it has its name."""
        if not self.closed:
            self._file.close()
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and not self.closed:
                self.commit()
        finally:
            self.close()
