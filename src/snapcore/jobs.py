# SPDX-License-Identifier: Apache-2.0
"""Native jobs, polled from the calling thread, so that Ctrl-C and callbacks work."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from snapcore.compression import SeekableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from snapcore.native import _core

    Progress = Callable[[int, int, str], object]

_PHASES = ("starting", "capturing", "writing", "finishing", "done")
_POLL_SECONDS = 0.1

_Result_co = TypeVar("_Result_co", covariant=True)


class _Job(Protocol[_Result_co]):
    def wait(self, seconds: float) -> bool: ...
    def cancel(self) -> None: ...
    def progress(self) -> tuple[int, int, int]: ...
    def result(self) -> _Result_co: ...


def _tell(job: _Job[Any], progress: Progress | None) -> None:
    if progress is not None:
        done, total, phase = job.progress()
        progress(done, total, _PHASES[phase])


@contextmanager
def _ended_on_error(job: _Job[Any]) -> Iterator[None]:
    """Ctrl-C, or a callback: the target must run and the file be gone before anybody hears of it."""
    try:
        yield
    except BaseException:
        job.cancel()
        while not job.wait(_POLL_SECONDS):
            pass
        raise


def run(job: _Job[_Result_co], progress: Progress | None = None) -> _Result_co:
    with _ended_on_error(job):
        while not job.wait(_POLL_SECONDS):
            _tell(job, progress)
    result = job.result()
    _tell(job, progress)
    return result


def run_in_chunks(
    job: _core.DumpJob, put: Callable[[bytes], object], progress: Progress | None
) -> dict[str, Any]:
    """Hand what the job writes to `put`, in this thread."""
    result: dict[str, Any] | None = None
    told = time.monotonic()
    with _ended_on_error(job):
        while True:
            if result is None and job.wait(0):
                result = job.result()
            chunk = job.next_chunk(_POLL_SECONDS if result is None else 0)
            if chunk is not None:
                put(chunk)
            elif result is not None:
                break
            if time.monotonic() - told >= _POLL_SECONDS:
                _tell(job, progress)
                told = time.monotonic()
    _tell(job, progress)
    return result


def run_compressed(
    job: _core.DumpJob, put: Callable[[bytes], object], level: int, progress: Progress | None
) -> dict[str, Any]:
    with _ended_on_error(job), SeekableWriter(put, level) as writer:
        raw = run_in_chunks(job, writer.write, progress)
        writer.finish()
    raw["uncompressed_size"] = raw["file_size"]
    raw["file_size"] = raw["bytes_written"] = writer.size
    return raw
