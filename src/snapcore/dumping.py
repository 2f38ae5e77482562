# SPDX-License-Identifier: Apache-2.0
"""dump(): a dump of a process, or of a snapshot of it, into a file, a stream, or compressed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from snapcore.arguments import nanoseconds, process_id, tracer_placement, whole_number
from snapcore.compression import DEFAULT_LEVEL, MOST_LEVEL, require_zstandard
from snapcore.flags import ContextFlags, MiniDumpType
from snapcore.jobs import run, run_compressed, run_in_chunks
from snapcore.logs import logger_of, tell
from snapcore.native import _core
from snapcore.newfile import NewFile
from snapcore.presets import PRESETS
from snapcore.snapshot import Diagnostic, diagnostics_from
from snapcore.streaming import descriptor_of, is_writer, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from snapcore.jobs import Progress
    from snapcore.streaming import BinaryWriter

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

__all__ = ["DumpResult", "dump"]

_METHODS = ("snapshot", "live", "auto")


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
        process_id(pid),
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
        placement=tracer_placement(),
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
            return run_in_chunks(job, put, progress)
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
