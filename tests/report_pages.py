# SPDX-License-Identifier: Apache-2.0
"""Dump files that reports are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dump_builder import CONTEXT_AMD64, DumpBuilder, Handle, Module, Thread, context

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


def hostile_dump(path: Path) -> Path:
    """A crash of which every text is hostile."""
    registers = context(CONTEXT_AMD64, rip=0x7F0000001234, rsp=0x10000100, flags=0x10005F)
    lines = [
        f"{0x10000000 + 0x2000 * n:x}-{0x10001000 + 0x2000 * n:x} rw-p 00000000 00:00 0 {name}"
        for n, name in enumerate(HOSTILE)
    ]
    status = f"Name:\t{HOSTILE[0]}\nPid:\t4242\nPPid:\t1\n"
    builder = (
        DumpBuilder(flags=0x2)
        .system_info(text=HOSTILE[1])
        .misc_info()
        .threads([Thread(4242 + n, name, registers) for n, name in enumerate(HOSTILE)])
        .module_list(
            [
                Module(0x7F0000000000 + 0x10000 * n, 0x8000, f"/lib/{name}")
                for n, name in enumerate(HOSTILE)
            ]
        )
        .memory_info_list(regions(len(HOSTILE)))
        .handle_data([Handle(n, name, name) for n, name in enumerate(HOSTILE * 2)])
        .exception(4242, 11, address=0x7F0000001234, context=registers)
        .comment_w("".join(HOSTILE))
        .linux(
            maps="\n".join([*lines, ""]).encode(),
            proc_status=status.encode(),
            cmd_line="\0".join([*HOSTILE, ""]).encode(),
        )
    )
    return builder.write(path)


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
