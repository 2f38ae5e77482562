# SPDX-License-Identifier: Apache-2.0
"""Find out which threads of a process wait for a lock, and who holds it.

Usage: hung_service.py [PID|FILE]. Without either it compiles and starts a service that hangs
(deadlock.c), and dumps it. It knows the mutex of glibc on x86-64: a thread that waits for one is in
futex(), whose first argument is its address, and the owner's id stands 8 bytes behind that.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import snapcore

if TYPE_CHECKING:
    from collections.abc import Iterator

FUTEX = 202  # its number among the system calls of x86-64
OWNER = 8  # where it stands in pthread_mutex_t


@contextlib.contextmanager
def hung_service() -> Iterator[int]:
    """Compile and run the service; give its process id."""
    source = Path(__file__).with_name("deadlock.c")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "payd"
        subprocess.run(["cc", "-g", "-O0", "-pthread", "-o", program, source], check=True)
        with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.2)  # both threads are on their way to the lock of the other
            try:
                yield process.pid
            finally:
                process.kill()


def waiting(view: snapcore.Snapshot | snapcore.DumpFile) -> dict[int, tuple[int, int]]:
    """Of each thread that waits for a mutex: its address, and the thread that holds it."""
    threads, registers = view.threads(), view.contexts()
    everyone = set(threads["tid"].tolist())
    found = {}
    for tid, call, mutex in zip(
        threads["tid"].tolist(),
        threads["last_syscall"].tolist(),
        registers["rdi"].tolist(),
        strict=True,
    ):
        if call != FUTEX:
            continue
        try:
            owner = int.from_bytes(view.read(mutex + OWNER, 4), "little")
        except snapcore.SnapError:
            continue  # not in the file: no mutex of this process
        if owner in everyone:
            found[tid] = mutex, owner
    return found


def explain(view: snapcore.Snapshot | snapcore.DumpFile) -> bool:
    """Print who waits for whom; say whether they wait in a circle."""
    threads = view.threads()
    names = dict(zip(threads["tid"].tolist(), threads["name"], strict=True))
    found = waiting(view)
    for tid, (mutex, owner) in found.items():
        holder = f"{names[owner]} ({owner})"
        print(f"{names[tid]} ({tid}) waits for the mutex at {mutex:#x}, which {holder} holds")
    for start in found:
        tid, seen = start, [start]
        while tid in found:
            tid = found[tid][1]
            if tid == start:
                print("deadlock:", " -> ".join(names[each] for each in [*seen, start]))
                return True
            if tid in seen:
                break
            seen.append(tid)
    print("no deadlock")
    return False


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if options.target is None or options.target.isdecimal():
            pid = int(options.target or stack.enter_context(hung_service()))
            view = stack.enter_context(snapcore.capture(pid))
        else:
            view = stack.enter_context(snapcore.open(options.target))
        return 1 if explain(view) else 0


if __name__ == "__main__":
    sys.exit(main())
