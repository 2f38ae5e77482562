# SPDX-License-Identifier: Apache-2.0
"""Targets that lie about themselves: a result or an exception, in bounded time and space, in plain text."""

from __future__ import annotations

import itertools
import os
import shutil
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import support
from dump_files import everything
from linux_support import ENDLESS_ARGUMENTS, LIBC, TEBIBYTE, kill, will_be_untouched
from minidump.minidumpfile import MinidumpFile
from support import programs

import snapcore
from snapcore import MiniDumpType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Names of 15 bytes, as long as the kernel lets a thread's be.
NAMES = [
    b"\x1b[31m\xffx\n",
    b"\x1b]0;title\x07\xfe",
    b"<b>&'\"</b>\r\x9b2J",
    b"\xe2\x80\xaegpj.exe",
]
EVERYTHING = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
    | MiniDumpType.WITH_TOKEN_INFORMATION
)
PARTS = (
    MiniDumpType.WITH_INDIRECTLY_REFERENCED_MEMORY
    | MiniDumpType.WITH_DATA_SEGS
    | MiniDumpType.WITH_CODE_SEGS
    | MiniDumpType.WITH_PROCESS_THREAD_DATA
    | MiniDumpType.SCAN_MEMORY
)


def is_plain(text: str) -> bool:
    """Whether a terminal shows it as it stands."""
    return text.replace("\n", "").isprintable()


def snapcore_command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snapcore", *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def run_python(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start a Python program that says a word when it is ready; its pid."""
    running = []

    def start(program: str, *arguments: object) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process.pid

    yield start
    try:
        for process in running:
            assert process.poll() is None
            will_be_untouched(process.pid)
    finally:
        for process in running:
            process.kill()
            process.communicate()


# --- Names


@pytest.mark.parametrize("name", NAMES)
def test_a_tracer_with_a_hostile_name_is_named_in_plain_text(idle, name):
    """Its bytes are no UTF-8, or codes for a terminal, and the exception may end in a traceback there."""
    reader, writer = os.pipe()
    tracer = os.fork()
    if tracer == 0:
        pr_set_name, ptrace_seize = 15, 0x4206
        LIBC.prctl(pr_set_name, name, 0, 0, 0)
        LIBC.ptrace(ptrace_seize, idle, 0, 0)
        os.write(writer, b"x")
        time.sleep(600)
    try:
        assert os.read(reader, 1) == b"x"
        with pytest.raises(snapcore.AccessDenied, match=str(tracer)) as caught:
            snapcore.capture(idle)
        assert is_plain("".join(traceback.format_exception_only(caught.value)))
        for words in (("dump", idle), ("threads", idle, "--snapshot"), ("doctor", idle)):
            done = snapcore_command(*words)
            assert done.returncode != 0
            assert str(tracer) in done.stdout + done.stderr
            assert is_plain(done.stdout + done.stderr), words
    finally:
        kill(tracer)
        os.waitpid(tracer, 0)
        os.close(reader)
        os.close(writer)


THREADS = """
import ctypes, sys, threading, time
def named(name):
    ctypes.CDLL(None).prctl(15, bytes.fromhex(name), 0, 0, 0)
    time.sleep(600)
for name in sys.argv[1:]:
    threading.Thread(target=named, args=(name,), daemon=True).start()
time.sleep(0.2)
print("ready", flush=True)
time.sleep(600)
"""


