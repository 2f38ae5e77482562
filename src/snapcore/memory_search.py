# SPDX-License-Identifier: Apache-2.0
"""What lies in the memory of a dump file: pieces of it, places of bytes, texts. Never all of it at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from snapcore.dumpfile import DumpFile

_CHUNK = 1 << 20


def chunks(file: DumpFile, size: int | None = None) -> Iterator[tuple[int, bytes]]:
    size = _CHUNK if size is None else size
    if size < 1:
        message = f"size must be positive, not {size}"
        raise ValueError(message)
    # The native one gives what there is of a file that has become shorter.
    read = file._file().read
    for address, length in file.memory_ranges()[["address", "present"]].tolist():
        for at in range(0, length, size):
            data = read(address + at, min(size, length - at))
            if data:
                yield address + at, data


def _overlapping(file: DumpFile, overlap: int) -> Iterator[tuple[int, bytes, int]]:
    """Pieces with the end of the one before, where they touch, and how many bytes that is."""
    tail, end = b"", -1
    for address, data in chunks(file):
        if address != end:
            tail = b""
        joined = tail + data
        yield address - len(tail), joined, len(tail)
        tail = joined[-overlap:] if overlap else b""
        end = address + len(data)


def find(file: DumpFile, pattern: bytes, limit: int | None) -> NDArray[np.uint64]:
    if not pattern:
        message = "the pattern is empty"
        raise ValueError(message)
    found: list[int] = []
    for address, data, _ in _overlapping(file, len(pattern) - 1):
        at = data.find(pattern)
        while at >= 0:
            found.append(address + at)
            if limit is not None and len(found) >= limit:
                return np.array(found, dtype=np.uint64)
            at = data.find(pattern, at + 1)
    return np.array(found, dtype=np.uint64)


def _texts(
    pattern: re.Pattern[bytes], start: int, data: bytes, codec: str
) -> Iterator[tuple[int, str]]:
    for match in pattern.finditer(data):
        yield start + match.start(), match[0].decode(codec)


def strings(file: DumpFile, min_length: int, encoding: str) -> Iterator[tuple[int, str]]:
    longest = 4096
    if min_length < 1 or min_length > longest:
        message = f"min_length must be between 1 and {longest}, not {min_length}"
        raise ValueError(message)
    byte = rb"[\x20-\x7e\t]"
    forms = {"ascii": (byte, 1), "utf-16": (rb"(?:%s\0)" % byte, 2)}
    if encoding not in forms:
        message = f"encoding must be one of {', '.join(forms)}, not {encoding!r}"
        raise ValueError(message)
    character, width = forms[encoding]
    codec = "ascii" if width == 1 else "utf-16-le"
    text = re.compile(character + b"{%d,%d}" % (min_length, longest))
    # What reaches the end of a piece, half a character included, may go on in the next one. Matched from
    # the end, which takes no more steps than it has bytes.
    unfinished = re.compile({1: rb"%s*", 2: rb"%s?(?:\0%s)*"}[width] % ((byte,) * width))
    start, rest = 0, b""
    for address, data in chunks(file):
        if start + len(rest) != address:
            yield from _texts(text, start, rest, codec)
            rest = b""
        start = address - len(rest)
        joined = rest + data
        tail = unfinished.match(joined[::-1])
        end = len(joined) - (0 if tail is None else tail.end())
        yield from _texts(text, start, joined[:end], codec)
        start, rest = start + end, joined[end:]
        while len(rest) > longest * width:
            yield from _texts(text, start, rest[: longest * width], codec)
            start, rest = start + longest * width, rest[longest * width :]
    yield from _texts(text, start, rest, codec)
