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

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# --- Numbers

THREAD_LIST, MODULE_LIST, MEMORY_LIST, EXCEPTION, SYSTEM_INFO, THREAD_EX_LIST = range(3, 9)
MEMORY64_LIST, COMMENT_A, COMMENT_W, HANDLE_DATA = range(9, 13)
UNLOADED_MODULE_LIST, MISC_INFO, MEMORY_INFO_LIST, THREAD_INFO_LIST = range(14, 18)
HANDLE_OPERATION_LIST, TOKEN = 18, 19
SYSTEM_MEMORY_INFO, PROCESS_VM_COUNTERS, THREAD_NAMES = 21, 22, 24
BREAKPAD_INFO, ASSERTION_INFO = 0x47670001, 0x47670002
LINUX_CPU_INFO, LINUX_PROC_STATUS, LINUX_LSB_RELEASE = 0x47670003, 0x47670004, 0x47670005
LINUX_CMD_LINE, LINUX_ENVIRON, LINUX_AUXV = 0x47670006, 0x47670007, 0x47670008
LINUX_MAPS, LINUX_DSO_DEBUG = 0x47670009, 0x4767000A
CRASHPAD_INFO = 0x43500001
MOZ_MACOS_CRASH_INFO, MOZ_MACOS_BOOT_ARGS = 0x4D7A0001, 0x4D7A0002
MOZ_LINUX_LIMITS, MOZ_SOFT_ERRORS = 0x4D7A0003, 0x4D7A0004
SNAPCORE_RANGES, SNAPCORE_TOKEN, SNAPCORE_COLUMNS = 0x534E5001, 0x534E5002, 0x534E5003
SNAPCORE_IDENTITY, SNAPCORE_BASE = 0x534E5004, 0x534E5005
USER_STREAM = 0x10000

X86, ARM, AMD64, ARM64, ARM64_OLD = 0, 5, 9, 12, 0x8003
WINDOWS, MACOS, LINUX = 2, 0x8101, 0x8201

# What follows a handle descriptor of the second version.
(
    NO_INFORMATION,
    THREAD_INFORMATION_1,
    MUTANT_INFORMATION_1,
    MUTANT_INFORMATION_2,
    PROCESS_INFORMATION_1,
    PROCESS_INFORMATION_2,
    EVENT_INFORMATION_1,
    SECTION_INFORMATION_1,
    SEMAPHORE_INFORMATION_1,
) = range(9)

# --- Structures, packed as they lie in the file


def layout(size: int, *fields: tuple[str, str] | tuple[str, str, int]) -> np.dtype[np.void]:
    """A packed structure of that many bytes; each field's type goes for all names of its text."""
    out: list[Any] = []
    for names, kind, *shape in fields:
        out += [(name, kind, *shape) for name in names.split()]
    dtype = np.dtype(out)
    assert dtype.itemsize == size, (dtype.itemsize, size)
    return dtype


