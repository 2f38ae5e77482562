# SPDX-License-Identifier: Apache-2.0
"""A reader of the Arrow C data interface by ctypes, with nothing that the package has a hand in.

https://arrow.apache.org/docs/format/CDataInterface.html
"""

from __future__ import annotations

import ctypes
import itertools
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Schema(ctypes.Structure):
    pass


class Array(ctypes.Structure):
    pass


class Stream(ctypes.Structure):
    pass


RELEASE_SCHEMA = ctypes.CFUNCTYPE(None, ctypes.POINTER(Schema))
RELEASE_ARRAY = ctypes.CFUNCTYPE(None, ctypes.POINTER(Array))
RELEASE_STREAM = ctypes.CFUNCTYPE(None, ctypes.POINTER(Stream))
Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(Schema))),
    ("dictionary", ctypes.POINTER(Schema)),
    ("release", RELEASE_SCHEMA),
    ("private_data", ctypes.c_void_p),
]
Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(Array))),
    ("dictionary", ctypes.POINTER(Array)),
    ("release", RELEASE_ARRAY),
    ("private_data", ctypes.c_void_p),
]
Stream._fields_ = [
    (
        "get_schema",
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stream), ctypes.POINTER(Schema)),
    ),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stream), ctypes.POINTER(Array))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.POINTER(Stream))),
    ("release", RELEASE_STREAM),
    ("private_data", ctypes.c_void_p),
]
NULLABLE = 2
NUMBERS = {
    "c": "i1",
    "C": "u1",
    "s": "i2",
    "S": "u2",
    "i": "i4",
    "I": "u4",
    "l": "i8",
    "L": "u8",
    "f": "f4",
    "g": "f8",
    "tsn:UTC": "i8",
    "tDn": "i8",
}

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


def schema_in(capsule: object) -> Schema:
    return Schema.from_address(_pointer_of(capsule, b"arrow_schema"))


def array_in(capsule: object) -> Array:
    return Array.from_address(_pointer_of(capsule, b"arrow_array"))


def stream_in(capsule: object) -> Stream:
    return Stream.from_address(_pointer_of(capsule, b"arrow_array_stream"))


def move(structure):
    """The bytes somewhere else, and the old place marked as released: what a consumer does."""
    out = type(structure)()
    ctypes.memmove(ctypes.byref(out), ctypes.byref(structure), ctypes.sizeof(structure))
    structure.release = type(structure.release)()
    return out


def release(structure: Schema | Array | Stream) -> None:
    assert structure.release
    structure.release(ctypes.byref(structure))
    assert not structure.release


@dataclass(slots=True)
class Column:
    name: str
    format: str
    metadata: dict[str, str]
    values: list[Any]
    null_count: int
    #: Addresses, None for a buffer that is not there.
    buffers: list[int | None]
    dictionary: Column | None = field(default=None)


def metadata_of(schema: Schema) -> dict[str, str]:
    if not schema.metadata:
        return {}
    at = schema.metadata

    def number() -> int:
        nonlocal at
        at += 4
        return struct.unpack("=i", ctypes.string_at(at - 4, 4))[0]

    def text() -> str:
        nonlocal at
        size = number()
        at += size
        return ctypes.string_at(at - size, size).decode()

    return {text(): text() for _ in range(number())}


def bits_at(address: int, rows: int) -> list[bool]:
    raw = np.frombuffer(ctypes.string_at(address, (rows + 7) // 8), np.uint8)
    return np.unpackbits(raw, bitorder="little")[:rows].astype(bool).tolist()


def column_of(schema: Schema, array: Array) -> Column:
    """One column, checked against the rules of the interface."""
    kind, rows = schema.format.decode(), array.length
    assert array.offset == 0
    assert array.n_children == schema.n_children == 0
    buffers = [array.buffers[i] for i in range(array.n_buffers)]
    assert all(buffers[1:])
    known = [True] * rows if buffers[0] is None else bits_at(buffers[0], rows)
    assert array.null_count == known.count(False)
    if kind == "U":
        assert array.n_buffers == 3
        offsets = np.frombuffer(ctypes.string_at(buffers[1], 8 * (rows + 1)), np.int64)
        raw = ctypes.string_at(buffers[2], int(offsets[-1]))
        values = [raw[a:b].decode() for a, b in itertools.pairwise(offsets)]
    elif kind == "b":
        assert array.n_buffers == 2
        values = bits_at(buffers[1], rows)
    else:
        assert array.n_buffers == 2
        dtype = np.dtype(NUMBERS[kind])
        assert buffers[1] % dtype.itemsize == 0
        values = np.frombuffer(ctypes.string_at(buffers[1], rows * dtype.itemsize), dtype).tolist()
    dictionary = None
    assert bool(schema.dictionary) == bool(array.dictionary)
    if schema.dictionary:
        dictionary = column_of(schema.dictionary.contents, array.dictionary.contents)
        texts = dictionary.values
        assert len(set(texts)) == len(texts)
        values = [texts[v] if k else None for v, k in zip(values, known, strict=True)]
    return Column(
        name=(schema.name or b"").decode(),
        format=kind,
        metadata=metadata_of(schema),
        values=[v if k else None for v, k in zip(values, known, strict=True)],
        null_count=array.null_count,
        buffers=buffers,
        dictionary=dictionary,
    )


def columns_of(schema: Schema, array: Array) -> dict[str, Column]:
    """All columns of a record batch."""
    assert schema.format == b"+s"
    assert array.null_count == 0
    assert array.n_buffers == 1
    assert array.buffers[0] is None
    assert schema.n_children == array.n_children
    out = {}
    for i in range(schema.n_children):
        field_, child = schema.children[i].contents, array.children[i].contents
        assert child.length == array.length
        assert field_.flags == NULLABLE
        column = column_of(field_, child)
        out[column.name] = column
    return out


def read(table: Any) -> dict[str, Column]:
    """All columns of a table."""
    capsules = table.__arrow_c_array__()
    return columns_of(schema_in(capsules[0]), array_in(capsules[1]))
