# SPDX-License-Identifier: Apache-2.0
"""Makes the inputs that fuzzing starts from, tests/corpus/TARGET/NAME.

What fuzzing found is kept beside them as found-*; this script leaves those alone.
"""

from __future__ import annotations

import argparse
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import dump_structures as d
import zstd_frames as z
from dump_builder import DumpBuilder, Handle, Module, Thread
from dump_structures import context
from fuzz_input import CORPUS, streams
from sample_dumps import PROC_MAPS, PROC_STATUS, everything, small_linux, small_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Fill = Callable[[DumpBuilder], object]

SUFFIXES = {"file": ".dmp", "packed": ".dmp.zst"}
ALL_ONES = 0xFFFFFFFF
CODE, STACK = 0x401000, 0x7F0000000800


def whole_files() -> Iterator[tuple[str, bytes]]:
    whole = everything().build()
    yield "windows", small_windows().build()
    yield "linux", small_linux().build()
    yield "linux-x86", small_linux(d.X86).build()
    yield "linux-arm64", small_linux(d.ARM64).build()
    yield "linux-arm64-of-breakpad", small_linux(d.ARM64_OLD).build()
    yield "linux-arm64-of-lldb", small_linux(d.ARM64, old_context=True).build()
    yield "everything", whole
    yield "cut-off", whole[: len(whole) * 3 // 4]
    yield "header-alone", whole[:32]
    yield "no-streams", DumpBuilder().build()
    yield "too-short", whole[:31]
    yield "no-minidump", b"\x7fELF".ljust(64, b"\0")
    wrong = DumpBuilder()
    wrong.header["stream_count"] = ALL_ONES
    yield "streams-without-end", wrong.system_info().build()
    wrong = DumpBuilder()
    wrong.header["directory_rva"] = 0
    wrong.header["stream_count"] = 3
    yield "directory-in-the-header", wrong.build()
    yield "unused-entries", DumpBuilder().system_info().stream(0).stream(0).build()
    yield "a-stream-twice", DumpBuilder().misc_info(1).misc_info(2, pid=7).build()
    beyond = DumpBuilder().system_info().comment_a(b"far away")
    beyond.directory[-1][2] = ALL_ONES
    yield "stream-beyond-the-file", beyond.build()


def packed() -> Iterator[tuple[str, bytes]]:
    small = small_linux().build()
    whole = z.seekable(small, 1000)
    yield "linux", whole
    yield "one-frame", z.seekable(small, len(small))
    yield (
        "checksums-in-the-table",
        z.frame(small) + z.table([(len(z.frame(small)), len(small))], descriptor=0x80),
    )
    yield "no-table", whole[: whole.index(z.table([])[:4])]
    yield "cut-off", whole[: len(whole) // 2]
    yield "no-frames", z.table([])
    yield "empty-frames", z.frame(b"") + whole
    frame = z.frame(small)
    yield "table-says-more", frame + z.table([(len(frame), len(small) + 1)])
    yield "table-says-less", frame + z.table([(len(frame), len(small) - 1)])
    yield "table-of-another-file", frame + z.table([(len(frame) - 1, len(small))])
    yield "table-without-end", frame + z.table([(len(frame), len(small))], count=ALL_ONES)
    yield "frame-too-large", frame + z.table([(len(frame), 1 << 30)])
    zeros = z.repeated(0, 16 << 20)
    bomb = DumpBuilder().system_info().stream(3, struct.pack("<I", 4_000_000))
    bomb.directory[-1][1] = 12 << 24
    head = z.frame(bomb.build())
    sizes = [(len(head), len(bomb.build())), *[(len(zeros), 16 << 20)] * 12]
    yield "threads-of-zeros", head + zeros * 12 + z.table(sizes)


def few_threads(n: int = 3, registers: bytes = b"") -> list[Thread]:
    return [
        Thread(
            10 + i,
            f"thread {i % 2}",
            registers,
            fields={"suspend_count": i, "priority": 8, "teb": 0x70000 + i},
            info={"create_time": 133_000_000_000_000_000, "user_time": i, "affinity": 3},
        )
        for i in range(n)
    ]


AMD64_REGISTERS = context(d.CONTEXT_AMD64, rip=CODE, rsp=STACK)


def threads() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill, architecture: int = d.AMD64) -> tuple[str, bytes]:
        return name, streams("threads", fill, architecture)

    registers = {
        "x86": (d.X86, context(d.CONTEXT_X86, eip=0x1000, esp=0x2000)),
        "amd64": (d.AMD64, AMD64_REGISTERS),
        "amd64-xstate": (d.AMD64, d.context_with_xstate(rip=CODE, rsp=STACK)),
        "amd64-of-lldb": (d.AMD64, AMD64_REGISTERS[:736]),
        "arm64": (d.ARM64, context(d.CONTEXT_ARM64, pc=CODE, sp=STACK)),
        "arm64-of-breakpad": (d.ARM64_OLD, context(d.CONTEXT_ARM64_OLD, pc=CODE, sp=STACK)),
        "arm64-of-lldb": (d.ARM64, context(d.CONTEXT_ARM64_OLD, pc=CODE, sp=STACK)),
        "unknown-processor": (d.ARM, AMD64_REGISTERS[:368]),
    }
    for name, (architecture, data) in registers.items():
        yield make(name, lambda b, x=data: b.threads(few_threads(2, x)), architecture)
    some = few_threads(3, AMD64_REGISTERS[:300])
    yield make("none", lambda b: b.threads([]))
    yield make("names-and-times", lambda b: b.threads(few_threads(8)))
    yield make("pad", lambda b: b.thread_list(some, pad=True))
    yield make("extended", lambda b: b.thread_list(some, extended=True))
    yield make("short-context", lambda b: b.thread_list(some))
    stack = Thread(1, stack=(STACK, b"stack" * 8))
    yield make("stack", lambda b: b.thread_list([stack]))
    odd = [Thread(1, "\ud800"), Thread(2, "\udc00x"), Thread(3, ""), Thread(4, "\U0001f600é")]
    yield make("odd-names", lambda b: b.threads(odd))
    same = [Thread(1, "first"), Thread(1, "second")]
    yield make("a-tid-twice", lambda b: b.threads(same))
    late = {"exit_time": 2**64 - 1, "create_time": 1, "kernel_time": 2**63, "dump_flags": 0x3F}
    yield make("times-that-overflow", lambda b: b.threads([Thread(1, info=late)]))
    yield make("count", lambda b: b.threads(some).overwrite(d.THREAD_LIST, 0, "I", ALL_ONES))
    yield make("names-count", lambda b: b.threads(some).overwrite(d.THREAD_NAMES, 0, "I", ALL_ONES))
    for word, name in enumerate(("header-size", "entry-size", "count")):
        for value in (0, ALL_ONES):
            yield make(
                f"info-{name}-{'zero' if value == 0 else 'large'}",
                lambda b, at=4 * word, v=value: b.threads(some).overwrite(
                    d.THREAD_INFO_LIST, at, "I", v
                ),
            )
    yield make(
        "name-beyond-32-bits",
        lambda b: b.threads(some).overwrite(d.THREAD_NAMES, 8, "Q", 2**64 - 2),
    )


def modules() -> Iterator[tuple[str, bytes]]:
    def make(name: str, *made: Module, unloaded: tuple[Module, ...] = (), **options: bool):
        def fill(b: DumpBuilder) -> None:
            b.module_list(made, **options)
            if unloaded:
                b.unloaded_module_list(unloaded)

        return name, streams("modules", fill)

    version = d.file_version(10, 0, 19041, 1)
    exe = Module(0x400000, 0x1000, "C:\\a.exe", d.cv_rsds("a.pdb"), b"misc", 1, 2, version)
    yield make("none")
    yield make("rsds", exe)
    yield make("nb10", Module(1, 2, "old.dll", d.cv_nb10("old.pdb"), time=3))
    for size in (0, 8, 16, 20, 32):
        yield make(f"build-id-{size}", Module(1, 2, "/lib/a.so", d.cv_bpel(bytes(range(size)))))
    yield make("no-record", Module(1, 2, "plain"))
    yield make("unknown-record", Module(1, 2, "odd", b"WXYZ" + bytes(20), time=1))
    yield make("short-records", *(Module(i, 1, "s", exe.cv[:i], time=1) for i in range(0, 24, 5)))
    yield make("overlapping", exe, exe, Module(2**64 - 1, ALL_ONES, "", time=ALL_ONES))
    yield make("pad", exe, pad=True)
    gone = Module(0x800000, 0x1000, "gone.dll", time=4, checksum=5)
    yield make("unloaded", exe, unloaded=(gone, gone))

    def broken(name: str, type_: int, at: int, value: int) -> tuple[str, bytes]:
        return name, streams(
            "modules",
            lambda b: (
                b.module_list([exe, exe])
                .unloaded_module_list([gone])
                .overwrite(type_, at, "I", value)
            ),
        )

    yield broken("count", d.MODULE_LIST, 0, ALL_ONES)
    yield broken("name-in-the-list", d.MODULE_LIST, 4 + 20, 600)
    yield broken("record-size", d.MODULE_LIST, 4 + 76, ALL_ONES)
    yield broken("record-in-the-list", d.MODULE_LIST, 4 + 80, 600)
    yield broken("unloaded-entry-size", d.UNLOADED_MODULE_LIST, 4, 1)
    yield broken("unloaded-count", d.UNLOADED_MODULE_LIST, 8, ALL_ONES)


def handles() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill) -> tuple[str, bytes]:
        return name, streams("handles", fill)

    plain = [
        Handle(4, "File", "\\Device\\Null", granted_access=0x120089),
        Handle(8, "Event", None, attributes=2, handle_count=2, pointer_count=0x7FFF),
        Handle(2**64 - 4, None, "/dev/null", attributes=0o20666),
    ]
    chains = [
        Handle(4 * i, "Thing", information=[(i, bytes(range(size)))])
        for i, size in enumerate((0, 24, 8, 8, 16, 24, 8, 16, 8, 4))
    ]
    long = [Handle(4, "Mutant", information=[(i % 9, bytes(8)) for i in range(20)])]
    operation = {"handle": 4, "pid": 1, "tid": 2, "operation": 1, "depth": 2}
    yield make("none", lambda b: b.handle_data([]))
    yield make("version-1", lambda b: b.handle_data(plain))
    yield make("version-2", lambda b: b.handle_data(plain, version=2))
    yield make("information", lambda b: b.handle_data(chains))
    yield make("long-chain", lambda b: b.handle_data(long))
    yield make(
        "operations",
        lambda b: b.handle_data(plain).handle_operation_list(
            [{**operation, "return_addresses": [CODE, CODE + 4]}, operation]
        ),
    )
    yield make("tokens", lambda b: b.tokens([(1, 0x10, b"token"), (2, 0x14, b"")]))
    yield make(
        "token-size-zero", lambda b: b.tokens([(1, 1, b"")] * 3).overwrite(d.TOKEN, 16, "I", 0)
    )
    yield make(
        "token-count", lambda b: b.tokens([(1, 1, b"")]).overwrite(d.TOKEN, 4, "I", ALL_ONES)
    )
    for word, name in enumerate(("header-size", "entry-size", "count")):
        for value in (0, 1, ALL_ONES):
            yield make(
                f"{name}-{value & 0xFF}",
                lambda b, at=4 * word, v=value: b.handle_data(plain).overwrite(
                    d.HANDLE_DATA, at, "I", v
                ),
            )
    yield make(
        "operation-entry-size",
        lambda b: b.handle_operation_list([operation]).overwrite(
            d.HANDLE_OPERATION_LIST, 4, "I", 8
        ),
    )

    def circle(b: DumpBuilder) -> None:
        # Two links that point to each other, by the offsets that they are going to have.
        first = b.end
        b.handle_information([(1, bytes(8)), (2, bytes(8))], last_next=first)
        b.handle_data([Handle(4)], version=2)
        b.overwrite(d.HANDLE_DATA, 16 + 32, "I", first)

    yield make("circle", circle)

    def self_pointing(b: DumpBuilder) -> None:
        itself = b.handle_information([(1, bytes(8))], last_next=b.end)
        b.handle_data([Handle(4)], version=2).overwrite(d.HANDLE_DATA, 16 + 32, "I", itself)

    yield make("link-to-itself", self_pointing)


