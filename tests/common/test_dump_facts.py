# SPDX-License-Identifier: Apache-2.0
"""What dump files say besides their tables: every stream that other writers have, from our own builder of files."""

from __future__ import annotations

import dump_structures as structures
import numpy as np
import pytest
import sample_dumps
from dump_builder import DumpBuilder, Handle, Thread
from dump_files import everything
from sample_dumps import PROC_MAPS, crowd, small_linux, small_windows

import snapcore
from snapcore import DumpFormatError


@pytest.fixture
def opened(tmp_path):
    """Writes what a builder has, and opens it."""
    files = []

    def opener(dump: DumpBuilder, *, strict: bool = True) -> snapcore.DumpFile:
        path = dump.write(tmp_path / f"{len(files)}.dmp")
        files.append(snapcore.open(path, strict=strict))
        return files[-1]

    yield opener
    for file in files:
        file.close()


def base() -> DumpBuilder:
    return DumpBuilder().system_info(structures.AMD64, structures.WINDOWS)


def test_every_stream_is_read_without_a_complaint(tmp_path):
    for number, dump in enumerate((sample_dumps.everything(), small_windows(), small_linux())):
        path = dump.write(tmp_path / f"{number}.dmp")
        assert everything(path, strict=True) == 0


@pytest.mark.parametrize("version", range(1, 6))
def test_misc_info(opened, version):
    dump = base().misc_info(
        version,
        pid=77,
        flags=0x3F7,
        create_time=1_600_000_000,
        user_time=3,
        kernel_time=4,
        **({"max_mhz": 3000, "current_mhz": 2000} if version >= 2 else {}),
        **({"integrity_level": 0x2000} if version >= 3 else {}),
        **({"build_string": "19041.1.amd64fre"} if version >= 4 else {}),
        **({"process_cookie": 7} if version >= 5 else {}),
    )
    file = opened(dump)
    misc = file.misc()
    assert (misc.process_id, misc.create_time, misc.user_time, misc.kernel_time) == (
        *(77, 1_600_000_000),
        *(3, 4),
    )
    assert file.pid == 77
    assert file.process().created_at_ns == 1_600_000_000 * 10**9
    assert (misc.max_mhz, misc.current_mhz) == ((3000, 2000) if version >= 2 else (None, None))
    assert misc.integrity_level == (0x2000 if version >= 3 else None)
    assert misc.build_string == ("19041.1.amd64fre" if version >= 4 else None)
    assert misc.process_cookie == (7 if version >= 5 else None)
    assert (misc.xstate_size is not None) == (version >= 5)


def test_times_that_the_writer_did_not_know(opened):
    file = opened(base().misc_info(1, flags=0x3, create_time=0))
    process = file.process()
    assert (process.created_at_ns, process.user_time_ns, process.kernel_time_ns) == (None,) * 3
    assert file.misc().create_time == 0


def test_system_memory_and_counters(opened):
    file = opened(
        base()
        .system_memory_info(processors=4, page_size=4096, available_pages=1000, flags=2)
        .vm_counters(1, page_faults=9, working_set=1 << 20, private_usage=1 << 19)
    )
    memory = file.system_memory()
    assert (memory.processors, memory.page_size, memory.available_pages) == (4, 4096, 1000)
    process = file.process()
    assert (process.page_faults, process.working_set_size) == (9, 1 << 20)
    # The first version has it elsewhere, and no virtual sizes.
    assert process.private_usage == 1 << 19
    assert process.virtual_size is None
    assert opened(base()).system_memory() is None


def test_handles_of_both_versions_and_what_they_say_of_objects(opened):
    handles = [
        Handle(4, "File", "\\Device\\a", granted_access=1, handle_count=2, pointer_count=3),
        Handle(8, "Mutant", None, information=[(2, b"one"), (3, b"second")]),
    ]
    for version in (1, 2):
        dump = base().handle_data(handles if version == 2 else handles[:1], version=version)
        file = opened(dump)
        table = file.handles()
        assert table["handle"].tolist() == [4, 8][: len(table)]
        assert table["type_name"][0] == "File"
        assert table["object_name"][0] == "\\Device\\a"
        assert table["handle_count"][0] == 2
        assert table["pointer_count"][0] == 3
        said = [(i.handle, i.type, i.data) for i in file.handle_information()]
        assert said == (
            [(8, "MutantInformation1", b"one"), (8, "MutantInformation2", b"second")]
            if version == 2
            else []
        )


def test_chains_that_go_in_circles_end(opened):
    dump = base()
    start = dump.handle_information([(2, b"x")])
    first = dump.handle_information([(3, b"y")], last_next=start)
    # The chain's first link is patched to lead back to its last.
    dump.handle_data([Handle(4, "Mutant", None, information=[(2, b"z")])])
    file = opened(dump, strict=False)
    assert len(file.handle_information()) == 1
    assert first != start
    raw = bytearray(dump.build())
    at = raw.index(b"\x02\0\0\0\x01\0\0\0z") - 4
    raw[at : at + 4] = at.to_bytes(4, "little")
    path = file.path + ".circle"
    with open(path, "wb") as out:
        out.write(raw)
    with snapcore.open(path) as circle:
        assert len(circle.handle_information()) <= 16
        assert [d.code for d in circle.diagnostics] == ["handle_information_broken"]


