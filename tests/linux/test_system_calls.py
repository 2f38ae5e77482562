# SPDX-License-Identifier: Apache-2.0
"""The kernel's own trace of a target: what a snapshot does in it, and that no call ends with EINTR because of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from linux_support import is_untouched, timed_poller
from long_runs import count, record
from support import wait_until
from system_call_trace import CLONE, CLOSE_RANGE, judge, traced

import snapcore
from snapcore import CaptureFlags

SNAPSHOTS = count(40, 500)


def threads_of(pid: int) -> set[int]:
    return {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(120 + 2 * SNAPSHOTS)
# With a thread in user code, which makes the clone, and with none.
@pytest.mark.parametrize("option", ["", "asleep"])
def test_no_call_ends_with_eintr(start, placement, tmp_path, option):
    target = start("sleepers", tmp_path, option)
    threads = threads_of(target.pid)
    with traced(target.pid) as events:
        for _ in range(SNAPSHOTS):
            with snapcore.capture(target.pid, CaptureFlags.DOCUMENTED):
                pass
        check = target.ask("check")
    found = judge(events, threads)
    assert found.wrong == []
    assert (check["violations"], check["interrupted"]) == (0, 0), check["report"]
    # The trace has seen what it should have: every snapshot, and its calls cut short.
    assert found.clones == SNAPSHOTS
    assert found.collected >= SNAPSHOTS
    # epoll_wait and rt_sigtimedwait; read, accept, futex; nanosleep, poll, and a futex with a timeout.
    assert found.mended >= SNAPSHOTS
    assert found.started_again >= 2 * SNAPSHOTS
    assert found.restart_blocks >= SNAPSHOTS
    # A clone makes one call: it leaves the common descriptors.
    assert found.of_clones <= {CLONE, CLOSE_RANGE}
    assert CLOSE_RANGE in found.of_clones
    is_untouched(target.pid)
    record(
        "system calls",
        placement=placement,
        target=option or "sleepers",
        snapshots=SNAPSHOTS,
        events=len(events),
        eintr_mended=found.mended,
        started_again=found.started_again,
        restart_blocks=found.restart_blocks,
        wrong=len(found.wrong),
    )


def test_a_call_that_cannot_be_mended_is_found_in_the_trace(placement):
    """The opposite: the trace shows EINTR where the limits say that it is seen."""
    with timed_poller() as pid:
        told = 0
        with traced(pid) as events:
            # The entry of the call that it sleeps in was before the trace; each later one is in it.
            for _ in range(5):
                with snapcore.capture(pid, CaptureFlags.THREADS) as snap:
                    told += any(d.code == "timed_call_interrupted" for d in snap.diagnostics)
                wait_until(lambda: "S" in Path(f"/proc/{pid}/stat").read_text().split()[2])
                # Within a millisecond it would call again with the same timeout, as if nothing had been.
                time.sleep(0.003)
        assert told > 1
        found = judge(events, threads_of(pid))
        assert len(found.wrong) >= told - 1
        assert {end.result for end, _ in found.wrong} == {-4}
