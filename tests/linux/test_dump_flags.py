# SPDX-License-Identifier: Apache-2.0
"""Each bit of MINIDUMP_TYPE: the bytes that it asks for are in the file, and nothing else is."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import minidump_file as md
import pytest
from linux_support import is_untouched
from minidump_file import MinidumpFile
from support import programs, wait_until

import snapcore
from snapcore import PRESETS, MiniDumpType
from snapcore import MiniDumpType as T

# What any dump holds, with no flag at all.
ALWAYS = {
    md.THREAD_LIST,
    md.MODULE_LIST,
    md.SYSTEM_INFO,
    md.MISC_INFO,
    md.THREAD_NAMES,
    md.LINUX_MAPS,
    md.LINUX_AUXV,
    md.MOZ_SOFT_ERRORS,
}
OPTIONAL = {
    md.SYSTEM_MEMORY_INFO,
    md.PROCESS_VM_COUNTERS,
    md.LINUX_CPU_INFO,
    md.LINUX_PROC_STATUS,
    md.LINUX_LSB_RELEASE,
    md.LINUX_CMD_LINE,
    md.MOZ_LIMITS,
    md.SNAPCORE_COLUMNS,
}
SMALL = ALWAYS | OPTIONAL | {md.MEMORY_LIST}
WIDE = ALWAYS | OPTIONAL | {md.MEMORY64_LIST}

# The places of the target that hold a text of their own; the stack's are in every dump.
STACK = {"stack", "local", "kept"}
SECRET = b"snapcore: in the environment"


class Mapping:
    def __init__(self, line: str) -> None:
        fields = line.split(None, 5)
        self.start, self.end = (int(x, 16) for x in fields[0].split("-"))
        self.permissions = fields[1]
        self.name = fields[5].strip() if len(fields) > 5 else ""


class Parts:
    """The target, dumps of it, and what may be in them."""

    def __init__(self, start, folder: Path) -> None:
        self.library = str(programs() / "parts_library.so")
        self.target = start("parts", folder, self.library)
        self.pid = self.target.pid
        self.places = self.target.facts["places"]
        wait_until(self.is_at_rest)
        self.folder = folder

    def is_at_rest(self) -> bool:
        sys_pause = "34 "
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return all((task / "syscall").read_text().startswith(sys_pause) for task in tasks)

    @property
    def maps(self) -> list[Mapping]:
        return [Mapping(line) for line in Path(f"/proc/{self.pid}/maps").read_text().splitlines()]

    def dump(self, flags, **how) -> tuple[MinidumpFile, snapcore.DumpResult]:
        path = self.folder / "a.dmp"
        result = snapcore.dump(self.pid, path, flags, overwrite=True, **how)
        return MinidumpFile(path), result

    def found(self, file: MinidumpFile) -> set[str]:
        return {name for name, address in self.places.items() if file.read(address, 1) is not None}

    def added(self, file: MinidumpFile, base: MinidumpFile) -> list[Mapping]:
        """Mappings that hold what one file has and the other does not."""
        new = file.pages() - base.pages()
        maps = self.maps
        return [next(m for m in maps if m.start <= a < m.end) for a in sorted(new)]


@pytest.fixture
def parts(start, tmp_path, monkeypatch):
    monkeypatch.setenv("SNAPCORE_TEST_SECRET", SECRET.decode())
    return Parts(start, tmp_path)


# flags, streams of the file, places that it holds beyond the stacks', and where all that it adds to stacks may lie
IMAGES = ("parts_target", "parts_library", ".so")


def of_image(m: Mapping) -> bool:
    return any(text in m.name for text in IMAGES) or m.name == "[vdso]"


def is_private(m: Mapping) -> bool:
    return m.permissions.endswith("p")


BITS = [
    pytest.param(T.NORMAL, SMALL, set(), lambda _m: False, id="NORMAL"),
    pytest.param(
        T.WITH_DATA_SEGS,
        SMALL,
        {"data", "bss", "library_data", "r_debug"},
        # Uninitialised data continues the image without a name.
        lambda m: "x" not in m.permissions and (of_image(m) or not m.name) and is_private(m),
        id="WITH_DATA_SEGS",
    ),
    pytest.param(
        T.WITH_CODE_SEGS,
        SMALL,
        {"code", "library_code", "return"},
        lambda m: of_image(m) and m.permissions == "r-xp",
        id="WITH_CODE_SEGS",
    ),
    pytest.param(
        T.WITH_MODULE_HEADERS,
        SMALL,
        {"library"},
        lambda m: of_image(m) and "w" not in m.permissions,
        id="WITH_MODULE_HEADERS",
    ),
    pytest.param(
        T.WITH_INDIRECTLY_REFERENCED_MEMORY,
        SMALL,
        {"referenced", "data", "bss", "r_debug", "main_local"},
        lambda m: "w" in m.permissions,
        id="WITH_INDIRECTLY_REFERENCED_MEMORY",
    ),
    pytest.param(
        T.WITH_PROCESS_THREAD_DATA,
        SMALL,
        {"main_local", "r_debug"},
        # The name of the vdso lies in it.
        lambda m: is_private(m) and ("x" not in m.permissions or m.name == "[vdso]"),
        id="WITH_PROCESS_THREAD_DATA",
    ),
    pytest.param(
        T.WITH_PRIVATE_READ_WRITE_MEMORY,
        WIDE | {md.SNAPCORE_RANGES},
        {
            "data",
            "bss",
            "library_data",
            "r_debug",
            "main_local",
            "referenced",
            "forgotten",
            "sparse",
        },
        lambda m: m.permissions.startswith("rw") and is_private(m),
        id="WITH_PRIVATE_READ_WRITE_MEMORY",
    ),
    pytest.param(
        T.WITH_PRIVATE_WRITE_COPY_MEMORY,
        WIDE,
        {"data", "bss", "library_data", "r_debug", "copy"},
        lambda m: m.permissions == "rw-p" and m.name.startswith("/"),
        id="WITH_PRIVATE_WRITE_COPY_MEMORY",
    ),
    pytest.param(
        T.WITH_HANDLE_DATA, SMALL | {md.HANDLE_DATA}, set(), lambda _m: False, id="WITH_HANDLE_DATA"
    ),
    pytest.param(
        T.WITH_FULL_MEMORY_INFO,
        SMALL | {md.MEMORY_INFO_LIST},
        set(),
        lambda _m: False,
        id="WITH_FULL_MEMORY_INFO",
    ),
    pytest.param(
        T.WITH_THREAD_INFO,
        SMALL | {md.THREAD_INFO_LIST},
        set(),
        lambda _m: False,
        id="WITH_THREAD_INFO",
    ),
    pytest.param(
        T.WITH_TOKEN_INFORMATION,
        SMALL | {md.SNAPCORE_TOKEN},
        set(),
        lambda _m: False,
        id="WITH_TOKEN_INFORMATION",
    ),
    pytest.param(
        T.WITHOUT_OPTIONAL_DATA,
        ALWAYS | {md.MEMORY_LIST},
        set(),
        lambda _m: False,
        id="WITHOUT_OPTIONAL_DATA",
    ),
    pytest.param(
        T.FILTER_MODULE_PATHS,
        SMALL - {md.LINUX_CMD_LINE},
        set(),
        lambda _m: False,
        id="FILTER_MODULE_PATHS",
    ),
    pytest.param(
        T.FILTER_TRIAGE, SMALL - {md.LINUX_CMD_LINE}, set(), lambda _m: False, id="FILTER_TRIAGE"
    ),
    pytest.param(
        T.WITH_AVX_XSTATE_CONTEXT, SMALL, set(), lambda _m: False, id="WITH_AVX_XSTATE_CONTEXT"
    ),
    pytest.param(T.FILTER_MEMORY, SMALL, set(), lambda _m: False, id="FILTER_MEMORY"),
    pytest.param(
        T.IGNORE_INACCESSIBLE_MEMORY,
        SMALL,
        set(),
        lambda _m: False,
        id="IGNORE_INACCESSIBLE_MEMORY",
    ),
    pytest.param(
        T.FILTER_WRITE_COMBINED_MEMORY | T.SCAN_INACCESSIBLE_PARTIAL_PAGES,
        SMALL,
        set(),
        lambda _m: False,
        id="what-is-always-so",
    ),
]


@pytest.mark.parametrize(("flags", "streams", "places", "allowed"), BITS)
@pytest.mark.parametrize("way", ["parts", "clone", "live"])
def test_a_bit_adds_what_it_says_and_nothing_else(parts, flags, streams, places, allowed, way):
    how = {
        "parts": {},
        "clone": {"capture": snapcore.CaptureFlags.VA_CLONE},
        "live": {"method": "live", "max_pause": 30},
    }[way]
    base, _ = parts.dump(T.NORMAL, **how)
    file, result = parts.dump(flags, **how)
    assert file.flags == flags & 0x1FFFFF
    assert set(file.streams) == streams
    assert parts.found(file) == STACK | places
    for name in places - {"code", "library_code", "return", "library", "r_debug"}:
        text = {"library_data": "library data", "main_local": "thread-local", "copy": "file page 0"}
        assert file.text(parts.places[name]) == f"snapcore: {text.get(name, name)}"
    assert [m.name for m in parts.added(file, base) if not allowed(m)] == []
    assert base.pages() <= file.pages()
    assert "flag_without_effect" not in {d.code for d in result.diagnostics}
    # Secrets of the environment lie at the end of a stack: only who asks for all private memory gets them.
    assert (SECRET in file.data) == bool(flags & T.WITH_PRIVATE_READ_WRITE_MEMORY)
    is_untouched(parts.pid)


def test_bytes_are_those_of_the_process(parts):
    flags = (
        T.WITH_DATA_SEGS
        | T.WITH_CODE_SEGS
        | T.WITH_MODULE_HEADERS
        | T.WITH_PRIVATE_READ_WRITE_MEMORY
    )
    kernels_own = {area + i for area in parts.target.facts["rseq"] for i in range(32)}
    file, _ = parts.dump(flags)
    with open(f"/proc/{parts.pid}/mem", "rb", buffering=0) as memory:
        for start, end, _ in file.memory:
            os.lseek(memory.fileno(), start, os.SEEK_SET)
            pairs = zip(memory.read(end - start), file.read(start, end - start), strict=True)
            differ = {start + i for i, (a, b) in enumerate(pairs) if a != b}
            assert differ <= kernels_own


def test_filter_memory_keeps_pointers_of_a_stack_walk_alone(parts):
    plain, _ = parts.dump(T.NORMAL)
    file, _ = parts.dump(T.FILTER_MEMORY)
    assert b"snapcore: secret on the stack" in plain.data
    assert b"snapcore:" not in file.data.replace(b"snapcore: a", b"")
    code = [m for m in parts.maps if "x" in m.permissions]
    kept = 0
    for start, end, _ in file.memory:
        before, after = plain.read(start, end - start), file.read(start, end - start)
        for old, new in zip(memoryview(before).cast("Q"), memoryview(after).cast("Q"), strict=True):
            on_stack = any(s <= old < e for s, e, _ in file.memory)
            in_code = any(m.start <= old < m.end for m in code)
            assert new == (old if on_stack or in_code else 0)
            kept += in_code
    assert kept > 0
    full, result = parts.dump(T.WITH_FULL_MEMORY | T.FILTER_MEMORY)
    assert full.text(parts.places["stack"]) == "snapcore: secret on the stack"
    assert [d.severity for d in result.diagnostics if d.subject == T.FILTER_MEMORY] == ["warning"]


def test_scan_memory_chooses_the_modules_that_stacks_refer_to(parts):
    everything, _ = parts.dump(T.WITH_MODULE_HEADERS | T.WITH_DATA_SEGS)
    file, _ = parts.dump(T.WITH_MODULE_HEADERS | T.WITH_DATA_SEGS | T.SCAN_MEMORY)
    assert everything.text(parts.places["library_data"]) == "snapcore: library data"
    assert file.text(parts.places["library_data"]) is None
    assert file.text(parts.places["library"]) is None
    assert file.text(parts.places["data"]) == "snapcore: data"
    assert file.module_names() == everything.module_names()


def test_filter_module_paths_leaves_no_folder(parts):
    plain, _ = parts.dump(T.NORMAL)
    file, _ = parts.dump(T.FILTER_MODULE_PATHS | T.WITH_FULL_MEMORY_INFO)
    assert parts.library in plain.module_names()
    assert [name.rpartition("/")[2] for name in plain.module_names()] == file.module_names()
    maps = file.streams[md.LINUX_MAPS]
    assert b"/" not in maps
    assert maps.count(b"\n") == plain.streams[md.LINUX_MAPS].count(b"\n")
    assert b"parts_library.so" in maps
    assert b"[stack]" in maps


def test_filter_triage_names_no_file_and_cuts_stacks(parts):
    plain, _ = parts.dump(T.WITH_HANDLE_DATA)
    file, _ = parts.dump(T.WITH_HANDLE_DATA | T.FILTER_TRIAGE)
    assert any("parts-file" in name for _, name in plain.handle_names())
    assert [(kind, "") for kind, _ in plain.handle_names()] == file.handle_names()
    assert all(size <= 64 << 10 for _, _, size in file.threads().values())


def test_token_information_is_what_proc_says(parts):
    file, _ = parts.dump(T.WITH_TOKEN_INFORMATION)
    said: dict[str, list[str]] = {}
    for line in file.streams[md.SNAPCORE_TOKEN].decode().splitlines():
        key, _, value = line.partition(":\t")
        said.setdefault(key, []).append(value)
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{parts.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    for key in (
        "Uid",
        "Gid",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ):
        assert said[key] == [status[key]]
    assert os.readlink(f"/proc/{parts.pid}/ns/net") in said["Namespace"]


def test_counters_are_what_proc_says(parts):
    file, _ = parts.dump(T.NORMAL)
    status = {
        line.split(":")[0]: int(line.split()[1]) << 10
        for line in Path(f"/proc/{parts.pid}/status").read_text().splitlines()
        if re.search(r"\d+ kB", line)
    }
    counters = struct.unpack("<HHI18Q", file.streams[md.PROCESS_VM_COUNTERS])
    assert counters[:2] == (2, 15)
    peak, now = counters[3:5]
    assert abs(now - status["VmRSS"]) < 1 << 20
    assert abs(peak - status["VmHWM"]) < 1 << 20
    assert counters[11:13] == (status["VmPeak"], status["VmSize"])
    assert abs(counters[13] - status["RssAnon"] - status["VmSwap"]) < 1 << 20

    memory = file.streams[md.SYSTEM_MEMORY_INFO]
    assert len(memory) == 492
    page, pages = struct.unpack_from("<II", memory, 8)
    assert page == os.sysconf("SC_PAGE_SIZE")
    assert pages == os.sysconf("SC_PHYS_PAGES")
    available, committed, limit, _ = struct.unpack_from("<4Q", memory, 116)
    assert 0 < available <= pages
    assert committed > 0
    assert limit > 0


def test_extended_state_holds_the_upper_half_of_ymm(facts, tmp_path):
    snapcore.dump(facts.pid, tmp_path / "a.dmp", T.WITH_AVX_XSTATE_CONTEXT)
    file = MinidumpFile(tmp_path / "a.dmp")
    context, _, _ = file.threads()[facts.facts["parked"]]
    (flags,) = struct.unpack_from("<I", context, 48)
    assert flags & 0x100040 == 0x100040
    all_, legacy, state = (struct.unpack_from("<iI", context, 1232 + 8 * i) for i in range(3))
    assert all_ == (-1232, len(context))
    assert legacy == (-1232, 1232)
    assert state == (64, len(context) - 1296)
    (used,) = struct.unpack_from("<Q", context, 1296)
    assert used & 4
    misc = file.streams[md.MISC_INFO]
    assert len(misc) == 1364
    size, context_size, enabled = struct.unpack_from("<IIQ", misc, 832)
    assert size == 528
    assert context_size == len(context) - 1296 + 512
    assert enabled & 7 == 7
    offset, length = struct.unpack_from("<II", misc, 832 + 16 + 8 * 2)
    assert length == 256
    for i in range(8):  # ymm8-15, as the target parks them
        expected = [0x1111111111111111 * (i + 1) + k & (1 << 64) - 1 for k in range(4)]
        low = struct.unpack_from("<2Q", context, 256 + 160 + 16 * (8 + i))
        high = struct.unpack_from("<2Q", context, 1296 + offset - 512 + 16 * (8 + i))
        assert [*low, *high] == expected


def test_pages_that_cannot_be_read_are_a_warning_unless_they_may_be(parts):
    # The target maps one page more of a file than the file has.
    _, strict = parts.dump(T.WITH_FULL_MEMORY)
    _, lenient = parts.dump(T.WITH_FULL_MEMORY | T.IGNORE_INACCESSIBLE_MEMORY)
    for result, severity in ((strict, "warning"), (lenient, "info")):
        (found,) = [d for d in result.diagnostics if d.code == "unreadable_memory_left_out"]
        assert found.severity == severity
        assert found.subject == 4096


MEANINGLESS = [
    T.WITH_UNLOADED_MODULES,
    T.WITHOUT_AUXILIARY_STATE,
    T.WITH_FULL_AUXILIARY_STATE,
    T.WITH_IPT_TRACE,
    T.NO_IGNORE_INACCESSIBLE_MEMORY,
    T.WITH_MEMORY_COMPRESSED,
]


@pytest.mark.parametrize("flag", MEANINGLESS, ids=lambda flag: flag.name)
def test_a_bit_without_a_meaning_says_so(parts, flag):
    base, _ = parts.dump(T.NORMAL)
    file, result = parts.dump(flag)
    assert set(file.streams) == set(base.streams)
    assert file.pages() == base.pages()
    said = [d for d in result.diagnostics if d.code == "flag_without_effect"]
    assert [d.subject for d in said] == [flag]
    assert flag.name in said[0].message


def test_every_bit_is_tested():
    tested = MEANINGLESS + [p.values[0] for p in BITS]
    rest = MiniDumpType.WITH_FULL_MEMORY | MiniDumpType.SCAN_MEMORY
    seen = T.NORMAL
    for flags in [*tested, rest]:
        seen |= flags
    assert seen == ~MiniDumpType.NORMAL & sum(T)


def test_the_environment_is_kept_where_it_is_asked_for(parts):
    file, _ = parts.dump(T.WITHOUT_OPTIONAL_DATA, environment=True)
    block = file.streams[md.LINUX_ENVIRON].split(b"\0")
    assert b"SNAPCORE_TEST_SECRET=" + SECRET in block


def columns_of(file) -> dict[int, dict[str, tuple[int, int]]]:
    """Types and offsets of texts of a SnapcoreColumns stream, by table and column."""
    out: dict[int, dict[str, tuple[int, int]]] = {}
    stream = file.streams.get(md.SNAPCORE_COLUMNS, b"")
    if not stream:
        return out
    head, stride, count = struct.unpack_from("<IIQ", stream)
    for at in range(head, head + stride * count, stride):
        table, kind, name, _, _, _, texts = struct.unpack_from("<II32s4Q", stream, at)
        out.setdefault(table, {})[name.rstrip(b"\0").decode()] = kind, texts
    return out


PROCESS, THREADS, HANDLES, REGIONS = range(4)


def test_columns_of_our_own_follow_the_lists_that_they_belong_to(parts):
    file, _ = parts.dump("full")
    columns = columns_of(file)
    assert set(columns) == {PROCESS, THREADS, HANDLES, REGIONS}
    assert {"tid", "state", "last_syscall"} <= set(columns[THREADS])
    assert {"handle", "inode", "position"} <= set(columns[HANDLES])
    assert {"base", "resident", "in_clone", "linux_flags"} <= set(columns[REGIONS])
    assert {"image_path"} <= set(columns[PROCESS])
    for flags, tables in (
        (T.NORMAL, {PROCESS}),
        (T.WITH_THREAD_INFO, {PROCESS, THREADS}),
        (T.WITH_HANDLE_DATA, {PROCESS, HANDLES}),
        # Without a clone nothing more is known of regions.
        (T.WITH_FULL_MEMORY_INFO, {PROCESS}),
        (T.WITH_FULL_MEMORY_INFO | T.WITH_FULL_MEMORY, {PROCESS, REGIONS}),
    ):
        file, _ = parts.dump(flags)
        assert set(columns_of(file)) == tables
        # No texts where paths are filtered; no descriptors where a dump is for triage.
        file, _ = parts.dump(flags | T.FILTER_MODULE_PATHS)
        assert set(columns_of(file)) == tables
        texts = [at for table in columns_of(file).values() for _, at in table.values()]
        assert not any(texts)
        file, _ = parts.dump(flags | T.FILTER_TRIAGE)
        assert set(columns_of(file)) == tables - {HANDLES}
        file, _ = parts.dump(flags | T.WITHOUT_OPTIONAL_DATA)
        assert columns_of(file) == {}


def test_streams_of_a_user(parts):
    file, _ = parts.dump(T.NORMAL, streams={0x10000: b"mine", 0xFFFFFFFF: b"\0\1"}, comment="hello")
    assert file.streams[0x10000] == b"mine"
    assert file.streams[0xFFFFFFFF] == b"\0\1"
    assert file.streams[md.COMMENT_W].decode("utf-16-le") == "hello\0"
    for kind in (0, 3, 0xFFFF, md.LINUX_MAPS, -1, 1 << 32):
        with pytest.raises(ValueError, match=r"stream type"):
            parts.dump(T.NORMAL, streams={kind: b"x"})


PRIVATE = {
    "data",
    "bss",
    "library_data",
    "r_debug",
    "main_local",
    "referenced",
    "forgotten",
    "sparse",
}
CONTENT = {
    "mini": (SMALL | {md.HANDLE_DATA, md.THREAD_INFO_LIST}, set()),
    "triage": (ALWAYS | {md.MEMORY_LIST, md.HANDLE_DATA, md.THREAD_INFO_LIST}, set()),
    "heap": (
        WIDE
        | {
            md.HANDLE_DATA,
            md.THREAD_INFO_LIST,
            md.MEMORY_INFO_LIST,
            md.SNAPCORE_TOKEN,
            md.SNAPCORE_RANGES,
        },
        PRIVATE,
    ),
    "full": (
        WIDE
        | {
            md.HANDLE_DATA,
            md.THREAD_INFO_LIST,
            md.MEMORY_INFO_LIST,
            md.SNAPCORE_TOKEN,
            md.SNAPCORE_RANGES,
        },
        PRIVATE | {"constant", "code", "return", "library", "library_code", "shared", "copy"},
    ),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(parts, preset):
    file, result = parts.dump(preset)
    streams, places = CONTENT[preset]
    assert set(file.streams) == streams
    assert parts.found(file) == STACK | places
    assert result.flags == PRESETS[preset]
    assert all(d.severity == "info" for d in result.diagnostics)
    if preset == "triage":
        assert b"snapcore: secret" not in file.data
        assert str(parts.folder).encode("utf-16-le") not in file.data
        assert str(parts.folder).encode() not in file.data
    with snapcore.capture(parts.pid) as snap:
        snap.dump(parts.folder / "b.dmp", preset)
    again = MinidumpFile(parts.folder / "b.dmp")
    assert set(again.streams) == streams
    assert parts.found(again) == STACK | places


def test_small_presets_never_fork(start, tmp_path):
    target = start("memory", 1024, "threads=8")
    for preset in ("mini", "triage"):
        result = snapcore.dump(target.pid, tmp_path / f"{preset}.dmp", preset)
        assert result.pause_ns < target.ask("fork")["fork_ns"]
    # Data segments of a few modules are copied sooner than a GiB is forked.
    flags = T.WITH_DATA_SEGS | T.WITH_MODULE_HEADERS | T.WITH_PROCESS_THREAD_DATA
    result = snapcore.dump(target.pid, tmp_path / "parts.dmp", flags)
    assert result.pause_ns < target.ask("fork")["fork_ns"]


def test_a_name_that_is_no_preset(tmp_path):
    with pytest.raises(ValueError, match="mini, triage, heap, full"):
        snapcore.dump(os.getpid(), tmp_path / "a.dmp", "everything")