def test_handle_operations_and_tokens(opened):
    file = opened(
        base()
        .handle_operation_list(
            [{"handle": 4, "pid": 1, "tid": 10, "operation": 2, "return_addresses": [0x401000, 5]}]
        )
        .tokens([(1, 0x10, b"token"), (2, 0x14, bytes(20))])
    )
    (operation,) = file.handle_operations()
    assert (operation["handle"], operation["tid"], operation["operation"]) == (4, 10, 2)
    assert operation["return_addresses"][:3].tolist() == [0x401000, 5, 0]
    first, second = file.tokens()
    assert (first.id, first.handle, first.data[:5]) == (1, 0x10, b"token")
    assert (second.id, second.handle, second.data[:20]) == (2, 0x14, bytes(20))
    assert len(opened(base()).handle_operations()) == 0


def test_threads_of_the_extended_list(opened):
    threads = [
        Thread(7, "first", structures.context(structures.CONTEXT_AMD64, rip=0x10, rsp=0x20)),
        Thread(8, "Grüße \U0001f600", structures.context_with_xstate(rip=0x30, rsp=0x40)),
    ]
    file = opened(base().thread_list(threads, extended=True).thread_names(threads))
    assert file.threads()["tid"].tolist() == [7, 8]
    assert list(file.threads()["name"]) == ["first", "Grüße \U0001f600"]
    contexts = file.contexts()
    assert contexts["rip"].tolist() == [0x10, 0x30]
    assert contexts["xstate_features"].tolist()[0] == 0
    assert contexts["xstate_features"].tolist()[1] & 4
    assert contexts["ymm_high"][1].any()


@pytest.mark.parametrize(
    ("architecture", "old", "pointer"),
    [
        (structures.X86, False, "eip"),
        (structures.AMD64, False, "rip"),
        (structures.ARM64, False, "pc"),
        (structures.ARM64, True, "pc"),
        (0x8003, True, "pc"),
    ],
)
def test_contexts_of_every_processor(opened, architecture, old, pointer):
    file = opened(small_linux(architecture, old_context=old))
    contexts = file.contexts()
    assert contexts["valid"].tolist() == [1, 1]
    assert contexts[pointer].tolist() == file.threads()["instruction_pointer"].tolist()
    assert int(file.threads()["instruction_pointer"][0]) & 0xFFFF == 0x10
    exception = file.exception()
    assert (exception.tid, exception.code, exception.address) == (4242, 11, 0xDEAD)
    assert exception.context[pointer] == contexts[pointer][0]


def test_linux_texts(opened):
    file = opened(small_linux())
    texts = file.linux()
    assert texts["maps"] == PROC_MAPS
    assert texts["cmdline"] == b"/usr/bin/worker\0--serve\0"
    assert texts["environ"] == b"HOME=/root\0LANG=C\0"
    assert set(texts) >= {"status", "cpuinfo", "lsb_release"}
    assert file.auxiliary_vector() == {3: 0x555500000040, 6: 4096, 33: 0x7FFF00000000}
    process = file.process()
    assert (process.name, process.parent_pid, process.uid, process.thread_count) == (
        *("worker", 1),
        *(1000, 2),
    )
    # Without MemoryInfoList the regions come from the mappings alone.
    regions = file.regions()
    assert list(regions["mapped_file"]) == ["/usr/bin/worker", "[stack]", "[vdso]"]
    assert regions["inode"].tolist() == [131, 0, 0]
    assert regions["protect"].tolist() == [0x20, 0x04, 0x20]
    assert not regions.valid("resident").any()
    threads = file.threads()
    assert threads["stack_start"].tolist() == [0x7FFC00000000] * 2
    assert threads["stack_end"].tolist() == [0x7FFC00001000] * 2


@pytest.mark.parametrize("packed", [False, True])
def test_the_linkers_list_in_both_layouts(opened, packed):
    entries = [(0x400000, "/bin/a", 0x400800), (0x500000, "/lib/b.so", 0x500900)]
    debug = opened(base().dso_debug(entries, packed=packed)).dso_debug()
    assert [(e.address, e.name, e.dynamic) for e in debug.link_map] == entries


def test_breakpad(opened):
    file = opened(base().breakpad_info(10, 11).assertion_info("a == b", "main", "a.cpp", 42))
    info = file.breakpad()
    assert (info.dump_thread_id, info.requesting_thread_id) == (10, 11)
    assertion = info.assertion
    assert (assertion.expression, assertion.function) == ("a == b", "main")
    assert (assertion.file, assertion.line) == ("a.cpp", 42)
    half = opened(base().breakpad_info(10, 11, validity=2)).breakpad()
    assert (half.dump_thread_id, half.requesting_thread_id) == (None, 11)
    assert half.assertion is None
    assert opened(base()).breakpad() is None


