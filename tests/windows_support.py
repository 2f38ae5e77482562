# SPDX-License-Identifier: Apache-2.0
"""The stand-in for process snapshots under Wine: told to fail, asked what it saw."""

from __future__ import annotations

import ctypes
import subprocess
from typing import Any

from support import STAND_IN

ERROR_INTERNAL_ERROR = 1359
started_again: list[str] = []


def start_again_under_wine() -> None:
    """Start a program a second time where Wine could not.

    Wine answers ERROR_INTERNAL_ERROR where the new process ended before it had spoken to the
    wineserver, which happens about once in thousands of starts and to any program; what is
    tested here has no part in it. The end of the tests tells how often it was so.
    """
    start = subprocess._winapi.CreateProcess

    def create_process(*arguments: Any) -> Any:
        try:
            return start(*arguments)
        except OSError as failed:
            if failed.winerror != ERROR_INTERNAL_ERROR:
                raise
            started_again.append(str(arguments[1]))
            return start(*arguments)

    subprocess._winapi.CreateProcess = create_process


class StandIn:
    """snapsim.dll, which the tested module uses as well."""

    def __init__(self) -> None:
        self._dll = ctypes.WinDLL("snapsim.dll")
        self._dll.snapsim_own_time.restype = ctypes.c_longlong

    def _text(self, function: str) -> list[str]:
        buffer = ctypes.create_string_buffer(1 << 20)
        getattr(self._dll, function)(buffer, len(buffer))
        return buffer.value.decode().splitlines()

    def reset(self) -> None:
        self._dll.snapsim_reset()

    def fail(self, function: str, code: int, *, skip: int = 0, times: int = 1) -> None:
        """After `skip` calls that go well, `times` calls fail; a name that is no function switches a behaviour on."""
        self._dll.snapsim_fail(function.encode(), ctypes.c_uint32(code), skip, times)

    def violations(self) -> list[str]:
        """What the caller did that Windows would not forgive."""
        return self._text("snapsim_violations")

    def calls(self) -> list[str]:
        """The calls that the documentation's sequence consists of, in order, with what was given."""
        return self._text("snapsim_calls")

    def alive(self) -> int:
        """Snapshots and walk markers that were not freed."""
        return self._dll.snapsim_alive()

    def prepare(self, handles: int, threads: int) -> None:
        """Give the next capture these many entries."""
        self._dll.snapsim_prepare(handles, threads)

    def own_time_ns(self, handles: int, threads: int) -> int:
        """How long a walk over these many entries takes the stand-in itself."""
        return self._dll.snapsim_own_time(handles, threads)


def stand_in() -> StandIn | None:
    """The stand-in, or None where the real thing is tested."""
    return StandIn() if STAND_IN else None
