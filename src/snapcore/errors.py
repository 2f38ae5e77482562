# SPDX-License-Identifier: Apache-2.0
"""Exceptions. Each is the built-in one that fits as well, so that callers need not know this module."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccessDenied",
    "DumpFormatError",
    "ProcessGone",
    "SnapError",
    "TimedOut",
    "Unsupported",
]


class SnapError(OSError):
    """A function of the operating system failed.

    Parameters
    ----------
    message : str
        What failed, and what to do about it.
    call : str
        The operating system's name of the function, or an empty string.
    domain : str
        Number space of `code`: ``"errno"``, ``"win32"``, ``"hresult"``, ``"ntstatus"`` or ``""``.
    code : int
        The function's own error number, 0 where there is none.
    pid : int
        The process that it was about, 0 where there is none.

    Attributes
    ----------
    call, domain, code, pid
        As given.
    errno, winerror : int or None
        ``code``, where the domain is ``"errno"`` or ``"win32"``; `winerror` is the Win32 error inside,
        where it is ``"hresult"``.
    """

    def __init__(
        self, message: str, *, call: str = "", domain: str = "", code: int = 0, pid: int = 0
    ) -> None:
        super().__init__(message)
        self.message = message
        self.call = call
        self.domain = domain
        self.code = code
        self.pid = pid
        # OSError would choose a class of its own by the number if it were given it as an argument.
        if domain == "errno" and code:
            self.errno: int | None = code
        # An HRESULT of the Win32 facility has the Win32 error in it.
        inside = code & 0xFFFF if domain == "hresult" and code >> 16 == 0x8007 else 0
        self.winerror: int | None = (code if domain == "win32" else inside) or None

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        details = {"call": self.call, "domain": self.domain, "code": self.code, "pid": self.pid}
        return (_restore, (type(self), self.message, details))


class AccessDenied(SnapError, PermissionError):
    """The operating system refuses; the text names the test that failed and what to do."""


class ProcessGone(SnapError, ProcessLookupError):
    """There is no such process, or it ended."""


class TimedOut(SnapError, TimeoutError):
    """``timeout`` or ``max_pause`` passed; the target runs and nothing was written."""


class Unsupported(SnapError):
    """This system, or this target, cannot do it; the text says what can be done instead."""


class DumpFormatError(ValueError):
    """A file is no minidump, or a broken one."""


_KINDS: dict[str, type[SnapError]] = {
    "access_denied": AccessDenied,
    "process_gone": ProcessGone,
    "timed_out": TimedOut,
    "unsupported": Unsupported,
}


def _restore(kind: type[SnapError], message: str, details: dict[str, Any]) -> SnapError:
    return kind(message, **details)


def from_native(
    kind: str, domain: str, code: int, call: str, detail: str, pid: int, message: str
) -> Exception:
    """Build the exception for an error of the native core, which calls this."""
    if kind == "format":
        return DumpFormatError(detail or message)
    return _KINDS.get(kind, SnapError)(message, call=call, domain=domain, code=code, pid=pid)