def test_names_of_threads_through_every_form(run_python, tmp_path):
    """Tables, the page, the growth of two dumps, and what a dump says when it is made."""
    target = run_python(THREADS, *(name.hex() for name in NAMES))
    paths = [tmp_path / "a.dmp", tmp_path / "b.dmp"]
    for path in paths:
        done = snapcore_command("dump", target, "-o", path, "--full")
        assert done.returncode == 0, done.stderr
        assert is_plain(done.stdout + done.stderr)
    assert set(NAMES) <= set(snapcore.threads(target)["name"].categories_bytes)
    with snapcore.open(paths[0]) as file:
        # Names are UTF-16 there; what is no text is lost.
        names = {name.decode(errors="replace") for name in NAMES}
        assert names <= set(file.threads()["name"].categories)
    for words in (
        ["threads", paths[0]],
        ["threads", target, "--by", "name"],
        ["threads", paths[0], "--json"],
        ["info", paths[0]],
        ["diff", *paths, "--table", "threads"],
        ["doctor", target],
    ):
        done = snapcore_command(*words)
        assert done.returncode == 0, done.stderr
        assert is_plain(done.stdout + done.stderr), words
    page = snapcore.report(paths[1], tmp_path / "page.html", since=paths[0])
    text = Path(page or tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>" not in text
    assert is_plain(text)
    assert r"\x1b[31m" in text


def test_a_program_and_its_folders_may_be_called_anything(monkeypatch, start, tmp_path):
    """Its path stands in the map, the modules, the handles, the messages and the page."""
    folder = tmp_path / os.fsdecode(b"\x1b]0;t\x07\n<script>alert(1)<\\script>\na b (deleted)\xff")
    folder.mkdir()
    program = folder / "facts_target"
    shutil.copy(programs() / "facts_target", program)
    monkeypatch.setattr(support, "programs", lambda: folder)
    target = start("facts", tmp_path)
    for flags in ("full", "mini", "triage", int(PARTS)):
        path = tmp_path / "a.dmp"
        snapcore.dump(target.pid, path, flags, overwrite=True)
        everything(path, strict=True)
    with snapcore.capture(target.pid) as snap:
        assert os.fsencode(program) in snap.modules()["path"].categories_bytes
    snapcore.dump(target.pid, path, "full", overwrite=True)
    with snapcore.open(path) as file:
        assert os.fsencode(program) in file.regions()["mapped_file"].categories_bytes
        assert len(file.modules()) > 3
    for words in (
        ["info", path],
        ["info", target.pid],
        ["modules", path],
        ["regions", path],
        ["handles", target.pid],
        ["doctor", target.pid],
        ["dump", target.pid, "-o", tmp_path, "--mini"],
        ["dump", target.pid, "-o", program, "--mini"],  # which exists
        ["dump", target.pid, "-o", folder / "no" / "such", "--mini"],
        ["modules", folder / "no.dmp"],
    ):
        done = snapcore_command(*words)
        assert is_plain(done.stdout + done.stderr), words
    (automatic,) = tmp_path.glob("snapcore-*.dmp")
    assert automatic.name.isprintable()
    snapcore.report(path, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert is_plain(text)


# --- Lists without an end


def test_arguments_without_an_end_are_cut(run_python, tmp_path):
    """A process may say that its arguments are any memory of its own; here 1 TiB that takes no room."""
    target = run_python(ENDLESS_ARGUMENTS.read_text(encoding="utf-8"), TEBIBYTE)
    most = 8 << 20
    started = time.monotonic()
    with snapcore.capture(target) as snap:
        assert len(snap.process().command_line or "") == most
    path = tmp_path / "a.dmp"
    result = snapcore.dump(target, path, "mini", environment=True)
    assert time.monotonic() - started < 60
    cut = [d for d in result.diagnostics if d.code == "arguments_cut"]
    assert [d.subject for d in cut] == [most, most]
    assert [d.message.split()[0] for d in cut] == ["environ", "cmdline"]
    assert path.stat().st_size < 32 << 20
    with snapcore.open(path) as file:
        assert len(file.threads()) == 1
    done = snapcore_command("info", path)
    assert done.returncode in (0, 5), done.stderr


MAPPED = r"""
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
folder = sys.argv[1]
for name in sorted(os.listdir(folder)):
    file = os.open(os.path.join(folder, name), os.O_RDONLY)
    read_execute, private = 5, 2
    at = libc.mmap(None, os.fstat(file).st_size, read_execute, private, file, 0)
    assert at != ctypes.c_void_p(-1).value, name
    os.close(file)
print("ready", flush=True)
time.sleep(600)
"""


def elf_image(
    header: dict[str, int] | None = None, *segments: dict[str, int], notes: bytes = b""
) -> bytes:
    """A 64-bit ELF file of two pages; fields are those of elf(5)."""
    fields = {
        "type": 3,
        "machine": 62,
        "version": 1,
        "entry": 0,
        "phoff": 64,
        "shoff": 0,
        "flags": 0,
    }
    fields |= {"ehsize": 64, "phentsize": 56, "phnum": len(segments), "shentsize": 0}
    fields |= {"shnum": 0, "shstrndx": 0} | (header or {})
    out = bytearray(b"\x7fELF\x02\x01\x01".ljust(16, b"\0"))
    out += struct.pack("<HHIQQQIHHHHHH", *fields.values())
    plain = {"type": 1, "flags": 5, "offset": 0, "vaddr": 0, "paddr": 0, "filesz": 8192}
    plain |= {"memsz": 8192, "align": 4096}
    for segment in segments:
        out += struct.pack("<IIQQQQQQ", *(plain | segment).values())
    return bytes(out.ljust(4096, b"\0") + notes.ljust(4096, b"\0"))


LOAD, DYNAMIC, NOTE, TLS = 1, 2, 4, 7
LARGE = [2**31 - 1, 2**32 - 1, 2**47, 2**62, 2**63 - 1, 2**63, 2**64 - 4096, 2**64 - 1]


def lying_images() -> Iterator[tuple[str, bytes]]:
    """By what the lie is."""
    load = {"type": LOAD}
    for count, where in itertools.product((0, 1, 0xFFFF), (0, 1, 64, 4095, *LARGE)):
        yield f"table-{count}-{where:x}", elf_image({"phnum": count, "phoff": where}, load)
    for large in LARGE:
        yield f"size-{large:x}", elf_image(None, load | {"memsz": large, "flags": 7})
        yield f"address-{large:x}", elf_image(None, load | {"vaddr": large}, load)
        yield f"both-{large:x}", elf_image(None, load, load | {"vaddr": large, "memsz": large})
        for kind in (DYNAMIC, NOTE, TLS):
            lie = {"type": kind, "vaddr": 4096, "memsz": large, "align": large}
            yield f"segment-{kind}-{large:x}", elf_image(None, load, lie)
            lie = {"type": kind, "vaddr": large, "memsz": 4096}
            yield f"segment-at-{kind}-{large:x}", elf_image(None, load, lie)
    note = {"type": NOTE, "vaddr": 4096, "memsz": 4096}
    for name, description in itertools.product((0, 3, 4, 2**31, 2**32 - 4, 2**32 - 1), repeat=2):
        notes = struct.pack("<III", name, description, 3) + b"GNU\0" + bytes(64)
        yield f"note-{name:x}-{description:x}", elf_image(None, load, note, notes=notes)
    # A list of loaded libraries that leads to itself, at the end of the addresses and nowhere.
    dynamic = {"type": DYNAMIC, "vaddr": 4096, "memsz": 4096}
    for where in (1, 4096, 2**47, 2**64 - 8):
        entries = struct.pack("<QQ", 21, where) * 256
        yield f"debug-{where:x}", elf_image(None, load, dynamic, notes=entries)
    yield "32-bit", b"\x7fELF\x01\x01\x01".ljust(52, b"\xff").ljust(4096, b"\xff")
    yield "only-the-magic", b"\x7fELF\x02\x01"


def test_images_whose_headers_lie(run_python, placement, tmp_path):
    """A dump of each kind is made, read strictly by snapcore, and by another reader."""
    folder = tmp_path / "images"
    folder.mkdir()
    images = dict(lying_images())
    for name, image in images.items():
        (folder / name).write_bytes(image)
    target = run_python(MAPPED, folder)
    started = time.monotonic()
    with snapcore.capture(target) as snap:
        regions, modules = snap.regions(), snap.modules()
        named = {Path(os.fsdecode(path)).name for path in regions["mapped_file"].categories_bytes}
        assert named >= set(images)
        ends = modules["base"] + modules["size"]
        assert (ends > modules["base"]).all()
        order = modules["base"].argsort()
        assert (ends[order][:-1] <= modules["base"][order][1:]).all(), "modules overlap"
    for flags in (EVERYTHING, PARTS, MiniDumpType.NORMAL, MiniDumpType.FILTER_TRIAGE):
        path = tmp_path / "a.dmp"
        result = snapcore.dump(target, path, flags, overwrite=True)
        assert result.memory_bytes < 1 << 30
        everything(path, strict=True)
        parsed = MinidumpFile.parse(str(path))
        try:
            assert len(parsed.modules.modules) == len(modules)
        finally:
            parsed.file_handle.close()
    assert time.monotonic() - started < 120
    snapcore.report(path, tmp_path / "page.html")