def regions() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill) -> tuple[str, bytes]:
        return name, streams("regions", fill)

    rows = [
        {"base": 0x10000 * i, "allocation_base": 0x10000, "size": 0x1000, "state": s, "protect": p, "type": t}
        for i, (s, p, t) in enumerate(
            [(0x1000, 4, 0x20000), (0x2000, 0, 0x40000), (0x10000, 1, 0), (0x1000, 0x120, 0x1000000)]
        )
    ]  # fmt: skip
    private = [(0x90000, 0x1000, 1), (0xA0000, 0x1000, 2), (0xB0000, 0x10, 99)]
    yield make("none", lambda b: b.memory_info_list([]))
    yield make("regions", lambda b: b.memory_info_list(rows))
    yield make("ranges", lambda b: b.memory_info_list(rows).snapcore_ranges(private))
    at_the_end = [{"base": 2**64 - 0x1000, "size": 2**64 - 1}]
    yield make("end-of-the-address-space", lambda b: b.memory_info_list(at_the_end))
    wrapping = [(2**64 - 16, 2**64 - 1, 1), (0, 2**64 - 1, 1), (5, 0, 1)]
    yield make("ranges-that-wrap", lambda b: b.snapcore_ranges(wrapping))
    yield make("maps", lambda b: b.linux(maps=PROC_MAPS))
    lines = b"".join(b"%x-%x rw-p 0 08:01 7 /f\n" % (i, i + 0x1000) for i in (0x10000, 0x20000, 0))
    yield make("maps-and-regions", lambda b: b.memory_info_list(rows).linux(maps=lines))
    parts = [{**rows[0], "base": 0x10000 + 0x100 * i, "size": 0x100} for i in (0, 1, 2, 9, 3)]
    yield make("parts-of-a-mapping", lambda b: b.memory_info_list(parts).linux(maps=lines))
    wide = b"0-ffffffffffffffff rwxp 0 0:0 0 /all\n" + lines
    yield make("a-mapping-of-all", lambda b: b.memory_info_list(at_the_end + rows).linux(maps=wide))
    for at, form, name in ((0, "I", "header-size"), (4, "I", "entry-size"), (8, "Q", "count")):
        for value in (0, 1, 2 ** (32 if form == "I" else 64) - 1):
            yield make(
                f"{name}-{value & 0xFF}",
                lambda b, at=at, f=form, v=value: b.memory_info_list(rows).overwrite(
                    d.MEMORY_INFO_LIST, at, f, v
                ),
            )
    yield make("wide-entries", lambda b: b.memory_info_list(rows).overwrite(16, 4, "I", 64))


