# SPDX-License-Identifier: Apache-2.0
"""The main job on a real process: a web server with a cache, dumped while it answers requests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import snapcore
from snapcore import MiniDumpType as T

SERVER = """
import http.server, threading, time

cache = {i: i.to_bytes(8, "little") * 1024 for i in range(8192)}
log = open("requests.log", "w")

def tick(name):
    # threading's names reach the kernel from Python 3.14 on.
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
        comm.write(name)
    while True:
        time.sleep(0.05)

for name in ("expiry", "metrics"):
    threading.Thread(target=tick, args=[name], daemon=True).start()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Visitor(threading.Thread):
    """Somebody who asks the server for a page, again and again, and looks at the clock."""

    def __init__(self, url: str) -> None:
        super().__init__(name="visitor")
        self._url = url
        self._leave = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        """Ask until told to leave."""
        while not self._leave.is_set():
            asked = time.perf_counter()
            urllib.request.urlopen(self._url, timeout=30).read()
            self.seconds.append(time.perf_counter() - asked)

    def leave(self) -> None:
        """Stop asking."""
        self._leave.set()
        self.join()


def show(table: snapcore.Table, columns: list[str], rows: int = 12) -> None:
    """Print some columns of a table."""
    lines = [columns]
    for index in range(min(len(table), rows)):
        row = table.row(index)
        lines.append(
            [
                hex(row[c]) if c.endswith("pointer") and row[c] is not None else str(row[c])
                for c in columns
            ]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("   ", "  ".join(cells).rstrip())
    if len(table) > rows:
        print(f"    ... {len(table) - rows} more")


def dump_while_it_answers(pid: int, url: str, folder: Path) -> None:
    """A full dump, with a visitor at the server meanwhile."""
    path = folder / "server.dmp"
    flags = T.WITH_FULL_MEMORY | T.WITH_HANDLE_DATA | T.WITH_FULL_MEMORY_INFO | T.WITH_THREAD_INFO
    visitor = Visitor(url)
    visitor.start()
    result = snapcore.dump(pid, path, flags)
    visitor.leave()
    with path.open("rb") as file:
        signature = file.read(4)
    mib = 2**20
    print(f"snapcore.dump({pid}, {path.name!r}, {flags!r})")
    print(
        f"    wrote       {result.file_size / mib:.1f} MiB ({result.bytes_written / mib:.1f} on disk)"
    )
    print(f"    in          {result.elapsed_ns / 1e6:.1f} ms")
    print(f"    file        signature {signature!r}, mode {path.stat().st_mode & 0o777:o}")
    print(f"    the server  stood still for {result.pause_ns / 1e6:.2f} ms,")
    print(
        f"                answered {len(visitor.seconds)} requests meanwhile, "
        f"the slowest in {max(visitor.seconds) * 1e3:.1f} ms"
    )


def look_inside(pid: int) -> None:
    """A snapshot and two of its tables."""
    with snapcore.capture(pid) as snap:
        print(f"\nsnapcore.capture({pid}): stood still for {snap.pause_ns / 1e6:.2f} ms")
        print("  threads()")
        show(snap.threads(), ["tid", "name", "state", "instruction_pointer", "stack_pointer"])
        print("  handles()")
        show(snap.handles(), ["handle", "type_name", "object_name", "position"])


def dump_stacks(pid: int, folder: Path) -> None:
    """What is quick enough for every alert: threads and their stacks alone."""
    result = snapcore.dump(pid, folder / "stacks.dmp")
    print(f"\nsnapcore.dump({pid}, 'stacks.dmp')")
    print(
        f"    wrote       {result.file_size / 1024:.0f} KiB; "
        f"the server stood still for {result.pause_ns / 1e6:.2f} ms"
    )


def main() -> int:
    """Run it."""
    with tempfile.TemporaryDirectory() as name:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=name,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/requests.log"
            dump_while_it_answers(server.pid, url, Path(name))
            look_inside(server.pid)
            dump_stacks(server.pid, Path(name))
            with urllib.request.urlopen(url, timeout=30) as answer:
                print(f"\nthe server goes on: HTTP {answer.status}")
        finally:
            server.kill()
            server.communicate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
