# SPDX-License-Identifier: Apache-2.0
"""Sizes as areas: a squarified treemap of two levels, as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Group", "Item", "Rectangle", "squarify", "svg"]

_HEAD = 18.0  # height of a group's heading
_GAP = 2.0
_CHARACTER = 6.6  # of the font of the style sheet, on the wide side
_BOLD = 7.4
_LINE = 13.0


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Where something is drawn."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Item:
    """One area.

    Parameters
    ----------
    name : str
        Short, drawn where it fits.
    size : int
        What the area stands for.
    title : str
        The whole of it, shown when it is pointed at.
    """

    name: str
    size: int
    title: str


@dataclass(frozen=True, slots=True)
class Group:
    """Areas of one colour, with a heading.

    Parameters
    ----------
    name : str
        Heading.
    css : str
        Class of the group, which has the colour.
    title : str
        The whole of it, shown when the heading is pointed at.
    items : tuple of Item
        The greatest first.
    """

    name: str
    css: str
    title: str
    items: tuple[Item, ...]

    @property
    def size(self) -> int:
        """Of all its areas."""
        return sum(item.size for item in self.items)


def _worst(row: Sequence[float], side: float) -> float:
    """Greatest ratio of sides in a row of areas along a side."""
    total = sum(row)
    thickness = total / side
    return max(max(thickness * thickness / a, a / (thickness * thickness)) for a in row)


def squarify(sizes: Sequence[float], within: Rectangle) -> list[Rectangle]:
    """Divide a rectangle so that the parts are nearly square.

    Parameters
    ----------
    sizes : sequence of float
        Positive, the greatest first.
    within : Rectangle
        What is divided.

    Returns
    -------
    list of Rectangle
        One for each size; their areas are as the sizes.

    Notes
    -----
    Bruls, Huizing, van Wijk: Squarified Treemaps (2000).
    """
    total = float(sum(sizes))
    if total <= 0 or within.width <= 0 or within.height <= 0:
        return [Rectangle(within.x, within.y, 0.0, 0.0) for _ in sizes]
    scale = within.width * within.height / total
    areas = [max(size * scale, 1e-9) for size in sizes]
    out: list[Rectangle] = []
    x, y, width, height = within.x, within.y, within.width, within.height
    at = 0
    while at < len(areas):
        side = max(min(width, height), 1e-6)
        end = at + 1
        worst = _worst(areas[at:end], side)
        while end < len(areas):
            longer = _worst(areas[at : end + 1], side)
            if longer > worst:
                break
            worst, end = longer, end + 1
        row = areas[at:end]
        thickness = sum(row) / side
        along = 0.0
        for area in row:
            length = area / thickness
            if width >= height:
                out.append(Rectangle(x, y + along, thickness, length))
            else:
                out.append(Rectangle(x + along, y, length, thickness))
            along += length
        if width >= height:
            x, width = x + thickness, max(width - thickness, 0.0)
        else:
            y, height = y + thickness, max(height - thickness, 0.0)
        at = end
    return out


def _fitting(text: str, width: float, character: float) -> str:
    room = int((width - 8) / character)
    if room < 3:
        return ""
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _rectangle(box: Rectangle) -> str:
    width, height = max(box.width - _GAP, 0.3), max(box.height - _GAP, 0.3)
    return f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _text(box: Rectangle, line: int, text: str, css: str = "") -> str:
    fitting = _fitting(text, box.width, _BOLD if css == "heading" else _CHARACTER)
    # Half a size is another size.
    if not fitting or (css == "size" and fitting != text) or box.height < _LINE * line + 6:
        return ""
    kind = f' class="{css}"' if css else ""
    y = box.y + _LINE * line
    return f'<text x="{box.x + 4:.1f}" y="{y:.1f}"{kind}>{escape(fitting)}</text>'


def svg(
    groups: Sequence[Group],
    width: int,
    height: int,
    *,
    label: str,
    write_size: Callable[[int], str],
) -> str:
    """Draw groups of areas.

    Parameters
    ----------
    groups : sequence of Group
        The greatest first.
    width, height : int
        Of the picture.
    label : str
        What it shows, for those who do not see it.
    write_size : callable
        How a size is written.

    Returns
    -------
    str
        An SVG element; its colours are left to the page.
    """
    groups = [group for group in groups if group.size > 0]
    out = [
        (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
            'xmlns="http://www.w3.org/2000/svg">'
        )
    ]
    boxes = squarify([g.size for g in groups], Rectangle(0, 0, float(width), float(height)))
    for group, box in zip(groups, boxes, strict=True):
        out.append(f'<g class="kind {escape(group.css)}"><g class="head">')
        out.append(f"<title>{escape(group.title)}</title>{_rectangle(box)}")
        headed = box.height > 3 * _HEAD and box.width > 40
        if headed:
            out.append(_text(box, 1, group.name, "heading"))
        out.append("</g>")
        inner = (
            Rectangle(box.x + 2, box.y + _HEAD, box.width - 4, box.height - _HEAD - 2)
            if headed
            else box
        )
        items = [item for item in group.items if item.size > 0]
        for item, place in zip(items, squarify([i.size for i in items], inner), strict=True):
            out.append(f"<g><title>{escape(item.title)}</title>{_rectangle(place)}")
            out.append(_text(place, 1, item.name))
            out.append(_text(place, 2, write_size(item.size), "size"))
            out.append("</g>")
        out.append("</g>")
    out.append("</svg>")
    return "".join(out)
