# SPDX-License-Identifier: Apache-2.0
"""Inputs of the fuzz targets: whole files, and the streams of a family (cpp/tests/fuzz/fuzz_streams.cpp)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from dump_builder import DumpBuilder
from dump_structures import AMD64, DIRECTORY_ENTRY, HEADER, LINUX, SYSTEM, SYSTEM_INFO, record

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "corpus"
#: Where the input of a family lies in its file.
INPUT_AT = 512


def families() -> dict[str, list[int]]:
    """Types of the streams of each family."""
    lines = (ROOT / "cpp" / "tests" / "fuzz" / "families.txt").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: [int(type_, 0) for type_ in types] for name, *types in words}


def streams(
    family: str,
    fill: Callable[[DumpBuilder], object],
    architecture: int = AMD64,
    platform: int = LINUX,
) -> bytes:
    """The input whose streams are those that `fill` adds; others than of the family are an error."""
    types = families()[family]
    builder = DumpBuilder(start=INPUT_AT + 4 + 4 * len(types))
    fill(builder)
    prefix = struct.pack("<HH", architecture, platform & 0xFFFF)
    found = {type_: (rva, size) for type_, size, rva in builder.directory}
    for type_ in types:
        prefix += struct.pack("<HH", *found.pop(type_, (0, 0)))
    assert not found, found
    return prefix + builder.body() + builder.memory_bytes()


def whole_file(target: str, data: bytes) -> bytes:
    """The dump file that a target makes of its input."""
    if target in ("file", "packed"):
        return data
    types = families()[target]
    size = 4 + 4 * len(types)
    if len(data) < size:
        return b""
    architecture, platform, *prefix = struct.unpack_from(f"<{size // 2}H", data)
    system_at = HEADER.itemsize + (len(types) + 1) * DIRECTORY_ENTRY.itemsize
    entries = []
    if SYSTEM_INFO not in types:
        entries.append((SYSTEM_INFO, SYSTEM.itemsize, system_at))
    entries += [
        (type_, prefix[2 * i + 1], prefix[2 * i])
        for i, type_ in enumerate(types)
        if prefix[2 * i] != 0
    ]
    header = record(
        HEADER,
        signature=0x504D444D,
        version=0xA793,
        stream_count=len(entries),
        directory_rva=HEADER.itemsize,
        flags=2,
    )
    head = header.tobytes() + b"".join(struct.pack("<III", *entry) for entry in entries)
    if SYSTEM_INFO not in types:
        system = record(SYSTEM, architecture=architecture, platform=platform)
        head = head.ljust(system_at, b"\0") + system.tobytes()
    return head.ljust(INPUT_AT, b"\0") + data