HEADER = layout(
    32,
    ("signature version stream_count directory_rva checksum time", "<u4"),
    ("flags", "<u8"),
)
DIRECTORY_ENTRY = layout(12, ("type size rva", "<u4"))
MEMORY_DESCRIPTOR = layout(16, ("start", "<u8"), ("size rva", "<u4"))
MEMORY_DESCRIPTOR64 = layout(16, ("start size", "<u8"))
MEMORY64_HEADER = layout(16, ("count base_rva", "<u8"))
_THREAD_FIELDS: tuple[Any, ...] = (
    ("tid suspend_count priority_class priority", "<u4"),
    ("teb stack_start", "<u8"),
    ("stack_size stack_rva context_size context_rva", "<u4"),
)
THREAD = layout(48, *_THREAD_FIELDS)
THREAD_EX = layout(
    64, *_THREAD_FIELDS, ("backing_start", "<u8"), ("backing_size backing_rva", "<u4")
)
THREAD_NAME = layout(12, ("tid", "<u4"), ("name_rva", "<u8"))
# Header of the lists that say how large their own parts are.
LIST_HEADER = layout(12, ("header_size entry_size count", "<u4"))
LIST_HEADER64 = layout(16, ("header_size entry_size", "<u4"), ("count", "<u8"))
HANDLE_HEADER = layout(16, ("header_size entry_size count reserved", "<u4"))
THREAD_INFO = layout(
    64,
    ("tid dump_flags dump_error exit_status", "<u4"),
    ("create_time exit_time kernel_time user_time start_address affinity", "<u8"),
)
MODULE = layout(
    108,
    ("base", "<u8"),
    ("image_size checksum time name_rva", "<u4"),
    ("version", "<u4", 13),  # VS_FIXEDFILEINFO
    ("cv_size cv_rva misc_size misc_rva", "<u4"),
    ("reserved0 reserved1", "<u8"),
)
UNLOADED_MODULE = layout(24, ("base", "<u8"), ("image_size checksum time name_rva", "<u4"))
MEMORY_INFO = layout(
    48,
    ("base allocation_base", "<u8"),
    ("allocation_protect pad1", "<u4"),
    ("size", "<u8"),
    ("state protect type pad2", "<u4"),
)
_HANDLE_FIELDS: tuple[Any, ...] = (
    ("handle", "<u8"),
    ("type_name_rva object_name_rva attributes granted_access handle_count pointer_count", "<u4"),
)
HANDLE = layout(32, *_HANDLE_FIELDS)
HANDLE_2 = layout(40, *_HANDLE_FIELDS, ("information_rva reserved", "<u4"))
HANDLE_INFORMATION = layout(12, ("next_rva type size", "<u4"))
HANDLE_OPERATION = layout(
    288,
    ("handle", "<u8"),
    ("pid tid operation spare depth index", "<u4"),
    ("return_addresses", "<u8", 32),
)
SYSTEM = layout(
    56,
    ("architecture level revision", "<u2"),
    ("processors product_type", "u1"),
    ("major minor build platform text_rva", "<u4"),
    ("suite_mask reserved", "<u2"),
    ("cpu", "<u4", 6),
)
TIME_ZONE = layout(
    172,
    ("bias", "<i4"),
    ("standard_name", "<u2", 32),
    ("standard_date", "<u2", 8),
    ("standard_bias", "<i4"),
    ("daylight_name", "<u2", 32),
    ("daylight_date", "<u2", 8),
    ("daylight_bias", "<i4"),
)
_MISC_FIELDS: tuple[Any, ...] = (
    ("info_size flags pid create_time user_time kernel_time", "<u4"),
    ("max_mhz current_mhz mhz_limit max_idle_state current_idle_state", "<u4"),
    ("integrity_level execute_flags protected_process time_zone_id", "<u4"),
    ("time_zone", TIME_ZONE),
    ("build_string", "<u2", 260),
    ("debug_build_string", "<u2", 40),
    ("xstate_size context_size", "<u4"),
    ("enabled_features", "<u8"),
    ("features", "<u4", 128),  # 64 pairs of offset and size
    ("process_cookie", "<u4"),
)
MISC = layout(1364, *_MISC_FIELDS)
# Bytes of MISC that each of its five versions has.
MISC_SIZES = (24, 44, 232, 832, 1364)
EXCEPTION_RECORD = layout(
    168,
    ("tid pad1 code flags", "<u4"),
    ("record address", "<u8"),
    ("parameter_count pad2", "<u4"),
    ("parameters", "<u8", 15),
    ("context_size context_rva", "<u4"),
)
TOKEN_HEADER = layout(16, ("list_size count header_size entry_size", "<u4"))
TOKEN_ENTRY = layout(16, ("size id", "<u4"), ("handle", "<u8"))
SYSTEM_MEMORY = layout(
    492,
    ("revision flags", "<u2"),
    ("timer_resolution page_size physical_pages lowest_page highest_page granularity", "<u4"),
    ("lowest_address highest_address active_processors", "<u8"),
    ("processors", "<u4"),
    ("cache_size cache_peak", "<u8"),
    ("cache_faults", "<u4"),
    ("cache_least cache_most cache_transition cache_transition_peak", "<u8"),
    ("cache_repurposed cache_flags", "<u4"),
    ("available_pages committed_pages commit_limit peak_commitment", "<u8"),
    ("performance", "u1", 344),
)
_QUOTAS = "peak_paged_quota paged_quota peak_nonpaged_quota nonpaged_quota"
VM_COUNTERS = layout(
    80,
    ("revision flags", "<u2"),
    ("page_faults", "<u4"),
    (f"peak_working_set working_set {_QUOTAS} pagefile peak_pagefile private_usage", "<u8"),
)
VM_COUNTERS_2 = layout(
    152,
    ("revision flags", "<u2"),
    ("page_faults", "<u4"),
    (f"peak_working_set working_set {_QUOTAS} pagefile peak_pagefile", "<u8"),
    ("peak_virtual virtual private_usage private_working_set shared_commit", "<u8"),
    ("job_shared job_private job_peak_private job_private_limit job_total_limit", "<u8"),
)
BREAKPAD = layout(12, ("validity dump_tid requesting_tid", "<u4"))
ASSERTION = layout(776, ("expression function file", "<u2", 128), ("line type", "<u4"))
CRASHPAD = layout(
    64,
    ("version", "<u4"),
    ("report_id client_id", "u1", 16),
    ("annotations_size annotations_rva modules_size modules_rva reserved", "<u4"),
    ("address_mask", "<u8"),
)
CRASHPAD_MODULE_LINK = layout(12, ("index size rva", "<u4"))
CRASHPAD_MODULE = layout(
    28, ("version list_size list_rva simple_size simple_rva objects_size objects_rva", "<u4")
)
CRASHPAD_ANNOTATION = layout(
    12, ("name_rva", "<u4"), ("type reserved", "<u2"), ("value_rva", "<u4")
)
STRING_PAIR = layout(8, ("key_rva value_rva", "<u4"))
MACOS_CRASH_INFO = layout(
    172, ("stream_type record_count record_size", "<u4"), ("locations", "<u4", 40)
)
MACOS_CRASH_RECORD = layout(40, ("stream_type version thread dialog_mode abort_cause", "<u8"))
MACOS_BOOT_ARGS = layout(12, ("stream_type", "<u4"), ("text_rva", "<u8"))
SNAPCORE_COLUMN = layout(
    72, ("table type", "<u4"), ("name", "S32"), ("rows values valid texts", "<u8")
)
# Breakpad's form of r_debug has natural alignment, minidump-writer's is packed.
DSO_DEBUG = layout(40, ("version map_rva count pad", "<u4"), ("brk base dynamic", "<u8"))
DSO_DEBUG_PACKED = layout(36, ("version map_rva count", "<u4"), ("brk base dynamic", "<u8"))
LINK_MAP = layout(24, ("address", "<u8"), ("name_rva pad", "<u4"), ("dynamic", "<u8"))
LINK_MAP_PACKED = layout(20, ("address", "<u8"), ("name_rva", "<u4"), ("dynamic", "<u8"))
RANGE = layout(24, ("start size", "<u8"), ("kind reserved", "<u4"))
COUNT = layout(4, ("count", "<u4"))
PADDED_COUNT = layout(8, ("count pad", "<u4"))

