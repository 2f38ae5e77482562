# SPDX-License-Identifier: Apache-2.0
"""capture(), and what is seen of a process, or of all, without stopping it: handles(), threads()."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

# Where files can no longer be opened, a snapshot must still be dumped: no import may be left for then.
import snapcore.dumping  # noqa: F401
from snapcore.arguments import nanoseconds, process_id, tracer_placement, whole_number
from snapcore.flags import CaptureFlags, ContextFlags
from snapcore.jobs import run
from snapcore.logs import logger_of, tell
from snapcore.native import _core
from snapcore.snapshot import Snapshot, diagnostics_from
from snapcore.tables import HandleTable, SystemHandleTable, SystemThreadTable, ThreadTable

if TYPE_CHECKING:
    from snapcore.table import Table

__all__ = ["capture", "handles", "system_handles", "system_threads", "threads"]

_Told = TypeVar("_Told", bound="Table")

_MEMORY_NONE, _MEMORY_CLONE = 0, 2
HANDLE_DETAILS = (
    CaptureFlags.HANDLES
    | CaptureFlags.HANDLE_NAME_INFORMATION
    | CaptureFlags.HANDLE_BASIC_INFORMATION
    | CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION
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
    job = _job(
        pid,
        flags,
        context_flags=whole_number(context_flags, "context_flags", 0, 2**32 - 1),
        shared_budget=whole_number(shared_budget, "shared_budget", 0, 2**63 - 1),
        max_pause=max_pause,
        memory=_MEMORY_CLONE if flags & CaptureFlags.VA_CLONE else _MEMORY_NONE,
        live_fallback=bool(live_fallback),
        debug_privilege=bool(debug_privilege),
    )
    return Snapshot(run(job))


def capture_for_dump(pid: int, flags: int, *, max_pause: float) -> _core.Snapshot:
    """A clone, and besides what a dump with some flags needs."""
    needed, _ = _core.dump_requirements(flags)
    return run(
        _job(
            pid,
            needed | CaptureFlags.VA_CLONE | CaptureFlags.VA_SPACE,
            context_flags=int(ContextFlags.ALL),
            max_pause=max_pause,
            memory=_MEMORY_CLONE,
        )
    )


def _look(pid: int, flags: int, *, handle_peers: bool = False) -> _core.Snapshot:
    return run(_job(pid, flags, stop=False, handle_peers=handle_peers))


def _job(
    pid: int,
    flags: int,
    *,
    context_flags: int = 0,
    shared_budget: int = 0,
    max_pause: float = 1.0,
    memory: int = _MEMORY_NONE,
    stop: bool = True,
    live_fallback: bool = False,
    debug_privilege: bool = False,
    handle_peers: bool = False,
) -> _core.CaptureJob:
    return _core.CaptureJob(
        pid=process_id(pid),
        flags=flags,
        context_flags=context_flags,
        shared_budget=shared_budget,
        max_pause_ns=nanoseconds(max_pause, "max_pause"),
        memory=memory,
        stop=stop,
        placement=tracer_placement(),
        live_fallback=live_fallback,
        debug_privilege=debug_privilege,
        handle_peers=handle_peers,
    )


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
