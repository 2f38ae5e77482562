# SPDX-License-Identifier: Apache-2.0
"""The package's log: what went less than perfectly, each once, and at DEBUG what was done."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snapcore.snapshot import Diagnostic

__all__ = ["Teller", "logger_of", "tell"]

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING}

# A library says nothing unless it is asked to.
logging.getLogger("snapcore").addHandler(logging.NullHandler())


def logger_of(call: str) -> logging.Logger:
    """The logger of one of the package's functions, below ``snapcore``."""
    return logging.getLogger(f"snapcore.{call}")


def tell(
    logger: logging.Logger, about: str, diagnostics: Sequence[Diagnostic], pid: int | None = None
) -> None:
    """Log diagnostics at the level of their severity."""
    for diagnostic in diagnostics:
        level = _LEVELS[diagnostic.severity]
        if not logger.isEnabledFor(level):
            continue
        number = diagnostic.error if diagnostic.domain == "errno" else None
        logger.log(
            level,
            "%s: %s: %s",
            about,
            diagnostic.code,
            diagnostic.message,
            extra={
                "code": diagnostic.code,
                "severity": diagnostic.severity,
                "subject": diagnostic.subject,
                "call": diagnostic.call,
                "domain": diagnostic.domain,
                "error": diagnostic.error,
                "errno": number,
                "pid": pid,
            },
        )


class Teller:
    """Logs a list that grows, each of it once."""

    def __init__(self, call: str, about: str, pid: int | None = None) -> None:
        self._logger = logger_of(call)
        self._about = about
        self._pid = pid
        self._told = 0
        self._lock = threading.Lock()

    def tell(self, diagnostics: Sequence[Diagnostic]) -> None:
        with self._lock:
            new = diagnostics[self._told :]
            self._told += len(new)
        if new:
            tell(self._logger, self._about, new, self._pid)
