# SPDX-License-Identifier: Apache-2.0
"""A file system in memory that fails where it is told to, spoken by hand over /dev/fuse.

Run as a program of its own: fuse_disk.py FOLDER FAULTS, of which FAULTS is JSON such as
{"write": [errno, bytes that go well before], "link": [errno, calls that go well before], "no_tmpfile": true}.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import struct
import sys
from typing import Any

LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, RENAME, LINK, OPEN, READ, WRITE = (
    *(1, 2, 3, 4, 10, 12, 13, 14, 15, 16),
)
STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR = 17, 18, 20, 25, 26, 27, 28, 29
CREATE, FALLOCATE, RENAME2, TMPFILE, BATCH_FORGET = 35, 43, 45, 51, 42
NAMES = {
    SETATTR: "setattr",
    LINK: "link",
    WRITE: "write",
    FSYNC: "fsync",
    FLUSH: "flush",
    CREATE: "create",
    FALLOCATE: "fallocate",
    RENAME: "rename",
    RENAME2: "rename",
    TMPFILE: "tmpfile",
}
ROOT = 1
MAX_WRITE = 128 * 1024


class Node:
    def __init__(self, mode: int) -> None:
        self.mode = mode
        self.data = bytearray()
        self.links = 0


class Disk:
    def __init__(self, faults: dict[str, Any]) -> None:
        self.faults = faults
        self.nodes = {ROOT: Node(stat.S_IFDIR | 0o755)}
        self.names: dict[bytes, int] = {}
        self.counts: dict[str, int] = {}

    def fault(self, opcode: int, size: int) -> int:
        """Error number of a call that fails, or 0."""
        name = NAMES.get(opcode)
        if name is None or name not in self.faults:
            return 0
        number, good = self.faults[name]
        before = self.counts.get(name, 0)
        self.counts[name] = before + size
        return number if before + size > good else 0

    def attributes(self, node: int) -> bytes:
        it = self.nodes[node]
        blocks = (len(it.data) + 511) // 512
        links = 2 if node == ROOT else it.links
        return struct.pack(
            "<6Q10I",
            *(node, len(it.data), blocks, 0, 0, 0),
            *(0, 0, 0, it.mode, links, os.getuid(), os.getgid(), 0, 4096, 0),
        )

    def entry(self, node: int) -> bytes:
        return struct.pack("<4Q2I", node, 0, 0, 0, 0, 0) + self.attributes(node)

    def new(self, mode: int) -> int:
        number = max(self.nodes) + 1
        self.nodes[number] = Node(stat.S_IFREG | (mode & 0o7777))
        return number

    def unlink(self, name: bytes) -> None:
        self.nodes[self.names.pop(name)].links -= 1

    def link(self, name: bytes, node: int) -> None:
        self.names[name] = node
        self.nodes[node].links += 1

    def answer(self, opcode: int, node: int, body: bytes) -> bytes | int:
        """What is replied, or an error number."""
        it = self.nodes[node]
        if opcode == LOOKUP:
            found = self.names.get(body[:-1])
            return errno.ENOENT if found is None else self.entry(found)
        if opcode == GETATTR:
            return struct.pack("<Q2I", 0, 0, 0) + self.attributes(node)
        if opcode == SETATTR:
            (valid,) = struct.unpack_from("<I", body)
            if valid & 8:
                (size,) = struct.unpack_from("<Q", body, 16)
                del it.data[size:]
                it.data.extend(bytes(size - len(it.data)))
            if valid & 1:
                (mode,) = struct.unpack_from("<I", body, 68)
                it.mode = stat.S_IFMT(it.mode) | stat.S_IMODE(mode)
            return struct.pack("<Q2I", 0, 0, 0) + self.attributes(node)
        if opcode in (OPEN, OPENDIR):
            return struct.pack("<Q2I", 0, 0, 0)
        if opcode in (CREATE, TMPFILE):
            if opcode == TMPFILE and self.faults.get("no_tmpfile"):
                return errno.ENOSYS
            _, mode = struct.unpack_from("<2I", body)
            new = self.new(mode)
            if opcode == CREATE:
                self.link(body[16:-1], new)
            return self.entry(new) + struct.pack("<Q2I", 0, 0, 0)
        if opcode == READ:
            _, offset, size = struct.unpack_from("<2QI", body)
            return bytes(it.data[offset : offset + size])
        if opcode == WRITE:
            _, offset, size = struct.unpack_from("<2QI", body)
            it.data.extend(bytes(max(offset - len(it.data), 0)))
            it.data[offset : offset + size] = body[40 : 40 + size]
            return struct.pack("<2I", size, 0)
        if opcode == STATFS:
            return struct.pack(
                "<5Q10I", 1 << 20, 1 << 20, 1 << 20, 1000, 1000, 4096, 255, 4096, *[0] * 7
            )
        if opcode == READDIR:
            return self.entries(*struct.unpack_from("<2QI", body)[1:])
        if opcode == LINK:
            (old,) = struct.unpack_from("<Q", body)
            self.link(body[8:-1], old)
            return self.entry(old)
        if opcode == UNLINK:
            self.unlink(body[:-1])
            return b""
        if opcode in (RENAME, RENAME2):
            old, new = body[16 if opcode == RENAME2 else 8 :].split(b"\0")[:2]
            if new in self.names:
                self.unlink(new)
            self.names[new] = self.names.pop(old)
            return b""
        if opcode in (FLUSH, FSYNC, RELEASE, RELEASEDIR, FALLOCATE):
            return b""
        return errno.ENOSYS

    def entries(self, offset: int, room: int) -> bytes:
        out = b""
        for at, (name, node) in enumerate(self.names.items()):
            if at < offset:
                continue
            one = struct.pack("<2Q2I", node, at + 1, len(name), 8) + name
            one += bytes(-len(one) % 8)
            if len(out) + len(one) > room:
                break
            out += one
        return out


def serve(folder: str, faults: dict[str, Any]) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"snapcore-fuse", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    print("ready", flush=True)
    disk = Disk(faults)
    while True:
        try:
            request = os.read(device, MAX_WRITE + 65536)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            return  # ENODEV: it was unmounted
        _, opcode, unique, node = struct.unpack_from("<2I2Q", request)
        body = request[40:]
        if opcode in (FORGET, BATCH_FORGET):
            continue
        if opcode == INIT:
            reply: bytes | int = struct.pack(
                "<4I2H2I2H2I12H", 7, 31, 65536, 0, 12, 9, MAX_WRITE, 1, 32, 0, 0, 0, *[0] * 12
            )
        else:
            size = struct.unpack_from("<2QI", body)[2] if opcode == WRITE else 1
            reply = disk.fault(opcode, size) or disk.answer(opcode, node, body)
        failed = isinstance(reply, int)
        content = b"" if isinstance(reply, int) else reply
        head = struct.pack("<IiQ", 16 + len(content), -int(reply) if failed else 0, unique)
        try:
            os.write(device, head + content)
        except OSError as error:
            if error.errno != errno.ENOENT:  # the request was interrupted
                raise


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
