# SPDX-License-Identifier: Apache-2.0
"""Compressed dumps: time and size against `zstd -T0` of the file, of a pipe, and of gcore's file."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import snapcore
from benchmarks import peers, targets
from benchmarks.comparisons import FULL
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.timing import clean, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.timing import Run

PACKED, PLAIN = "level 3", "not compressed"
FILE, PIPE, GCORE = "dump(), then zstd -T0", "dump() into zstd -T0", "gcore, then zstd -T0"


def calls_of(pid: int, folder: Path, sizes: dict[str, int]) -> dict[str, Callable[[], object]]:
    """Every way to a compressed dump; sizes are noted."""
    plain, packed = folder / "a.dmp", folder / "a.dmp.zst"

    def level(number: int) -> Path:
        snapcore.dump(pid, packed, FULL, max_pause=30, compression="zstd", level=number)
        return packed

    def dump() -> Path:
        snapcore.dump(pid, plain, FULL, max_pause=30)
        return plain

    def pipe() -> Path:
        command = ["zstd", "-T0", "-q", "-f", "-o", str(packed)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            snapcore.dump(pid, process.stdin, FULL, max_pause=30)
        assert process.returncode == 0
        return packed

    def noted(name: str, call: Callable[[], Path]) -> Callable[[], None]:
        def wrapped() -> None:
            sizes[name] = call().stat().st_size

        return wrapped

    ways: dict[str, Callable[[], Path]] = {
        PACKED: lambda: level(3),
        "level 1": lambda: level(1),
        "level 9": lambda: level(9),
        PLAIN: dump,
        FILE: lambda: peers.zstd(dump(), packed),
        PIPE: pipe,
        GCORE: lambda: peers.zstd(peers.gcore(pid, folder), packed),
    }
    return {name: noted(name, call) for name, call in ways.items()}


def measure(run: Run) -> Iterator[Case]:
    """Memory of several kinds."""
    mib = 64 if run.quick else 512
    folder = run.empty_folder()
    sizes: dict[str, int] = {}
    with targets.python("mixed_memory_target", mib) as target:
        samples = take_turns(
            calls_of(target.pid, folder, sizes),
            run.rounds(5),
            again=PACKED,
            limits={"level 9": run.rounds(3, 1)},
            prepare=lambda: clean(folder),
        )
    clean(folder)
    yield Case(f"{mib} MiB of logs, structures, sparse pages and noise", samples, sizes)


COMPARISON = Comparison(
    name="compression",
    title="Compressed dumps",
    subject=PACKED,
    against={
        "level 1": "variant",
        "level 9": "variant",
        PLAIN: "variant",
        FILE: "peer",
        PIPE: "peer",
        GCORE: "peer",
    },
    ratios=(
        Ratio(over=FILE, under=PACKED, at_least=1),
        Ratio(over=PIPE, under=PACKED),
        Ratio(over=GCORE, under=PACKED, at_least=1),
        Ratio(over=PACKED, under=PLAIN),
        Ratio(over="level 1", under=PACKED),
        Ratio(over="level 9", under=PACKED),
    ),
    measure=measure,
    needs=("gcore", "zstd"),
)