def memory() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill) -> tuple[str, bytes]:
        return name, streams("memory", fill)

    apart = [(0x10000, b"one " * 16), (0x30000, b"two " * 8)]
    touching = [(0x10000, b"a" * 64), (0x10040, b"b" * 64), (0x10080, b"c" * 5)]
    yield make("list", lambda b: b.memory_list(apart))
    yield make("list64", lambda b: b.memory64_list(apart))
    yield make("both", lambda b: b.memory_list(apart).memory64_list([(0x20000, b"x" * 100)]))
    yield make("none", lambda b: b.memory_list([]).memory64_list([]))
    yield make("touching", lambda b: b.memory64_list(touching))
    yield make("descending", lambda b: b.memory_list(reversed(touching)))
    overlapping = [(0x1000, b"a" * 64), (0x1020, b"b" * 64), (0x1030, b"c" * 8), (0x1000, b"d")]
    yield make("overlapping", lambda b: b.memory_list(overlapping))
    yield make("overlapping64", lambda b: b.memory64_list(overlapping))
    yield make("pad", lambda b: b.memory_list(apart, pad=True))
    ends = [(2**64 - 8, b"z" * 64), (2**64 - 1, b"y"), (0, b"null")]
    yield make("end-of-the-address-space", lambda b: b.memory64_list(ends))
    yield make("empty-ranges", lambda b: b.memory64_list([(0, b""), (5, b""), (5, b"five")]))
    yield make("count", lambda b: b.memory_list(apart).overwrite(d.MEMORY_LIST, 0, "I", ALL_ONES))
    yield make("size", lambda b: b.memory_list(apart).overwrite(d.MEMORY_LIST, 12, "I", ALL_ONES))
    yield make("beyond", lambda b: b.memory_list(apart).overwrite(d.MEMORY_LIST, 16, "I", ALL_ONES))
    wide = {"count64": (0, 2**64 - 1), "count64-wraps": (0, 2**60), "base64": (8, 2**64 - 16), "size64": (24, 2**64 - 1)}  # fmt: skip
    for name, (at, value) in wide.items():
        yield make(
            name,
            lambda b, at=at, v=value: b.memory64_list(apart).overwrite(d.MEMORY64_LIST, at, "Q", v),
        )
    yield make("base-of-lldb", lambda b: b.memory64_list(apart).overwrite(9, 8, "Q", 560))