CONTEXT_X86 = layout(
    716,
    ("flags dr0 dr1 dr2 dr3 dr6 dr7", "<u4"),
    ("float_save", "u1", 112),
    ("gs fs es ds edi esi ebx edx ecx eax ebp eip cs eflags esp ss", "<u4"),
    ("extended", "u1", 512),
)
CONTEXT_AMD64 = layout(
    1232,
    ("home", "<u8", 6),
    ("flags mxcsr", "<u4"),
    ("cs ds es fs gs ss", "<u2"),
    ("eflags", "<u4"),
    ("dr0 dr1 dr2 dr3 dr6 dr7 rax rcx rdx rbx rsp rbp rsi rdi", "<u8"),
    ("r8 r9 r10 r11 r12 r13 r14 r15 rip", "<u8"),
    ("float_save", "u1", 512),
    ("vector", "u1", 416),
    ("vector_control debug_control branch_to branch_from exception_to exception_from", "<u8"),
)
CONTEXT_ARM64 = layout(
    912,
    ("flags cpsr", "<u4"),
    ("x", "<u8", 29),
    ("fp lr sp pc", "<u8"),
    ("v", "u1", 512),
    ("fpcr fpsr", "<u4"),
    ("bcr", "<u4", 8),
    ("bvr", "<u8", 8),
    ("wcr", "<u4", 2),
    ("wvr", "<u8", 2),
)
CONTEXT_ARM64_OLD = layout(
    796,
    ("flags", "<u8"),
    ("x", "<u8", 29),
    ("fp lr sp pc", "<u8"),
    ("cpsr fpsr fpcr", "<u4"),
    ("v", "u1", 512),
)
CONTEXT_EX = layout(
    24, ("all_offset all_size legacy_offset legacy_size xstate_offset xstate_size", "<i4")
)
_CONTEXT_FLAGS = {716: 0x1003F, 1232: 0x10001F, 912: 0x400007, 796: 0x80000006}


