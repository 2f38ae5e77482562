# SPDX-License-Identifier: Apache-2.0
"""Microsoft's "Generate Dump File from a Process Snapshot", step by step."""

from __future__ import annotations

import pytest

import snapcore
from snapcore import CaptureFlags, ContextFlags, MiniDumpType

CONTEXT_ALL = 0x0010001F


def test_the_sequence_of_the_document(facts, tmp_path, sim):
    # CaptureFlags of the sample: handles with all their facts, threads with all their registers, a
    # clone of the address space that breaks away from the job if it can.
    flags = CaptureFlags.DOCUMENTED
    assert flags == 0xAC0003FD
    assert ContextFlags.ALL | ContextFlags.AMD64 == CONTEXT_ALL

    # PssCaptureSnapshot(ProcessHandle, CaptureFlags, CONTEXT_ALL, &SnapshotHandle)
    snapshot = snapcore.capture(facts.pid, flags, context_flags=ContextFlags.ALL)

    # MiniDumpWriteDump(SnapshotHandle, ProcessId, hFile, MiniDumpNormal, NULL, NULL, &CallbackInfo),
    # and in the callback: case 16: CallbackOutput->Status = S_FALSE
    snapshot.dump(tmp_path / "snapshot.dmp", MiniDumpType.NORMAL)

    # PssFreeSnapshot(GetCurrentProcess(), SnapshotHandle)
    snapshot.close()

    assert (tmp_path / "snapshot.dmp").read_bytes()[:4] == b"MDMP"
    if sim:
        assert sim.calls() == [
            "PssCaptureSnapshot 0xac0003fd 0x10001f",
            "MiniDumpWriteDump snapshot 0",
            "IsProcessSnapshotCallback S_FALSE",
            "PssFreeSnapshot after the clone",
        ]


def test_the_same_in_one_call(facts, tmp_path, sim):
    snapcore.dump(facts.pid, tmp_path / "a.dmp", capture=CaptureFlags.DOCUMENTED)
    if sim:
        assert sim.calls()[0] == "PssCaptureSnapshot 0xac0003fd 0x10001f"
        assert sim.calls()[-1] == "PssFreeSnapshot after the clone"


def test_a_dump_without_capture_flags_makes_its_clone_as_the_document_does(facts, tmp_path, sim):
    snapcore.dump(facts.pid, tmp_path / "a.dmp")
    if sim:
        assert sim.calls()[0] == "PssCaptureSnapshot 0xac000181 0x10001f"


DETAILS = (
    CaptureFlags.HANDLE_NAME_INFORMATION
    | CaptureFlags.HANDLE_BASIC_INFORMATION
    | CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION
)


@pytest.mark.parametrize(
    "flags",
    [
        CaptureFlags.NONE,
        CaptureFlags.VA_CLONE,
        CaptureFlags.VA_CLONE | CaptureFlags.CREATE_RELEASE_SECTION,
        CaptureFlags.VA_CLONE | CaptureFlags.CREATE_BREAKAWAY,
        CaptureFlags.VA_CLONE
        | CaptureFlags.CREATE_BREAKAWAY
        | CaptureFlags.CREATE_BREAKAWAY_OPTIONAL,
        CaptureFlags.HANDLES,
        CaptureFlags.HANDLES | CaptureFlags.HANDLE_NAME_INFORMATION,
        CaptureFlags.HANDLES | CaptureFlags.HANDLE_BASIC_INFORMATION,
        CaptureFlags.HANDLES | CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION,
        CaptureFlags.HANDLES | DETAILS,
        CaptureFlags.HANDLE_TRACE,
        CaptureFlags.THREADS,
        CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT,
        CaptureFlags.THREADS | CaptureFlags.THREAD_CONTEXT | CaptureFlags.THREAD_CONTEXT_EXTENDED,
        CaptureFlags.VA_SPACE,
        CaptureFlags.VA_SPACE | CaptureFlags.VA_SPACE_SECTION_INFORMATION,
        CaptureFlags.IPT_TRACE,
        CaptureFlags.CREATE_USE_VM_ALLOCATIONS,
        CaptureFlags.CREATE_MEASURE_PERFORMANCE,
        CaptureFlags.DOCUMENTED,
        CaptureFlags.DEFAULT,
    ],
    ids=lambda flags: f"{int(flags):#x}",
)
def test_each_capture_flag(facts, sim, flags):
    with snapcore.capture(facts.pid, flags) as snap:
        assert snap.flags == flags
        assert snap.process().pid == facts.pid
        has = {
            "threads": CaptureFlags.THREADS in flags,
            "handles": CaptureFlags.HANDLES in flags,
            "regions": CaptureFlags.VA_SPACE in flags,
            "contexts": CaptureFlags.THREAD_CONTEXT in flags,
            "modules": CaptureFlags.VA_CLONE in flags,
        }
        for table, captured in has.items():
            if captured:
                assert len(getattr(snap, table)()) > 0
            else:
                with pytest.raises(ValueError, match="were not captured"):
                    getattr(snap, table)()
        if CaptureFlags.HANDLES in flags:
            h = snap.handles()
            named = CaptureFlags.HANDLE_NAME_INFORMATION in flags
            assert h.valid("object_name").any() == named
            assert h.valid("granted_access").any() == (
                CaptureFlags.HANDLE_BASIC_INFORMATION in flags
            )
            assert h.valid("signaled").any() == (
                CaptureFlags.HANDLE_TYPE_SPECIFIC_INFORMATION in flags
            )
        if CaptureFlags.VA_SPACE in flags:
            named = CaptureFlags.VA_SPACE_SECTION_INFORMATION in flags
            assert snap.regions().valid("mapped_file").any() == named
            assert snap.regions().valid("image_size").any() == named
    if sim:
        assert sim.calls()[0].startswith(
            f"PssCaptureSnapshot {int(flags) or 0:#x}".replace("0x0", "0")
        )
