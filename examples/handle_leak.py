# SPDX-License-Identifier: Apache-2.0
"""Find out which handles of a process grow in number, and what the new ones are.

Usage: handle_leak.py [PID]. Without a process it starts one that leaks: an upload service which
forgets to close the file of each upload that is broken off.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import snapcore

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = """
import itertools, os, sys, time

folder, journal, forgotten = sys.argv[1], None, []
print("ready", flush=True)
for number in itertools.count():
    part = open(os.path.join(folder, f"upload-{number}.part"), "wb")
    if number % 3:
        part.close()
    else:
        forgotten.append(part)  # broken off: nobody closes it
    if number % 5 == 0:  # what opens and closes is no leak
        journal = open(os.path.join(folder, "journal.log"), "a")
    time.sleep(0.01)
"""


@contextlib.contextmanager
def leaking_service() -> Iterator[int]:
    """Run the service; give its process id."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            [sys.executable, "-c", SERVICE, folder], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()


def hunt(pid: int, interval: float, count: int) -> snapcore.Leaks:
    """Look at a process for a while, and print what was found."""
    found = snapcore.leaks(pid, interval=interval, count=count)
    print(f"{count} looks at process {pid} in {found.seconds[-1]:.1f} s:", end=" ")
    print(f"{found.totals[0]} handles at first, {found.totals[-1]} at last")
    for growth in found.growth:
        if growth.grows:
            trend = growth.sparkline(ascii_only=True)
            print(f"  {trend}  {growth.per_second:+6.1f}/s  {growth.group} {growth.value}")
    added = found.difference.added
    print(f"{len(added)} are new, for example:")
    # A process opens this and that; of interest is what is of a type that grows.
    grown = [g.value for g in found.growth if g.grows and g.group == "type_name"]
    new = added.take(added["type_name"].isin(grown)) if grown else added
    for row in range(min(len(new), 3)):
        print(f"  {new['handle'][row]:5}  {new['type_name'][row]}  {new['object_name'][row]}")
    return found


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pid", type=int, nargs="?")
    parser.add_argument("--interval", type=float, default=0.25)
    parser.add_argument("--count", type=int, default=10)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        pid = options.pid or stack.enter_context(leaking_service())
        found = hunt(pid, options.interval, options.count)
    return 1 if any(growth.grows for growth in found.growth) else 0


if __name__ == "__main__":
    sys.exit(main())
