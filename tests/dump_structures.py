# SPDX-License-Identifier: Apache-2.0
"""Numbers and structures of minidumps, with nothing that the package has a hand in."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
