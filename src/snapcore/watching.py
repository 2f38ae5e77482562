# SPDX-License-Identifier: Apache-2.0
"""watch(): dumps of one process again and again, of which the later ones hold what has changed."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapcore.arguments import nanoseconds, whole_number
from snapcore.capturing import capture_for_dump, look
from snapcore.dumping import DumpResult, compression_level, dump_flags, facts_of, write_dump
from snapcore.errors import ProcessGone, TimedOut
from snapcore.flags import CaptureFlags
from snapcore.headroom import headroom
from snapcore.logs import logger_of, tell
from snapcore.naming import dump_name, process_name
from snapcore.native import _core
from snapcore.snapshot import Diagnostic, process_from
from snapcore.watch_base import HELD, Base, DumpedFile, Lifetime, uses_huge_page_pool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from snapcore.jobs import Progress

__all__ = ["Watch", "WatchedDump", "watch"]

_WINDOWS = os.name == "nt"
_MEMORY_CLONE = 2
_POLL_SECONDS = 0.1
_MOST_HELD = 1 << 30
_MOST_DIAGNOSTICS = 1000

# Of this process, for all of its watches: dumps under way, each with a clone of its own.
_DUMPS = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedDump(DumpResult):
    """One dump of a :class:`Watch`.

    Attributes
    ----------
    number : int
        Of this dump, from 0 on.
    skipped : int
        Instants since the dump before at which none was made, because that one, or who took it, was
        not done yet.
    base : str or None
        The dump that holds what has not changed since; None where this one is whole by itself.
    base_bytes : int
        Bytes of memory that are in the base alone; `memory_bytes` are those in the file.
    compared_bytes : int
        Bytes of memory that were read to see whether they have changed. Of the others the page
        frames told.
    """

    number: int
    skipped: int
    base: str | None
    base_bytes: int
    compared_bytes: int


class Watch:
    """Dumps of one process, one after the other. Made by :func:`watch`.

    An iterator over :class:`WatchedDump` and a context manager; leaving it, its end, and any
    exception free all that it holds but the files. It belongs to one thread; :meth:`stop` may be
    called from any.

    Attributes
    ----------
    pid : int
        The process.
    folder : str
        Where the files are.
    skipped : int
        Instants at which no dump was made, so far.
    diagnostics : tuple of Diagnostic
        What went less than perfectly with the watch, so far; ``process_ended`` where the process did.
    """

    def __init__(
        self,
        pid: int,
        folder: str,
        *,
        every: float,
        keep: int | None,
        count: int | None,
        rebase: int,
        max_held: int | None,
        flags: int,
        **options: Any,
    ) -> None:
        self.pid = pid
        self.folder = folder
        self.skipped: int = 0
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self._every = every
        self._keep = keep
        self._count = count
        self._rebase = rebase
        self._max_held = max_held
        self._flags = flags
        self._options = options
        self._owner = os.getpid()
        self._stop = threading.Event()
        self._number = 0
        self._instant = 0  # the next one
        self._start: float | None = None
        self._files: list[DumpedFile] = []
        self._base: Base | None = None
        self._held_bytes = 0  # found in the clone of the base alone
        self._most_held = 0
        self._looked_at = 0.0
        self._new: list[Diagnostic] = []  # for the next result
        self._unwritten: list[Diagnostic] = []  # for the next file
        self._program = process_name(pid)
        _, memory = _core.dump_requirements(flags)
        self._partly = memory == _MEMORY_CLONE and not _WINDOWS
        self._sees_frames = self._partly and (
            dict(_core.system_facts()).get("page_frames") == b"yes"
        )
        self._lifetime = Lifetime(pid)
        self._closed = False

    # --- What the caller sees

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WatchedDump:
        if self._closed:
            raise StopIteration
        try:
            result = self._next()
        except BaseException:
            self.close()
            raise
        if result is None:
            self.close()
            raise StopIteration
        return result

    def stop(self) -> None:
        """End the iteration; a dump that is under way is finished."""
        self._stop.set()

    def files(self) -> tuple[str, ...]:
        """The dumps that are kept, and the bases that they need.

        Returns
        -------
        tuple of str
            Paths, in the order in which they were made.
        """
        return tuple(file.path for file in self._files)

    def close(self) -> None:
        """End it and the clone that it holds; the files stay."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        if os.getpid() == self._owner:
            self._drop_base()
        self._base = None
        self._lifetime.close()

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
        # A loop that was left early.
        if not getattr(self, "_closed", True):
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Watch of process {self.pid}, {self._number} dumps, {state}>"

    # --- Time

    def _next(self) -> WatchedDump | None:
        skipped = 0
        while self._count is None or self._number < self._count:
            skipped += self._skip_what_is_past()
            if not self._wait():
                return None
            self._instant += 1
            if not _DUMPS.acquire(blocking=False):
                self._say("busy", "other watches of this process were making dumps", "info")
                skipped += 1
                continue
            try:
                return self._dump(skipped)
            except ProcessGone:
                if self._number == 0:
                    raise
                self._say_ended()
                return None
            except TimedOut as error:
                # The target could not be stopped in time, or a disk is slow: maybe the next time.
                if self._number == 0:
                    raise
                self._say("dump_timed_out", str(error), "warning")
                skipped += 1
            finally:
                _DUMPS.release()
        return None

    def _skip_what_is_past(self) -> int:
        if self._start is None:
            self._start = time.monotonic()
            return 0
        # An instant that passed while nobody waited for it.
        reached = math.ceil((time.monotonic() - self._start) / self._every)
        past = max(reached - self._instant, 0)
        self._instant += past
        return past

    def _wait(self) -> bool:
        """Wait for the next instant; False where it does not come."""
        assert self._start is not None
        due = self._start + self._instant * self._every
        while not self._stop.is_set():
            if self._lifetime.ended() and self._number > 0:
                self._say_ended()
                return False
            left = due - time.monotonic()
            if left <= 0:
                return True
            self._release_if_short()
            self._stop.wait(min(left, _POLL_SECONDS))
        return False

    # --- Dumps

    def _dump(self, skipped: int) -> WatchedDump:
        started = time.monotonic_ns()
        name = dump_name(
            self._program,
            self.pid,
            compressed=self._options["compression"] is not None,
            milliseconds=True,
        )
        path = str(Path(self.folder, name))
        raw = self._dump_partly(path) if self._partly else self._dump_whole(path)
        raw["elapsed_ns"] = time.monotonic_ns() - started
        facts = facts_of(raw)
        tell(logger_of("dump"), f"dump of process {self.pid}", facts["diagnostics"], self.pid)
        facts["diagnostics"] += tuple(self._new)
        self._new = []
        base = self._files[-1].base
        result = WatchedDump(
            **facts,
            number=self._number,
            skipped=skipped,
            base=None if base is None else base.path,
            base_bytes=raw["base_bytes"],
            compared_bytes=raw["compared_bytes"],
        )
        self.skipped += skipped
        self._number += 1
        self._delete_old()
        return result

    def _write(self, path: str, native: _core.Snapshot | None, **of_bases: Any) -> dict[str, Any]:
        raw = write_dump(
            native,
            self.pid,
            path,
            self._flags,
            None,
            "snapshot",
            overwrite=False,
            notes=self._unwritten,
            **self._options,
            **of_bases,
        )
        self._unwritten = []
        return raw

    def _dump_whole(self, path: str) -> dict[str, Any]:
        if _WINDOWS and self._number == 0:
            self._say(
                "whole_dumps_only",
                "Windows does not tell what has changed in a snapshot: every dump is whole",
                "info",
            )
        with look(self.pid, CaptureFlags.THREADS) as view:
            self._lifetime.check(view.process().created_at_ns)
        raw = self._write(path, None)
        self._files.append(DumpedFile(path, None))
        return raw

    def _dump_partly(self, path: str) -> dict[str, Any]:
        base = self._usable_base()
        native = capture_for_dump(self.pid, self._flags, max_pause=self._options["max_pause"])
        kept = False
        try:
            self._lifetime.check(process_from(native.process()).created_at_ns)
            raw = self._write(
                path,
                native,
                identity=os.urandom(16),
                base=None if base is None else base.made,
            )
            self._files.append(DumpedFile(path, base.file if base and raw["has_base"] else None))
            if base is not None and raw["has_base"]:
                base.dumps += 1
                self._held_bytes = raw["held_bytes"]
                self._release_if_short()
            else:
                self._drop_base()
                kept = self._may_hold()
                # Somebody may have taken the file away by now.
                with contextlib.suppress(FileNotFoundError):
                    self._base = Base(self._files[-1], native if kept else None)
                if self._base is None:
                    self._say(
                        "base_gone", f"{path} is gone already; the next dump is whole", "info"
                    )
        finally:
            if not kept or self._base is None:
                native.close()
            if kept and self._base is None:
                HELD.release()
        return raw

    # --- Bases

    def _usable_base(self) -> Base | None:
        base = self._base
        if base is None:
            return None
        if not base.file.is_there():
            self._say(
                "base_gone", f"{base.file.path} is not there any more; this dump is whole", "info"
            )
        elif base.dumps + 1 < self._rebase:
            return base
        self._drop_base()
        return None

    def _drop_base(self) -> None:
        if self._base is not None:
            self._release(self._base)
            self._base = None

    def _release(self, base: Base) -> None:
        for found in base.release():
            self._record(found)

    def _may_hold(self) -> bool:
        """Whether the clone of a new base is to be kept; it tells quickly what has changed since."""
        self._held_bytes = 0
        if not self._sees_frames or self._max_held == 0:
            return False
        if uses_huge_page_pool(self.pid):
            self._say(
                "no_clone_held",
                "the process has pages of the huge page pool, which is small",
                "info",
            )
            return False
        room = headroom(self.pid)
        if room is not None and room.is_short:
            return False
        if not HELD.acquire(blocking=False):
            self._say("no_clone_held", "other watches of this process hold clones", "info")
            return False
        if self._max_held is not None:
            self._most_held = self._max_held
        else:
            self._most_held = _MOST_HELD if room is None else room.available // 4
        return True

    def _release_if_short(self) -> None:
        base = self._base
        if base is None or base.native is None:
            return
        now = time.monotonic()
        if now - self._looked_at < 1:
            room = None
        else:
            self._looked_at = now
            room = headroom(self.pid)
        if self._held_bytes > self._most_held:
            why = f"it held {self._held_bytes} bytes alone"
        elif room is not None and room.is_short:
            why = "memory is short"
        else:
            return
        self._release(base)
        self._say(
            "clone_released",
            f"the clone of the base was ended, since {why}; what has changed is found by comparing with its file",
            "info",
        )

    def _delete_old(self) -> None:
        if self._keep is None:
            return
        kept = self._files[-self._keep :]
        needed = {id(file.base) for file in kept if file.base is not None}
        if self._base is not None:
            needed.add(id(self._base.file))
        for file in self._files[: -self._keep]:
            if id(file) in needed:
                kept.insert(0, file)
            else:
                file.delete()
        order = {id(file): at for at, file in enumerate(self._files)}
        self._files = sorted(kept, key=lambda file: order[id(file)])

    # --- What is said

    def _say(self, code: str, message: str, severity: str) -> None:
        self._record(Diagnostic(severity=severity, code=code, message=message, subject=self.pid))

    def _record(self, diagnostic: Diagnostic) -> None:
        self._new.append(diagnostic)
        self._unwritten.append(diagnostic)
        tell(logger_of("watch"), f"process {self.pid}", (diagnostic,), self.pid)
        # It may go on for months.
        self.diagnostics = (*self.diagnostics, diagnostic)[-_MOST_DIAGNOSTICS:]

    def _say_ended(self) -> None:
        self._say("process_ended", f"process {self.pid} ended after {self._number} dumps", "info")


