# SPDX-License-Identifier: Apache-2.0
"""Exit codes of the command."""

from __future__ import annotations

import enum

from snapcore.cli.target import NoSuchProcess
from snapcore.errors import AccessDenied, ProcessGone

__all__ = ["ExitCode", "exit_code_of"]


class ExitCode(enum.IntEnum):
    """What the process ends with."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    ACCESS_DENIED = 3
    NO_SUCH_PROCESS = 4
    WARNINGS = 5
    INTERRUPTED = 130


def exit_code_of(error: BaseException) -> ExitCode:
    """Choose the exit code for an exception.

    Parameters
    ----------
    error : BaseException
        What ended the command.

    Returns
    -------
    ExitCode
        ``FAILURE`` where nothing fits better.
    """
    if isinstance(error, AccessDenied):
        return ExitCode.ACCESS_DENIED
    if isinstance(error, (ProcessGone, NoSuchProcess)):
        return ExitCode.NO_SUCH_PROCESS
    if isinstance(error, ValueError):
        return ExitCode.USAGE
    return ExitCode.FAILURE
