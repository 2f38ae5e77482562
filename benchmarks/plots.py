# SPDX-License-Identifier: Apache-2.0
"""The plots of docs/performance.md: ratios with their spread, and the phases of a capture."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.comparisons.phases import PAUSE, PHASES
from benchmarks.stats import median
from benchmarks.tables import aim, duration, name_of, times

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "svg.fonttype": "none",  # text stays text: a tenth of the size
    "svg.hashsalt": "snapcore",  # the same results give the same file
}
PLAIN, MISSED, NOISE, AIM = "#1f5fa8", "#c2491d", "#d9d9d9", "#222222"


def draw_ratio(axes: Axes, rows: list[tuple[int, dict[str, Any], dict[str, Any] | None]]) -> None:
    """Medians, least and greatest of one ratio, a row a case."""
    for row, ratio, own in rows:
        if own:
            axes.plot(
                [own["low"], own["high"]], [row, row], color=NOISE, lw=8, solid_capstyle="butt"
            )
        missed = not ratio.get("met", True)
        color = MISSED if missed else PLAIN
        axes.plot([ratio["low"], ratio["high"]], [row, row], color=color, lw=1.5)
        axes.plot(ratio["median"], row, "o", color=color, ms=4.5, mfc="white" if missed else color)
        text = times(ratio["median"])
        axes.annotate(text, (ratio["median"], row), (0, 5), textcoords="offset points", ha="center")
        limit = ratio.get("at_most", ratio.get("at_least"))
        if limit is not None:
            axes.plot([limit, limit], [row - 0.35, row + 0.35], color=AIM, lw=1.2, ls=(0, (2, 1)))
    axes.axvline(1, color="#999999", lw=0.7, zorder=0)
    axes.set_xscale("log")
    aims = {aim(ratio) for _, ratio, _ in rows} - {""}
    note = f" (aim: {', '.join(sorted(aims))})" if aims else ""
    axes.set_title(name_of(rows[0][1]) + note, fontsize=8, loc="left")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.8) / 1.1, max(high, 1.25) * 1.1)
    low, high = axes.get_xlim()
    steps = (1, 1.2, 1.5, 2, 3, 5, 7) if high / low < 6 else (1, 2, 5) if high / low < 60 else (1,)
    ticks = [step * 10**power for power in range(-3, 5) for step in steps]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0)


def ratios_figure(comparison: dict[str, Any]) -> Figure | None:
    """One panel a ratio of the subject and a peer or a floor; orange and hollow where the aim was missed."""
    cases = comparison["cases"]
    panels: dict[str, list[tuple[int, dict[str, Any], dict[str, Any] | None]]] = {}
    for row, case in enumerate(cases):
        for ratio in case["ratios"]:
            other = {ratio["over"], ratio["under"]} - {comparison["subject"]}
            # What snapcore takes beside itself is in the table.
            if len(other) == 1 and comparison["against"][other.pop()] in ("peer", "floor"):
                panels.setdefault(name_of(ratio), []).append((row, ratio, case["noise"]))
    if not panels:
        return None
    columns = min(2, len(panels))
    lines = ceil(len(panels) / columns)
    figure, grid = plt.subplots(
        lines,
        columns,
        figsize=(9, lines * (0.6 + 0.32 * len(cases)) + 0.4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    places = [axes for line in grid for axes in line]
    for axes, rows in zip(places, panels.values(), strict=False):
        draw_ratio(axes, rows)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    places[0].set_yticks(range(len(cases)), [case["name"] for case in cases])
    places[0].set_ylim(len(cases) - 0.4, -0.7)
    figure.suptitle(
        f"{comparison['title']}: medians, least to greatest round; grey: the subject against itself",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    return figure


def phases_figure(comparison: dict[str, Any]) -> Figure:
    """Shares of the pause."""
    cases = comparison["cases"]
    figure, axes = plt.subplots(figsize=(9, 0.45 * len(cases) + 1), layout="constrained")
    colors = dict(zip(PHASES, plt.get_cmap("tab10").colors, strict=False))  # type: ignore[attr-defined]
    named: set[str] = set()
    for row, case in enumerate(cases):
        pause = median(case["samples"][PAUSE])
        left = 0.0
        for phase in PHASES:
            if phase in case["samples"]:
                share = 100 * median(case["samples"][phase]) / pause
                label = None if phase in named else phase
                named.add(phase)
                axes.barh(row, share, left=left, color=colors[phase], label=label, height=0.6)
                left += share
        axes.annotate(duration(pause), (101, row), va="center", annotation_clip=False)
    axes.set_yticks(range(len(cases)), [case["name"] for case in cases])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the pause, whose median stands at the right")
    figure.legend(loc="outside upper left", ncols=len(named), frameon=False)
    return figure


def draw(results: dict[str, Any], folder: Path, names: Collection[str] | None = None) -> None:
    """Write NAME.svg of each comparison that was run, or of those named alone."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for comparison in results["comparisons"]:
            name = comparison["name"]
            if comparison["not_run"] is not None or (names is not None and name not in names):
                continue
            make = phases_figure if name == "phases" else ratios_figure
            figure = make(comparison)
            if figure is not None:
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
                plt.close(figure)
