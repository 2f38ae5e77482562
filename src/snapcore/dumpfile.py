# SPDX-License-Identifier: Apache-2.0
"""A dump file answers the questions of a snapshot."""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np

from snapcore import memory_search
from snapcore.basefile import DumpBase, base_of, save_whole
from snapcore.dumpfacts import (
    BreakpadInfo,
    CrashpadInfo,
    DsoDebug,
    DumpException,
    DumpSystem,
    HandleInformation,
    MacCrashInfo,
    MiscInfo,
    Stream,
    SystemMemory,
    Token,
    UnloadedModule,
    breakpad_from,
    crashpad_from,
    dso_debug_from,
    handle_information_from,
    mac_crash_info_from,
    misc_from,
    system_from,
    system_memory_from,
    text_of,
    tokens_from,
    unloaded_modules_from,
)
from snapcore.errors import DumpFormatError
from snapcore.flags import MiniDumpType
from snapcore.logs import Teller
from snapcore.native import _core
from snapcore.snapshot import (
    Diagnostic,
    Process,
    contexts_from,
    diagnostics_from,
    exactly,
    process_from,
)
from snapcore.tables import HandleTable, ModuleTable, RegionTable, ThreadTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

__all__ = ["DumpFile", "open"]

_MEMORY_RANGE = np.dtype(
    [
        ("address", "<u8"),
        ("size", "<u8"),
        ("offset", "<u8"),
        ("present", "<u8"),
        ("in_base", "<u8"),
    ]
)
_HANDLE_OPERATION = np.dtype(
    [
        ("handle", "<u8"),
        ("pid", "<u4"),
        ("tid", "<u4"),
        ("operation", "<u4"),
        ("spare", "<u4"),
        ("depth", "<u4"),
        ("index", "<u4"),
        ("return_addresses", "<u8", (32,)),
    ]
)
_LINUX_TEXTS = {
    "cpuinfo": 0x47670003,
    "status": 0x47670004,
    "lsb_release": 0x47670005,
    "cmdline": 0x47670006,
    "environ": 0x47670007,
    "maps": 0x47670009,
    "limits": 0x4D7A0003,
}
_SOFT_ERRORS = 0x4D7A0004


_P = ParamSpec("_P")
_R = TypeVar("_R")


def _told(
    method: Callable[Concatenate[DumpFile, _P], _R],
) -> Callable[Concatenate[DumpFile, _P], _R]:
    """What the method finds wrong with the file is logged."""

    @functools.wraps(method)
    def call(self: DumpFile, *arguments: _P.args, **named: _P.kwargs) -> _R:
        try:
            return method(self, *arguments, **named)
        finally:
            self._tell()

    return cast("Callable[Concatenate[DumpFile, _P], _R]", call)