def base() -> Iterator[tuple[str, bytes]]:
    # cpp/tests/fuzz/exercise.cpp has the base: 512 bytes at 0x10000, 256 at 0x20000, 1,024 in all.
    identity = bytes(range(16))

    def make(label: str, whole: list[tuple[int, int]], **other: Any) -> tuple[str, bytes]:
        memory = other.pop("memory", [(0x10040, b"changed!")])

        def fill(builder: DumpBuilder) -> object:
            builder.memory64_list(memory)
            return builder.base(whole, **{"identity": identity, "size": 1024} | other)

        return label, streams("base", fill)

    whole = [(0x10000, 512), (0x20000, 256)]
    yield make("plain", whole)
    yield make("nothing-changed", whole, memory=[])
    yield make("more-than-the-base", [(0xF000, 0x20000)])
    yield make("overlapping", [(0x10100, 64), (0x10000, 512), (0x10000, 16)])
    yield make("beyond-addresses", [(2**64 - 16, 2**63), (0, 2**64 - 1)])
    yield make("other-identity", whole, identity=bytes(16))
    yield make("other-size", whole, size=1023)
    yield make("missing", whole, name=b"missing")
    for name in (b"", b"..", b"../x", b"a:b", b"n" * 256):
        yield make(f"name-{name[:8].hex() or 'none'}", whole, name=name)
    yield make("count", whole, count=2**64 - 1)
    yield make("entry-size", whole, entry_size=8)
    yield make("header-size", whole, header_size=2**32 - 1)
    yield (
        "short",
        streams("base", lambda b: b.memory64_list([]).stream(d.SNAPCORE_BASE, bytes(295))),
    )
    yield (
        "identity-short",
        streams("base", lambda b: b.memory64_list([]).stream(d.SNAPCORE_IDENTITY, bytes(15))),
    )


