# SPDX-License-Identifier: Apache-2.0
"""``snapcore --print-completion``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from snapcore.cli.streams import flush, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SHELLS", "PrintCompletion"]

SHELLS = ("bash", "zsh", "fish")


class PrintCompletion(argparse.Action):
    """Print what makes a shell complete the command, and end."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002  (argparse's own signature)
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Do it.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            Of the whole command.
        namespace : argparse.Namespace
            Not used.
        values : str
            The shell.
        option_string : str, optional
            Not used.
        """
        try:
            # An extra, and a slow import: only where it is used.
            import shtab
        except ImportError:
            parser.exit(
                1, "snapcore: --print-completion needs shtab: pip install 'snapcore[cli]'\n"
            )
        for action in _actions(parser):
            if "FILE" in str(action.metavar) or str(action.metavar).endswith(".dmp"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        write(shtab.complete(parser, values) + "\n")
        flush()
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