def watch(
    pid: int,
    folder: str | os.PathLike[str],
    *,
    every: float,
    keep: int | None = None,
    count: int | None = None,
    flags: int | str = "full",
    rebase: int = 50,
    max_held: int | None = None,
    comment: str | None = None,
    streams: Mapping[int, bytes] | None = None,
    environment: bool = False,
    timeout: float | None = None,
    max_pause: float = 1.0,
    progress: Progress | None = None,
    live_fallback: bool = False,
    debug_privilege: bool = False,
    compression: str | None = None,
    level: int | None = None,
) -> Watch:
    """Dump a running process again and again; later dumps hold only what has changed.

    Parameters
    ----------
    pid : int
        Process id.
    folder : path
        Where the files are written, as ``snapcore-NAME.PID.UTC.dmp``, which sort by time. It is made
        where it is not there, for its owner alone.
    every : float
        Seconds from one dump to the next, counted from the first. What is due while a dump is not
        done, or its taker is busy, is skipped and counted, never made up for.
    keep : int, optional
        How many dumps are kept, the newest; all by default. A base stays as long as a kept dump
        needs it. No file is deleted that this watch has not written.
    count : int, optional
        How many dumps to make; without end by default.
    flags : MiniDumpType, int or str
        As for :func:`dump`; what holds no whole mappings (``"mini"``, ``"triage"``) is small and
        always whole.
    rebase : int
        A whole dump is made at the latest after so many; 1: each is whole. One is made as well where
        more than half of the memory has changed.
    max_held : int, optional
        Linux: bytes that the clone of the base may hold alone, which is what the process has changed
        since; beyond that, or where memory is short, the clone is ended. A quarter of what is
        available by default. 0: no clone is held.
    comment, streams, environment, timeout, max_pause, live_fallback, debug_privilege, compression, level
        As for :func:`dump`, for each dump.
    progress : callable, optional
        Called with ``(done, total, phase)`` in the calling thread, bytes of memory.

    Returns
    -------
    Watch
        An iterator over :class:`WatchedDump` and a context manager. Each dump is made while the next
        item is waited for, in the thread that asks for it. It ends after `count`, after
        :meth:`Watch.stop`, and when the process ends, which is a diagnostic.

    Raises
    ------
    ProcessGone, AccessDenied, Unsupported, TimedOut
        From the first dump, as :func:`dump`. Later a ``TimedOut`` is a diagnostic and a skipped
        instant, an end of the process the end of the iteration, and the others are raised.
    OSError
        From the file system; dumps that were made stay.
    ValueError
        A number that is too small.

    Notes
    -----
    Linux: the second dump of a process is compared with the first, its base, a page at a time. Where
    page frames may be seen (CAP_SYS_ADMIN), the base's clone is held, and a page that has the same
    frame in both clones has not changed; other pages, and all of them without that right, are
    compared with the file of the base. :func:`snapcore.open` finds the base beside the dump and
    answers as for a whole one; any other tool sees a dump of part of the memory.
    :meth:`DumpFile.save` makes a whole one of it.

    Windows has no such thing: each dump is whole.

    Examples
    --------
    >>> with snapcore.watch(pid, "dumps", every=0.2, count=3) as watch:
    ...     dumps = list(watch)
    >>> [dump.base is None for dump in dumps]
    [True, False, False]
    >>> dumps[1].bytes_written < dumps[0].bytes_written
    True
    """
    number = whole_number(pid, "pid", 1, 2**31 - 1)
    for name, value in (("keep", keep), ("count", count), ("rebase", rebase)):
        if value is not None:
            whole_number(value, name, 1, 2**31 - 1)
    if max_held is not None:
        whole_number(max_held, "max_held", 0, 2**63 - 1)
    nanoseconds(every, "every")
    nanoseconds(max_pause, "max_pause")
    compression_level(compression, level)
    options: dict[str, Any] = {
        "comment": comment,
        "streams": streams,
        "environment": environment,
        "timeout": timeout,
        "max_pause": max_pause,
        "progress": progress,
        "live_fallback": live_fallback,
        "debug_privilege": debug_privilege,
        "compression": compression,
        "level": level,
    }
    where = Path(folder)
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Watch(
        number,
        str(where),
        every=every,
        keep=keep,
        count=count,
        rebase=rebase,
        max_held=max_held,
        flags=dump_flags(flags),
        **options,
    )