def system() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill) -> tuple[str, bytes]:
        return name, streams("system", fill)

    for architecture, platform in (
        (d.AMD64, d.WINDOWS), (d.X86, d.WINDOWS), (d.ARM64, d.MACOS), (d.ARM64_OLD, d.LINUX),
        (d.AMD64, d.LINUX), (0xFFFF, 0x9999),
    ):  # fmt: skip
        yield make(
            f"system-{architecture:x}-{platform:x}",
            lambda b, a=architecture, p=platform: b.system_info(a, p, text="text of it"),
        )
    yield make("no-text", lambda b: b.system_info(text=None))
    yield make("text-beyond", lambda b: b.system_info().overwrite(d.SYSTEM_INFO, 24, "I", ALL_ONES))
    yield make("short-system", lambda b: b.stream(d.SYSTEM_INFO, bytes(31)))
    zone = {"bias": -60, "standard_name": d.code_units("CET").tolist()}
    for version in range(1, 6):
        yield make(
            f"misc-{version}",
            lambda b, v=version: b.misc_info(
                v,
                flags=0x3F7,
                create_time=ALL_ONES,
                user_time=ALL_ONES,
                build_string="19041.1.amd64fre",
                time_zone=tuple_of_zone(zone),
                max_mhz=3000,
                enabled_features=7,
                features=[0, 160, 160, 256, 576, 256],
            ),
        )
    yield make("misc-rounded-up", lambda b: b.misc_info(5, extra=bytes(4)))
    yield make("misc-short", lambda b: b.stream(d.MISC_INFO, bytes([24, 0, 0, 0, 255])))
    yield make("counters-1", lambda b: b.vm_counters(1, page_faults=1, private_usage=2))
    yield make("counters-2", lambda b: b.vm_counters(2, virtual=3, shared_commit=4, flags=0x1F))
    yield make("system-memory", lambda b: b.system_memory_info(available_pages=5, cache_size=6))
    yield make("short-counters", lambda b: b.stream(22, bytes(79)).stream(21, bytes(491)))


