# SPDX-License-Identifier: Apache-2.0
"""The measure of growth, on counts made for it."""

from __future__ import annotations

import numpy as np
import pytest

import snapcore
from snapcore.growth import Growth, _growth


def growth_of(*counts: int, interval: float = 2.0) -> Growth:
    samples = [{("type_name", "File"): count} for count in counts]
    (found,) = _growth(np.arange(len(counts)) * interval, samples)
    return found


def test_a_straight_line():
    found = growth_of(10, 16, 22, 28)
    assert (found.per_second, found.not_fallen, found.grows) == (3.0, 1.0, True)
    assert (found.first, found.last, found.value) == (10, 28, "File")


@pytest.mark.parametrize(
    ("counts", "slope", "not_fallen", "grows"),
    [
        ((5, 5, 5, 5, 5), 0.0, 1.0, False),
        # A peak that comes and goes.
        ((5, 5, 500, 5, 5, 5), 0.0, 0.8, False),
        # One sample that is out of line does not move the slope.
        ((0, 2, 4, 900, 8, 10, 12), 1.0, 5 / 6, True),
        ((12, 10, 8, 6), -1.0, 0.0, False),
        # A pool that breathes.
        ((5, 9, 5, 9, 5, 9), 0.4, 0.6, False),
    ],
)
def test_robust(counts, slope, not_fallen, grows):
    found = growth_of(*counts)
    assert found.per_second == pytest.approx(slope, abs=0.45 if slope == 0.4 else 1e-9)
    assert found.not_fallen == pytest.approx(not_fallen)
    assert found.grows == grows


def test_one_sample_says_nothing():
    found = growth_of(7)
    assert (found.per_second, found.not_fallen, found.grows) == (0.0, 1.0, False)


def test_order():
    samples = [
        {
            ("type_name", "slow"): n,
            ("type_name", "fast"): 5 * n,
            ("folder", "fast"): 5 * n,
            ("type_name", "falls"): 100 - n,
            ("type_name", "breathes"): 50 * n - 100 * (n % 2),
        }
        for n in range(8)
    ]
    found = _growth(np.arange(8.0), samples)
    assert [(g.group, g.value) for g in found] == [
        ("type_name", "fast"),
        ("folder", "fast"),
        ("type_name", "slow"),
        ("type_name", "breathes"),
        ("type_name", "falls"),
    ]


def test_what_appears_later_counts_from_nothing():
    found = _growth(np.arange(3.0), [{}, {("type_name", "Pipe"): 2}, {("type_name", "Pipe"): 4}])
    assert found[0].counts == (0, 2, 4)


def test_sparkline():
    found = growth_of(*range(8))
    assert found.sparkline() == "▁▂▃▄▅▆▇█"
    assert found.sparkline(ascii_only=True) == "_.:-=+*#"
    assert found.sparkline(2) == "▁█"
    assert growth_of(3, 3, 3).sparkline() == "▁▁▁"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"interval": 0.0}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"count": 1}, "count"),
    ],
)
def test_bad_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        snapcore.leaks(1, **options)
