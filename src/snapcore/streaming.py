# SPDX-License-Identifier: Apache-2.0
"""File objects that a dump is written to."""

from __future__ import annotations

import io
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["BinaryWriter", "descriptor_of", "is_writer", "write_all"]


class BinaryWriter(Protocol):
    """What has a ``write()`` of bytes: a binary file, a pipe, a socket's file, a buffer."""

    def write(self, data: bytes, /) -> object:
        """Write bytes; what it returns, if anything, is how many were taken."""


def is_writer(target: object) -> TypeIs[BinaryWriter]:
    """Whether a target of a dump is a file object.

    Parameters
    ----------
    target : object
        A path, or a file object.

    Returns
    -------
    bool
        False for a path.

    Raises
    ------
    TypeError
        If it is a file object of text.
    """
    if isinstance(target, (str, bytes, os.PathLike)) or not hasattr(target, "write"):
        return False
    if isinstance(target, io.TextIOBase):
        message = "a dump is bytes: open the file in binary mode ('wb'), or give its .buffer"
        raise TypeError(message)
    return True


def descriptor_of(file: Any) -> int | None:
    """Descriptor that a file object writes to as it is.

    Parameters
    ----------
    file : file object
        Flushed by this, so that what it holds comes first.

    Returns
    -------
    int or None
        None where the object does more with the bytes than hand them on, as far as is known:
        a compressor and a TLS socket have a ``fileno()`` as well.
    """
    if sys.platform == "win32":
        return None
    raw: Any = file.raw if type(file) is io.BufferedWriter else file
    plain = type(raw) is io.FileIO or (
        type(raw) is socket.SocketIO and type(getattr(raw, "_sock", None)) is socket.socket
    )
    if not plain:
        return None
    if raw is not file:
        file.flush()
    return int(raw.fileno())


def write_all(file: BinaryWriter, data: bytes) -> None:
    """Write all of some bytes.

    Parameters
    ----------
    file : file object
        One that takes less than it is given is given the rest.
    data : bytes
        What to write.

    Raises
    ------
    BlockingIOError
        If it is not blocking, and takes nothing now.
    """
    left: Any = data
    while len(left):
        taken = file.write(left)
        if taken is None and isinstance(file, io.RawIOBase):
            message = "the file does not block, and takes nothing now; give one that blocks"
            raise BlockingIOError(message)
        if not isinstance(taken, int) or taken == len(left):
            return
        if not 0 < taken < len(left):
            message = f"write() of {type(file).__name__} took {taken} bytes of {len(left)}"
            raise OSError(message)
        left = memoryview(left)[taken:]