def tuple_of_zone(values: dict[str, object]) -> object:
    return d.record(d.TIME_ZONE, **values)[0]


def text() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill) -> tuple[str, bytes]:
        return name, streams("text", fill)

    yield make("status", lambda b: b.linux(proc_status=PROC_STATUS))
    yield make("maps", lambda b: b.linux(maps=PROC_MAPS))
    odd_maps = (
        b"0-1 ---s ffffffffffffffff ff:ff 18446744073709551615\n"
        b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0      [vsyscall]\n"
        b"7f00-7e00 rwxp 0 0:0 0 /tmp/a b (deleted)\n7f00 rwxp\n-\n\n7fff-"
    )
    yield make("odd-maps", lambda b: b.linux(maps=odd_maps))
    odd_status = b"Pid:\nPPid:\t-1\nUid:\t99999999999999999999\nGid\nName:\nThreads:\tmany\nPid:"
    yield make("odd-status", lambda b: b.linux(proc_status=odd_status))
    yield make("command-line", lambda b: b.linux(cmd_line=b"a\0b c\0\0\xff\0"))
    yield make("environment", lambda b: b.linux(environ=b"A=B\0=\0C\0"))
    yield make("cpu", lambda b: b.linux(cpu_info=b"processor\t: 0\nmodel name\t: x\n\nprocessor"))
    yield make("release", lambda b: b.linux(lsb_release=b'NAME="Debian"\nVERSION=12\n'))
    yield make("auxv", lambda b: b.auxv({3: CODE, 6: 4096, 33: 2**64 - 1}))
    yield make("auxv-32", lambda b: b.auxv({3: 0x1000, 6: 4096}, word="I"))
    yield make("limits", lambda b: b.linux(linux_limits=b"Limit  Soft Limit  Hard Limit  Units\n"))
    yield make("soft-errors", lambda b: b.linux(soft_errors=b'[{"a":["b",{"c":null}]},1e9,"\\u0'))
    yield make("comment", lambda b: b.comment_a(b"narrow \xff").comment_w("wide \ud800"))
    yield make("odd-comment", lambda b: b.stream(d.COMMENT_W, b"a\0b").stream(d.COMMENT_A))


