# SPDX-License-Identifier: Apache-2.0
"""``snapcore --print-completion``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from snapcore.cli.streams import flush, write

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["print_completion"]


def print_completion(parser: argparse.ArgumentParser, shell: str) -> None:
    """Print what makes a shell complete the command.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of the whole command.
    shell : str
        Its name.
    """
    try:
        # An extra, and a slow import: only where it is used.
        import shtab
    except ImportError:
        parser.exit(1, "snapcore: --print-completion needs shtab: pip install 'snapcore[cli]'\n")
    for action in _actions(parser):
        if "FILE" in str(action.metavar) or str(action.metavar).endswith(".dmp"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    write(shtab.complete(parser, shell) + "\n")
    flush()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
