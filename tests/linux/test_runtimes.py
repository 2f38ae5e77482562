# SPDX-License-Identifier: Apache-2.0
"""Runtimes and servers under load notice nothing of snapshots: their own checks find no error."""

from __future__ import annotations

import pytest
from linux_support import will_be_untouched
from long_runs import count, percentiles, record
from runtime_targets import RUNTIMES, is_right, running

import snapcore
from snapcore import CaptureFlags, MiniDumpType

SNAPSHOTS = count(12, 500)
MAX_PAUSE = 30.0  # a busy machine may take longer than the usual second
FULL = MiniDumpType.WITH_FULL_MEMORY | MiniDumpType.WITH_HANDLE_DATA


def snapshots(pids, folder, between=lambda: None) -> dict[str, list[int]]:
    """Take them, most as a capture, some as a full dump or one of stacks alone; their pauses."""
    pauses: dict[str, list[int]] = {"clone": [], "stacks": []}
    for number in range(1, SNAPSHOTS + 1):
        processes = pids()
        # The first is the one that all others come from.
        pid = processes[number // 2 % len(processes) if number % 2 else 0]
        path = folder / "x.dmp"
        try:
            if number % 10 == 0:
                result = snapcore.dump(pid, path, overwrite=True, max_pause=MAX_PAUSE)
                pauses["stacks"].append(result.pause_ns)
            elif number % 10 == 5:
                result = snapcore.dump(pid, path, FULL, overwrite=True, max_pause=MAX_PAUSE)
                pauses["clone"].append(result.pause_ns)
            else:
                with snapcore.capture(pid, CaptureFlags.DOCUMENTED, max_pause=MAX_PAUSE) as snap:
                    assert len(snap.threads()) > 0
                pauses["clone"].append(snap.pause_ns)
                codes = [d.code for d in snap.diagnostics]
                assert "no_way_home" not in codes
                assert "zombie_left" not in codes
        except snapcore.ProcessGone:
            assert pid != processes[0]  # one of the others has ended meanwhile
        if number % 25 == 0:
            between()
    return pauses


def keep(what: str, pauses: dict[str, list[int]], **more: int) -> None:
    for kind, values in pauses.items():
        if values:
            record(
                "pauses under load",
                target=what,
                kind=kind,
                snapshots=len(values),
                milliseconds=percentiles(values),
                **more,
            )


@pytest.mark.slow
@pytest.mark.timeout(120 + 2 * SNAPSHOTS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runtime_under_load(start_runtime, placement, runtime, tmp_path):
    target = start_runtime(runtime)
    before = target.ask("check")["rounds"]
    pauses = snapshots(lambda: [target.pid], tmp_path)
    is_right(target)
    after = target.ask("check")
    assert after["rounds"] > before
    if runtime != "python":  # which has children of its own
        will_be_untouched(target.pid)
    keep(f"{runtime}, {placement}", pauses, checked=after["rounds"])


@pytest.mark.slow
@pytest.mark.timeout(300 + 2 * SNAPSHOTS)
@pytest.mark.parametrize("server", ["redis", "postgres"])
def test_server_under_load(shared_folder, placement, server, tmp_path):
    with running(server, shared_folder) as under_load:
        pauses = snapshots(lambda: under_load.pids, tmp_path, under_load.while_under_load)
        runs = under_load.check()
        keep(f"{server}, {placement}", pauses, runs=runs)
