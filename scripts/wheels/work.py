# SPDX-License-Identifier: Apache-2.0
"""Does the main job with an installed snapcore and prints the facts as JSON.

Usage: python work.py [--read] FILE
    FILE is a dump; with --read it is read and nothing is captured. Where nothing can be captured, that must
    be what is said.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import numpy as np

import snapcore
from snapcore import _core

TARGET = """
import sys
held = bytes.fromhex(sys.argv[1])
print('ready', flush=True)
for line in sys.stdin:
    print('still here', flush=True)
"""


def dump_and_read() -> dict[str, int]:
    """Dump a process with what only it can hold, read it back, and see that the process runs on."""
    marker = uuid.uuid4().bytes * 4
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-c", TARGET, marker.hex()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            path = Path(folder) / "work.dmp"
            result = snapcore.dump(process.pid, path, "full")
            assert path.stat().st_size == result.file_size > 1_000_000
            with snapcore.open(path) as dump:
                assert dump.process().pid == process.pid
                assert len(dump.find(marker)) >= 1, "its memory is not in the dump"
                assert "python" in " ".join(map(str, dump.modules()["path"])).lower()
                rows = {
                    name: len(getattr(dump, name)())
                    for name in ("threads", "handles", "regions", "modules")
                }
            assert rows["threads"] >= 1
            assert rows["handles"] >= 3
            with snapcore.capture(process.pid) as snap:
                assert len(snap.threads()) == rows["threads"]
            process.stdin.write("are you there\n")
            process.stdin.flush()
            assert process.stdout.readline() == "still here\n"
        finally:
            process.kill()
    return rows | {"bytes": result.file_size, "pause_us": result.pause_ns // 1000}


def main() -> None:
    """Run it."""
    *options, file = sys.argv[1:]
    facts: dict[str, object] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "numpy": np.__version__,
        "snapcore": snapcore.__version__,
    }
    with snapcore.open(file) as dump:
        facts["read"] = {"regions": len(dump.regions()), "modules": len(dump.modules())}
        assert dump.modules()["path"][0]
    if _core.backend == "none":
        try:
            snapcore.capture(os.getpid())
        except snapcore.Unsupported as error:
            facts["unsupported"] = str(error)
    elif "--read" not in options:
        facts["dumped"] = dump_and_read()
    if "--read" not in options:
        assert "dumped" in facts or "unsupported" in facts
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
