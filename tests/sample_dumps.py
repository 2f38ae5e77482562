# SPDX-License-Identifier: Apache-2.0
"""Ready-made synthetic minidumps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from dump_builder import DumpBuilder, Handle, Module, Thread
from dump_structures import (
    AMD64,
    ARM64,
    CONTEXT_AMD64,
    CONTEXT_ARM64,
    CONTEXT_ARM64_OLD,
    CONTEXT_X86,
    EVENT_INFORMATION_1,
    LINUX,
    MEMORY_INFO,
    MUTANT_INFORMATION_1,
    MUTANT_INFORMATION_2,
    SNAPCORE_TOKEN,
    USER_STREAM,
    WINDOWS,
    X86,
    context,
    context_with_xstate,
    cv_bpel,
    cv_nb10,
    cv_rsds,
    file_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAGE = 0x1000
_COMMIT, _PRIVATE, _IMAGE = 0x1000, 0x20000, 0x1000000


def _regions(ranges: Iterable[tuple[int, int, int, int]]) -> list[dict[str, int]]:
    return [
        {
            "base": base,
            "allocation_base": base,
            "allocation_protect": protect,
            "size": size,
            "state": _COMMIT,
            "protect": protect,
            "type": type_,
        }
        for base, size, protect, type_ in ranges
    ]


def small_windows() -> DumpBuilder:
    """Two threads, two modules, three ranges of memory; what every reader understands."""
    text, stack, heap = 0x7FF600000000, 0x50000, 0x60000
    threads = [
        Thread(
            100 + i,
            f"thread {i}",
            context(CONTEXT_AMD64, rip=text + 0x10 + i, rsp=stack + 0x800 + 0x10 * i, cs=0x33),
            fields={"teb": 0x70000 + _PAGE * i, "priority_class": 0x20},
            info={"create_time": 133_000_000_000_000_000, "user_time": 10_000, "affinity": 0xF},
        )
        for i in range(2)
    ]
    modules = [
        Module(
            text,
            _PAGE,
            "C:\\app.exe",
            cv_rsds("C:\\app.pdb"),
            time=0x5F000001,
            version=file_version(1, 2, 3, 4),
        ),
        Module(0x7FF700000000, _PAGE, "C:\\old.dll", cv_nb10("old.pdb"), time=0x5F000002),
    ]
    handles = [
        Handle(4, "File", "\\Device\\HarddiskVolume1\\log.txt", granted_access=0x120089),
        Handle(
            8,
            "Event",
            "\\BaseNamedObjects\\ready",
            granted_access=0x1F0003,
            information=[(EVENT_INFORMATION_1, struct.pack("<II", 1, 0))],
        ),
        Handle(12, "Mutant", None, information=[(MUTANT_INFORMATION_1, bytes(8)), (MUTANT_INFORMATION_2, struct.pack("<II", 4242, 100))]),
    ]  # fmt: skip
    part = 0x200
    memory = [
        (stack + 0x800, b"\x11" * part),
        (heap, b"heap\0".ljust(part, b"\0")),
        (text, b"MZ".ljust(part, b"\x90")),
    ]
    return (
        DumpBuilder(flags=0x1806)
        .system_info(AMD64, WINDOWS, text="Service Pack 1")
        .misc_info(4, create_time=1_600_000_000, build_string="19041.1.amd64fre.vb_release")
        .threads(threads)
        .module_list(modules)
        .unloaded_module_list([Module(0x7FF800000000, 2 * _PAGE, "gone.dll", time=0x5F000003)])
        .handle_data(handles)
        .memory_info_list(
            _regions(
                [
                    (stack, 0x800, 4, _PRIVATE),
                    (stack + 0x800, part, 4, _PRIVATE),
                    (heap, part, 4, _PRIVATE),
                    (text, part, 0x20, _IMAGE),
                ]
            )
        )
        .memory64_list(memory)
    )  # fmt: skip


PROC_STATUS = (
    b"Name:\tworker\nUmask:\t0022\nState:\tt (tracing stop)\nTgid:\t4242\nPid:\t4242\nPPid:\t1\n"
    b"Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nThreads:\t2\n"
)
PROC_MAPS = (
    b"555500000000-555500001000 r-xp 00000000 08:01 131 /usr/bin/worker\n"
    b"7ffc00000000-7ffc00001000 rw-p 00000000 00:00 0 [stack]\n"
    b"7fff00000000-7fff00001000 r-xp 00000000 00:00 0 [vdso]\n"
)


def small_linux(architecture: int = AMD64, *, old_context: bool = False) -> DumpBuilder:
    """What a crash handler on Linux writes: stacks alone, texts of /proc, an exception."""
    stack = 0x7FFC00000000
    dtype = {X86: CONTEXT_X86, AMD64: CONTEXT_AMD64, ARM64: CONTEXT_ARM64}.get(
        architecture, CONTEXT_ARM64_OLD
    )
    if old_context:
        dtype = CONTEXT_ARM64_OLD
    names = {X86: ("eip", "esp"), AMD64: ("rip", "rsp")}.get(architecture, ("pc", "sp"))
    mask = 0xFFFFFFFF if architecture == X86 else 0xFFFFFFFFFFFFFFFF
    threads = [
        Thread(
            4242 + i,
            f"worker-{i}",
            context(
                dtype,
                **{names[0]: 0x555500000010 & mask, names[1]: (stack + 0x800 + 0x100 * i) & mask},
            ),
            stack=(stack + 0x800 + 0x100 * i, bytes([i + 1]) * 0x100),
        )
        for i in range(2)
    ]
    return (
        DumpBuilder(flags=0)
        .system_info(architecture, LINUX, text="Linux 6.1.0 #1 SMP x86_64")
        .misc_info(2)
        .thread_list(threads)
        .thread_names(threads)
        .module_list([Module(0x555500000000, _PAGE, "/usr/bin/worker", cv_bpel())])
        .memory_list([t.stack for t in threads if t.stack is not None])
        .exception(4242, 11, flags=1, address=0xDEAD, context=threads[0].context)
        .linux(
            cpu_info=b"processor\t: 0\nvendor_id\t: GenuineIntel\n",
            proc_status=PROC_STATUS,
            lsb_release=b'DISTRIB_ID=Debian\nDISTRIB_DESCRIPTION="Debian 12"\n',
            cmd_line=b"/usr/bin/worker\0--serve\0",
            environ=b"HOME=/root\0LANG=C\0",
            maps=PROC_MAPS,
        )
        .auxv({3: 0x555500000040, 6: 4096, 33: 0x7FFF00000000})
        .dso_debug([(0x555500000000, "/usr/bin/worker", 0x555500000800)])
    )


def everything() -> DumpBuilder:
    """Every stream that there is a method for, each once."""
    wide = context_with_xstate(rip=0x401000, rsp=0x50800)
    plain = context(CONTEXT_AMD64, rip=0x401010, rsp=0x50900)
    threads = [
        Thread(
            10 + i,
            name,
            registers,
            stack=(0x50800 + 0x100 * i, bytes([i]) * 0x80),
            fields={"suspend_count": 1, "priority": 2},
            info={"exit_status": 259, "start_address": 0x401000},
        )
        for i, (name, registers) in enumerate(
            zip(("main", "Grüße", "\U0001f600"), (wide, plain, plain), strict=True)
        )
    ]
    dump = (
        DumpBuilder(flags=0x1FFFFF)
        .system_info(AMD64, LINUX, text="Linux 6.1.0")
        .misc_info(5, integrity_level=0x2000, process_cookie=7, debug_build_string="dbgcore.x64")
        .threads(threads)
        .thread_list(threads, extended=True)
        .module_list(
            [
                Module(0x400000, 0x2000, "C:\\a.exe", cv_rsds("a.pdb"), b"misc", 1, 2, file_version(1, 0, 0, 1)),
                Module(0x500000, 0x2000, "C:\\b.dll", cv_nb10("b.pdb"), time=3),
                Module(0x600000, 0x2000, "/lib/c.so", cv_bpel()),
                Module(0x700000, 0x2000, "/lib/d.so"),
            ]
        )
        .unloaded_module_list([Module(0x800000, 0x1000, "C:\\gone.dll", time=4, checksum=5)])
        .memory_list([(0x20000, b"in the list " * 8)])
        .memory_info_list(_regions((base, _PAGE, 4, _PRIVATE) for base in (0x20000, 0x50000, 0x60000)))
        .snapcore_ranges([(0x90000, _PAGE, 1), (0xA0000, _PAGE, 2)])
        .handle_data(
            [
                Handle(4 * i, "Thing", f"\\Object{i}", information=[(i, bytes(8 * i))])
                for i in range(1, 9)
            ]
        )
        .handle_operation_list(
            [{"handle": 4, "pid": 1, "tid": 10, "operation": 1, "return_addresses": [0x401000]}]
        )
        .exception(10, 0xC0000005, address=0x401000, parameters=[1, 2], context=plain)
        .tokens([(1, 0x10, b"token"), (2, 0x14, bytes(20))])
        .system_memory_info(processors=4, available_pages=1000)
        .vm_counters(2, page_faults=9, working_set=1 << 20, private_usage=1 << 19)
        .comment_a(b"narrow")
        .comment_w("wide")
        .linux(
            cpu_info=b"processor\t: 0\n",
            proc_status=PROC_STATUS,
            lsb_release=b"NAME=Debian\n",
            cmd_line=b"a\0b\0",
            environ=b"A=B\0",
            maps=PROC_MAPS,
            linux_limits=b"Limit                     Soft Limit           Hard Limit           Units\n",
            soft_errors=b'[{"InitErrors":["StopProcessFailed"]}]',
        )
        .auxv({6: 4096})
        .dso_debug([(0x400000, "a", 0x400800)], packed=True)
        .breakpad_info(10, 11)
        .assertion_info("a == b", "main", "a.cpp", 42)
        .macos_crash_info([({"thread": 1}, [b"/usr/lib/a.dylib", b"abort()", b"", b"", b""])])
        .macos_boot_args("-v")
        .stream(SNAPCORE_TOKEN, b"uid:\t0\n")
        .snapcore_columns(
            [
                (1, 0x104, "tid", 3, struct.pack("<3I", 10, 11, 12), b"", b""),
                (1, 0x204, "base_priority", 3, struct.pack("<3i", 5, 0, -5), b"\1\0\1", b""),
                (1, 0x404, "state", 3, struct.pack("<3i", 0, -1, 1), b"", struct.pack("<4Q", 2, 0, 1, 2) + b"SR"),
            ]
        )
        .stream(USER_STREAM, b"of some writer's own")
    )  # fmt: skip
    module = dump.crashpad_module(
        list=["one", "two"], simple={"key": "value"}, objects=[("ptype", 1, b"browser")]
    )
    dump.crashpad_info({"prod": "Thing", "ver": "1.0"}, {0: module})
    return dump.memory64_list([(0x50000, b"s" * 0x100), (0x60000, b"heap" * 32)])


def crowd(
    threads: int = 5_000, modules: int = 2_000, regions: int = 100_000, handles: int = 100_000
) -> DumpBuilder:
    """A large process."""
    names = [f"pool-{i % 50}" for i in range(threads)]
    made = [
        Thread(
            1000 + i,
            names[i],
            context(CONTEXT_AMD64, rip=0x401000 + i, rsp=0x7F0000000000 + i * 0x10000),
            info={"user_time": 10_000 * i},
        )
        for i in range(threads)
    ]
    table = np.zeros(regions, MEMORY_INFO)
    table["base"] = table["allocation_base"] = (
        0x10000000 + np.arange(regions, dtype=np.uint64) * 0x10000
    )
    table["size"], table["state"], table["protect"], table["type"] = 0x8000, _COMMIT, 4, _PRIVATE
    types = ("File", "Event", "Key", "Section", "Thread", "Semaphore")
    return (
        DumpBuilder(flags=0x1804)
        .system_info(AMD64, WINDOWS)
        .misc_info(2)
        .threads(made)
        .module_list(
            Module(0x7FF000000000 + i * 0x100000, 0x80000, f"C:\\modules\\{i}.dll", cv_rsds(f"{i}.pdb", age=i + 1), time=i + 1)
            for i in range(modules)
        )
        .memory_info_list(table)
        .handle_data(
            Handle(4 * i + 4, types[i % 6], f"\\Device\\Volume\\file{i}" if i % 3 else None)
            for i in range(handles)
        )
    )  # fmt: skip


def sparse(size: int = 5 << 30, ranges: int = 5) -> DumpBuilder:
    """A full dump that large; its memory is zero but for a few bytes at the start and the end."""
    each = (size // ranges) & ~(_PAGE - 1)
    base = 0x7F0000000000
    parts: list[tuple[int, bytes | int]] = [(base - _PAGE, b"first".ljust(_PAGE, b"\0"))]
    parts += [(base + i * 2 * each, each) for i in range(ranges)]
    parts.append((base + ranges * 2 * each, b"last".ljust(_PAGE, b"\0")))
    sizes = [data if isinstance(data, int) else len(data) for _, data in parts]
    regions = [(start, n, 4, _PRIVATE) for (start, _), n in zip(parts, sizes, strict=True)]
    thread = Thread(1, "main", context(CONTEXT_AMD64, rip=1, rsp=base))
    return (
        DumpBuilder(flags=0x1802)
        .system_info(AMD64, WINDOWS)
        .misc_info(2)
        .threads([thread])
        .module_list([])
        .memory_info_list(_regions(regions))
        .memory64_list(parts)
    )
