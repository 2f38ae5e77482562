# SPDX-License-Identifier: Apache-2.0
"""A hundred snapshots leave no handle, marker, clone or memory."""

from __future__ import annotations

import os

import pytest

import snapcore
from snapcore import CaptureFlags, MemoryState, MemoryType, _core

SNAPSHOTS = 100


def own_handles() -> int:
    table = snapcore.system_handles()
    return int((table["pid"] == os.getpid()).sum())


def clones() -> int:
    """A clone has the name of its target; the stand-in's has one of its own."""
    names = [name for _, name, _ in _core.list_processes()]
    return names.count(b"snapclone.exe") + names.count(b"facts_target.exe") - 1


def own_memory() -> int:
    """Bytes of private memory that this process has committed, by its own regions."""
    with snapcore.capture(os.getpid(), CaptureFlags.VA_SPACE) as snap:
        r = snap.regions()
    private = (r["state"] == MemoryState.COMMIT) & (r["type"] == MemoryType.PRIVATE)
    return int(r["size"][private].sum())


@pytest.mark.slow
def test_a_hundred_snapshots(facts, tmp_path, sim):
    def one(number):
        with snapcore.capture(facts.pid) as snap:
            if number % 10 == 0:
                snap.dump(tmp_path / "a.dmp", overwrite=True)
            snap.modules()

    for number in range(SNAPSHOTS // 10):
        one(number)  # what is made once is made
    before = own_handles(), own_memory()
    for number in range(SNAPSHOTS):
        one(number)
    assert own_handles() <= before[0] + 2
    # A clone is 40 MiB, its tables 100 KiB.
    assert own_memory() < before[1] + (4 << 20)
    assert clones() == 0
    if sim:
        assert sim.alive() == 0
