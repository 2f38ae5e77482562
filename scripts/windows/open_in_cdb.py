# SPDX-License-Identifier: Apache-2.0
"""Dump a process on a real Windows and open the dump in cdb: its handles and all stacks are there.

Usage: open_in_cdb.py. cdb comes with the Debugging Tools of the Windows SDK.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import snapcore

TARGET = """
import sys, threading
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
kept = open(sys.argv[1], "w")
print("ready", flush=True)
sys.stdin.read()
"""


def cdb() -> str:
    """Find the debugger."""
    kits = Path(os.environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)"))
    found = shutil.which("cdb") or kits / "Windows Kits" / "10" / "Debuggers" / "x64" / "cdb.exe"
    if not Path(found).exists():
        sys.exit(f"{found} is not there: install the Debugging Tools of the Windows SDK")
    return str(found)


def commands(dump: Path, *asked: str) -> str:
    """Open a dump and ask; what the debugger prints."""
    debugger = [cdb(), "-z", str(dump), "-c", "; ".join([*asked, "q"])]
    done = subprocess.run(
        debugger, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
    )
    print(done.stdout)
    return done.stdout


def main() -> int:
    """Run it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        dump = Path(folder) / "target.dmp"
        command = [sys.executable, "-c", TARGET, str(Path(folder) / "kept.log")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                result = snapcore.dump(process.pid, dump, "full")
            finally:
                process.kill()
        with snapcore.open(dump) as file:
            types = set(file.handles()["type_name"].unique())
        said = commands(dump, "!handle 0 1", "~*k", "lm")
    missing = [name for name in ("File", "Event", "Thread") if name in types and name not in said]
    if missing:
        sys.exit(f"!handle does not name {', '.join(missing)}")
    threads = set(re.findall(r"^[.# ]*(\d+)\s+Id: [0-9a-f]+\.[0-9a-f]+", said, re.MULTILINE))
    if len(threads) != result.threads:
        sys.exit(f"~*k shows {len(threads)} threads, the dump has {result.threads}")
    if said.count("ntdll!") < result.threads:
        sys.exit("~*k has stacks without a frame in ntdll")
    print(f"cdb sees {result.threads} threads and handles of {len(types)} types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
