# SPDX-License-Identifier: Apache-2.0
"""Results as rows of text: for the terminal, and for docs/performance.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.stats import median

if TYPE_CHECKING:
    from collections.abc import Sequence


def duration(seconds: float) -> str:
    """Three digits at the most."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        value = seconds * factor
        if value >= 1 or unit == "us":
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    raise AssertionError


def times(value: float) -> str:
    """A ratio."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def interval(spread: dict[str, Any]) -> str:
    """Least and greatest."""
    return f"{times(spread['low'])}..{times(spread['high'])}"


def aim(ratio: dict[str, Any]) -> str:
    """What was wanted."""
    if "at_most" in ratio:
        return f"at most {ratio['at_most']:g}"
    return f"at least {ratio['at_least']:g}" if "at_least" in ratio else ""


def verdict(ratio: dict[str, Any]) -> str:
    """Whether the aim was met, and whether there is a difference at all."""
    words = []
    if "met" in ratio:
        words.append("met" if ratio["met"] else "missed")
        if ratio["close"]:
            words.append("not in every round")
    if ratio["noise"]:
        words.append("no difference beyond noise")
    return ", ".join(words)


def name_of(ratio: dict[str, Any]) -> str:
    """Of a ratio."""
    return f"{ratio['over']} / {ratio['under']}"


def series_of(comparison: dict[str, Any]) -> list[str]:
    """Those that are shown as times, the subject first."""
    return [comparison["subject"], *comparison["against"]]


def taken(case: dict[str, Any], series: str) -> str:
    """Median time of a series, and the size of what it wrote."""
    if series not in case["samples"]:
        return ""
    text = duration(median(case["samples"][series]))
    if series in case["sizes"]:
        text += f", {case['sizes'][series] / 2**20:,.0f} MiB"
    return text


def markdown(head: Sequence[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table; columns that are empty everywhere are left out."""
    kept = [at for at in range(len(head)) if at == 0 or any(row[at] for row in rows)]
    lines = [[head[at] for at in kept], ["---"] * len(kept)]
    lines += [[row[at] for at in kept] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def time_table(comparison: dict[str, Any]) -> list[str]:
    """Medians of every series."""
    series = series_of(comparison)
    rows = [[case["name"], *(taken(case, name) for name in series)] for case in comparison["cases"]]
    return markdown(["", *series], rows)


def ratio_table(comparison: dict[str, Any]) -> list[str]:
    """One row a ratio of a case."""
    rows = []
    for case in comparison["cases"]:
        own = case["noise"]
        for number, ratio in enumerate(case["ratios"]):
            rows.append(
                [
                    "" if number else case["name"],
                    name_of(ratio),
                    times(ratio["median"]),
                    interval(ratio),
                    interval(own) if own and not number else "",
                    aim(ratio),
                    verdict(ratio),
                ]
            )
    return markdown(["", "ratio", "median", "rounds", "subject / itself", "aim", "verdict"], rows)


def comparison_page(comparison: dict[str, Any]) -> list[str]:
    """Both tables."""
    if comparison["not_run"] is not None:
        return [f"Not run: {comparison['not_run']}."]
    return [*time_table(comparison), "", *ratio_table(comparison)]


def aims_page(results: dict[str, Any]) -> list[str]:
    """Every aim of all comparisons."""
    rows = []
    for comparison in results["comparisons"]:
        found = [
            (case["name"], ratio)
            for case in comparison["cases"]
            for ratio in case["ratios"]
            if "met" in ratio
        ]
        for name in dict.fromkeys((name_of(ratio), aim(ratio)) for _, ratio in found):
            ratios = [(case, r) for case, r in found if (name_of(r), aim(r)) == name]
            missed = [case for case, ratio in ratios if not ratio["met"]]
            values = [ratio["median"] for _, ratio in ratios]
            span = times(min(values))
            if len(values) > 1:
                span += f" to {times(max(values))}"
            met = f"{len(ratios) - len(missed)} of {len(ratios)}"
            rows.append([comparison["title"], *name, span, met, "; ".join(missed)])
    return markdown(["", "ratio", "aim", "medians", "cases that met it", "missed in"], rows)


def machine_page(results: dict[str, Any]) -> list[str]:
    """What it was measured on."""
    machine, peers = results["machine"], results["peers"]
    loads = [c["load_before"] for c in results["comparisons"] if c["not_run"] is None]
    begun = min(c["started_at"] for c in results["comparisons"])[:10]
    disk = machine["file_system"]
    return [
        f"{begun}, snapcore {results['snapcore']}, {machine['system']}, Python {machine['python']}, a machine with",
        f"{machine['processors']} processors and {machine['memory_gib']} GiB, {disk}, load {min(loads):.1f} to {max(loads):.1f} as comparisons began;",
        ", ".join(f"{name} {version}" for name, version in peers.items()) + ".",
    ]


def terminal(case: dict[str, Any], comparison_series: Sequence[str]) -> str:
    """A case, as it is printed while the run goes on."""
    lines = [f"  {case['name']}"]
    took = [f"{name} {taken(case, name)}" for name in comparison_series if taken(case, name)]
    lines.append("    " + "; ".join(took))
    if case["noise"]:
        lines.append(f"    {'the same against itself':34} {'':7} {interval(case['noise'])}")
    for ratio in case["ratios"]:
        said = "; ".join(filter(None, (aim(ratio), verdict(ratio))))
        lines.append(
            f"    {name_of(ratio):34} {times(ratio['median']):>7} {interval(ratio):16} {said}".rstrip()
        )
    return "\n".join(lines)