def exception() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill, architecture: int = d.AMD64) -> tuple[str, bytes]:
        return name, streams("exception", fill, architecture)

    yield make("signal", lambda b: b.exception(1, 11, flags=1, address=0xDEAD))
    yield make("with-registers", lambda b: b.exception(1, 0xC0000005, context=AMD64_REGISTERS))
    yield make("parameters", lambda b: b.exception(1, 0xC0000005, parameters=list(range(15))))
    yield make("too-many", lambda b: b.exception(1, 1, parameter_count=ALL_ONES, record=2**64 - 1))
    yield make("short", lambda b: b.stream(d.EXCEPTION, bytes(167)))
    arm = context(d.CONTEXT_ARM64_OLD, pc=CODE)
    yield make("arm64", lambda b: b.exception(1, 5, context=arm), d.ARM64_OLD)


def columns() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill) -> tuple[str, bytes]:
        return name, streams("columns", fill)

    tids = struct.pack("<3I", 10, 11, 12)
    states = struct.pack("<3i", 0, -1, 1), b"", struct.pack("<4Q", 2, 0, 1, 3) + b"SRT"
    key = (1, 0x104, "tid", 3, tids, b"", b"")
    state = (1, 0x404, "state", 3, *states)
    priority = (1, 0x204, "base_priority", 3, struct.pack("<3i", 5, 0, -5), b"\1\0\2", b"")
    rows = [{"base": 0x1000, "size": 0x1000}, {"base": 0x2000, "size": 0x1000}]
    regions = [
        (3, 0x108, "base", 2, struct.pack("<2Q", 0x2000, 0x1000), b"", b""),
        (3, 0x108, "resident", 2, struct.pack("<2Q", 1, 2), b"\0\1", b""),
        (3, 0x301, "in_clone", 2, b"\0\7", b"", b""),
    ]
    handles = [
        (2, 0x108, "handle", 1, struct.pack("<Q", 4), b"", b""),
        (2, 0x108, "inode", 1, struct.pack("<Q", 7), b"", b""),
        (0, 0x404, "image_path", 1, struct.pack("<i", 0), b"", struct.pack("<3Q", 1, 0, 2) + b"/a"),
        (0, 0x104, "exit_status", 1, struct.pack("<I", 259), b"", b""),
    ]

    def threads_and(*made: tuple[int, int, str, int, bytes, bytes, bytes]) -> Fill:
        return lambda b: b.thread_list(few_threads(3)).snapcore_columns(made)

    yield make("threads", threads_and(key, state, priority))
    yield make("regions", lambda b: b.memory_info_list(rows).snapcore_columns(regions))
    yield make(
        "handles", lambda b: b.handle_data([Handle(4, "File", None)]).snapcore_columns(handles)
    )
    yield make("no-key", threads_and(state, priority))
    yield make("no-columns", threads_and())
    yield make("twice", threads_and(key, key, state, state))
    yield make("other-types", threads_and((1, 0x108, *key[2:]), (1, 0x104, *state[2:])))
    yield make("other-rows", threads_and((1, 0x104, "tid", 2, *key[4:]), state, priority))
    yield make(
        "codes-beyond", threads_and(key, (*state[:4], struct.pack("<3i", 2, 9, -7), *states[1:]))
    )
    for name, ends in (
        ("falling", (2, 3, 1, 0)),
        ("beyond", (2, 0, 1, 99)),
        ("many", (99, 0, 1, 2)),
    ):
        texts = struct.pack("<4Q", *ends) + b"SRT"
        yield make(f"ends-{name}", threads_and(key, (*state[:6], texts)))
    for field, at in (("rows", 40), ("values", 48), ("valid", 56), ("texts", 64)):
        yield make(
            f"{field}-large",
            lambda b, at=at: threads_and(state, key)(b).overwrite(
                d.SNAPCORE_COLUMNS, 16 + at, "Q", 2**64 - 4
            ),
        )


