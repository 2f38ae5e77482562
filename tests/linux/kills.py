# SPDX-License-Identifier: Apache-2.0
"""Killing tracers and callers at any instant: tests/linux/killer.py as tests use it."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from linux_support import children, state
from support import Target

import snapcore

# The tracer alone, its caller alone, both at once. A tracer that is a thread dies with its caller.
VICTIMS = [("helper", "tracer"), ("helper", "caller"), ("helper", "both"), ("thread", "caller")]


class Killer(Target):
    """tests/linux/killer.py, with the folder into which it has dumps written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.run([sys.executable, str(Path(__file__).with_name("killer.py"))])

    def order(self, pid: int, placement: str, **what: Any) -> dict[str, Any]:
        order = {"pid": pid, "folder": str(self.folder), "placement": placement, **what}
        return self.ask(json.dumps(order))

    def files_are_whole(self) -> int:
        """What has the name of a dump is one; how many files have another name."""
        others = 0
        for file in self.folder.iterdir():
            if file.suffix == ".dmp":
                with snapcore.open(file, strict=True) as dump:
                    assert len(dump.threads()) > 0
                    assert len(dump.memory_ranges()) > 0
            else:
                assert re.fullmatch(r".*\.[0-9a-f]{16}\.tmp", file.name), file
                others += 1
        return others


def clones(pid: int) -> list[int]:
    """Children that tell nobody of their end, which no program here makes itself."""
    out = []
    for child in children(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            if fields[35] == "0":
                out.append(child)
    return out


def no_clone_runs(pid: int) -> bool:
    """Zombies may be left by a kill; a clone that runs, or hangs in a stop, may not."""
    return all(state(clone) in ("Z", "gone") for clone in clones(pid))
