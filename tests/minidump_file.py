# SPDX-License-Identifier: Apache-2.0
"""A minidump read by the tests' own few lines: streams and memory, nothing that the package has a hand in."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

THREAD_LIST, MODULE_LIST, MEMORY_LIST, SYSTEM_INFO = 3, 4, 5, 7
MEMORY64_LIST, COMMENT_W, HANDLE_DATA, MISC_INFO = 9, 11, 12, 15
MEMORY_INFO_LIST, THREAD_INFO_LIST = 16, 17
SYSTEM_MEMORY_INFO, PROCESS_VM_COUNTERS, THREAD_NAMES = 21, 22, 24
LINUX_CPU_INFO, LINUX_PROC_STATUS, LINUX_LSB_RELEASE = 0x47670003, 0x47670004, 0x47670005
LINUX_CMD_LINE, LINUX_ENVIRON, LINUX_AUXV, LINUX_MAPS = (
    0x47670006,
    0x47670007,
    0x47670008,
    0x47670009,
)
MOZ_LIMITS, MOZ_SOFT_ERRORS = 0x4D7A0003, 0x4D7A0004
SNAPCORE_RANGES, SNAPCORE_TOKEN, SNAPCORE_COLUMNS = 0x534E5001, 0x534E5002, 0x534E5003


@dataclass
class MinidumpFile:
    path: Path
    flags: int = 0
    streams: dict[int, bytes] = field(default_factory=dict)
    #: (start, end, offset in the file), ascending by address
    memory: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data = Path(self.path).read_bytes()
        signature, _, count, directory = struct.unpack_from("<4sIII", self.data)
        assert signature == b"MDMP"
        (self.flags,) = struct.unpack_from("<Q", self.data, 24)
        for i in range(count):
            kind, size, rva = struct.unpack_from("<III", self.data, directory + 12 * i)
            assert kind not in self.streams, "the same stream twice"
            assert rva + size <= len(self.data)
            self.streams[kind] = self.data[rva : rva + size]
        if MEMORY_LIST in self.streams:
            body = self.streams[MEMORY_LIST]
            for i in range(struct.unpack_from("<I", body)[0]):
                start, size, rva = struct.unpack_from("<QII", body, 4 + 16 * i)
                self.memory.append((start, start + size, rva))
        if MEMORY64_LIST in self.streams:
            body = self.streams[MEMORY64_LIST]
            ranges, offset = struct.unpack_from("<QQ", body)
            for i in range(ranges):
                start, size = struct.unpack_from("<QQ", body, 16 + 16 * i)
                self.memory.append((start, start + size, offset))
                offset += size
        self.memory.sort()
        for (_, end, _), (start, _, _) in zip(self.memory, self.memory[1:], strict=False):
            assert end <= start, "ranges overlap"
        for start, end, offset in self.memory:
            assert offset + end - start <= len(self.data)

    def read(self, address: int, size: int) -> bytes | None:
        for start, end, offset in self.memory:
            if start <= address < end:
                at = offset + address - start
                return self.data[at : at + min(size, end - address)]
        return None

    def text(self, address: int) -> str | None:
        found = self.read(address, 64)
        return None if found is None else found.split(b"\0")[0].decode("latin-1")

    def pages(self) -> set[int]:
        """All addresses of memory in the file, by 16 bytes."""
        return {a for start, end, _ in self.memory for a in range(start & ~15, end, 16)}

    def string(self, rva: int) -> str:
        (size,) = struct.unpack_from("<I", self.data, rva)
        return self.data[rva + 4 : rva + 4 + size].decode("utf-16-le")

    def threads(self) -> dict[int, tuple[bytes, int, int]]:
        """Context record, start of the stack and its size, by thread id."""
        out = {}
        body = self.streams[THREAD_LIST]
        for i in range(struct.unpack_from("<I", body)[0]):
            tid, _, _, _, _, start, size, _, context_size, context_rva = struct.unpack_from(
                "<IIIIQQIIII", body, 4 + 48 * i
            )
            out[tid] = (self.data[context_rva : context_rva + context_size], start, size)
        return out

    def module_names(self) -> list[str]:
        body = self.streams[MODULE_LIST]
        return [
            self.string(struct.unpack_from("<I", body, 4 + 108 * i + 20)[0])
            for i in range(struct.unpack_from("<I", body)[0])
        ]

    def handle_names(self) -> list[tuple[str, str]]:
        """Type and object name; an empty text where there is none."""
        body = self.streams[HANDLE_DATA]
        header, size, count = struct.unpack_from("<III", body)
        out = []
        for i in range(count):
            kind, name = struct.unpack_from("<II", body, header + size * i + 8)
            out.append((self.string(kind) if kind else "", self.string(name) if name else ""))
        return out
