# SPDX-License-Identifier: Apache-2.0
"""The stand-in sees what its caller does wrong: tests that pass against it mean something."""

from __future__ import annotations

import ctypes
import os

import pytest
from support import STAND_IN

pytestmark = pytest.mark.skipif(not STAND_IN, reason="there is no stand-in")
POINTER, DWORD = ctypes.c_void_p, ctypes.c_uint32
THREADS, HANDLES, VA_CLONE = 0x80, 0x4, 0x1


@pytest.fixture
def dll(sim):
    library = ctypes.WinDLL("snapsim.dll")
    yield library
    sim.reset()


@pytest.fixture
def kernel():
    library = ctypes.WinDLL("kernel32.dll")
    library.OpenProcess.restype = POINTER
    library.OpenProcess.argtypes = (DWORD, ctypes.c_int, DWORD)
    library.CloseHandle.argtypes = (POINTER,)
    library.TerminateProcess.argtypes = (POINTER, DWORD)
    return library


@pytest.fixture
def process(kernel, facts):
    handle = kernel.OpenProcess(0x1FFFFF, 0, facts.pid)
    yield POINTER(handle)
    kernel.CloseHandle(handle)


def capture(dll, process, flags, context=0):
    snapshot = POINTER()
    code = dll.PssCaptureSnapshot(process, DWORD(flags), DWORD(context), ctypes.byref(snapshot))
    return code, snapshot


def free(dll, snapshot):
    return dll.PssFreeSnapshot(POINTER(-1), snapshot)


@pytest.mark.parametrize(
    ("flags", "context"),
    [
        (0x8, 0),
        (0x10, 0),
        (0x100, 0x10001F),
        (0x280, 0),
        (0x1000, 0),
        (0x2, 0),
        (0x04000000, 0),
        (0x180, 0x1F),
    ],
)
def test_flags_without_what_they_need(dll, sim, process, flags, context):
    assert capture(dll, process, flags, context)[0] == 87
    assert sim.violations()


def test_rights(dll, kernel, facts):
    handle = kernel.OpenProcess(0x0400, 0, facts.pid)  # PROCESS_QUERY_INFORMATION
    try:
        assert capture(dll, POINTER(handle), HANDLES)[0] == 5
        assert capture(dll, POINTER(handle), VA_CLONE)[0] == 5
        code, snapshot = capture(dll, POINTER(handle), THREADS)
        assert code == 0
        free(dll, snapshot)
    finally:
        kernel.CloseHandle(handle)


def test_lengths_and_classes(dll, sim, process):
    _, snapshot = capture(dll, process, THREADS)
    buffer, marker = ctypes.create_string_buffer(1024), POINTER()
    assert dll.PssQuerySnapshot(snapshot, DWORD(0), buffer, DWORD(700)) == 24
    assert dll.PssQuerySnapshot(snapshot, DWORD(9), buffer, DWORD(4)) == 87
    assert dll.PssQuerySnapshot(snapshot, DWORD(4), buffer, DWORD(4)) == 1168
    dll.PssWalkMarkerCreate(None, ctypes.byref(marker))
    assert dll.PssWalkSnapshot(snapshot, DWORD(3), marker, None, DWORD(0)) == 234
    assert dll.PssWalkSnapshot(snapshot, DWORD(3), marker, buffer, DWORD(128)) == 24
    assert dll.PssWalkSnapshot(snapshot, DWORD(2), marker, buffer, DWORD(136)) == 87
    assert len(sim.violations()) == 4
    dll.PssWalkMarkerFree(marker)
    free(dll, snapshot)


def test_lifetimes(dll, sim, process):
    _, snapshot = capture(dll, process, THREADS)
    marker = POINTER()
    dll.PssWalkMarkerCreate(None, ctypes.byref(marker))
    buffer = ctypes.create_string_buffer(120)
    assert dll.PssWalkSnapshot(snapshot, DWORD(3), marker, buffer, DWORD(120)) == 0
    free(dll, snapshot)
    assert "walk marker" in sim.violations()[0]
    assert dll.PssWalkSnapshot(snapshot, DWORD(3), marker, buffer, DWORD(120)) == 6
    dll.PssWalkMarkerFree(marker)
    assert dll.PssWalkMarkerFree(marker) == 6
    assert free(dll, snapshot) == 6
    assert dll.PssFreeSnapshot(process, snapshot) == 50
    assert len(sim.violations()) == 5


def test_a_clone_that_is_left_running(dll, sim, process):
    _, snapshot = capture(dll, process, VA_CLONE)
    free(dll, snapshot)
    assert sim.violations() == ["PssFreeSnapshot: the clone was left running"]


def test_a_dump_without_the_snapshots_answer(dll, sim, process, kernel):
    _, snapshot = capture(dll, process, VA_CLONE | THREADS)
    assert (
        dll.MiniDumpWriteDump(snapshot, DWORD(os.getpid()), None, DWORD(0), None, None, None) == 0
    )
    assert any("callback" in line for line in sim.violations())
    clone = POINTER()
    assert dll.PssQuerySnapshot(snapshot, DWORD(1), ctypes.byref(clone), DWORD(8)) == 0
    kernel.TerminateProcess(clone, 0)
    free(dll, snapshot)
