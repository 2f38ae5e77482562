# SPDX-License-Identifier: Apache-2.0
"""A process whose memory changes as it is told, and what a dump of it must hold."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from linux_support import is_untouched
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import snapcore

PAGE = 4096
# Runs each line that it gets and answers with the value of `answer`.
_PROGRAM = """
import ctypes, mmap, os, signal, sys
# The kernel writes the number of the processor into the memory of a thread that goes to another.
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = LIBC.mremap.restype = ctypes.c_void_p
PRIVATE, SHARED, ANONYMOUS, FIXED = 2, 1, 32, 16
READ, WRITE = 1, 2
NOHUGEPAGE, HUGEPAGE = 15, 14

def map(pages, flags=PRIVATE | ANONYMOUS, file=-1, at=None, protect=READ | WRITE):
    address = LIBC.mmap(ctypes.c_void_p(at), ctypes.c_size_t(4096 * pages), protect, flags, file, ctypes.c_long(0))
    assert address != 2 ** 64 - 1, os.strerror(ctypes.get_errno())
    return address

def unmap(address, pages):
    assert LIBC.munmap(ctypes.c_void_p(address), ctypes.c_size_t(4096 * pages)) == 0

def advise(address, pages, advice):
    assert LIBC.madvise(ctypes.c_void_p(address), ctypes.c_size_t(4096 * pages), advice) == 0

def remap(address, pages):
    # MREMAP_MAYMOVE | MREMAP_FIXED to somewhere else
    to = map(pages)
    moved = LIBC.mremap(ctypes.c_void_p(address), ctypes.c_size_t(4096 * pages), ctypes.c_size_t(4096 * pages), 3, ctypes.c_void_p(to))
    assert moved == to
    return moved

def fill(address, pages, seed):
    for page in range(pages):
        put(address + 4096 * page, seed + page)

def put(address, value):
    ctypes.memmove(address, (value % (1 << 64)).to_bytes(8, "little") * 512, 4096)

def small(pages, seed):
    address = map(pages)
    advise(address, pages, NOHUGEPAGE)
    fill(address, pages, seed)
    return address

print("ready", flush=True)
while line := sys.stdin.readline():
    answer = None
    exec(line)
    print(repr(answer), flush=True)
"""


class Changing:
    """A process that does what it is told, and nothing between."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid
        assert self._answer() == "ready"
        self.rest()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, "the target ended"
        return line

    def do(self, code: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        said = self._answer()
        self.rest()
        return 0 if said == "None" else int(said)

    def rest(self) -> None:
        """Wait until it waits for the next line, and so changes nothing any more."""
        call = Path(f"/proc/{self.pid}/syscall")
        wait_until(lambda: call.read_text().startswith("0 0x0 "))

    def memory(self, address: int, size: int) -> bytes:
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as file:
            return os.pread(file.fileno(), size, address)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def changing() -> Iterator[Changing]:
    """Such a process, which must be as before at the end."""
    target = Changing()
    try:
        yield target
        if target.process.poll() is None:
            is_untouched(target.pid)
    finally:
        target.process.kill()
        target.process.communicate()


def own_pages(dump: snapcore.DumpFile, address: int, pages: int) -> list[int]:
    """Numbers of the pages of a region that are in the file itself."""
    out = []
    for begin, size, *_, in_base in dump.memory_ranges().tolist():
        if in_base:
            continue
        first = max(begin, address)
        last = min(begin + size, address + pages * PAGE)
        out += [(at - address) // PAGE for at in range(first, last, PAGE)]
    return out


def is_whole(path: str | Path, target: Changing, *, least: int = 1 << 20) -> None:
    """Assert that a dump, with its base, holds all memory of a target that has not run since."""
    import snapcore

    with snapcore.open(path, strict=True) as dump:
        total = 0
        for address, size, _, present, _ in dump.memory_ranges().tolist():
            assert present == size
            assert dump.read(address, size) == target.memory(address, size), hex(address)
            total += size
        assert total >= least
        assert dump.diagnostics == ()
