# SPDX-License-Identifier: Apache-2.0
"""A snapshot of a live process, and the protocol that dump files share with it."""

from __future__ import annotations

import functools
import os
import re
import sys
import warnings
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from snapcore.dtypes import (
    CONTEXT_AMD64,
    CONTEXT_AMD64_SIZE,
    CONTEXT_ARM64,
    CONTEXT_ARM64_SIZE,
    CONTEXT_X86,
    CONTEXT_X86_SIZE,
)
from snapcore.errors import SnapError
from snapcore.flags import CaptureFlags
from snapcore.logs import Teller, logger_of
from snapcore.tables import AuxiliaryPageTable, HandleTable, ModuleTable, RegionTable, ThreadTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from snapcore import _core
    from snapcore.dumping import DumpResult
    from snapcore.streaming import BinaryWriter

__all__ = ["Diagnostic", "Process", "ProcessView", "Snapshot"]

_LOG = logger_of("capture")
# By PROCESSOR_ARCHITECTURE_*.
_CONTEXTS = {
    0: (CONTEXT_X86, CONTEXT_X86_SIZE),
    9: (CONTEXT_AMD64, CONTEXT_AMD64_SIZE),
    12: (CONTEXT_ARM64, CONTEXT_ARM64_SIZE),
}


@functools.cache
def _context_dtype(architecture: int) -> np.dtype[np.void]:
    members, size = _CONTEXTS[architecture]
    formats = [re.sub("u([248])", r"<u\1", member.dtype) for member in members]
    return np.dtype(
        {
            "names": [member.name for member in members],
            "formats": formats,
            "offsets": [member.offset for member in members],
            "itemsize": size,
        }
    )


def contexts_from(native: dict[str, Any]) -> NDArray[np.void]:
    records = native["records"].view(_context_dtype(native["architecture"]))
    return np.asarray(records.reshape(-1))


def process_from(raw: dict[str, Any]) -> Process:
    for name, value in raw.items():
        if isinstance(value, bytes):
            # As os.fsdecode() on Linux; on Windows that refuses what a dump file of Linux may hold.
            raw[name] = value.decode(sys.getfilesystemencoding(), "surrogateescape")
    return Process(**raw)


def exactly(data: bytes, address: int, size: int, pid: int) -> bytes:
    if len(data) < size:
        message = f"memory at {address + len(data):#x} cannot be read"
        raise SnapError(message, call="pread", pid=pid)
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Something that went less than perfectly without losing the result.

    Attributes
    ----------
    severity : str
        ``"info"`` or ``"warning"``.
    code : str
        Stable name, for programs.
    message : str
        For people.
    call : str
        The operating system's function, or an empty string.
    domain : str
        Number space of `error`, or an empty string.
    error : int
        The function's error number, or 0.
    subject : int
        Thread id, handle, address, flag or count that it is about, or 0.
    """

    severity: str
    code: str
    message: str
    call: str = ""
    domain: str = ""
    error: int = 0
    subject: int = 0


def diagnostics_from(native: list[tuple[Any, ...]]) -> tuple[Diagnostic, ...]:
    names = [f.name for f in fields(Diagnostic)]
    return tuple(Diagnostic(**dict(zip(names, row, strict=True))) for row in native)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Facts of a process; None where one is not known. ``snapcore.dtypes.PROCESS`` explains each."""

    pid: int
    parent_pid: int | None
    name: str | None
    image_path: str | None
    command_line: str | None
    exit_status: int | None
    flags: int | None
    created_at_ns: int | None
    exited_at_ns: int | None
    kernel_time_ns: int | None
    user_time_ns: int | None
    priority_class: int | None
    base_priority: int | None
    affinity: int | None
    peb: int | None
    virtual_size: int | None
    peak_virtual_size: int | None
    working_set_size: int | None
    peak_working_set_size: int | None
    page_faults: int | None
    pagefile_usage: int | None
    peak_pagefile_usage: int | None
    private_usage: int | None
    shared_usage: int | None
    quota_paged_pool_usage: int | None
    quota_peak_paged_pool_usage: int | None
    quota_non_paged_pool_usage: int | None
    quota_peak_non_paged_pool_usage: int | None
    execute_flags: int | None
    uid: int | None
    gid: int | None
    thread_count: int | None


@runtime_checkable
class ProcessView(Protocol):
    """What a live snapshot and a dump file both answer."""

    def process(self) -> Process:
        """Facts of the process."""
        ...

    def threads(self) -> ThreadTable:
        """Threads, one row each."""
        ...

    def handles(self) -> HandleTable:
        """Handles (descriptors), one row each."""
        ...

    def regions(self) -> RegionTable:
        """Memory regions, one row each, ascending by address."""
        ...

    def modules(self) -> ModuleTable:
        """Loaded modules, one row each, the main executable first."""
        ...

    def contexts(self) -> NDArray[np.void]:
        """Registers, one record a thread."""
        ...

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the process's memory."""
        ...

    def read_into(self, address: int, buffer: Any) -> int:
        """Bytes of the process's memory, into a buffer."""
        ...

    def close(self) -> None:
        """Free what the view holds."""