def test_crashpad(opened):
    dump = base()
    module = dump.crashpad_module(
        list=["one", "two"], simple={"key": "value"}, objects=[("ptype", 1, b"browser")]
    )
    info = opened(dump.crashpad_info({"prod": "Thing", "ver": "1.0"}, {3: module})).crashpad()
    assert info.simple_annotations == {"prod": "Thing", "ver": "1.0"}
    (module,) = info.modules
    assert module.index == 3
    assert module.list_annotations == ("one", "two")
    assert module.simple_annotations == {"key": "value"}
    (annotation,) = module.annotations
    assert (annotation.name, annotation.type, annotation.value) == ("ptype", 1, b"browser")
    assert len(info.report_id) == 36


def test_macos(opened):
    file = opened(
        base()
        .macos_crash_info([({"thread": 1}, [b"/usr/lib/a.dylib", b"abort()", b"", b"", b""])])
        .macos_boot_args("-v debug=0x144")
    )
    (info,) = file.mac_crash_info()
    assert (info.version, info.thread, info.message) == (5, 1, "abort()")
    assert (info.module_path, info.signature) == ("/usr/lib/a.dylib", None)
    assert file.mac_boot_arguments() == "-v debug=0x144"


def test_soft_errors(opened):
    assert opened(base()).soft_errors() == []
    file = opened(sample_dumps.everything())
    assert file.soft_errors() == [{"InitErrors": ["StopProcessFailed"]}]
    with pytest.raises(DumpFormatError, match="JSON"):
        opened(base().linux(soft_errors=b"{nonsense")).soft_errors()


def test_comments(opened):
    assert opened(base().comment_a(b"narrow\0and more")).comment() == "narrow"
    assert opened(base().comment_w("wide Grüße")).comment() == "wide Grüße"
    assert opened(base()).comment() is None


def region(first: int, size: int, protect: int = 4) -> dict[str, int]:
    return {
        "base": first,
        "allocation_base": 0x1000,
        "allocation_protect": 4,
        "size": size,
        "state": 0x1000,
        "protect": protect,
        "type": 0x20000,
    }


MAPS = b"""1000-5000 rw-p 00001000 08:01 7 /a\\040b
5000-6000 rw-p 00000000 00:00 0\x20
"""


def test_entries_of_one_mapping_are_joined_and_named(opened):
    infos = [region(0x1000, 0x1000), region(0x2000, 0x1000), region(0x3000, 0x2000, 2)]
    infos += [region(0x5000, 0x1000), region(0x9000, 0x1000), region(0xA000, 0x1000)]
    file = opened(base().memory_info_list(infos).linux(maps=MAPS))
    regions = file.regions()
    assert regions["base"].tolist() == [0x1000, 0x3000, 0x5000, 0x9000, 0xA000]
    assert regions["size"].tolist() == [0x2000, 0x2000, 0x1000, 0x1000, 0x1000]
    assert list(regions["mapped_file"]) == ["/a b", "/a b", None, None, None]
    assert regions["offset"].tolist()[:2] == [0x1000, 0x3000]
    assert regions.valid("inode").tolist() == [True, True, True, False, False]
    # Mappings in disorder, entries in disorder: each is found all the same.
    shuffled = opened(
        base()
        .memory_info_list(infos[::-1])
        .linux(maps=b"".join(MAPS.splitlines(keepends=True)[::-1]))
    ).regions()
    assert shuffled["base"].tolist() == [0xA000, 0x9000, 0x5000, 0x3000, 0x2000, 0x1000]
    assert list(shuffled["mapped_file"]) == [None, None, None, "/a b", "/a b", "/a b"]


def test_entries_that_no_mapping_holds_whole_are_not_named(opened):
    infos = [region(0x800, 0x1000), region(0x4000, 0x1800)]
    regions = opened(base().memory_info_list(infos).linux(maps=MAPS)).regions()
    assert list(regions["mapped_file"]) == [None, None]
    assert len(regions) == 2


def test_a_large_file_is_read_in_bounded_memory(opened):
    file = opened(crowd(threads=3000, modules=300, regions=30_000, handles=30_000))
    assert file.threads()["tid"].tolist() == list(range(1000, 4000))
    assert file.threads()["name"][2999] == "pool-49"
    assert file.contexts()["rip"].tolist() == file.threads()["instruction_pointer"].tolist()
    regions = file.regions()
    assert np.array_equal(
        regions["base"], 0x10000000 + np.arange(30_000, dtype=np.uint64) * 0x10000
    )
    handles = file.handles()
    assert handles["handle"].tolist() == [4 * i + 4 for i in range(30_000)]
    assert list(handles["object_name"])[:4] == [
        None,
        *(f"\\Device\\Volume\\file{i}" for i in (1, 2)),
        None,
    ]
    assert handles["type_name"].unique() == [
        "File",
        "Event",
        "Key",
        "Section",
        "Thread",
        "Semaphore",
    ]
    modules = file.modules()
    assert modules["path"][299] == "C:\\modules\\299.dll"
    assert modules["debug_id"][0] == "0302010005040706" + "08090A0B0C0D0E0F" + "1"
