# SPDX-License-Identifier: Apache-2.0
"""Target programs, on either system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = sys.platform == "win32"
LINUX = sys.platform == "linux"
SUFFIX = ".exe" if WINDOWS else ""
# "stand_in" or "production" under Wine; on a real Windows neither.
VARIANT = os.environ.get("SNAPCORE_VARIANT", "")
STAND_IN = VARIANT == "stand_in"
# How much slower than a machine an emulated one is: times are as many times longer, and repetitions fewer.
SLOWER = float(os.environ.get("SNAPCORE_SLOWER") or 1)


def programs() -> Path:
    """Folder of the target programs; a missing one is an error, never a skip."""
    folder = Path(os.environ.get("SNAPCORE_TEST_PROGRAMS", ROOT / "build" / "tests" / "targets"))
    assert (folder / f"facts_target{SUFFIX}").exists(), f"build the target programs first: {folder}"
    return folder


class Target:
    """A running target program: facts from its first line, answers to commands."""

    def __init__(self, name: str, *arguments: object, **options: Any) -> None:
        self.run([str(programs() / f"{name}_target{SUFFIX}"), *map(str, arguments)], **options)

    def run(self, command: list[str], **options: Any) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )
        self.pid = self.process.pid
        self.ended = False
        self.facts = self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the target ended: {self.process.poll()}"
        return json.loads(line)

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.ended = True
        self.process.kill()
        self.process.communicate()


def fewer(times: int) -> int:
    """So many repetitions, or a fourth, where they are slow."""
    return times if SLOWER == 1 else max(5, times // 4)


def wait_until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds * SLOWER
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
