# SPDX-License-Identifier: Apache-2.0
"""Each soft failure of the Windows backend, provoked by name: it is told in the result, the log, the JSON and the dump."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import struct
from typing import TYPE_CHECKING, Any

import pytest
from soft_failures import (
    WINDOWS,
    Evidence,
    command_json,
    dump_evidence,
    is_told,
    logged,
    opened,
    provoked,
    provokes,
    rows,
)
from support import STAND_IN

import snapcore
from snapcore import MiniDumpType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL = MiniDumpType.WITH_FULL_MEMORY
PARTIAL_COPY = 0x8007012B
pytestmark = pytest.mark.skipif(not STAND_IN, reason="only the stand-in fails when it is told to")


@pytest.mark.parametrize("code", sorted(WINDOWS | {"whole_dumps_only"}))
def test_it_is_told(code, request, tmp_path):
    is_told(code, provoked(code, request, tmp_path))


def by_stand_in(
    code: str,
    function: str,
    value: int,
    flags: int = 0,
    *,
    skip: int = 0,
    times: int = 1,
    **options: Any,
) -> None:
    """A dump during which the stand-in fails in this way."""

    @provokes(code)
    def _(facts, sim, folder):
        def before_each(_: int) -> dict[str, Any]:
            sim.fail(function, value, skip=skip, times=times)
            return options

        return dump_evidence(facts.pid, folder, code, flags, options=before_each)


by_stand_in("dump_retried", "MiniDumpWriteDump late", PARTIAL_COPY, FULL, skip=5)
by_stand_in("fell_back_to_live", "PssCaptureSnapshot", 50, method="auto")
by_stand_in(
    "flag_without_effect", "known flags", 0x001FFFFF, MiniDumpType.WITH_AVX_XSTATE_CONTEXT | FULL
)
by_stand_in("not_freed", "PssFreeSnapshot", 6)
by_stand_in("unreadable_memory_left_out", "read memory", 1, FULL, skip=10, times=2)
by_stand_in("wider_rights_needed", "rights", 0x0200)


@provokes("ended_threads")
def _(facts, folder):
    return dump_evidence(facts.pid, folder, "ended_threads")


@provokes("not_in_clone")
def _(facts, folder):
    flags = FULL | MiniDumpType.WITH_FULL_MEMORY_INFO
    return dump_evidence(facts.pid, folder, "not_in_clone", flags)


@provokes("environment_not_kept")
def _(facts, folder):
    return dump_evidence(
        facts.pid, folder, "environment_not_kept", options=lambda _: {"environment": True}
    )


@provokes("own_process")
def _(folder):
    return dump_evidence(os.getpid(), folder, "own_process")


@provokes("debug_privilege_used")
def _(facts, folder):
    path = folder / "soft.dmp"
    with logged() as log:
        result = rows(snapcore.dump(facts.pid, path, debug_privilege=True).diagnostics)
    # The command does not ask for it: what it would print.
    return {
        "result": result,
        "log": log,
        "file": opened(path),
        "json": json.loads(json.dumps(result)),
    }


@provokes("whole_dumps_only")
def _(facts, folder):
    with logged() as log:
        watch = snapcore.watch(facts.pid, folder / "python", every=0.2, count=2)
        found = [opened(result.path) for result in watch]
    printed = command_json(
        "watch", facts.pid, "-o", folder / "command", "--every=0.2s", "--count=2", "--json"
    )
    return {
        "result": rows(watch.diagnostics),
        "log": log,
        "file": [d for each in found for d in each],
        "json": [d for each in printed for d in each["diagnostics"]],
    }


@provokes("module_list_broken")
def _(facts, folder):
    path = folder / "soft.dmp"
    facts.ask("break modules")
    try:
        with logged() as log, snapcore.capture(facts.pid) as snap:
            snap.modules()
            result = rows(snap.dump(path).diagnostics)
        (printed,) = command_json("modules", facts.pid, "--json")
    finally:
        facts.ask("mend modules")
    return {"result": result, "log": log, "file": opened(path), "json": printed["diagnostics"]}


# --- Tables


def table_evidence(ask: Callable[[], snapcore.Table], *words: object) -> Evidence:
    with logged() as log:
        result = rows(ask().diagnostics)
    (printed,) = command_json(*words, "--json")
    return {"result": result, "log": log, "json": printed["diagnostics"]}


@provokes("peers_unknown")
def _(facts):
    return table_evidence(
        lambda: snapcore.handles(facts.pid, peers=True), "handles", facts.pid, "--peers"
    )


@provokes("processes_refused")
def _(start, folder):
    start("facts", folder, "deny").ask("are you there")  # by now it has done so
    return table_evidence(snapcore.system_handles, "handles", "--all")


@contextlib.contextmanager
def replaced(module: str, name: str, code: bytes) -> Iterator[None]:
    """Let a function of the system be this machine code, in this process."""
    kernel = ctypes.windll.kernel32
    kernel.GetModuleHandleW.restype = ctypes.c_void_p
    kernel.GetProcAddress.restype = ctypes.c_void_p
    kernel.GetProcAddress.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    kernel.VirtualAlloc.restype = ctypes.c_void_p
    kernel.VirtualProtect.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_uint32,
        ctypes.c_void_p,
    ]
    executable, commit = 0x40, 0x3000
    where = kernel.GetProcAddress(kernel.GetModuleHandleW(module), name.encode())
    here = kernel.VirtualAlloc(None, 4096, commit, executable)
    ctypes.memmove(here, code, len(code))
    jump = b"\x48\xb8" + struct.pack("<Q", here) + b"\xff\xe0"  # mov rax, here; jmp rax
    before = ctypes.string_at(where, len(jump))
    protection = ctypes.c_uint32()
    assert kernel.VirtualProtect(where, len(jump), executable, ctypes.byref(protection))
    ctypes.memmove(where, jump, len(jump))
    try:
        yield
    finally:
        ctypes.memmove(where, before, len(jump))
        kernel.VirtualProtect(where, len(jump), protection.value, ctypes.byref(protection))


# IsWow64Process2(process, &guest, &native): every process but oneself is a guest for I386.
WOW64_BUT_ONESELF = bytes.fromhex(
    "31c0"  # xor eax, eax
    "4883f9ff"  # cmp rcx, -1
    "7405"  # je
    "b84c010000"  # mov eax, 0x14c
    "668902"  # mov [rdx], ax
    "6641c7006486"  # mov word [r8], 0x8664
    "b801000000c3"  # mov eax, 1; ret
)


@provokes("wow64_target")
def _(facts, folder):
    """Wine has no 32-bit processes here, so the system's answer is another one's."""
    with replaced("kernel32.dll", "IsWow64Process2", WOW64_BUT_ONESELF):
        return dump_evidence(facts.pid, folder, "wow64_target")


@contextlib.contextmanager
def exported(module: str, name: str, make: Callable[[int], bytes]) -> Iterator[None]:
    """Let who asks for a function of the system from now on get this machine code, made from its address."""
    kernel = ctypes.windll.kernel32
    kernel.GetModuleHandleW.restype = ctypes.c_void_p
    kernel.VirtualAlloc.restype = ctypes.c_void_p
    kernel.VirtualAlloc.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_uint32,
        ctypes.c_uint32,
    ]
    kernel.VirtualProtect.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_uint32,
        ctypes.c_void_p,
    ]
    base = kernel.GetModuleHandleW(module)

    def number(offset: int, size: int = 4) -> int:
        return int.from_bytes(ctypes.string_at(base + offset, size), "little")

    header = number(0x3C)
    exports = number(header + 0x88)
    functions, names, ordinals = (number(exports + at) for at in (0x1C, 0x20, 0x24))
    (entry,) = (
        functions + 4 * number(ordinals + 2 * i, 2)
        for i in range(number(exports + 0x18))
        if ctypes.string_at(base + number(names + 4 * i)) == name.encode()
    )
    # An export is an offset of 32 bits.
    size, executable, writable, reserve_and_commit = number(header + 0x50), 0x40, 0x04, 0x3000
    here = None
    for near in range(base + (size + 0xFFFF & ~0xFFFF), base + (1 << 31), 1 << 16):
        here = kernel.VirtualAlloc(near, 4096, reserve_and_commit, executable)
        if here:
            break
    assert here
    before = number(entry)
    code = make(base + before)
    ctypes.memmove(here, code, len(code))
    protection = ctypes.c_uint32()
    assert kernel.VirtualProtect(base + entry, 4, writable, ctypes.byref(protection))
    ctypes.memmove(base + entry, struct.pack("<I", here - base), 4)
    try:
        yield
    finally:
        ctypes.memmove(base + entry, struct.pack("<I", before), 4)
        kernel.VirtualProtect(base + entry, 4, protection.value, ctypes.byref(protection))


def slow_names(original: int) -> bytes:
    """NtQueryObject that takes 400 ms for the first two names, and gives none; all else it leaves alone."""
    sleep = ctypes.cast(ctypes.windll.kernel32.Sleep, ctypes.c_void_p).value
    assert sleep is not None
    return (
        bytes.fromhex("83fa01 7527")  # cmp edx, 1; jne original
        + bytes.fromhex("ff0d31000000 7819")  # dec dword [count]; js fail
        + bytes.fromhex("4883ec28 b990010000")  # sub rsp, 0x28; mov ecx, 400
        + b"\x48\xb8"
        + struct.pack("<Q", sleep)  # mov rax, Sleep
        + bytes.fromhex("ffd0 4883c428")  # call rax; add rsp, 0x28
        + bytes.fromhex("b8010000c0 c3")  # fail: mov eax, STATUS_UNSUCCESSFUL; ret
        + b"\x48\xb8"
        + struct.pack("<Q", original)  # original: mov rax, NtQueryObject
        + bytes.fromhex("ffe0")  # jmp rax
        + bytes.fromhex("90909090")
        + struct.pack("<i", 2)  # count
    )


@provokes("handle_names_given_up")
def _():
    """Wine answers for every handle; Windows does not for a pipe that somebody reads from."""

    def ask() -> snapcore.Table:
        with exported("ntdll.dll", "NtQueryObject", slow_names):
            return snapcore.system_handles()

    with logged() as log:
        result = rows(ask().diagnostics)
    with exported("ntdll.dll", "NtQueryObject", slow_names):
        (printed,) = command_json("handles", "--all", "--json")
    return {"result": result, "log": log, "json": printed["diagnostics"]}
