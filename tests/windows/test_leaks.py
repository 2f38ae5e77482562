# SPDX-License-Identifier: Apache-2.0
"""A hundred snapshots leave no handle, marker, clone or memory."""

from __future__ import annotations

import os

import pytest

import snapcore
from snapcore import _core

SNAPSHOTS = 100


def own_handles() -> int:
    table = snapcore.system_handles()
    return int((table["pid"] == os.getpid()).sum())


def clones() -> int:
    """A clone has the name of its target; the stand-in's has one of its own."""
    names = [name for _, name, _ in _core.list_processes()]
    return names.count(b"snapclone.exe") + names.count(b"facts_target.exe") - 1


@pytest.mark.slow
def test_a_hundred_snapshots(facts, tmp_path, sim):
    def one(number):
        with snapcore.capture(facts.pid) as snap:
            if number % 10 == 0:
                snap.dump(tmp_path / "a.dmp", overwrite=True)
            snap.modules()

    one(0)
    before = own_handles()
    for number in range(SNAPSHOTS):
        one(number)
    assert own_handles() <= before + 2
    assert clones() == 0
    if sim:
        assert sim.alive() == 0
