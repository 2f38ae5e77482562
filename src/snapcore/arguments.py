# SPDX-License-Identifier: Apache-2.0
"""What several functions check of their arguments, and what the environment says."""

from __future__ import annotations

import math
import os
from typing import Any

_PLACEMENTS = ("auto", "helper", "thread")
_NS = 1_000_000_000


def whole_number(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        message = f"{name} must be an integer, not {type(value).__name__}"
        raise TypeError(message)
    number = int(value.__index__())
    if not low <= number <= high:
        message = f"{name} must be between {low} and {high}, not {number}"
        raise ValueError(message)
    return number


def process_id(pid: int) -> int:
    return whole_number(pid, "pid", 1, 2**31 - 1)


def nanoseconds(seconds: float, name: str) -> int:
    if math.isnan(seconds) or seconds <= 0:
        message = f"{name} must be a positive number of seconds, not {seconds!r}"
        raise ValueError(message)
    return int(min(seconds, 1e9) * _NS)


def tracer_placement() -> int:
    """Where the tracer of Linux runs."""
    chosen = os.environ.get("SNAPCORE_TRACER", "auto")
    if chosen not in _PLACEMENTS:
        message = f"SNAPCORE_TRACER must be one of {', '.join(_PLACEMENTS)}, not {chosen!r}"
        raise ValueError(message)
    return _PLACEMENTS.index(chosen)
