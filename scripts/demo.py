# SPDX-License-Identifier: Apache-2.0
"""The main job on a real process: a web server with a cache, dumped while it answers requests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import snapcore
from snapcore import MiniDumpType as T

SERVER = """
import http.server, threading, time
cache = {i: bytes(4096) + i.to_bytes(8, "little") * 512 for i in range(8192)}
log = open("requests.log", "w")
def tick():
    while True:
        time.sleep(0.05)
for name in ("expiry", "metrics"):
    threading.Thread(target=tick, name=name, daemon=True).start()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def show(table: snapcore.Table, columns: list[str], rows: int = 12) -> None:
    """Print some columns of a table."""
    lines = [columns]
    for index in range(min(len(table), rows)):
        row = table.row(index)
        lines.append(
            [
                hex(v) if c.endswith("pointer") and v is not None else str(v)
                for c in columns
                for v in [row[c]]
            ]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("   ", "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    if len(table) > rows:
        print(f"    ... {len(table) - rows} more")


def main() -> int:
    """Run it."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/requests.log"
            urllib.request.urlopen(url).read()

            path = Path(folder) / "server.dmp"
            flags = (
                T.WITH_FULL_MEMORY
                | T.WITH_HANDLE_DATA
                | T.WITH_FULL_MEMORY_INFO
                | T.WITH_THREAD_INFO
            )
            result = snapcore.dump(server.pid, path, flags)
            print(f"snapcore.dump({server.pid}, {path.name!r}, {flags!r})")
            print(
                f"    wrote          {result.file_size / 2**20:8.1f} MiB ({result.bytes_written / 2**20:.1f} on the disk)"
            )
            print(f"    in             {result.elapsed_ns / 1e6:8.1f} ms")
            print(f"    the server stood still for {result.pause_ns / 1e6:.2f} ms of it")
            print(
                f"    signature      {path.read_bytes()[:4]!r}, mode {path.stat().st_mode & 0o777:o}\n"
            )

            with snapcore.capture(server.pid) as snap:
                print(
                    f"snapcore.capture({server.pid}): stood still for {snap.pause_ns / 1e6:.2f} ms"
                )
                print("  threads")
                show(
                    snap.threads(), ["tid", "name", "state", "instruction_pointer", "stack_pointer"]
                )
                print("  handles")
                show(snap.handles(), ["handle", "type_name", "object_name", "position"])
            small = snapcore.dump(server.pid, Path(folder) / "stacks.dmp")
            print(
                f"\nstacks only: {small.file_size / 1024:.0f} KiB, stood still for {small.pause_ns / 1e6:.2f} ms"
            )

            answer = urllib.request.urlopen(url)
            print(f"the server goes on: HTTP {answer.status}")
        finally:
            server.kill()
            server.communicate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
