# SPDX-License-Identifier: Apache-2.0
"""Find out which memory of a process grew between two snapshots, and what is in it.

Usage: memory_growth.py [PID [SECONDS]]. Without a process it starts one that grows: a service whose
cache of sessions is never emptied.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

import snapcore
from snapcore import CaptureFlags, MemoryState, MemoryType

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = """
import time

sessions = {}
print("ready", flush=True)
while True:
    for _ in range(2000):
        number = len(sessions)
        sessions[number] = f"session-{number:08} of nobody in particular".encode()
    time.sleep(0.05)
"""
WHAT = CaptureFlags.VA_CLONE | CaptureFlags.VA_SPACE | CaptureFlags.VA_SPACE_SECTION_INFORMATION


@contextlib.contextmanager
def growing_service() -> Iterator[int]:
    """Run the service; give its process id."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()


def private_bytes(regions: snapcore.Table) -> int:
    """Committed bytes that belong to the process alone."""
    private = (regions["state"] == MemoryState.COMMIT) & (regions["type"] == MemoryType.PRIVATE)
    return int(regions["size"][private].sum())


def texts_in(snapshot: snapcore.Snapshot, regions: snapcore.Table) -> Counter[str]:
    """Texts of some regions, with # for each number in them; the first MiB of each is read."""
    texts: Counter[str] = Counter()
    for base, size in zip(regions["base"].tolist(), regions["size"].tolist(), strict=True):
        buffer = bytearray(min(size, 1 << 20))
        read = snapshot.read_into(base, buffer)
        for found in re.findall(rb"[\x20-\x7e]{12,}", buffer[:read]):
            texts[re.sub(r"\d+", "#", found.decode("ascii"))] += 1
    return texts


def compare(pid: int, seconds: float) -> int:
    """Take two snapshots, and print what grew; give how many bytes that is."""
    with snapcore.capture(pid, WHAT) as before:
        earlier = before.regions()
    time.sleep(seconds)
    with snapcore.capture(pid, WHAT) as after:
        later = after.regions()
        grown = snapcore.diff(earlier, later, table="regions").added
        writable = grown.take(grown["type"] == MemoryType.PRIVATE)
        largest = writable.take(np.argsort(writable["size"])[::-1][:8])
        texts = texts_in(after, largest)
    more = private_bytes(later) - private_bytes(earlier)
    print(f"process {pid}: {more / 2**20:+.1f} MiB of private memory in {seconds:g} s")
    print(f"it stood still for {before.pause_ns / 1e6:.1f} and {after.pause_ns / 1e6:.1f} ms")
    print("the largest regions that are new, or have another size:")
    for base, size in list(zip(largest["base"], largest["size"], strict=True))[:3]:
        print(f"  {base:#x}  {size / 2**20:6.1f} MiB")
    print("what is in them most often:")
    most = max(texts.values(), default=0)
    for text, count in texts.most_common(3):
        if count * 20 >= most:  # the rest is what any process has
            print(f"  {count:6}  {text}")
    return more


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pid", type=int, nargs="?")
    parser.add_argument("seconds", type=float, nargs="?", default=2.0)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        pid = options.pid or stack.enter_context(growing_service())
        more = compare(pid, options.seconds)
    return 1 if more > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
