# SPDX-License-Identifier: Apache-2.0
"""Synthetic minidumps, stream by stream, with nothing that the package has a hand in.

What is placed gets its file offset at once, so that streams can point to it; the directory comes
behind all of it, and the bytes of a Memory64List last.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dump_structures
import numpy as np
from dump_structures import (
    AMD64,
    ASSERTION,
    ASSERTION_INFO,
    BREAKPAD,
    BREAKPAD_INFO,
    COMMENT_A,
    COMMENT_W,
    COUNT,
    CRASHPAD,
    CRASHPAD_ANNOTATION,
    CRASHPAD_INFO,
    CRASHPAD_MODULE,
    CRASHPAD_MODULE_LINK,
    DIRECTORY_ENTRY,
    DSO_DEBUG,
    DSO_DEBUG_PACKED,
    EXCEPTION,
    EXCEPTION_RECORD,
    HANDLE,
    HANDLE_2,
    HANDLE_DATA,
    HANDLE_HEADER,
    HANDLE_INFORMATION,
    HANDLE_OPERATION,
    HANDLE_OPERATION_LIST,
    HEADER,
    LINK_MAP,
    LINK_MAP_PACKED,
    LINUX,
    LINUX_AUXV,
    LINUX_DSO_DEBUG,
    LIST_HEADER,
    LIST_HEADER64,
    MACOS_BOOT_ARGS,
    MACOS_CRASH_INFO,
    MACOS_CRASH_RECORD,
    MEMORY64_HEADER,
    MEMORY64_LIST,
    MEMORY_DESCRIPTOR,
    MEMORY_DESCRIPTOR64,
    MEMORY_INFO,
    MEMORY_INFO_LIST,
    MEMORY_LIST,
    MISC,
    MISC_INFO,
    MISC_SIZES,
    MODULE,
    MODULE_LIST,
    MOZ_MACOS_BOOT_ARGS,
    MOZ_MACOS_CRASH_INFO,
    PADDED_COUNT,
    PROCESS_VM_COUNTERS,
    RANGE,
    SNAPCORE_BASE,
    SNAPCORE_COLUMN,
    SNAPCORE_COLUMNS,
    SNAPCORE_IDENTITY,
    SNAPCORE_RANGES,
    STRING_PAIR,
    SYSTEM,
    SYSTEM_INFO,
    SYSTEM_MEMORY,
    SYSTEM_MEMORY_INFO,
    THREAD,
    THREAD_EX,
    THREAD_EX_LIST,
    THREAD_INFO,
    THREAD_INFO_LIST,
    THREAD_LIST,
    THREAD_NAME,
    THREAD_NAMES,
    TOKEN,
    TOKEN_ENTRY,
    TOKEN_HEADER,
    UNLOADED_MODULE,
    UNLOADED_MODULE_LIST,
    VM_COUNTERS,
    VM_COUNTERS_2,
    code_units,
    record,
    records,
    utf16,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(slots=True)
class Thread:
    tid: int
    name: str | None = None
    context: bytes = b""
    stack: tuple[int, bytes] | None = None
    #: Fields of THREAD and THREAD_INFO.
    fields: dict[str, int] = field(default_factory=dict)
    info: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Module:
    base: int
    size: int
    path: str
    cv: bytes = b""
    misc: bytes = b""
    time: int = 0
    checksum: int = 0
    version: Sequence[int] = ()


@dataclass(slots=True)
class Handle:
    handle: int
    type_name: str | None = None
    object_name: str | None = None
    attributes: int = 0
    granted_access: int = 0
    handle_count: int = 1
    pointer_count: int = 1
    #: Type and bytes of each link of the chain; with any of them the descriptors are of version 2.
    information: Sequence[tuple[int, bytes]] = ()


class DumpBuilder:
    """Lays out a file. Attributes may be changed before build(), to make it wrong on purpose."""

    def __init__(
        self, *, flags: int = 0, time: int = 1_700_000_000, start: int = HEADER.itemsize
    ) -> None:
        self.header: dict[str, int] = {
            "signature": 0x504D444D,
            "version": 0xA793,
            "time": time,
            "flags": flags,
        }
        #: Type, size and offset of each stream.
        self.directory: list[list[int]] = []
        #: Offsets of words that count something, point somewhere or are a size, with their widths.
        self.words: list[tuple[int, int]] = []
        self._pieces: list[bytes] = []
        self._start = self._end = start
        self._overwritten: list[tuple[int, str, int]] = []
        self._strings: dict[str, int] = {}
        self._contexts: dict[bytes, tuple[int, int]] = {}
        self._memory64: tuple[int, list[tuple[int, bytes | int]]] | None = None

    # --- Placing

    @property
    def end(self) -> int:
        """Where something of a structure's alignment would be placed next."""
        return self._end + -self._end % 4

    def place(self, *parts: bytes | np.ndarray[Any, Any], align: int = 4) -> int:
        """Bytes and structures one after the other; returns their offset in the file."""
        if gap := -self._end % align:
            self._pieces.append(b"\0" * gap)
            self._end += gap
        at = self._end
        for part in parts:
            if isinstance(part, np.ndarray):
                self._note_words(part)
                data = part.tobytes()
            else:
                data = bytes(part)
            self._pieces.append(data)
            self._end += len(data)
        return at

    def _note_words(self, table: np.ndarray[Any, Any]) -> None:
        assert table.dtype.fields is not None
        for name, (kind, offset, *_) in table.dtype.fields.items():
            if name.endswith(("size", "rva", "count")) and kind.itemsize in {4, 8}:
                for row in range(min(len(table), 4)):
                    at = self._end + row * table.dtype.itemsize + offset
                    self.words.append((at, kind.itemsize))

    def location(self, *parts: bytes | np.ndarray[Any, Any], align: int = 4) -> tuple[int, int]:
        """Size and offset; both zero where there is nothing."""
        if not any(len(part) for part in parts):
            return 0, 0
        at = self.place(*parts, align=align)
        return self._end - at, at

    def string(self, text: str | None) -> int:
        """Offset of a MINIDUMP_STRING, one for equal texts; 0 for None."""
        if text is None:
            return 0
        if text not in self._strings:
            data = utf16(text)
            self._strings[text] = self.place(struct.pack("<I", len(data)) + data + b"\0\0")
        return self._strings[text]

    def context(self, data: bytes) -> tuple[int, int]:
        """Size and offset of registers, once for equal ones."""
        if data not in self._contexts:
            self._contexts[data] = self.location(data, align=16)
        return self._contexts[data]

    def utf8_string(self, text: str | bytes) -> int:
        """Offset of Crashpad's MinidumpUTF8String; of bytes it is a MinidumpByteArray."""
        data = text.encode() if isinstance(text, str) else text
        return self.place(struct.pack("<I", len(data)), data, b"\0")

    def stream(self, type: int, *parts: bytes | np.ndarray[Any, Any]) -> DumpBuilder:
        """A stream of any type."""
        at = self.place(*parts)
        self.directory.append([type, self._end - at, at])
        return self

    # --- Threads

    def thread_list(
        self, threads: Iterable[Thread], *, extended: bool = False, pad: bool = False
    ) -> DumpBuilder:
        """ThreadList, or ThreadExList; `pad` leaves 4 bytes behind the count as some writers do."""
        rows = []
        for thread in threads:
            context_size, context_rva = self.context(thread.context)
            row = {
                "tid": thread.tid,
                "context_size": context_size,
                "context_rva": context_rva,
                **thread.fields,
            }
            if thread.stack is not None:
                start, data = thread.stack
                size, rva = self.location(data, align=16)
                row |= {"stack_start": start, "stack_size": size, "stack_rva": rva}
            rows.append(row)
        table = records(THREAD_EX if extended else THREAD, rows)
        count = record(PADDED_COUNT if pad else COUNT, count=len(table))
        return self.stream(THREAD_EX_LIST if extended else THREAD_LIST, count, table)

    def thread_names(self, threads: Iterable[Thread]) -> DumpBuilder:
        rows = [
            {"tid": t.tid, "name_rva": self.string(t.name)} for t in threads if t.name is not None
        ]
        table = records(THREAD_NAME, rows)
        return self.stream(THREAD_NAMES, record(COUNT, count=len(table)), table)

    def thread_info_list(self, threads: Iterable[Thread]) -> DumpBuilder:
        table = records(THREAD_INFO, [{"tid": t.tid, **t.info} for t in threads])
        return self._sized_list(THREAD_INFO_LIST, LIST_HEADER, table)

    def threads(self, threads: Sequence[Thread]) -> DumpBuilder:
        """All three streams."""
        return self.thread_list(threads).thread_names(threads).thread_info_list(threads)

    def _sized_list(
        self, type: int, header: np.dtype[np.void], table: np.ndarray[Any, Any]
    ) -> DumpBuilder:
        head = record(
            header,
            header_size=header.itemsize,
            entry_size=table.dtype.itemsize,
            count=len(table),
        )
        return self.stream(type, head, table)

    # --- Modules

    def module_list(self, modules: Iterable[Module], *, pad: bool = False) -> DumpBuilder:
        rows = []
        for module in modules:
            cv_size, cv_rva = self.location(module.cv)
            misc_size, misc_rva = self.location(module.misc)
            rows.append(
                {
                    "base": module.base,
                    "image_size": module.size,
                    "checksum": module.checksum,
                    "time": module.time,
                    "name_rva": self.string(module.path),
                    "version": module.version,
                    "cv_size": cv_size,
                    "cv_rva": cv_rva,
                    "misc_size": misc_size,
                    "misc_rva": misc_rva,
                }
            )
        table = records(MODULE, rows)
        count = record(PADDED_COUNT if pad else COUNT, count=len(table))
        return self.stream(MODULE_LIST, count, table)

    def unloaded_module_list(self, modules: Iterable[Module]) -> DumpBuilder:
        rows = [
            {
                "base": m.base,
                "image_size": m.size,
                "checksum": m.checksum,
                "time": m.time,
                "name_rva": self.string(m.path),
            }
            for m in modules
        ]
        return self._sized_list(UNLOADED_MODULE_LIST, LIST_HEADER, records(UNLOADED_MODULE, rows))

    # --- Memory

    def memory_list(self, ranges: Iterable[tuple[int, bytes]], *, pad: bool = False) -> DumpBuilder:
        rows = []
        for start, data in ranges:
            size, rva = self.location(data, align=16)
            rows.append({"start": start, "size": size, "rva": rva})
        table = records(MEMORY_DESCRIPTOR, rows)
        count = record(PADDED_COUNT if pad else COUNT, count=len(table))
        return self.stream(MEMORY_LIST, count, table)

    def memory64_list(self, ranges: Iterable[tuple[int, bytes | int]]) -> DumpBuilder:
        """Address and bytes of each range; a number is that many bytes of a hole of the file."""
        ranges = list(ranges)
        sizes = [data if isinstance(data, int) else len(data) for _, data in ranges]
        table = np.zeros(len(ranges), MEMORY_DESCRIPTOR64)
        table["start"] = [start for start, _ in ranges]
        table["size"] = sizes
        self.stream(MEMORY64_LIST, record(MEMORY64_HEADER, count=len(ranges)), table)
        self._memory64 = (self.directory[-1][2] + 8, ranges)
        return self

    def memory_info_list(
        self, regions: Iterable[Mapping[str, Any]] | np.ndarray[Any, Any]
    ) -> DumpBuilder:
        return self._sized_list(MEMORY_INFO_LIST, LIST_HEADER64, records(MEMORY_INFO, regions))

    def snapcore_ranges(self, ranges: Iterable[tuple[int, int, int]]) -> DumpBuilder:
        """Start, size and kind."""
        rows = [{"start": start, "size": size, "kind": kind} for start, size, kind in ranges]
        return self._sized_list(SNAPCORE_RANGES, LIST_HEADER64, records(RANGE, rows))

    def identity(self, identity: bytes) -> DumpBuilder:
        return self.stream(SNAPCORE_IDENTITY, identity)

    def base(
        self,
        whole: Iterable[tuple[int, int]],
        *,
        identity: bytes,
        size: int,
        name: bytes = b"base.dmp",
        count: int | None = None,
        entry_size: int = 16,
        header_size: int = 296,
    ) -> DumpBuilder:
        """Start and size of all that the dump stands for, and the base that has the rest."""
        entries = [struct.pack("<QQ", start, length) for start, length in whole]
        head = struct.pack(
            "<IIQ16sQ256s",
            header_size,
            entry_size,
            len(entries) if count is None else count,
            identity,
            size,
            name,
        )
        return self.stream(SNAPCORE_BASE, head, *entries)

    # --- Handles

    def snapcore_columns(
        self, columns: Iterable[tuple[int, int, str, int, bytes, bytes, bytes]]
    ) -> DumpBuilder:
        """Columns of snapcore's own: table, type, name, rows, values, mask, texts (with their ends)."""
        made = list(columns)
        end = 16 + SNAPCORE_COLUMN.itemsize * len(made)
        entries, data = [], b""
        for table, type_, name, rows, *parts in made:
            places = []
            for part in parts:
                places.append(end + len(data) if part else 0)
                data += part.ljust(-(-len(part) // 8) * 8, b"\0")
            entries.append(
                record(
                    SNAPCORE_COLUMN,
                    table=table,
                    type=type_,
                    name=name.encode(),
                    rows=rows,
                    values=places[0],
                    valid=places[1],
                    texts=places[2],
                )
            )
        head = struct.pack("<IIQ", 16, SNAPCORE_COLUMN.itemsize, len(made))
        return self.stream(SNAPCORE_COLUMNS, head, *(e.tobytes() for e in entries), data)

    def handle_information(self, chain: Sequence[tuple[int, bytes]], last_next: int = 0) -> int:
        """Offset of a chain of MINIDUMP_HANDLE_OBJECT_INFORMATION; its last link points to `last_next`."""
        following = last_next
        for type_, data in reversed(chain):
            head = record(HANDLE_INFORMATION, next_rva=following, type=type_, size=len(data))
            following = self.place(head, data)
        return following

    def handle_data(self, handles: Iterable[Handle], *, version: int | None = None) -> DumpBuilder:
        handles = list(handles)
        if version is None:
            version = 2 if any(h.information for h in handles) else 1
        table = np.zeros(len(handles), HANDLE_2 if version == 2 else HANDLE)
        for name in ("handle", "attributes", "granted_access", "handle_count", "pointer_count"):
            table[name] = [getattr(h, name) for h in handles]
        table["type_name_rva"] = [self.string(h.type_name) for h in handles]
        table["object_name_rva"] = [self.string(h.object_name) for h in handles]
        if version == 2:
            table["information_rva"] = [self.handle_information(h.information) for h in handles]
        return self._sized_list(HANDLE_DATA, HANDLE_HEADER, table)

    def handle_operation_list(self, operations: Iterable[Mapping[str, Any]]) -> DumpBuilder:
        return self._sized_list(
            HANDLE_OPERATION_LIST, HANDLE_HEADER, records(HANDLE_OPERATION, operations)
        )

    # --- The machine and the process

    def system_info(
        self,
        architecture: int = AMD64,
        platform: int = LINUX,
        *,
        text: str | None = "",
        cpu: Sequence[int] = (0x756E6547, 0x49656E69, 0x6C65746E, 0x306C3, 0xBFEBFBFF, 0),
        **values: Any,
    ) -> DumpBuilder:
        """`text`: the service pack on Windows, `uname` on Linux. The processor says GenuineIntel."""
        values = {
            "level": 6,
            "revision": 0x3C03,
            "processors": 4,
            "product_type": 1,
            "major": 10,
            "build": 19045,
            **values,
        }
        return self.stream(
            SYSTEM_INFO,
            record(
                SYSTEM,
                architecture=architecture,
                platform=platform,
                text_rva=self.string(text),
                cpu=cpu,
                **values,
            ),
        )

    def misc_info(self, version: int = 2, *, extra: bytes = b"", **values: Any) -> DumpBuilder:
        """Versions 1 to 5; `extra` bytes behind it, as some writers round its size up."""
        size = MISC_SIZES[version - 1]
        values = {"info_size": size, "flags": 0x7, "pid": 4242, **values}
        for name in ("build_string", "debug_build_string"):
            if isinstance(values.get(name), str):
                values[name] = code_units(values[name])
        return self.stream(MISC_INFO, record(MISC, **values).tobytes()[:size] + extra)

    def exception(
        self,
        tid: int,
        code: int,
        *,
        context: bytes = b"",
        parameters: Sequence[int] = (),
        **values: Any,
    ) -> DumpBuilder:
        size, rva = self.context(context)
        values = {"parameter_count": len(parameters), **values}
        return self.stream(
            EXCEPTION,
            record(
                EXCEPTION_RECORD,
                tid=tid,
                code=code,
                parameters=parameters,
                context_size=size,
                context_rva=rva,
                **values,
            ),
        )

    def tokens(self, tokens: Iterable[tuple[int, int, bytes]]) -> DumpBuilder:
        """Id, handle and bytes of each token."""
        parts: list[Any] = []
        size = TOKEN_HEADER.itemsize
        for id_, handle, data in tokens:
            whole = TOKEN_ENTRY.itemsize + len(data)
            parts += [record(TOKEN_ENTRY, size=whole, id=id_, handle=handle), data]
            size += whole
        header = record(
            TOKEN_HEADER,
            list_size=size,
            count=len(parts) // 2,
            header_size=TOKEN_HEADER.itemsize,
            entry_size=TOKEN_ENTRY.itemsize,
        )
        return self.stream(TOKEN, header, *parts)

    def system_memory_info(self, **values: Any) -> DumpBuilder:
        values = {"revision": 1, "flags": 2, "page_size": 4096, "granularity": 65536, **values}
        return self.stream(SYSTEM_MEMORY_INFO, record(SYSTEM_MEMORY, **values))

    def vm_counters(self, version: int = 2, **values: Any) -> DumpBuilder:
        dtype = VM_COUNTERS_2 if version == 2 else VM_COUNTERS
        values = {"revision": version, "flags": 7 if version == 2 else 1, **values}
        return self.stream(PROCESS_VM_COUNTERS, record(dtype, **values))

    # --- Text

    def comment_a(self, text: bytes) -> DumpBuilder:
        return self.stream(COMMENT_A, text + b"\0")

    def comment_w(self, text: str) -> DumpBuilder:
        return self.stream(COMMENT_W, utf16(text) + b"\0\0")

    def linux(self, **texts: bytes) -> DumpBuilder:
        """Streams of text from /proc, by the names that follow LINUX_ or MOZ_ in dump_structures."""
        for name, text in texts.items():
            numbers = vars(dump_structures)
            number = numbers.get(f"LINUX_{name.upper()}") or numbers[f"MOZ_{name.upper()}"]
            self.stream(number, text)
        return self

    def auxv(self, values: Mapping[int, int], word: str = "Q") -> DumpBuilder:
        pairs = [*values.items(), (0, 0)]
        return self.stream(LINUX_AUXV, b"".join(struct.pack(f"<2{word}", *p) for p in pairs))

    def dso_debug(
        self,
        objects: Sequence[tuple[int, str, int]],
        dynamic: bytes = bytes(32),
        *,
        packed: bool = False,
    ) -> DumpBuilder:
        """Address, name and _DYNAMIC of each shared object; Breakpad's form, or minidump-writer's."""
        rows = [
            {"address": address, "name_rva": self.string(name), "dynamic": at}
            for address, name, at in objects
        ]
        map_rva = self.place(records(LINK_MAP_PACKED if packed else LINK_MAP, rows))
        head = record(
            DSO_DEBUG_PACKED if packed else DSO_DEBUG, version=1, map_rva=map_rva, count=len(rows)
        )
        return self.stream(LINUX_DSO_DEBUG, head, dynamic)

    # --- What particular writers add

    def breakpad_info(self, dump_tid: int, requesting_tid: int, validity: int = 3) -> DumpBuilder:
        head = record(BREAKPAD, validity=validity, dump_tid=dump_tid, requesting_tid=requesting_tid)
        return self.stream(BREAKPAD_INFO, head)

    def assertion_info(
        self, expression: str, function: str, file: str, line: int, type: int = 1
    ) -> DumpBuilder:
        return self.stream(
            ASSERTION_INFO,
            record(
                ASSERTION,
                expression=code_units(expression),
                function=code_units(function),
                file=code_units(file),
                line=line,
                type=type,
            ),
        )

    def _string_pairs(self, pairs: Mapping[str, str]) -> tuple[int, int]:
        rows = [
            {"key_rva": self.utf8_string(key), "value_rva": self.utf8_string(value)}
            for key, value in pairs.items()
        ]
        table = records(STRING_PAIR, rows)
        return self.location(record(COUNT, count=len(table)), table)

    def crashpad_module(
        self,
        *,
        list: Sequence[str] = (),
        simple: Mapping[str, str] | None = None,
        objects: Sequence[tuple[str, int, bytes]] = (),
    ) -> tuple[int, int]:
        """Size and offset of a MinidumpModuleCrashpadInfo: annotations of the three kinds."""
        rvas = np.array([self.utf8_string(text) for text in list], "<u4")
        list_size, list_rva = self.location(struct.pack("<I", len(rvas)), rvas.tobytes())
        simple_size, simple_rva = self._string_pairs(simple or {})
        rows = [
            {
                "name_rva": self.utf8_string(name),
                "type": type_,
                "value_rva": self.utf8_string(value),
            }
            for name, type_, value in objects
        ]
        table = records(CRASHPAD_ANNOTATION, rows)
        objects_size, objects_rva = self.location(record(COUNT, count=len(table)), table)
        return self.location(
            record(
                CRASHPAD_MODULE,
                version=1,
                list_size=list_size,
                list_rva=list_rva,
                simple_size=simple_size,
                simple_rva=simple_rva,
                objects_size=objects_size,
                objects_rva=objects_rva,
            )
        )

    def crashpad_info(
        self,
        annotations: Mapping[str, str],
        modules: Mapping[int, tuple[int, int]] | None = None,
        *,
        report_id: bytes = bytes(range(16)),
        client_id: bytes = bytes(range(16, 32)),
        size: int = CRASHPAD.itemsize,
    ) -> DumpBuilder:
        """`modules`: what crashpad_module() gave, by index in ModuleList. Old writers' `size` is 52."""
        annotations_size, annotations_rva = self._string_pairs(annotations)
        rows = [
            {"index": index, "size": where[0], "rva": where[1]}
            for index, where in (modules or {}).items()
        ]
        table = records(CRASHPAD_MODULE_LINK, rows)
        modules_size, modules_rva = self.location(record(COUNT, count=len(table)), table)
        head = record(
            CRASHPAD,
            version=1,
            report_id=list(report_id),
            client_id=list(client_id),
            annotations_size=annotations_size,
            annotations_rva=annotations_rva,
            modules_size=modules_size,
            modules_rva=modules_rva,
        )
        return self.stream(CRASHPAD_INFO, head.tobytes()[:size])

    def macos_crash_info(
        self, infos: Sequence[tuple[Mapping[str, int], Sequence[bytes]]]
    ) -> DumpBuilder:
        """Numbers and texts (module path, messages, signature, backtrace) of each record."""
        locations: list[int] = []
        for numbers, texts in infos:
            values = {"stream_type": MOZ_MACOS_CRASH_INFO, "version": 5, **numbers}
            body = record(MACOS_CRASH_RECORD, **values)
            locations += self.location(body, *(text + b"\0" for text in texts))
        head = record(
            MACOS_CRASH_INFO,
            stream_type=MOZ_MACOS_CRASH_INFO,
            record_count=len(infos),
            record_size=MACOS_CRASH_RECORD.itemsize,
            locations=locations,
        )
        return self.stream(MOZ_MACOS_CRASH_INFO, head)

    def macos_boot_args(self, text: str) -> DumpBuilder:
        head = record(MACOS_BOOT_ARGS, stream_type=MOZ_MACOS_BOOT_ARGS, text_rva=self.string(text))
        return self.stream(MOZ_MACOS_BOOT_ARGS, head)

    # --- The file

    def overwrite(self, type: int, offset: int, format: str, value: int) -> DumpBuilder:
        """Put a number of that format (of `struct`) into the newest stream of a type, in the end."""
        at = next(d[2] for d in reversed(self.directory) if d[0] == type)
        self._overwritten.append((at + offset, format, value))
        return self

    def body(self, memory_at: int | None = None) -> bytes:
        """All that was placed; a Memory64List says that its bytes lie there, or right behind."""
        body = bytearray(b"".join(self._pieces))
        if self._memory64 is not None:
            at = self._end if memory_at is None else memory_at
            struct.pack_into("<Q", body, self._memory64[0] - self._start, at)
        for at, form, value in self._overwritten:
            struct.pack_into("<" + form, body, at - self._start, value)
        return bytes(body)

    def memory_bytes(self) -> bytes:
        """What Memory64List describes; a hole as zeros."""
        return b"".join(bytes(data) for _, data in (self._memory64 or (0, []))[1])

    def _head(self) -> tuple[bytes, int]:
        """All but the bytes of Memory64List, and where they begin."""
        directory = records(
            DIRECTORY_ENTRY,
            [dict(zip(("type", "size", "rva"), d, strict=True)) for d in self.directory],
        ).tobytes()
        directory_rva = self.end
        end = directory_rva + len(directory)
        end += -end % 16
        values = {
            "stream_count": len(self.directory),
            "directory_rva": directory_rva,
            **self.header,
        }
        head = record(HEADER, **values).tobytes().ljust(self._start, b"\0") + self.body(end)
        head = head.ljust(directory_rva, b"\0") + directory
        return (head, len(head)) if self._memory64 is None else (head.ljust(end, b"\0"), end)

    def all_words(self) -> list[tuple[int, int]]:
        """`words`, and those of header and directory."""
        directory_rva = self.end
        entries = [
            (directory_rva + 12 * i + 4 * part, 4)
            for i in range(len(self.directory))
            for part in range(3)
        ]
        return [(8, 4), (12, 4), *entries, *self.words]

    def build(self) -> bytes:
        return self._head()[0] + self.memory_bytes()

    def write(self, path: Path | str) -> Path:
        """The same file; holes take no space where the file system has holes."""
        head, end = self._head()
        with Path(path).open("wb") as file:
            file.write(head)
            for _, data in self._memory64[1] if self._memory64 is not None else ():
                if isinstance(data, int):
                    end += data
                    file.seek(end)
                else:
                    file.write(data)
                    end += len(data)
            file.truncate(end)
        return Path(path)