def breakpad() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill) -> tuple[str, bytes]:
        return name, streams("breakpad", fill)

    objects = [(0x400000, "a", 0x400800), (0x500000, "/lib/b.so", 0x500800)]
    yield make("info", lambda b: b.breakpad_info(10, 11))
    yield make("assertion", lambda b: b.assertion_info("a == b", "main", "a.cpp", 42))
    yield make("full-assertion", lambda b: b.assertion_info("x" * 128, "y" * 128, "z" * 128, 1))
    yield make("objects", lambda b: b.dso_debug(objects))
    yield make("packed-objects", lambda b: b.dso_debug(objects, packed=True))
    yield make(
        "objects-count", lambda b: b.dso_debug(objects).overwrite(0x4767000A, 8, "I", ALL_ONES)
    )
    yield make("short", lambda b: b.stream(d.BREAKPAD_INFO, bytes(11)).stream(0x47670002, bytes(9)))


def crashpad() -> Iterator[tuple[str, bytes]]:
    def make(name: str, fill: Fill) -> tuple[str, bytes]:
        return name, streams("crashpad", fill)

    def full(b: DumpBuilder) -> DumpBuilder:
        module = b.crashpad_module(
            list=["one", "two"],
            simple={"k": "v"},
            objects=[("p", 1, b"q"), ("r", 0x8001, b"\xff\0")],
        )
        return b.crashpad_info({"prod": "Thing", "": "é"}, {0: module, 7: module})

    info = d.CRASHPAD_INFO
    yield make("full", full)
    yield make("annotations", lambda b: b.crashpad_info({"a": "b"}, size=52))
    yield make("empty", lambda b: b.crashpad_info({}))
    yield make("short", lambda b: b.crashpad_info({}, size=35))
    yield make("annotations-beyond", lambda b: full(b).overwrite(info, 40, "I", ALL_ONES))
    yield make("annotations-in-itself", lambda b: full(b).overwrite(info, 40, "I", 530))
    yield make("modules-size", lambda b: full(b).overwrite(info, 44, "I", ALL_ONES))
    record = ({"thread": 1, "dialog_mode": 2}, [b"/usr/lib/a.dylib", b"abort()", b"", b"", b""])
    yield make("macos", lambda b: b.macos_crash_info([record, record]).macos_boot_args("-v"))
    yield make(
        "macos-count",
        lambda b: b.macos_crash_info([record]).overwrite(d.MOZ_MACOS_CRASH_INFO, 4, "I", ALL_ONES),
    )


TARGETS: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
    "file": whole_files,
    "packed": packed,
    "threads": threads,
    "modules": modules,
    "handles": handles,
    "regions": regions,
    "memory": memory,
    "base": base,
    "system": system,
    "text": text,
    "exception": exception,
    "columns": columns,
    "breakpad": breakpad,
    "crashpad": crashpad,
}


def corpus() -> dict[str, bytes]:
    """Contents by path below tests/corpus."""
    out = {}
    for target, make in TARGETS.items():
        for name, data in make():
            path = f"{target}/{name}{SUFFIXES.get(target, '.bin')}"
            assert path not in out, path
            out[path] = data
    return out


def kept() -> dict[str, bytes]:
    """What is in the folder, but for past findings."""
    return {
        path.relative_to(CORPUS).as_posix(): path.read_bytes()
        for path in CORPUS.glob("*/*")
        if not path.name.startswith("found-")
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what differs")
    check = parser.parse_args().check
    wanted, there = corpus(), kept()
    differing = sorted(
        path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path)
    )
    for path in differing:
        print(path)
        if check:
            continue
        if path in wanted:
            (CORPUS / path).parent.mkdir(parents=True, exist_ok=True)
            (CORPUS / path).write_bytes(wanted[path])
        else:
            (CORPUS / path).unlink()
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
