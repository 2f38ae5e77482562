# SPDX-License-Identifier: Apache-2.0
"""The results of a run: how they are made, checked and kept."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import snapcore
from benchmarks.model import NotRun
from benchmarks.peers import versions
from benchmarks.stats import summarise

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.model import Comparison
    from benchmarks.timing import Run

SCHEMA = Path(__file__).resolve().parent / "schema.json"


def start(run: Run) -> dict[str, Any]:
    """Results without a comparison."""
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "schema": 1,
        "snapcore": snapcore.__version__,
        "quick": run.quick,
        "machine": {
            "system": f"{platform.system()} {platform.release().partition('-')[0]}",
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * page / 2**30),
            "file_system": run.file_system(),
        },
        "peers": versions(),
        "comparisons": [],
    }


def compare(
    comparison: Comparison, run: Run, show: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run one comparison; cases are shown when they have been measured."""
    load, begun = os.getloadavg()[0], time.monotonic()
    cases = []
    reason = None
    try:
        missing = [program for program in comparison.needs if shutil.which(program) is None]
        if missing:
            text = f"not installed: {', '.join(missing)}"
            raise NotRun(text)
        for case in comparison.measure(run):
            cases.append(summarise(comparison, case))
            show(cases[-1])
    except NotRun as error:
        reason = str(error)
    return {
        "name": comparison.name,
        "title": comparison.title,
        "subject": comparison.subject,
        "against": dict(comparison.against),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": round(load, 2),
        "seconds": round(time.monotonic() - begun, 1),
        "not_run": reason,
        "cases": cases,
    }


def check(results: dict[str, Any]) -> None:
    """Raise jsonschema's error where results are not as the schema says."""
    import jsonschema

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(results, schema, cls=jsonschema.Draft202012Validator)


def text_of(results: dict[str, Any]) -> str:
    """As JSON; a list of numbers is one line."""
    lines = json.dumps(results, indent=1, ensure_ascii=False).splitlines()
    out: list[str] = []
    joining = False
    for line in lines:
        word = line.strip()
        if joining:
            out[-1] += word if word[0] == "]" or out[-1][-1] == "[" else f" {word}"
            joining = word not in ("]", "],")
            continue
        out.append(line)
        joining = word.endswith(": [") and not word.startswith(
            ('"cases"', '"comparisons"', '"ratios"')
        )
    return "\n".join(out) + "\n"


def save(results: dict[str, Any], path: Path) -> None:
    """Check and write."""
    check(results)
    path.write_text(text_of(results), encoding="utf-8")


def load(path: Path) -> dict[str, Any]:
    """Read and check."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    check(results)
    return results
