# SPDX-License-Identifier: Apache-2.0
"""Exit codes of the command."""

from __future__ import annotations

import enum

from snapcore.errors import AccessDenied, DumpFormatError, ProcessGone

__all__ = ["CommandError", "ExitCode", "NoSuchProcess", "exit_code_of"]


class ExitCode(enum.IntEnum):
    """What the process ends with."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    ACCESS_DENIED = 3
    NO_SUCH_PROCESS = 4
    WARNINGS = 5
    INTERRUPTED = 130
    #: Who read the output has gone: as a process that SIGPIPE ended.
    PIPE_CLOSED = 141


class CommandError(Exception):
    """The command cannot go on; the text is for people, and the exit code is ``FAILURE``."""


class NoSuchProcess(LookupError):
    """No process has the name that was given."""


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
    # A broken file is a ValueError, but not the fault of who typed the command.
    if isinstance(error, ValueError) and not isinstance(error, DumpFormatError):
        return ExitCode.USAGE
    return ExitCode.FAILURE