class Snapshot:
    """A point-in-time snapshot of a process that runs on.

    Made by :func:`snapcore.capture`. A context manager: leaving it frees the snapshot. Tables and
    arrays outlive it. A snapshot belongs to the process that made it; in a fork of that process
    :meth:`close` does nothing.

    Attributes
    ----------
    pid : int
        Process id of the target.
    flags : CaptureFlags
        What was captured.
    captured_at_ns : int
        The instant, in ns since 1970-01-01 UTC.
    pause_ns : int
        How long the target stood still.
    """

    def __init__(self, native: _core.Snapshot) -> None:
        self._native = native
        self._owner = os.getpid()
        self._closed = False
        self.pid: int = native.pid
        self.flags: CaptureFlags = CaptureFlags(native.flags)
        self.captured_at_ns: int = native.captured_at_ns
        self._teller = Teller("capture", f"process {self.pid}", self.pid)
        self._tell()
        _LOG.debug("process %d: captured, stood still for %d ns", self.pid, native.pause_ns)

    def _tell(self) -> None:
        self._teller.tell(self.diagnostics)

    @property
    def pause_ns(self) -> int:
        """How long the target stood still, in ns."""
        return self._native.pause_ns

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What went less than perfectly so far."""
        return diagnostics_from(self._native.diagnostics())

    def process(self) -> Process:
        """Facts of the process.

        Returns
        -------
        Process
            Read right after the target was let go.

        Notes
        -----
        Windows: ``PSS_PROCESS_INFORMATION``. Linux: ``/proc/PID/stat`` and ``status``.

        Examples
        --------
        >>> with snapcore.capture(pid) as snap:
        ...     process = snap.process()
        >>> process.name, process.thread_count
        ('app', 2)
        """
        return process_from(self._native.process())

    def threads(self) -> ThreadTable:
        """Threads, one row each, ascending by id.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.THREADS``. Arrays are read-only, shape ``(n,)``.

        Raises
        ------
        ValueError
            If ``CaptureFlags.THREADS`` was not captured.

        Notes
        -----
        Windows: ``PSS_THREAD_ENTRY``. Linux: registers from the stop, the rest from
        ``/proc/PID/task`` right after it; a thread that has ended since has only its registers.
        """
        return ThreadTable("threads", self._native.threads())

    def handles(self) -> HandleTable:
        """Handles, one row each, ascending by value. On Linux these are file descriptors.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.HANDLES``. Arrays are read-only, shape ``(n,)``.

        Raises
        ------
        ValueError
            If ``CaptureFlags.HANDLES`` was not captured.

        Notes
        -----
        Windows: ``PSS_HANDLE_ENTRY``. Linux: ``/proc/PID/fd``, numbers and names in the stop where
        there are no more than 256 (else the diagnostic ``handles_not_atomic``), details after it.
        """
        return HandleTable("handles", self._native.handles())

    def regions(self) -> RegionTable:
        """Memory regions, one row each, ascending by address.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.REGIONS``. Arrays are read-only, shape ``(n,)``.

        Raises
        ------
        ValueError
            If ``CaptureFlags.VA_SPACE`` was not captured.

        Notes
        -----
        Windows: ``PSS_VA_SPACE_ENTRY``. Linux: ``/proc/PID/smaps`` of the clone.

        Examples
        --------
        >>> with snapcore.capture(pid) as snap:
        ...     regions = snap.regions()
        >>> private = regions["type"] == snapcore.MemoryType.PRIVATE
        >>> committed = regions["state"] == snapcore.MemoryState.COMMIT
        >>> int(regions["size"][private & committed].sum()) > 1_000_000
        True
        """
        return RegionTable("regions", self._native.regions())

    def modules(self) -> ModuleTable:
        """Loaded modules, one row each, the main executable first.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.MODULES``. Arrays are read-only, shape ``(n,)``.

        Raises
        ------
        ValueError
            If no memory was captured (``CaptureFlags.VA_CLONE``).

        Notes
        -----
        Windows: the loader's lists. Linux: ELF images in the address space; build ids come from
        memory, so a deleted or replaced file does not matter.

        Examples
        --------
        >>> with snapcore.capture(pid) as snap:
        ...     modules = snap.modules()
        >>> any(path.endswith("/libc.so.6") for path in modules["path"])
        True
        >>> len(modules["debug_id"][0])
        33
        """
        table = ModuleTable("modules", self._native.modules())
        self._tell()
        return table

    def contexts(self) -> NDArray[np.void]:
        """Registers of every thread.

        Returns
        -------
        ndarray, shape (n,)
            Structured and read-only; fields: ``snapcore.dtypes.CONTEXT_AMD64``. ``valid`` is 0
            where a thread's registers could not be had.

        Raises
        ------
        ValueError
            If ``CaptureFlags.THREAD_CONTEXT`` was not captured.

        Notes
        -----
        Windows: ``CONTEXT``. Linux: ``PTRACE_GETREGSET`` with ``NT_PRSTATUS`` and
        ``NT_X86_XSTATE``.
        """
        return contexts_from(self._native.contexts())

    def read(self, address: int, size: int) -> bytes:
        r"""Bytes of memory as they were at the instant.

        Parameters
        ----------
        address : int
            First byte.
        size : int
            Number of bytes.

        Returns
        -------
        bytes
            Exactly `size` bytes.

        Raises
        ------
        SnapError
            If a byte cannot be read; the text names the first.
        ValueError
            If ``CaptureFlags.VA_CLONE`` was not captured, or the snapshot is closed.

        Examples
        --------
        >>> with snapcore.capture(pid) as snap:
        ...     snap.read(int(snap.modules()["base"][0]), 4)
        b'\x7fELF'
        """
        if size < 0 or address < 0:
            message = "address and size cannot be negative"
            raise ValueError(message)
        return exactly(self._native.read(address, size), address, size, self.pid)

    def read_into(self, address: int, buffer: Any) -> int:
        """Bytes of memory as they were at the instant, into a buffer.

        Parameters
        ----------
        address : int
            First byte.
        buffer : writable, contiguous buffer
            As many bytes as it holds are asked for.

        Returns
        -------
        int
            Bytes read; less than asked where the byte behind them cannot be read.
        """
        return self._native.read_into(address, buffer)

    def dump(
        self,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes] | BinaryWriter,
        flags: int | str = 0,
        *,
        overwrite: bool = False,
        progress: Callable[[int, int, str], object] | None = None,
        comment: str | None = None,
        streams: Mapping[int, bytes] | None = None,
        environment: bool = False,
        timeout: float | None = None,
        compression: str | None = None,
        level: int | None = None,
    ) -> DumpResult:
        """Write a minidump of this snapshot, as often as wanted.

        Parameters
        ----------
        path : path or file object
            The file; it appears whole or not at all, readable by its owner alone. Or what has a
            ``write()`` of bytes, as for :func:`snapcore.dump`.
        flags : MiniDumpType, int or str
            What it holds, or the name of one of ``snapcore.PRESETS``.
        overwrite : bool
            Replace an existing file.
        progress : callable, optional
            Called with ``(done, total, phase)`` in the calling thread, bytes of memory.
        comment : str, optional
            Text kept in the file.
        streams : mapping of int to bytes, optional
            Streams of your own by their type, which lies above 0xffff.
        environment : bool
            Linux: keep the environment of the target, which may hold secrets.
        timeout : float, optional
            Seconds for the whole call.
        compression : {"zstd"}, optional
            Compress it, as :func:`snapcore.dump` does.
        level : int, optional
            Of the compression, 1 to 22; 3 by default.

        Returns
        -------
        DumpResult
            What was written.

        Raises
        ------
        ValueError
            If `flags` need what was not captured; the text names the flag.
        FileExistsError, OSError
            From the file system.
        TimedOut
            After `timeout`; nothing is left.

        Examples
        --------
        >>> with snapcore.capture(pid) as snap:
        ...     small = snap.dump("small.dmp", "mini")
        ...     large = snap.dump("large.dmp", "full")
        >>> small.memory_bytes < large.memory_bytes
        True
        """
        from snapcore.dumping import dump_snapshot

        return dump_snapshot(
            self._native,
            path,
            flags,
            overwrite=overwrite,
            progress=progress,
            comment=comment,
            streams=streams,
            environment=environment,
            timeout=timeout,
            compression=compression,
            level=level,
        )

    def performance(self) -> dict[str, int]:
        """Where the time of the capture went.

        Returns
        -------
        dict of str to int
            Phase to ns. On Linux ``stop`` to ``release`` are the pause, ``tracer`` is the whole call,
            and ``tables`` what came after it. On Windows ``capture`` is the whole call; with
            ``CaptureFlags.CREATE_MEASURE_PERFORMANCE`` the system's own times of its parts follow.
        """
        return dict(self._native.performance())

    def auxiliary_pages(self) -> AuxiliaryPageTable:
        """Pages that the system keeps about the process, which only Windows captures.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.AUXILIARY_PAGES``.

        Raises
        ------
        Unsupported
            On Linux; on Windows where none were captured, which is the normal case: no public flag
            asks for them.

        Notes
        -----
        Windows: ``PSS_AUXILIARY_PAGE_ENTRY``.
        """
        return AuxiliaryPageTable("auxiliary_pages", self._native.auxiliary_pages())

    def handle_trace(self) -> bytes:
        """The handle trace, which only Windows captures.

        Returns
        -------
        bytes
            As they lie in the trace's section; their layout is not documented.

        Raises
        ------
        Unsupported
            On Linux; on Windows without ``CaptureFlags.HANDLE_TRACE``, or where handle tracing is
            off in the target.

        Notes
        -----
        Windows: ``PSS_HANDLE_TRACE_INFORMATION``.
        """
        return self._native.handle_trace()

    def close(self) -> None:
        """End the clone. The target notices nothing; tables and arrays stay valid."""
        self._closed = True
        if os.getpid() == self._owner:
            self._native.close()
            self._tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and os.getpid() == self._owner:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Snapshot of process {self.pid}, {state}>"

    def _repr_html_(self) -> str:
        from snapcore.html.notebook import view_html

        return view_html(self)