def record(dtype: np.dtype[np.void], **values: Any) -> np.ndarray[Any, Any]:
    """One structure; what is not given is zero."""
    out = np.zeros(1, dtype)
    for name, value in values.items():
        if out[name].ndim > 1:
            out[name][0, : len(value)] = value
        else:
            out[name] = value
    return out


def records(
    dtype: np.dtype[np.void], rows: Iterable[Mapping[str, Any]] | np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """A table of structures; an array of the same fields is taken as it is."""
    if isinstance(rows, np.ndarray):
        assert rows.dtype == dtype
        return rows
    rows = list(rows)
    if not rows:
        return np.zeros(0, dtype)
    return np.concatenate([record(dtype, **row) for row in rows])


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def code_units(text: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(utf16(text), "<u2")


def context(dtype: np.dtype[np.void], **registers: Any) -> bytes:
    """Registers of a thread: CONTEXT_X86, CONTEXT_AMD64, CONTEXT_ARM64 or CONTEXT_ARM64_OLD."""
    return record(dtype, **{"flags": _CONTEXT_FLAGS[dtype.itemsize], **registers}).tobytes()


def context_with_xstate(**registers: Any) -> bytes:
    """An AMD64 context with the upper halves of the YMM registers behind it."""
    xsave_at, avx = 1296, 256
    size = xsave_at + 64 + avx
    chunks = record(
        CONTEXT_EX,
        all_offset=-1232,
        all_size=size,
        legacy_offset=-1232,
        legacy_size=1232,
        xstate_offset=xsave_at - 1232,
        xstate_size=64 + avx,
    )
    base = context(CONTEXT_AMD64, **{"flags": 0x10005F, **registers})
    head = (base + chunks.tobytes()).ljust(xsave_at, b"\0")
    return head + struct.pack("<QQ", 4, 1 << 63 | 4).ljust(64, b"\0") + bytes(range(256))


def cv_rsds(path: str, guid: bytes = bytes(range(16)), age: int = 1) -> bytes:
    return b"RSDS" + guid + struct.pack("<I", age) + path.encode() + b"\0"


def cv_nb10(path: str, time: int = 0x5F000000, age: int = 1) -> bytes:
    return b"NB10" + struct.pack("<III", 0, time, age) + path.encode() + b"\0"


def cv_bpel(build_id: bytes = bytes(range(20))) -> bytes:
    return struct.pack("<I", 0x4270454C) + build_id


def file_version(*parts: int) -> list[int]:
    """VS_FIXEDFILEINFO of a version in four parts."""
    high, low = parts[0] << 16 | parts[1], parts[2] << 16 | parts[3]
    return [0xFEEF04BD, 0x10000, high, low, high, low, 0x3F, 0, 0x40004, 1, 0, 0, 0]


# --- Things with data out of line


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
        """Streams of text from /proc, by the names that follow LINUX_ or MOZ_ above."""
        for name, text in texts.items():
            number = globals().get(f"LINUX_{name.upper()}") or globals()[f"MOZ_{name.upper()}"]
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


# --- Ready-made files

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
