# SPDX-License-Identifier: Apache-2.0
"""The seekable format of zstd: frames that are unpacked one at a time, and the table of their sizes."""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

__all__ = ["DEFAULT_LEVEL", "MOST_LEVEL", "SeekableWriter", "require_zstandard"]

DEFAULT_LEVEL = 3
MOST_LEVEL = 22
_SKIPPABLE_MAGIC = 0x184D2A5E
_SEEKABLE_MAGIC = 0x8F92EAB1
_MOST_WORKERS = 16


def require_zstandard() -> Any:
    """The package zstandard.

    Returns
    -------
    module
        Imported where it is needed, since it is an extra.

    Raises
    ------
    ImportError
        The text names the extra.
    """
    try:
        import zstandard
    except ImportError:
        message = 'compression="zstd" needs the package zstandard: pip install "snapcore[zstd]"'
        raise ImportError(message) from None
    return zstandard


def _available_workers() -> int:
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    return min(count, _MOST_WORKERS)


class SeekableWriter:
    """Packs chunks, each into a frame of its own, on several threads.

    A context manager; its threads end with it. At any time no more chunks than two a thread are held.

    Parameters
    ----------
    put : callable
        Gets the bytes, in order, in the thread that calls :meth:`write`.
    level : int
        Of zstd, 1 to 22.
    """

    def __init__(self, put: Callable[[bytes], object], level: int = DEFAULT_LEVEL) -> None:
        # A slow import: only where it is used.
        from concurrent.futures import ThreadPoolExecutor

        self._zstandard = require_zstandard()
        self._put = put
        self._level = level
        workers = _available_workers()
        self._most_waiting = 2 * workers
        self._local = threading.local()
        self._waiting: deque[tuple[int, Future[bytes]]] = deque()
        self._sizes: list[tuple[int, int]] = []
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="snapcore-zstd")
        #: Bytes that were put.
        self.size: int = 0

    def write(self, chunk: bytes) -> None:
        """Pack a chunk.

        Parameters
        ----------
        chunk : bytes
            At most 16 MiB, which is what :func:`snapcore.open` reads.
        """
        self._waiting.append((len(chunk), self._pool.submit(self._pack, chunk)))
        while self._waiting and (
            len(self._waiting) > self._most_waiting or self._waiting[0][1].done()
        ):
            self._put_first()

    def finish(self) -> None:
        """Write what waits, and the table."""
        while self._waiting:
            self._put_first()
        entries = b"".join(struct.pack("<II", *sizes) for sizes in self._sizes)
        footer = struct.pack("<IBI", len(self._sizes), 0, _SEEKABLE_MAGIC)
        header = struct.pack("<II", _SKIPPABLE_MAGIC, len(entries) + len(footer))
        self._put_all(header + entries + footer)

    def _put_first(self) -> None:
        size, packed = self._waiting.popleft()
        frame = packed.result()
        self._sizes.append((len(frame), size))
        self._put_all(frame)

    def _put_all(self, data: bytes) -> None:
        self._put(data)
        self.size += len(data)

    def _pack(self, chunk: bytes) -> bytes:
        # One is for one thread at a time. It releases the GIL.
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._zstandard.ZstdCompressor(level=self._level, write_checksum=True)
            self._local.compressor = compressor
        frame: bytes = compressor.compress(chunk)
        return frame

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
