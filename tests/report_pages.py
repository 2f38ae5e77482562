# SPDX-License-Identifier: Apache-2.0
"""Dump files that reports are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dump_builder import DumpBuilder, Handle, Module, Thread
from dump_structures import CONTEXT_AMD64, context

if TYPE_CHECKING:
    from pathlib import Path

#: Names that a process may give itself: elements, quotes, control characters, right to left.
HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "' onmouseover='alert(4)",
    "{{ 7 * 7 }}{% raw %}",
    "right\u202egpj.exe\u2066",
    "\x1b[31mred\x07",
    "\u2028line",
    "&amp;lt;",
]


def regions(count: int, size: int = 0x1000) -> list[dict[str, int]]:
    return [
        {
            "base": 0x10000000 + 2 * size * n,
            "allocation_base": 0x10000000 + 2 * size * n,
            "allocation_protect": 4,
            "size": size,
            "state": 0x1000,
            "protect": 4,
            "type": (0x20000, 0x40000, 0x1000000)[n % 3],
        }
        for n in range(count)
    ]


def hostile_dump(path: Path, *, early: bool = False) -> Path:
    """A crash of which every text is hostile; early there were one thread and one handle, a file."""
    registers = context(CONTEXT_AMD64, rip=0x7F0000001234, rsp=0x10000100, flags=0x10005F)
    lines = [
        f"{0x10000000 + 0x2000 * n:x}-{0x10001000 + 0x2000 * n:x} rw-p 00000000 00:00 0 {name}"
        for n, name in enumerate(HOSTILE)
    ]
    threads = [Thread(4242 + n, name, registers) for n, name in enumerate(HOSTILE)]
    handles = [Handle(n, name, name) for n, name in enumerate(HOSTILE * 2)]
    if early:
        threads, handles = threads[:1], [Handle(0, "File", "/var/log/early.log")]
    status = f"Name:\t{HOSTILE[0]}\nPid:\t4242\nPPid:\t1\n"
    builder = (
        DumpBuilder(flags=0x2)
        .system_info(text=HOSTILE[1])
        .misc_info()
        .threads(threads)
        .module_list(
            [
                Module(0x7F0000000000 + 0x10000 * n, 0x8000, f"/lib/{name}")
                for n, name in enumerate(HOSTILE)
            ]
        )
        .memory_info_list(regions(len(HOSTILE)))
        .handle_data(handles)
        .exception(4242, 11, address=0x7F0000001234, context=registers)
        .comment_w("".join(HOSTILE))
        .linux(
            maps="\n".join([*lines, ""]).encode(),
            proc_status=status.encode(),
            cmd_line="\0".join([*HOSTILE, ""]).encode(),
        )
    )
    return builder.write(path)


def pair_of_dumps(folder: Path, **now: int) -> tuple[Path, Path]:
    """One process twice: a handle's number was used again, others came, as did threads. The earlier
    one does not know of what type handle 7 is.

    `now` are fields of MINIDUMP_MISC_INFO of the later one.
    """
    letters = [Handle(100 + n, "File", f"/srv/{'x' * (n + 1)}") for n in range(30)]
    sessions = [Handle(200 + n, "File", f"/tmp/session-{n}.tmp") for n in range(1500)]
    paths = []
    for name, reused, handles, threads, misc in (
        ("before", "old", [Handle(5, "Event"), Handle(7)], 2, {}),
        ("after", "new", [Handle(6, "Event"), Handle(7, "Key"), *letters, *sessions], 5, now),
    ):
        kept = [Handle(3, "File", f"/var/log/{reused}.log"), Handle(4, "File", "/kept")]
        builder = (
            DumpBuilder()
            .system_info()
            .misc_info(**{"create_time": 1_600_000_000, **misc})
            .threads([Thread(4242 + n, f"worker-{n}" if n else "main") for n in range(threads)])
            .handle_data([*kept, *handles])
            .memory_info_list(regions(1))
        )
        paths.append(builder.write(folder / f"{name}.dmp"))
    return paths[0], paths[1]


def large_dump(path: Path) -> Path:
    """100,000 regions, 20,000 handles and 5,000 threads, each with a name of its own."""
    registers = [
        context(CONTEXT_AMD64, rip=0x400000 + 16 * n, rsp=0x10000100, flags=0x10005F)
        for n in range(5000)
    ]
    lines = [
        f"{r['base']:x}-{r['base'] + r['size']:x} rw-p 00000000 08:01 {n + 1} /srv/data/{n:06}.bin"
        for n, r in enumerate(regions(100_000))
    ]
    builder = (
        DumpBuilder()
        .system_info()
        .misc_info()
        .threads([Thread(1000 + n, f"worker-{n}", r) for n, r in enumerate(registers)])
        .module_list(
            [Module(0x7F0000000000 + 0x10000 * n, 0x8000, f"/lib/{n}.so") for n in range(3000)]
        )
        .memory_info_list(regions(100_000))
        .handle_data([Handle(n, f"Type{n % 300}", f"/srv/{n // 2}") for n in range(20_000)])
        .linux(maps="\n".join([*lines, ""]).encode())
    )
    return builder.write(path)
