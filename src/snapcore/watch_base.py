# SPDX-License-Identifier: Apache-2.0
"""What a watch holds from one dump to the next: its files, the base and its clone, the process."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from pathlib import Path

from snapcore.errors import ProcessGone
from snapcore.native import _core
from snapcore.snapshot import Diagnostic, diagnostics_from

__all__ = ["HELD", "Base", "DumpedFile", "Lifetime", "uses_huge_page_pool"]

_SECOND_NS = 1_000_000_000
# Clones that wait for the next dump, of all watches of this process.
HELD = threading.BoundedSemaphore(2)


class DumpedFile:
    """A dump that this watch wrote."""

    def __init__(self, path: str, base: DumpedFile | None) -> None:
        self.path = path
        self.base = base
        self._key = self._look()

    def _look(self) -> tuple[int, int, int] | None:
        with contextlib.suppress(OSError):
            status = os.lstat(self.path)
            return status.st_dev, status.st_ino, status.st_mtime_ns
        return None

    def is_there(self) -> bool:
        """Whether the name still has that file, and no other."""
        return self._key is not None and self._look() == self._key

    def delete(self) -> None:
        if self.is_there():
            with contextlib.suppress(OSError):
                Path(self.path).unlink()


class Base:
    """A whole dump that the next ones are compared with, and maybe the clone that it was made of."""

    def __init__(self, file: DumpedFile, native: _core.Snapshot | None) -> None:
        self.file = file
        self.native = native
        self.dumps = 0
        self._opened = _core.DumpFile(os.fsencode(file.path), strict=False)
        self.made: _core.BaseDump = self._make()

    def _make(self) -> _core.BaseDump:
        name = os.fsencode(Path(self.file.path).name)
        return _core.BaseDump(name, self._opened, self.native)

    def release(self) -> tuple[Diagnostic, ...]:
        """End the clone; from here on the file is compared with. What went wrong with that."""
        if self.native is None:
            return ()
        known = len(self.native.diagnostics())
        self.native.close()
        found = self.native.diagnostics()[known:]
        self.native = None
        HELD.release()
        self.made = self._make()
        return diagnostics_from(found)


class Lifetime:
    """Whether a process still is the one that it was."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._created_at_ns: int | None = None
        self._descriptor: int | None = None
        if hasattr(os, "pidfd_open"):  # Linux
            # Without it the next dump finds out.
            with contextlib.suppress(OSError):
                self._descriptor = os.pidfd_open(pid)

    def ended(self) -> bool:
        if self._descriptor is None:
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def check(self, created_at_ns: int | None) -> None:
        """Tell it when the process that has the number now was created; ProcessGone if later."""
        if self._created_at_ns is None:
            self._created_at_ns = created_at_ns
        elif created_at_ns is not None and abs(created_at_ns - self._created_at_ns) >= _SECOND_NS:
            message = f"process {self.pid} ended, and its number is another's"
            raise ProcessGone(message, pid=self.pid)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def uses_huge_page_pool(pid: int) -> bool:
    # What a clone keeps of the pool, the target cannot have when it needs it.
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("HugetlbPages:"):
                return int(line.split()[1]) > 0
    return False
