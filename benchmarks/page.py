# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/performance.md, each between two markers, are those of docs/performance.json."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, RESULTS, IMAGES = DOCS / "performance.md", DOCS / "performance.json", DOCS / "images"
MARKED = re.compile(r"(<!-- benchmarks: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHOWN = re.compile(r"\]\(images/(\w+)\.svg\)")


def parts(results: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """What can stand between markers, by name."""
    yield "machine", tables.machine_page(results)
    yield "aims", tables.aims_page(results)
    for comparison in results["comparisons"]:
        yield comparison["name"], tables.comparison_page(comparison)


def render(page: str, results: dict[str, Any]) -> str:
    """Give the page with its tables as they follow from the results.

    Raises
    ------
    KeyError
        If the page has a marker of which the results know nothing.
    """
    found = dict(parts(results))

    def filled(match: re.Match[str]) -> str:
        return match[1] + "\n" + "\n".join(found[match[2]]) + "\n\n" + match[3]

    return MARKED.sub(filled, page)


def write(results: dict[str, Any]) -> None:
    """Renew the page, and the plots that it shows."""
    from benchmarks import plots

    page = render(PAGE.read_text(encoding="utf-8"), results)
    PAGE.write_text(page, encoding="utf-8")
    plots.draw(results, IMAGES, SHOWN.findall(page))
