# SPDX-License-Identifier: Apache-2.0
"""What it costs to import the package and to ask the command for help."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.targets import PROGRAMS
from benchmarks.timing import take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.timing import Run

SNAPCORE, PYTHON = "snapcore", "bare Python"
NUMPY, ARGPARSE = "import numpy", "argparse, 12 commands"


def python(*arguments: object) -> Callable[[], None]:
    """A new interpreter, from its start to its end."""
    return lambda: peers.quiet(sys.executable, *arguments)


def measure(run: Run) -> Iterator[Case]:
    """From the start of an interpreter to its end."""
    bare = python("-c", "pass")
    calls = {
        SNAPCORE: python("-c", "import snapcore"),
        PYTHON: bare,
        NUMPY: python("-c", "import numpy"),
    }
    yield Case("import snapcore", take_turns(calls, run.rounds(25, 3), again=SNAPCORE))
    calls = {
        SNAPCORE: python("-m", "snapcore", "--help"),
        PYTHON: bare,
        ARGPARSE: python(PROGRAMS / "twelve_commands.py", "--help"),
    }
    yield Case("snapcore --help", take_turns(calls, run.rounds(25, 3), again=SNAPCORE))


COMPARISON = Comparison(
    name="start_up",
    title="Start-up",
    subject=SNAPCORE,
    against={PYTHON: "floor", NUMPY: "peer", ARGPARSE: "floor"},
    ratios=(
        Ratio(over=SNAPCORE, under=PYTHON, at_most=2),
        Ratio(over=NUMPY, under=SNAPCORE),
        Ratio(over=SNAPCORE, under=ARGPARSE, at_most=1.25),
    ),
    measure=measure,
)
