# SPDX-License-Identifier: Apache-2.0
"""The fuzz targets run for a minute and find nothing."""

from __future__ import annotations

import re
import subprocess

import pytest
from fuzz_input import ROOT, families


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "fuzz", *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
def test_a_minute_of_fuzzing_finds_nothing():
    run = fuzz("60")
    assert run.returncode == 0, run.stdout + run.stderr
    executed = dict(re.findall(r"^(\w+): (\d+) inputs, coverage \d+$", run.stdout, re.MULTILINE))
    assert executed.keys() == {"file", "packed", *families()}
    assert min(map(int, executed.values())) > 100


def test_a_target_that_is_not_there_is_named():
    run = fuzz("1", "nothing")
    assert run.returncode == 2
    assert "no such target: nothing" in run.stderr
