# SPDX-License-Identifier: Apache-2.0
"""How much of a test that can be repeated without end is run, and where its figures go.

SNAPCORE_LONG: unset, the short form that runs with the tests; 1, the long form of the nox sessions; a fraction of 1, so
much of the long form. SNAPCORE_FIGURES: a file that gets a line of JSON for each figure.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

LONG = float(os.environ.get("SNAPCORE_LONG") or 0)


def count(short: int, long: int) -> int:
    """How often something is done in this run."""
    return max(short, round(long * LONG)) if LONG else short


def record(figure: str, **values: Any) -> None:
    """Keep what was measured or counted."""
    path = os.environ.get("SNAPCORE_FIGURES")
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps({"figure": figure, **values}) + "\n")


def percentiles(nanoseconds: list[int]) -> dict[str, float]:
    """Of pauses, in milliseconds."""
    ordered = sorted(nanoseconds)

    def at(percent: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] / 1e6, 2)

    return {"p50": at(50), "p90": at(90), "p99": at(99), "most": at(100)}
