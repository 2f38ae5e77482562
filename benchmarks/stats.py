# SPDX-License-Identifier: Apache-2.0
"""Ratios of paired rounds, their spread, and what of them is noise."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.timing import AGAIN

if TYPE_CHECKING:
    from benchmarks.model import Case, Comparison, Ratio
    from benchmarks.timing import Samples


def median(values: list[float | None]) -> float:
    """Of the rounds in which there was a turn."""
    return statistics.median([v for v in values if v is not None])


def spread(over: list[float | None], under: list[float | None]) -> dict[str, Any] | None:
    """Median, least and greatest of the ratios of the rounds in which both had their turn."""
    pairs = [a / b for a, b in zip(over, under, strict=True) if a is not None and b]
    if not pairs:
        return None
    return {
        "median": round(statistics.median(pairs), 4),
        "low": round(min(pairs), 4),
        "high": round(max(pairs), 4),
        "rounds": len(pairs),
    }


def noise(samples: Samples, subject: str) -> dict[str, Any] | None:
    """The subject against itself."""
    if subject + AGAIN not in samples:
        return None
    return spread(samples[subject + AGAIN], samples[subject])


def judge(ratio: Ratio, case: Case, own: dict[str, Any] | None) -> dict[str, Any] | None:
    """A ratio as the results hold it.

    ``noise`` is set where the two cannot be told apart: the rounds say now more, now less than 1, or the
    subject against itself (``own``, None where it says nothing of this ratio) differs as much. ``met`` is whether the median keeps the aim; ``close`` that
    some rounds say the opposite.
    """
    found = spread(case.samples[ratio.over], case.samples[ratio.under])
    if found is None:
        return None
    middle, low, high = found["median"], found["low"], found["high"]
    indistinct = low <= 1 <= high or (own is not None and own["low"] <= middle <= own["high"])
    out = {"over": ratio.over, "under": ratio.under, **found, "noise": indistinct}
    if ratio.at_most is not None:
        return out | {
            "at_most": ratio.at_most,
            "met": middle <= ratio.at_most,
            "close": low <= ratio.at_most < high,
        }
    if ratio.at_least is not None:
        return out | {
            "at_least": ratio.at_least,
            "met": middle >= ratio.at_least,
            "close": low < ratio.at_least <= high,
        }
    return out


def kinds(comparison: Comparison, ratio: Ratio) -> set[str]:
    """What the two series are, beside the subject."""
    return {comparison.against.get(series, "subject") for series in (ratio.over, ratio.under)}


def summarise(comparison: Comparison, case: Case) -> dict[str, Any]:
    """A case as the results hold it."""
    own = noise(case.samples, comparison.subject)
    asked: dict[str, Ratio] = {}
    for ratio in comparison.ratios:
        if ratio.applies(case):
            asked.setdefault(ratio.name, ratio)
    # Parts of one call share what disturbs it.
    ratios = [
        judge(ratio, case, None if "part" in kinds(comparison, ratio) else own)
        for ratio in asked.values()
    ]
    return {
        "name": case.name,
        "samples": case.samples,
        "sizes": case.sizes,
        "noise": own,
        "ratios": [ratio for ratio in ratios if ratio is not None],
    }