class DumpFile:
    """A minidump, by whomever it was written.

    Made by :func:`snapcore.open`. A context manager. Nothing is read before it is asked for; tables
    and arrays outlive it.

    Attributes
    ----------
    path : str
        The file.
    compression : str or None
        ``"zstd"`` where it is compressed.
    captured_at_ns : int
        Time stamp of its header, in ns since 1970-01-01 UTC; whole seconds.
    """

    def __init__(self, path: str | bytes | os.PathLike[Any], *, strict: bool = False) -> None:
        raw = os.fsencode(path)
        if b"\0" in raw:
            message = "the path holds a NUL character"
            raise ValueError(message)
        self._native: _core.DumpFile | None = _core.DumpFile(raw, strict=strict)
        self.path: str = os.fsdecode(raw)
        self._teller = Teller("open", self.path)
        self.compression: str | None = "zstd" if self._native.is_packed else None
        self._flags: int = self._native.flags
        self.captured_at_ns: int = self._native.captured_at_ns
        self._tell()

    def _tell(self) -> None:
        if self._native is not None:
            self._teller.tell(self.diagnostics)

    def _file(self) -> _core.DumpFile:
        if self._native is None:
            message = "the dump file is closed"
            raise ValueError(message)
        return self._native

    @property
    def flags(self) -> MiniDumpType:
        """Flags of the dump, as its header says."""
        return MiniDumpType(self._flags)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What was found wrong with the file so far."""
        return diagnostics_from(self._file().diagnostics())

    @property
    def pid(self) -> int | None:
        """Process id, None where the file does not say."""
        number: int | None = self._file().process()["pid"]
        return number

    @property
    def base(self) -> DumpBase | None:
        """The dump that holds what this one leaves out; None where it is whole by itself."""
        return base_of(self._file(), self.path)

    def save(
        self,
        path: str | bytes | os.PathLike[Any],
        *,
        overwrite: bool = False,
        progress: Callable[[int, int, str], object] | None = None,
        compression: str | None = None,
        level: int | None = None,
    ) -> None:
        """Write the dump, and what its :attr:`base` holds, as one plain minidump.

        Parameters
        ----------
        path : path
            The new file; it appears whole or not at all, readable by its owner alone.
        overwrite : bool
            Replace an existing file.
        progress : callable, optional
            Called with ``(done, total, phase)`` in the calling thread, in bytes.
        compression : {"zstd"}, optional
            Compress it, as :func:`dump` does.
        level : int, optional
            Of the compression, 1 to 22; 3 by default.

        Raises
        ------
        DumpFormatError
            If the base is not there; the text names it.
        FileExistsError, OSError
            From the file system; nothing is left.

        Notes
        -----
        What needs no base is copied as it is, and unpacked where it is compressed.
        """
        save_whole(
            self._file(),
            path,
            overwrite=overwrite,
            progress=progress,
            compression=compression,
            level=level,
        )

    @_told
    def process(self) -> Process:
        """Facts of the process.

        Returns
        -------
        Process
            From ``MINIDUMP_MISC_INFO``, ``MINIDUMP_PROCESS_VM_COUNTERS`` and the Linux streams.
        """
        return process_from(self._file().process())

    @_told
    def threads(self) -> ThreadTable:
        """Threads, one row each, in the order of the file.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.THREADS``. Arrays are read-only, shape ``(n,)``.

        Notes
        -----
        ``MINIDUMP_THREAD_LIST``, names and times from ``MINIDUMP_THREAD_NAME_LIST`` and
        ``MINIDUMP_THREAD_INFO_LIST``.
        """
        return ThreadTable("threads", self._file().threads())

    @_told
    def handles(self) -> HandleTable:
        """Handles, one row each, in the order of the file.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.HANDLES``. Arrays are read-only, shape ``(n,)``.

        Raises
        ------
        ValueError
            If the file holds none.

        Notes
        -----
        ``MINIDUMP_HANDLE_DESCRIPTOR``, both versions.
        """
        return HandleTable("handles", self._file().handles())

    @_told
    def regions(self) -> RegionTable:
        """Memory regions, one row each, in the order of the file, ascending in those of most writers.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.REGIONS``. Arrays are read-only, shape ``(n,)``.

        Raises
        ------
        ValueError
            If the file holds none.

        Notes
        -----
        ``MINIDUMP_MEMORY_INFO`` and the stream ``LinuxMaps``; either will do. Where the file has both,
        entries of one mapping that differ in nothing are one region.
        """
        return RegionTable("regions", self._file().regions())

    @_told
    def modules(self) -> ModuleTable:
        """Loaded modules, one row each, the main executable first.

        Returns
        -------
        Table
            Columns: ``snapcore.dtypes.MODULES``. Arrays are read-only, shape ``(n,)``.

        Notes
        -----
        ``MINIDUMP_MODULE``; ids from the CodeView record (``RSDS``, ``NB10``, ``BpEL``), in the form
        of symbol servers.
        """
        return ModuleTable("modules", self._file().modules())

    @_told
    def unloaded_modules(self) -> tuple[UnloadedModule, ...]:
        """Modules that were unloaded before the dump.

        Returns
        -------
        tuple of UnloadedModule
            Empty where the file has no such list.
        """
        return unloaded_modules_from(self._file())

    @_told
    def contexts(self) -> NDArray[np.void]:
        """Registers of every thread.

        Returns
        -------
        ndarray, shape (n,)
            Structured and read-only; fields: ``snapcore.dtypes.CONTEXT_AMD64``, ``CONTEXT_X86`` or
            ``CONTEXT_ARM64``, by the processor. ``valid`` is 0 where a thread's registers are not there.
        """
        return contexts_from(self._file().contexts())

    @_told
    def memory_ranges(self) -> NDArray[np.void]:
        """Ranges of memory that the file holds.

        Returns
        -------
        ndarray, shape (n,)
            Structured: ``address``, ``size``, ``offset`` in the minidump, and how many bytes of the range
            are ``present`` (less than its size in a file that was cut off); ``in_base`` is 1 where
            it is in the :attr:`base`, and `offset` counts there; each ``u8``. Ascending by address, not
            overlapping.

        Notes
        -----
        ``MINIDUMP_MEMORY_LIST`` and ``MINIDUMP_MEMORY64_LIST`` as one.
        """
        return self._file().memory_ranges().view(_MEMORY_RANGE).reshape(-1)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory, across ranges that touch.

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
            If the file lacks a byte; the text names the first.
        """
        if size < 0 or address < 0:
            message = "address and size cannot be negative"
            raise ValueError(message)
        data = self._file().read(address, size)
        return data if len(data) == size else exactly(data, address, size, self.pid or 0)

    def read_into(self, address: int, buffer: Any) -> int:
        """Bytes of memory into a buffer.

        Parameters
        ----------
        address : int
            First byte.
        buffer : writable, contiguous buffer
            As many bytes as it holds are asked for.

        Returns
        -------
        int
            Bytes read; less than asked where the file lacks the byte behind them.
        """
        return self._file().read_into(address, buffer)

    def chunks(self, size: int | None = None) -> Iterator[tuple[int, bytes]]:
        """All memory of the file, a piece at a time.

        Parameters
        ----------
        size : int, optional
            Bytes of a piece at the most; a MiB by default.

        Yields
        ------
        tuple of int and bytes
            Address and bytes; pieces of one range touch.
        """
        return memory_search.chunks(self, size)

    def find(self, pattern: bytes, *, limit: int | None = None) -> NDArray[np.uint64]:
        """Addresses where some bytes occur in memory.

        Parameters
        ----------
        pattern : bytes
            What to look for.
        limit : int, optional
            How many to find at the most.

        Returns
        -------
        ndarray of u8, shape (n,)
            Ascending; occurrences may overlap.

        Examples
        --------
        >>> with snapcore.open("full.dmp") as file:
        ...     address = int(file.find(b"needle in the heap", limit=1)[0])
        ...     file.read(address, 6)
        b'needle'
        """
        return memory_search.find(self, pattern, limit)

    def strings(self, min_length: int = 6, *, encoding: str = "ascii") -> Iterator[tuple[int, str]]:
        """Printable texts in memory.

        Parameters
        ----------
        min_length : int
            Characters at the least.
        encoding : {"ascii", "utf-16"}
            Of the texts; utf-16 is little-endian and finds ASCII characters alone.

        Yields
        ------
        tuple of int and str
            Address and text. A text longer than 4,096 characters comes in pieces.
        """
        return memory_search.strings(self, min_length, encoding)

    def streams(self) -> tuple[Stream, ...]:
        """Directory of the file, in its order.

        Returns
        -------
        tuple of Stream
            Unused entries are left out.
        """
        return tuple(
            Stream(type=type_, offset=offset, size=size, present=present)
            for type_, offset, size, present in self._file().streams()
        )

    def stream(self, type: int) -> bytes | None:
        """Raw bytes of the first stream of a type.

        Parameters
        ----------
        type : int
            ``MINIDUMP_STREAM_TYPE``.

        Returns
        -------
        bytes or None
            None where the file has no such stream.
        """
        return self._file().stream(type)

    def system(self) -> DumpSystem:
        """The machine that the dump was made on.

        Returns
        -------
        DumpSystem
            From ``MINIDUMP_SYSTEM_INFO``.
        """
        return system_from(self._file())

    def exception(self) -> DumpException | None:
        """Why the dump was made.

        Returns
        -------
        DumpException or None
            The first one; None for a dump that was asked for.
        """
        exceptions = self.exceptions()
        return exceptions[0] if exceptions else None

    def exceptions(self) -> tuple[DumpException, ...]:
        """Every exception of the file; Windows and most others write one at the most.

        Returns
        -------
        tuple of DumpException
            In the order of the file.

        Notes
        -----
        ``MINIDUMP_EXCEPTION_STREAM``.
        """
        file = self._file()
        contexts = contexts_from(file.exception_contexts())
        return tuple(
            DumpException(
                tid=tid,
                code=code,
                flags=flags,
                address=address,
                parameters=tuple(parameters),
                context=context if context["valid"] else None,
            )
            for (tid, code, flags, _, address, parameters), context in zip(
                file.exceptions(), contexts, strict=True
            )
        )

    def misc(self) -> MiscInfo | None:
        """Facts of process and machine.

        Returns
        -------
        MiscInfo or None
            None where the file has no such stream.

        Notes
        -----
        ``MINIDUMP_MISC_INFO`` to ``MINIDUMP_MISC_INFO_5``.
        """
        return misc_from(self._file())

    def system_memory(self) -> SystemMemory | None:
        """Memory of the machine.

        Returns
        -------
        SystemMemory or None
            None where the file has no such stream.

        Notes
        -----
        ``MINIDUMP_SYSTEM_MEMORY_INFO_1``.
        """
        return system_memory_from(self._file())

    def handle_information(self) -> tuple[HandleInformation, ...]:
        """What the file says of the objects of handles.

        Returns
        -------
        tuple of HandleInformation
            Empty where it says nothing, as in the first version of the list.

        Notes
        -----
        ``MINIDUMP_HANDLE_OBJECT_INFORMATION``.
        """
        return handle_information_from(self._file())

    def handle_operations(self) -> NDArray[np.void]:
        """Handles opened and closed, as Application Verifier recorded them.

        Returns
        -------
        ndarray, shape (n,)
            Structured: ``handle`` u8, ``pid``, ``tid``, ``operation``, ``spare``, ``depth`` and
            ``index`` u4, ``return_addresses`` (32,) u8. Empty where the file has none.

        Notes
        -----
        ``MINIDUMP_HANDLE_OPERATION_LIST``, ``AVRF_HANDLE_OPERATION``.
        """
        return self._file().handle_operations().view(_HANDLE_OPERATION).reshape(-1)

    def tokens(self) -> tuple[Token, ...]:
        """Security tokens.

        Returns
        -------
        tuple of Token
            Empty where the file has none.

        Notes
        -----
        ``MINIDUMP_TOKEN_INFO_LIST``.
        """
        return tokens_from(self._file())

    def breakpad(self) -> BreakpadInfo | None:
        """What Breakpad adds: the thread that wrote the dump, an assertion.

        Returns
        -------
        BreakpadInfo or None
            None where the file has no such stream.

        Notes
        -----
        ``MDRawBreakpadInfo``, ``MDRawAssertionInfo``.
        """
        return breakpad_from(self._file())

    def crashpad(self) -> CrashpadInfo | None:
        """What Crashpad adds: ids of report and client, annotations.

        Returns
        -------
        CrashpadInfo or None
            None where the file has no such stream.

        Notes
        -----
        ``MinidumpCrashpadInfo``.
        """
        return crashpad_from(self._file())

    def mac_crash_info(self) -> tuple[MacCrashInfo, ...]:
        """What the modules of a macOS process say of a crash, as Mozilla's writer keeps it.

        Returns
        -------
        tuple of MacCrashInfo
            Empty where the file has none.

        Notes
        -----
        The stream ``MozMacosCrashInfo``.
        """
        return mac_crash_info_from(self._file())

    def mac_boot_arguments(self) -> str | None:
        """Boot arguments of a macOS kernel, as Mozilla's writer keeps them.

        Returns
        -------
        str or None
            None where the file has none.

        Notes
        -----
        The stream ``MozMacosBootargs``.
        """
        raw = self._file().mac_boot_arguments()
        return None if raw is None else text_of(raw)

    def linux(self) -> dict[str, bytes]:
        """Texts of a Linux system, as it gave them.

        Returns
        -------
        dict of str to bytes
            Those that the file has of ``"maps"``, ``"status"``, ``"cmdline"`` and ``"environ"``
            (separated by NUL), ``"limits"`` (``/proc/PID``), ``"cpuinfo"`` (``/proc``) and
            ``"lsb_release"`` (``/etc/lsb-release``).
        """
        file = self._file()
        found = {name: file.stream(type_) for name, type_ in _LINUX_TEXTS.items()}
        return {name: text for name, text in found.items() if text is not None}

    def auxiliary_vector(self) -> dict[int, int]:
        """The auxiliary vector of a Linux process.

        Returns
        -------
        dict of int to int
            Values by ``AT_*``; empty where the file has none.

        Notes
        -----
        ``/proc/PID/auxv``.
        """
        return dict(self._file().auxiliary_vector())

    def dso_debug(self) -> DsoDebug | None:
        """The dynamic linker's list of a Linux process.

        Returns
        -------
        DsoDebug or None
            None where the file has no such stream.

        Notes
        -----
        ``r_debug``, ``link_map``.
        """
        return dso_debug_from(self._file())

    def soft_errors(self) -> list[Any]:
        """What the writer could not do, in its own words.

        Returns
        -------
        list
            The stream's JSON; empty where the file has none.

        Raises
        ------
        DumpFormatError
            If the stream is no JSON.

        Notes
        -----
        The stream ``MozSoftErrors`` of minidump-writer, which snapcore writes as well.
        """
        raw = self._file().stream(_SOFT_ERRORS)
        if raw is None:
            return []
        try:
            errors = json.loads(raw.rstrip(b"\0"))
        except (ValueError, RecursionError) as error:
            message = f"the soft errors of {self.path} are no JSON: {error}"
            raise DumpFormatError(message) from None
        return errors if isinstance(errors, list) else [errors]

    def comment(self) -> str | None:
        """Text kept in the file.

        Returns
        -------
        str or None
            None where there is none.
        """
        raw = self._file().comment()
        return None if raw is None else text_of(raw)

    def close(self) -> None:
        """Close the file; tables and arrays stay."""
        self._tell()
        self._native = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        from snapcore.html.notebook import view_html

        return view_html(self)

    def __repr__(self) -> str:
        return f"<DumpFile {self.path!r}{' (closed)' if self._native is None else ''}>"


def open(path: str | bytes | os.PathLike[Any], *, strict: bool = False) -> DumpFile:
    """Open a dump file, by whomever it was written.

    Parameters
    ----------
    path : path
        A minidump, or one that is compressed in zstd's seekable format, whatever its name: of that
        no more is unpacked than what is asked for, and nothing is written.
    strict : bool
        Raise :class:`DumpFormatError` for anything that is wrong with the file. Otherwise what is
        whole is given, and the rest is in :attr:`DumpFile.diagnostics`.

    Returns
    -------
    DumpFile
        A context manager.

    Raises
    ------
    DumpFormatError
        If it is no minidump at all, or compressed in one piece. Reading a frame of a compressed file
        that is broken raises it as well.
    OSError
        From the file system; a directory, pipe or device is refused.

    Examples
    --------
    >>> with snapcore.open("app.dmp") as file:
    ...     file.pid == pid, file.comment()
    ...     file.handles()
    (True, None)
    <Table handles: 5 rows, ... columns>
    """
    return DumpFile(path, strict=strict)
