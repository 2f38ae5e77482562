# SPDX-License-Identifier: Apache-2.0
"""Compare snapcore with other tools, and with what the system itself takes, side by side.

What is compared has its turn in every round, so that what disturbs the machine disturbs all. A ratio is the median of the
rounds' ratios, with the least and the greatest; snapcore's own call has two turns a round, and what these differ by is
noise. The whole takes a quarter of an hour and 12 GiB of memory. A missed aim is no failure: the exit code is 0.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import page, results, stats, tables
from benchmarks.model import Case
from benchmarks.registry import COMPARISONS
from benchmarks.timing import Run

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET = 0.7


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    out = argparse.ArgumentParser(prog="python benchmarks", description=__doc__)
    out.add_argument("--list", action="store_true", help="name the comparisons, with their aims")
    out.add_argument(
        "--only", nargs="+", choices=COMPARISONS, metavar="NAME", help="these comparisons alone"
    )
    out.add_argument(
        "--quick",
        action="store_true",
        help="small targets, few rounds: whether all works, no figures",
    )
    out.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    out.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="draw NAME.svg of each comparison"
    )
    out.add_argument(
        "--folder", type=Path, help="on the disk that is measured (default: the temporary folder)"
    )
    docs = out.add_mutually_exclusive_group()
    docs.add_argument(
        "--record",
        action="store_true",
        help="renew docs/performance.json with what is measured, and the tables and plots of the page",
    )
    docs.add_argument(
        "--page",
        action="store_true",
        help="ratios, tables and plots anew from the times in docs/performance.json",
    )
    return out


def list_all() -> None:
    """Print what there is."""
    for comparison in COMPARISONS.values():
        print(f"{comparison.name:14} {comparison.title}")
        others = ", ".join(f"{name} ({kind})" for name, kind in comparison.against.items())
        print(f"{'':14}   {comparison.subject} beside {others}")
        for ratio in comparison.ratios:
            limits = {"at_most": ratio.at_most, "at_least": ratio.at_least}
            wanted = tables.aim({k: v for k, v in limits.items() if v is not None})
            if wanted:
                where = "" if ratio.cases == "*" else f" in {ratio.cases}"
                print(f"{'':14}   aim: {ratio.name} {wanted}{where}")


def run_all(names: list[str], run: Run, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measure and print; what there is after each comparison is kept."""
    out = results.start(run)
    machine = out["machine"]
    print(
        f"snapcore {out['snapcore']}, {machine['system']}, {machine['processors']} processors, "
        f"{machine['memory_gib']} GiB, {machine['file_system']}; "
        + ", ".join(f"{name} {version}" for name, version in out["peers"].items())
    )
    load = os.getloadavg()[0]
    if load > QUIET:
        print(f"the machine is busy (load {load:.1f}): ratios will spread")
    for name in names:
        comparison = COMPARISONS[name]
        series = [comparison.subject, *comparison.against]
        print(f"\n{name}: {comparison.title}", flush=True)
        found = results.compare(
            comparison, run, lambda case, s=series: print(tables.terminal(case, s), flush=True)
        )
        if found["not_run"] is not None:
            print(f"  not run: {found['not_run']}")
        out["comparisons"].append(found)
        keep(out)
    rows = tables.aims_page(out)
    if len(rows) > 2:
        print("\nAims\n\n" + "\n".join(rows))
    return out


def merged(new: dict[str, Any]) -> dict[str, Any]:
    """The recorded results with those of this run in their places."""
    if not page.RESULTS.exists():
        return new
    old = results.load(page.RESULTS)
    found = {c["name"]: c for c in [*old["comparisons"], *new["comparisons"]]}
    return new | {"comparisons": [found[name] for name in COMPARISONS if name in found]}


def summarised_anew(found: dict[str, Any]) -> dict[str, Any]:
    """The recorded times with ratios and aims as the comparisons declare them now."""
    for recorded in found["comparisons"]:
        comparison = COMPARISONS[recorded["name"]]
        recorded["cases"] = [
            stats.summarise(comparison, Case(case["name"], case["samples"], case["sizes"]))
            for case in recorded["cases"]
        ]
    return found


def main() -> int:
    """Run what the command line asks for."""
    options = parser().parse_args()
    if options.list:
        list_all()
        return 0
    if options.record and options.quick:
        parser().error("a quick run gives no figures to record")

    def keep(found: dict[str, Any]) -> None:
        results.check(found)
        if options.json:
            results.save(found, options.json)
        if options.record:
            results.save(merged(found), page.RESULTS)

    if options.page:
        out = summarised_anew(results.load(page.RESULTS))
        results.save(out, page.RESULTS)
    else:
        names = options.only or list(COMPARISONS)
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="snapcore-") as name:
            out = run_all(names, Run(options.quick, Path(name)), keep)
    if options.record or options.page:
        page.write(results.load(page.RESULTS))
    if options.plots:
        from benchmarks import plots

        plots.draw(out, options.plots)
    return 0
