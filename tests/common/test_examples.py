# SPDX-License-Identifier: Apache-2.0
"""The examples that need nothing but Python, each as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys

from support import ROOT, WINDOWS

EXAMPLES = ROOT / "examples"


def run(name: str, *arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_handle_leak_finds_the_forgotten_files():
    code, said = run("handle_leak.py")
    assert code == 1
    first, last = map(int, re.search(r"(\d+) handles at first, (\d+) at last", said).groups())
    assert last > first
    assert re.search(r"/s  type_name File$", said, re.MULTILINE)
    assert re.search(r"/s  object_name \S*upload-#\.part$", said, re.MULTILINE)
    assert "journal" not in said
    new = int(re.search(r"(\d+) are new", said)[1])
    assert new >= last - first
    shown = re.findall(r"^ +\d+  (\w+)  (.*)$", said, re.MULTILINE)
    assert len(shown) == min(new, 3)
    # Under Wine semaphores of its own may grow beside the files.
    growing = set(re.findall(r"/s  type_name (\w+)$", said, re.MULTILINE))
    assert growing == {"File"} or WINDOWS
    assert {kind for kind, _ in shown} <= growing
    files = [name for kind, name in shown if kind == "File"]
    assert files
    assert all(re.search(r"upload-\d+\.part$", name) for name in files)


def test_handle_leak_of_a_process_that_does_not(idle):
    code, said = run("handle_leak.py", idle, "--interval", 0.05, "--count", 4)
    assert code == 0
    assert "0 are new" in said


def test_memory_growth_finds_the_sessions():
    code, said = run("memory_growth.py")
    assert code == 1
    assert float(re.search(r": \+([\d.]+) MiB of private memory", said)[1]) > 0
    assert re.search(r"^ +\d+  session-# of nobody in particular", said, re.MULTILINE)
