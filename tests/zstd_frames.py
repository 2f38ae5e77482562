# SPDX-License-Identifier: Apache-2.0
"""Compressed files of any content, without a compressor: blocks that are copied or repeated, and any table."""

from __future__ import annotations

import struct

_BLOCK = 128 * 1024
_RAW, _REPEATED = 0, 1
SKIPPABLE = 0x184D2A5E
SEEKABLE = 0x8F92EAB1


def _frame(blocks: list[tuple[int, int, bytes]], size: int) -> bytes:
    # A single segment, its size in 4 bytes, no checksum.
    out = struct.pack("<IBI", 0xFD2FB528, 0xA0, size)
    for number, (kind, length, data) in enumerate(blocks or [(_RAW, 0, b"")]):
        last = number == max(len(blocks) - 1, 0)
        out += struct.pack("<I", last | kind << 1 | length << 3)[:3] + data
    return out


def frame(content: bytes) -> bytes:
    """A frame that holds some bytes as they are."""
    pieces = [content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK)]
    return _frame([(_RAW, len(piece), piece) for piece in pieces], len(content))


def repeated(byte: int, size: int) -> bytes:
    """A frame of one byte, many times: four bytes for 128 KiB."""
    lengths = [min(_BLOCK, size - at) for at in range(0, size, _BLOCK)]
    return _frame([(_REPEATED, length, bytes([byte])) for length in lengths], size)


def table(sizes: list[tuple[int, int]], *, descriptor: int = 0, count: int | None = None) -> bytes:
    """The table of (stored, unpacked) sizes."""
    checksum = b"\0\0\0\0" if descriptor & 0x80 else b""
    entries = b"".join(struct.pack("<II", *pair) + checksum for pair in sizes)
    count = len(sizes) if count is None else count
    footer = struct.pack("<IBI", count, descriptor, SEEKABLE)
    return struct.pack("<II", SKIPPABLE, len(entries) + len(footer)) + entries + footer


def seekable(content: bytes, size: int = 4096) -> bytes:
    """A file in frames of a size, with its table."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    frames = [frame(piece) for piece in pieces]
    sizes = [(len(f), len(p)) for f, p in zip(frames, pieces, strict=True)]
    return b"".join(frames) + table(sizes)
