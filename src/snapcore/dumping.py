# SPDX-License-Identifier: Apache-2.0
"""capture(), dump(), handles(), threads(): native jobs, polled from the calling thread."""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from snapcore.compression import DEFAULT_LEVEL, MOST_LEVEL, SeekableWriter, require_zstandard
from snapcore.flags import CaptureFlags, ContextFlags, MiniDumpType
from snapcore.logs import logger_of, tell
from snapcore.native import _core
from snapcore.newfile import NewFile
from snapcore.presets import PRESETS
from snapcore.snapshot import Diagnostic, Snapshot, diagnostics_from
from snapcore.streaming import descriptor_of, is_writer, write_all
from snapcore.tables import HandleTable, SystemHandleTable, SystemThreadTable, ThreadTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from snapcore.streaming import BinaryWriter
    from snapcore.table import Table

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    Progress = Callable[[int, int, str], object]

__all__ = [
    "DumpResult",
    "capture",
    "dump",
    "handles",
    "system_handles",
    "system_threads",
    "threads",
]

_Told = TypeVar("_Told", bound="Table")

_METHODS = ("snapshot", "live", "auto")
_PHASES = ("starting", "capturing", "writing", "finishing", "done")
_PLACEMENTS = ("auto", "helper", "thread")
_MEMORY_NONE, _MEMORY_CLONE = 0, 2
_POLL_SECONDS = 0.1
_NS = 1_000_000_000
HANDLE_DETAILS = (
    CaptureFlags.HANDLES
    | CaptureFlags.HANDLE_NAME_INFORMATION
    | CaptureFlags.HANDLE_BASIC_INFORMATION
    | CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpResult:
    """What :func:`dump` did.

    Attributes
    ----------
    path : str
        The file; empty where the dump went to a file object.
    file_size : int
        Its length in bytes.
    bytes_written : int
        Bytes that it takes on the disk; holes are not counted. All of `file_size` where the dump
        went to a file object.
    uncompressed_size : int
        Length of the minidump, which is `file_size` where it is not compressed.
    pause_ns : int
        How long the target stood still.
    elapsed_ns : int
        How long the call took.
    method : str
        ``"snapshot"`` or ``"live"``: how it was made.
    flags : MiniDumpType
        As asked for.
    threads, handles, regions, modules : int
        Rows of each table in the file.
    memory_ranges : int
        Ranges of memory in the file.
    memory_bytes : int
        Bytes of address space that they cover.
    bytes_not_of_the_instant : int
        Bytes read after the target ran on (shared mappings).
    diagnostics : tuple of Diagnostic
        What went less than perfectly.
    """

    path: str
    file_size: int
    bytes_written: int
    uncompressed_size: int
    pause_ns: int
    elapsed_ns: int
    method: str
    flags: MiniDumpType
    threads: int
    handles: int
    regions: int
    modules: int
    memory_ranges: int
    memory_bytes: int
    bytes_not_of_the_instant: int
    diagnostics: tuple[Diagnostic, ...]


_Result_co = TypeVar("_Result_co", covariant=True)


class _Job(Protocol[_Result_co]):
    def wait(self, seconds: float) -> bool: ...
    def cancel(self) -> None: ...
    def progress(self) -> tuple[int, int, int]: ...
    def result(self) -> _Result_co: ...


def compression_level(compression: str | None, level: int | None) -> int | None:
    """None where nothing is compressed."""
    if compression is None:
        if level is not None:
            message = "level needs compression"
            raise ValueError(message)
        return None
    if compression != "zstd":
        message = f"compression must be 'zstd' or None, not {compression!r}"
        raise ValueError(message)
    require_zstandard()
    return DEFAULT_LEVEL if level is None else whole_number(level, "level", 1, MOST_LEVEL)


def _tell(job: _Job[Any], progress: Progress | None) -> None:
    if progress is not None:
        done, total, phase = job.progress()
        progress(done, total, _PHASES[phase])


@contextmanager
def _ended_on_error(job: _Job[Any]) -> Iterator[None]:
    """Ctrl-C, or a callback: the target must run and the file be gone before anybody hears of it."""
    try:
        yield
    except BaseException:
        job.cancel()
        while not job.wait(_POLL_SECONDS):
            pass
        raise


def run(job: _Job[_Result_co], progress: Progress | None = None) -> _Result_co:
    with _ended_on_error(job):
        while not job.wait(_POLL_SECONDS):
            _tell(job, progress)
    result = job.result()
    _tell(job, progress)
    return result


def _run_in_chunks(
    job: _core.DumpJob, put: Callable[[bytes], object], progress: Progress | None
) -> dict[str, Any]:
    """Hand what the job writes to `put`, in this thread."""
    result: dict[str, Any] | None = None
    told = time.monotonic()
    with _ended_on_error(job):
        while True:
            if result is None and job.wait(0):
                result = job.result()
            chunk = job.next_chunk(_POLL_SECONDS if result is None else 0)
            if chunk is not None:
                put(chunk)
            elif result is not None:
                break
            if time.monotonic() - told >= _POLL_SECONDS:
                _tell(job, progress)
                told = time.monotonic()
    _tell(job, progress)
    return result


def run_compressed(
    job: _core.DumpJob, put: Callable[[bytes], object], level: int, progress: Progress | None
) -> dict[str, Any]:
    with _ended_on_error(job), SeekableWriter(put, level) as writer:
        raw = _run_in_chunks(job, writer.write, progress)
        writer.finish()
    raw["uncompressed_size"] = raw["file_size"]
    raw["file_size"] = raw["bytes_written"] = writer.size
    return raw


def whole_number(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        message = f"{name} must be an integer, not {type(value).__name__}"
        raise TypeError(message)
    number = int(value.__index__())
    if not low <= number <= high:
        message = f"{name} must be between {low} and {high}, not {number}"
        raise ValueError(message)
    return number


def _pid(pid: int) -> int:
    return whole_number(pid, "pid", 1, 2**31 - 1)


def nanoseconds(seconds: float, name: str) -> int:
    if math.isnan(seconds) or seconds <= 0:
        message = f"{name} must be a positive number of seconds, not {seconds!r}"
        raise ValueError(message)
    return int(min(seconds, 1e9) * _NS)


def _placement() -> int:
    chosen = os.environ.get("SNAPCORE_TRACER", "auto")
    if chosen not in _PLACEMENTS:
        message = f"SNAPCORE_TRACER must be one of {', '.join(_PLACEMENTS)}, not {chosen!r}"
        raise ValueError(message)
    return _PLACEMENTS.index(chosen)


def _file(path: Path) -> bytes:
    raw = os.fsencode(path)
    if b"\0" in raw:
        message = "the path holds a NUL character"
        raise ValueError(message)
    return raw


def dump_flags(flags: int | str) -> int:
    if not isinstance(flags, str):
        return whole_number(flags, "flags", 0, 2**32 - 1)
    if flags not in PRESETS:
        message = f"flags must be a MiniDumpType or one of {', '.join(PRESETS)}, not {flags!r}"
        raise ValueError(message)
    return int(PRESETS[flags])


def _streams(streams: Mapping[int, bytes] | None) -> dict[int, bytes]:
    return {
        whole_number(type_, "stream type", 0, 2**32 - 1): bytes(content)
        for type_, content in (streams or {}).items()
    }


def facts_of(raw: dict[str, Any]) -> dict[str, Any]:
    """Fields of DumpResult by name, of what a native job says."""
    raw["path"] = os.fsdecode(raw["path"])
    raw.setdefault("uncompressed_size", raw["file_size"])
    raw["method"] = _METHODS[raw["method"]]
    raw["flags"] = MiniDumpType(raw["flags"])
    raw["diagnostics"] = diagnostics_from(raw["diagnostics"])
    return {each.name: raw[each.name] for each in fields(DumpResult)}


def _outcome(raw: dict[str, Any], pid: int, told: int = 0) -> DumpResult:
    result = DumpResult(**facts_of(raw))
    tell_dump(result, pid, told)
    return result


def tell_dump(result: DumpResult, pid: int, told: int = 0) -> None:
    """Log what is new to the log, all but the first `told` diagnostics."""
    log = logger_of("dump")
    tell(log, f"dump of process {pid}", result.diagnostics[told:], pid)
    log.debug(
        "dump of process %d: %s, %d bytes, %s, stood still for %d ns, %d ns in all",
        pid,
        result.path or "to a stream",
        result.file_size,
        result.method,
        result.pause_ns,
        result.elapsed_ns,
    )


def capture(
    pid: int,
    flags: int = CaptureFlags.DEFAULT,
    *,
    context_flags: int = ContextFlags.ALL,
    shared_budget: int = 0,
    max_pause: float = 1.0,
    live_fallback: bool = False,
    debug_privilege: bool = False,
) -> Snapshot:
    """Take a snapshot of a running process and let it run on.

    Parameters
    ----------
    pid : int
        Process id.
    flags : CaptureFlags or int
        What to capture. What is not asked for costs nothing: without ``VA_CLONE`` no clone is made.
    context_flags : ContextFlags or int
        Which registers.
    shared_budget : int
        Bytes of shared writable memory to copy while the target stands still; the rest is read
        later and is not of the instant.
    max_pause : float
        Seconds after which the target is let go whatever was reached. On Windows a capture cannot be
        interrupted, and this has no effect.
    live_fallback : bool
        Windows: what the clone lacks is read from the running process, and is not of the instant.
        Linux does so for shared memory anyway.
    debug_privilege : bool
        Windows: enable SeDebugPrivilege for the call. Linux has no such thing.

    Returns
    -------
    Snapshot
        A context manager.

    Raises
    ------
    ProcessGone
        There is no such process, it is a zombie, or it ends meanwhile.
    AccessDenied
        The operating system refuses; the text names the reason.
    Unsupported
        No clone can be had of this target (a seccomp filter, a limit, a 32-bit process).
    TimedOut
        The target did not stop, or could not be cloned, within `max_pause`; it runs on.
    ValueError
        A flag for details without its base.

    Notes
    -----
    Windows: ``PssCaptureSnapshot``. Linux: ``ptrace`` and a copy-on-write ``clone``; where the
    tracer runs is chosen by itself, or by the environment variable ``SNAPCORE_TRACER``
    (``helper``, ``thread``).

    Examples
    --------
    >>> with snapcore.capture(pid) as snap:
    ...     threads, registers = snap.threads(), snap.contexts()
    >>> list(threads["name"])
    ['app', 'worker']
    >>> bool((registers["rip"] == threads["instruction_pointer"]).all())
    True
    """
    flags = whole_number(flags, "flags", 0, 2**32 - 1)
    job = _core.CaptureJob(
        pid=_pid(pid),
        flags=flags,
        context_flags=whole_number(context_flags, "context_flags", 0, 2**32 - 1),
        shared_budget=whole_number(shared_budget, "shared_budget", 0, 2**63 - 1),
        max_pause_ns=nanoseconds(max_pause, "max_pause"),
        memory=_MEMORY_CLONE if flags & CaptureFlags.VA_CLONE else _MEMORY_NONE,
        stop=True,
        placement=_placement(),
        live_fallback=bool(live_fallback),
        debug_privilege=bool(debug_privilege),
    )
    return Snapshot(run(job))


def capture_for_dump(pid: int, flags: int, *, max_pause: float) -> _core.Snapshot:
    """A clone, and besides what a dump with some flags needs."""
    needed, _ = _core.dump_requirements(flags)
    return run(
        _core.CaptureJob(
            pid=pid,
            flags=needed | CaptureFlags.VA_CLONE | CaptureFlags.VA_SPACE,
            context_flags=int(ContextFlags.ALL),
            shared_budget=0,
            max_pause_ns=nanoseconds(max_pause, "max_pause"),
            memory=_MEMORY_CLONE,
            stop=True,
            placement=_placement(),
            live_fallback=False,
            debug_privilege=False,
        )
    )


def _look(pid: int, flags: int, *, handle_peers: bool = False) -> _core.Snapshot:
    job = _core.CaptureJob(
        pid=_pid(pid),
        flags=flags,
        context_flags=0,
        shared_budget=0,
        max_pause_ns=_NS,
        memory=_MEMORY_NONE,
        stop=False,
        placement=_placement(),
        live_fallback=False,
        debug_privilege=False,
        handle_peers=handle_peers,
    )
    return run(job)


def look(pid: int, flags: int, *, handle_peers: bool = False) -> Snapshot:
    """What can be seen of a process without stopping it."""
    return Snapshot(_look(pid, flags, handle_peers=handle_peers))


def _told(table: _Told, pid: int | None = None) -> _Told:
    """The same table; its diagnostics are logged."""
    about = "every process" if pid is None else f"process {pid}"
    tell(logger_of(table.name), about, table.diagnostics, pid)
    return table


def handles(pid: int, *, details: bool = True, peers: bool = False) -> HandleTable:
    """Handles of a process without stopping it. On Linux these are file descriptors.

    Parameters
    ----------
    pid : int
        Process id.
    details : bool
        The facts of each kind: addresses of sockets, counts, timers, locks and so on
        (``HANDLE_TYPE_SPECIFIC_INFORMATION``). Where the process has a socket, the system's sockets
        are read for them.
    peers : bool
        Linux: look through the descriptors of every process for the other ends of pipes, FIFOs and
        sockets (``peer_pid``, ``peer_handle``), which takes some microseconds for each descriptor of
        the system. Otherwise an end is known only where the same process has it too. Windows does not
        tell them, which a diagnostic says.

    Returns
    -------
    Table
        As :meth:`Snapshot.handles`; the process runs meanwhile, so the rows are not of one instant.
        Its ``diagnostics`` count what was refused.

    Raises
    ------
    ProcessGone, AccessDenied
        As :func:`capture`.
    ValueError
        `peers` without `details`.

    Examples
    --------
    >>> table = snapcore.handles(pid)
    >>> files = table.take(table["type_name"] == "File")
    >>> files["object_name"][0]
    '/.../app.log'
    >>> files.row(0)["position"]
    6
    """
    if peers and not details:
        message = "peers=True needs details=True"
        raise ValueError(message)
    flags = HANDLE_DETAILS
    if not details:
        flags &= ~CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION
    native = _look(pid, flags, handle_peers=bool(peers))
    try:
        return _told(
            HandleTable("handles", native.handles(), diagnostics_from(native.diagnostics())), pid
        )
    finally:
        native.close()


def threads(pid: int) -> ThreadTable:
    """Threads of a process without stopping it.

    Parameters
    ----------
    pid : int
        Process id.

    Returns
    -------
    Table
        As :meth:`Snapshot.threads`, registers not known.

    Raises
    ------
    ProcessGone, AccessDenied
        As :func:`capture`.

    Examples
    --------
    >>> table = snapcore.threads(pid)
    >>> table["name"].categories
    ('app', 'worker')
    >>> table["tid"].dtype
    dtype('uint32')
    """
    native = _look(pid, CaptureFlags.THREADS)
    try:
        return ThreadTable("threads", native.threads())
    finally:
        native.close()


def system_handles(*, peers: bool = False) -> SystemHandleTable:
    """Handles of every process that this user may see. On Linux these are file descriptors.

    Parameters
    ----------
    peers : bool
        As for :func:`handles`. Every descriptor is read anyway, so that this costs little.

    Returns
    -------
    Table
        Columns: ``snapcore.dtypes.SYSTEM_HANDLES``; the system runs meanwhile. Its ``diagnostics``
        count the processes that refuse.

    Notes
    -----
    Windows: ``NtQuerySystemInformation`` with ``SystemExtendedHandleInformation``; a name is asked
    for on a thread of its own, since that can wait for ever. Linux: ``/proc/PID/fd``.

    Examples
    --------
    >>> table = snapcore.system_handles()
    >>> log = snapcore.handles(pid)["object_name"][3]
    >>> table["pid"][table["object_name"] == log].tolist() == [pid]
    True
    """
    columns, diagnostics = _core.system_handles(peers=bool(peers))
    return _told(SystemHandleTable("system_handles", columns, diagnostics_from(diagnostics)))


def system_threads() -> SystemThreadTable:
    """Threads of every process that this user may see.

    Returns
    -------
    Table
        Columns: ``snapcore.dtypes.SYSTEM_THREADS``; registers are not known, the system runs meanwhile.
        Its ``diagnostics`` count the processes that refuse.

    Notes
    -----
    Windows: ``NtQuerySystemInformation`` with ``SystemExtendedProcessInformation``, which does not tell
    the names of threads, nor processors. Linux: ``/proc/PID/task``, kernel threads among them.

    Examples
    --------
    >>> table = snapcore.system_threads()
    >>> int((table["pid"] == pid).sum())
    2
    """
    columns, diagnostics = _core.system_threads()
    return _told(SystemThreadTable("system_threads", columns, diagnostics_from(diagnostics)))


def dump(
    pid: int,
    path: Path | BinaryWriter,
    flags: int | str = MiniDumpType.NORMAL,
    *,
    capture: int | None = None,
    method: str = "snapshot",
    overwrite: bool = False,
    progress: Progress | None = None,
    comment: str | None = None,
    streams: Mapping[int, bytes] | None = None,
    environment: bool = False,
    timeout: float | None = None,
    max_pause: float = 1.0,
    live_fallback: bool = False,
    debug_privilege: bool = False,
    compression: str | None = None,
    level: int | None = None,
) -> DumpResult:
    """Write a minidump of a running process, which stands still only for the snapshot.

    Parameters
    ----------
    pid : int
        Process id.
    path : path or file object
        The file; it appears whole or not at all, readable by its owner alone. Or what has a
        ``write()`` of bytes: a pipe, a socket's file, an open file, a buffer. It gets the same bytes
        from first to last, and stays open; if the call fails, what it got is no whole dump.
    flags : MiniDumpType, int or str
        What the file holds; a name is one of ``snapcore.PRESETS`` (``"mini"``, ``"triage"``,
        ``"heap"``, ``"full"``). The capture flags that it needs are added.
    capture : CaptureFlags or int, optional
        What to capture besides; with it, a clone is made even where stacks would do.
    method : {"snapshot", "live", "auto"}
        ``"snapshot"`` writes from a clone; ``"live"`` keeps the target still while the file is
        written (raise `max_pause`); ``"auto"`` tries the first, then the second where no clone can
        be had.
    overwrite : bool
        Replace an existing file.
    progress : callable, optional
        Called with ``(done, total, phase)`` in the calling thread, bytes of memory.
    comment : str, optional
        Text kept in the file.
    streams : mapping of int to bytes, optional
        Streams of your own by their type, which lies above 0xffff.
    environment : bool
        Linux: keep the environment of the target, which may hold secrets, in a stream. On Windows
        it lies in the memory that ``WITH_PROCESS_THREAD_DATA`` adds.
    timeout : float, optional
        Seconds for the whole call.
    max_pause : float
        Seconds after which the target is let go whatever was reached.
    live_fallback, debug_privilege : bool
        As for :func:`capture`.
    compression : {"zstd"}, optional
        Compress it, in frames that :func:`snapcore.open` unpacks one at a time and ``zstd -d`` all
        together. The name stays as it is given; ``.dmp.zst`` is what tools expect. Needs the extra
        ``snapcore[zstd]``.
    level : int, optional
        Of the compression, 1 to 22; 3 by default.

    Returns
    -------
    DumpResult
        What was written and how long the target stood still.

    Raises
    ------
    ProcessGone, AccessDenied, Unsupported
        As :func:`capture`.
    TimedOut
        After `timeout` or `max_pause`; nothing is left and the target runs.
    FileExistsError, OSError
        From the file system; nothing is left.
    BrokenPipeError
        Nobody reads the pipe or socket any more.

    Notes
    -----
    Windows: ``PssCaptureSnapshot``, then ``MiniDumpWriteDump``. Linux: a copy-on-write clone, and a
    writer of our own. A dump holds the memory of the process, and so its secrets.

    A file object that is a plain file, pipe or socket is written by a native thread, so that
    `timeout` and Ctrl-C are seen while nobody reads; it may be non-blocking. Any other gets chunks of
    1 MiB in the calling thread. However slowly it takes them, the target runs on: what waits is its
    clone, which holds the memory that the target has changed since. With ``method="live"`` the target
    waits as well, for `max_pause` at the most. On Windows every file object gets chunks, after the
    dump was written to an unnamed temporary file, since ``MiniDumpWriteDump`` writes its header last.

    Examples
    --------
    >>> result = snapcore.dump(pid, "app.dmp", "mini")
    >>> result.threads, result.method
    (2, 'snapshot')
    >>> 0 < result.pause_ns < result.elapsed_ns
    True
    """
    if method not in _METHODS:
        message = f"method must be one of {', '.join(_METHODS)}, not {method!r}"
        raise ValueError(message)
    captured = None if capture is None else whole_number(capture, "capture", 0, 2**32 - 1)
    raw = write_dump(
        None,
        _pid(pid),
        path,
        flags,
        captured,
        method,
        overwrite=overwrite,
        progress=progress,
        comment=comment,
        streams=streams,
        environment=environment,
        timeout=timeout,
        max_pause=max_pause,
        live_fallback=live_fallback,
        debug_privilege=debug_privilege,
        compression=compression,
        level=level,
    )
    return _outcome(raw, pid)


def dump_snapshot(
    native: _core.Snapshot,
    path: Path | BinaryWriter,
    flags: int | str,
    *,
    overwrite: bool,
    progress: Progress | None,
    comment: str | None,
    streams: Mapping[int, bytes] | None,
    environment: bool,
    timeout: float | None,
    compression: str | None,
    level: int | None,
) -> DumpResult:
    raw = write_dump(
        native,
        native.pid,
        path,
        flags,
        None,
        "snapshot",
        overwrite=overwrite,
        progress=progress,
        comment=comment,
        streams=streams,
        environment=environment,
        timeout=timeout,
        max_pause=1.0,
        live_fallback=False,
        debug_privilege=False,
        compression=compression,
        level=level,
    )
    return _outcome(raw, native.pid, raw["of_snapshot"])


def write_dump(
    snapshot: _core.Snapshot | None,
    pid: int,
    path: Path | BinaryWriter,
    flags: int | str,
    capture_flags: int | None,
    method: str,
    *,
    overwrite: bool,
    progress: Progress | None,
    comment: str | None,
    streams: Mapping[int, bytes] | None,
    environment: bool,
    timeout: float | None,
    max_pause: float,
    live_fallback: bool,
    debug_privilege: bool,
    compression: str | None,
    level: int | None,
    identity: bytes | None = None,
    base: _core.BaseDump | None = None,
    notes: Sequence[Diagnostic] = (),
) -> dict[str, Any]:
    """Write a dump of a process, or of a snapshot of it, with `notes`; what the native job says."""
    used_level = compression_level(compression, level)
    timeout_ns = None if timeout is None else nanoseconds(timeout, "timeout")
    started = time.monotonic_ns()
    start = partial(
        _core.DumpJob,
        pid=pid,
        dump_flags=dump_flags(flags),
        capture_flags=capture_flags,
        context_flags=int(ContextFlags.ALL),
        method=_METHODS.index(method),
        overwrite=bool(overwrite),
        comment=None if comment is None else comment.encode("utf-8", "surrogateescape"),
        streams=_streams(streams),
        environment=bool(environment),
        timeout_ns=timeout_ns,
        max_pause_ns=nanoseconds(max_pause, "max_pause"),
        shared_budget=0,
        placement=_placement(),
        live_fallback=bool(live_fallback),
        debug_privilege=bool(debug_privilege),
        snapshot=snapshot,
        identity=identity,
        base=base,
        notes=[(d.severity, d.code, d.message, d.subject) for d in notes],
    )
    target = path
    descriptor = None
    if is_writer(target):
        descriptor = descriptor_of(target)
        if used_level is None and descriptor is not None:
            return run(start(path=None, descriptor=descriptor), progress)
    elif used_level is None:
        return run(start(path=_file(target), descriptor=None), progress)

    def run_job(put: Callable[[bytes], object]) -> dict[str, Any]:
        job = start(path=None, descriptor=None)
        if used_level is None:
            return _run_in_chunks(job, put, progress)
        return run_compressed(job, put, used_level, progress)

    if not is_writer(target):
        name = _file(target)
        # Made before anything is stopped: a folder that is missing is an error of its own.
        with NewFile(name, overwrite=bool(overwrite)) as file:
            raw = run_job(file.write)
            raw["path"] = name
            raw["bytes_written"] = file.allocated_size()
    elif descriptor is not None:
        raw = run_job(_core.DescriptorStream(descriptor, timeout_ns).write)
    else:
        raw = run_job(partial(write_all, target))
    raw["elapsed_ns"] = time.monotonic_ns() - started
    return raw
