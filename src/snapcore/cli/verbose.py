# SPDX-License-Identifier: Apache-2.0
"""``-v``: the package's log on stderr."""

from __future__ import annotations

import logging
import sys

from snapcore.display.text import printable

__all__ = ["log_to_stderr"]


class _Lines(logging.Formatter):
    """As the command says all else: one line, nothing in it that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record.

        Parameters
        ----------
        record : logging.LogRecord
            Of the package.

        Returns
        -------
        str
            The line.
        """
        return f"snapcore: {record.levelname.lower()}: {printable(record.getMessage())}"


def _is_not_said_anyway(record: logging.LogRecord) -> bool:
    return record.levelno < logging.WARNING


def log_to_stderr(verbosity: int) -> None:
    """Show what is logged.

    Parameters
    ----------
    verbosity : int
        1 for INFO, more for DEBUG. Warnings are left to the command, which says them without it.
    """
    log = logging.getLogger("snapcore")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    handler.addFilter(_is_not_said_anyway)
    log.addHandler(handler)
    log.setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)
