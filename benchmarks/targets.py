# SPDX-License-Identifier: Apache-2.0
"""Programs that are snapshot. They print a line when they are ready and end with their standard input."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(__file__).resolve().parent / "programs"
TESTS = Path(__file__).resolve().parent.parent / "tests"


@cache
def build_folder() -> Path:
    """Where compiled programs lie while this process runs."""
    import atexit
    import shutil

    folder = Path(mkdtemp(prefix="snapcore-benchmarks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def compiled(name: str) -> Path:
    """Path of a C program, compiled once."""
    program = build_folder() / name
    source = PROGRAMS / f"{name}.c"
    subprocess.run(["cc", "-O2", "-pthread", "-o", program, source], check=True)
    return program


class Target:
    """A running target."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def answer(self) -> str:
        """Read a line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, f"the target ended: {self.process.poll()}"
        return line

    def ask(self, command: str) -> int:
        """Send a command; its answer is a number, mostly of ns."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return int(self.answer())


@contextlib.contextmanager
def running(*command: object) -> Iterator[Target]:
    """Run a target for a block."""
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            target = Target(process)
            target.answer()
            yield target
        finally:
            process.kill()


def memory(
    mib: int, *, threads: int = 1, huge: bool = False, reserved_gib: int = 0
) -> contextlib.AbstractContextManager[Target]:
    """A process that has touched so much memory, of what it has reserved."""
    pages = "huge" if huge else "small"
    return running(compiled("memory_target"), mib, threads, pages, reserved_gib)


def python(name: str, *arguments: object) -> contextlib.AbstractContextManager[Target]:
    """One of the programs in Python."""
    return running(sys.executable, PROGRAMS / f"{name}.py", *arguments)


def size(mib: int) -> str:
    """As cases are named."""
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else f"{mib} MiB"


def count(number: int, what: str) -> str:
    """As cases are named."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def of_tests(name: str) -> Any:
    """A module of the tests, such as their builder of dump files of any content."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    return importlib.import_module(name)
