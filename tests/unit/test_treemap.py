# SPDX-License-Identifier: Apache-2.0
"""The map of the report: areas are as sizes, and nothing lies outside or on another."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from snapcore.html.treemap import Group, Item, Rectangle, squarify, svg

WITHIN = Rectangle(10, 20, 300, 200)


@pytest.mark.parametrize(
    "sizes", [[1], [6, 6, 4, 3, 2, 2, 1], [1 << 40, 4096, 1], [5] * 50, list(range(200, 0, -1))]
)
def test_areas_are_as_sizes(sizes):
    boxes = squarify(sizes, WITHIN)
    unit = WITHIN.width * WITHIN.height / sum(sizes)
    assert len(boxes) == len(sizes)
    for size, box in zip(sizes, boxes, strict=True):
        assert box.width * box.height == pytest.approx(size * unit, rel=1e-3, abs=1e-3)
        assert box.x >= 10 - 1e-6
        assert box.y >= 20 - 1e-6
        assert box.x + box.width <= 310 + 1e-3
        assert box.y + box.height <= 220 + 1e-3
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert wide < 1e-3 or high < 1e-3


def test_parts_are_nearly_square():
    boxes = squarify([10] * 30, WITHIN)
    assert max(max(b.width / b.height, b.height / b.width) for b in boxes) < 2


def test_nothing_to_draw():
    assert squarify([], WITHIN) == []
    assert all(b.width == 0 for b in squarify([3, 2], Rectangle(0, 0, 0, 10)))


def test_svg():
    items = (Item("<b>&name", 600, 'a "title" <i>'), Item("small", 1, "s"), Item("none", 0, "n"))
    groups = [Group("kind", "image", "all", items), Group("empty", "other", "", ())]
    text = svg(groups, 400, 300, label='with "quotes"', write_size=lambda size: f"{size} bytes")
    root = ET.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("aria-label") == 'with "quotes"'
    assert [t.text for t in root.iter(f"{space}title")] == ["all", 'a "title" <i>', "s"]
    assert "600 bytes" in [t.text for t in root.iter(f"{space}text")]
    assert len(list(root.iter(f"{space}rect"))) == 3


def test_a_size_is_written_whole_or_not_at_all():
    def texts(width: int) -> list[str | None]:
        groups = [Group("kind", "image", "all", (Item("0x7f0000000000", 1, ""),))]
        text = svg(groups, width, 300, label="", write_size=lambda _: "1023.9 MiB")
        return [t.text for t in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]

    assert texts(200) == ["kind", "0x7f0000000000", "1023.9 MiB"]
    assert texts(70) == ["kind", "0x7f000…"]
