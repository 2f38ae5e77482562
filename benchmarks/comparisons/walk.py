# SPDX-License-Identifier: Apache-2.0
"""The walk over handles and threads on Windows, against the same written with ctypes, under Wine."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.model import Case, Comparison, NotRun, Ratio
from benchmarks.timing import AGAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.timing import Run

ROOT = Path(__file__).resolve().parent.parent.parent
LAB = ROOT / "scripts" / "windows" / "lab.py"
SNAPCORE, CTYPES, STAND_IN = "snapcore", "ctypes", "stand-in alone"


def measure(run: Run) -> Iterator[Case]:
    """100,000 handles and 5,000 threads that the stand-in for what Wine lacks has ready beforehand."""
    if not (ROOT / "build" / "windows" / "stand_in" / "site").exists():
        text = "the Windows lab is not built: python scripts/windows/lab.py build"
        raise NotRun(text)
    program = ROOT / "benchmarks" / "programs" / "windows_walk.py"
    said = subprocess.run(
        [sys.executable, LAB, "python", "stand_in", program, str(run.rounds(9))],
        env=os.environ | {"SNAPCORE_VARIANT": "stand_in"},
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode != 0:
        text = f"the Windows lab failed: {(said.stdout + said.stderr).strip()[-500:]}"
        raise NotRun(text)
    found = json.loads(said.stdout.strip().splitlines()[-1])
    # What the stand-in takes to hand its entries over is neither's.
    own = statistics.median(found["stand-in"])
    samples = {
        name: [round((ns - own) / 1e9, 9) for ns in found[name]]
        for name in (SNAPCORE, SNAPCORE + AGAIN, CTYPES)
    }
    samples[STAND_IN] = [ns / 1e9 for ns in found["stand-in"]]
    name = f"{found['handles']:,} handles, {found['threads']:,} threads"
    yield Case(name, samples)  # type: ignore[arg-type]


COMPARISON = Comparison(
    name="windows_walk",
    title="The walk on Windows, under Wine",
    subject=SNAPCORE,
    against={CTYPES: "peer", STAND_IN: "floor"},
    ratios=(Ratio(over=CTYPES, under=SNAPCORE, at_least=20),),
    measure=measure,
)
