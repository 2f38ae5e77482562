# SPDX-License-Identifier: Apache-2.0
"""What a dump file says besides its tables: of the machine, the crash, and what single writers add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from snapcore import _core

__all__ = [
    "BreakpadAssertion",
    "BreakpadInfo",
    "CrashpadAnnotation",
    "CrashpadInfo",
    "CrashpadModule",
    "DsoDebug",
    "DumpException",
    "DumpSystem",
    "HandleInformation",
    "LinkMapEntry",
    "MacCrashInfo",
    "MiscInfo",
    "Stream",
    "SystemMemory",
    "Token",
    "UnloadedModule",
]

_ARCHITECTURES = {
    0: "x86",
    5: "arm",
    9: "amd64",
    12: "arm64",
    0x8003: "arm64",
    0x8005: "riscv",
    0x8006: "riscv64",
}
_PLATFORMS = {
    2: "Windows",
    0x8101: "macOS",
    0x8102: "iOS",
    0x8201: "Linux",
    0x8202: "Solaris",
    0x8203: "Android",
    0x8204: "PS3",
    0x8205: "NaCl",
    0x8206: "Fuchsia",
}
_INFORMATION = {
    1: "ThreadInformation1",
    2: "MutantInformation1",
    3: "MutantInformation2",
    4: "ProcessInformation1",
    5: "ProcessInformation2",
    6: "EventInformation1",
    7: "SectionInformation1",
    8: "SemaphoreInformation1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One entry of a dump file's directory.

    Attributes
    ----------
    type : int
        ``MINIDUMP_STREAM_TYPE``; above 0xffff a stream of some writer's own.
    offset : int
        Where it lies in the file, in bytes.
    size : int
        Its length in bytes, as the directory says.
    present : int
        Bytes of it that the file has.
    """

    type: int
    offset: int
    size: int
    present: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSystem:
    """The machine that a dump was made on (``MINIDUMP_SYSTEM_INFO``).

    Attributes
    ----------
    architecture : str
        ``"amd64"``, ``"x86"``, ``"arm64"``, ..., or the number as text.
    platform : str
        ``"Linux"``, ``"Windows"``, ``"macOS"``, ..., or the number as text.
    version : tuple of int
        Major, minor and build.
    os_text : str
        ``uname`` on Linux, the service pack on Windows.
    processors : int
        Number of processors.
    processor_level, processor_revision : int
        Family; model and stepping.
    cpu_vendor : str
        As CPUID spells it; empty where there is none.
    cpu_version, cpu_features : int
        CPUID leaf 1, EAX and EDX.
    """

    architecture: str
    platform: str
    version: tuple[int, int, int]
    os_text: str
    processors: int
    processor_level: int
    processor_revision: int
    cpu_vendor: str
    cpu_version: int
    cpu_features: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpException:
    """Why a dump was made (``MINIDUMP_EXCEPTION_STREAM``).

    Attributes
    ----------
    tid : int
        The thread.
    code, flags : int
        Exception code and flags; signal number and ``si_code`` on Linux.
    address : int
        Where it happened, or what was accessed.
    parameters : tuple of int
        Up to fifteen.
    context : void or None
        The registers where it happened, one record of :meth:`DumpFile.contexts`; None where the file
        has none. Those in the thread's own record may be of the code that wrote the dump.
    """

    tid: int
    code: int
    flags: int
    address: int
    parameters: tuple[int, ...]
    context: np.void | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadedModule:
    """A module that was unloaded before (``MINIDUMP_UNLOADED_MODULE``)."""

    base: int
    size: int
    checksum: int
    timestamp: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MiscInfo:
    """Facts of process and machine (``MINIDUMP_MISC_INFO`` to ``MINIDUMP_MISC_INFO_5``).

    What an older version lacks, or the flags say is not known, is None.

    Attributes
    ----------
    size, flags : int
        Of the structure; ``MINIDUMP_MISC1_*`` and on.
    process_id : int or None
        Process id.
    create_time, user_time, kernel_time : int or None
        In s; the first since 1970-01-01 UTC.
    max_mhz, current_mhz, mhz_limit, max_idle_state, current_idle_state : int or None
        Of the processor.
    integrity_level, execute_flags, protected_process : int or None
        Of the process.
    time_zone_id, time_zone_bias : int or None
        ``GetTimeZoneInformation``; the bias in minutes.
    standard_name, daylight_name : str or None
        Names of the time zone.
    standard_bias, daylight_bias : int or None
        In minutes.
    build_string, debug_build_string : str or None
        The system's build, and the writer's.
    xstate_features : int or None
        Bit mask of the extended state that contexts hold.
    xstate_size : int or None
        Its bytes.
    xstate_layout : tuple of (int, int, int)
        Number, offset and size of each feature in the XSAVE area.
    process_cookie : int or None
        What function pointers of the process are encoded with.
    """

    size: int
    flags: int
    process_id: int | None
    create_time: int | None
    user_time: int | None
    kernel_time: int | None
    max_mhz: int | None
    current_mhz: int | None
    mhz_limit: int | None
    max_idle_state: int | None
    current_idle_state: int | None
    integrity_level: int | None
    execute_flags: int | None
    protected_process: int | None
    time_zone_id: int | None
    time_zone_bias: int | None
    standard_name: str | None
    standard_bias: int | None
    daylight_name: str | None
    daylight_bias: int | None
    build_string: str | None
    debug_build_string: str | None
    xstate_features: int | None
    xstate_size: int | None
    xstate_layout: tuple[tuple[int, int, int], ...]
    process_cookie: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemMemory:
    """Memory of the machine (``MINIDUMP_SYSTEM_MEMORY_INFO_1``).

    Attributes
    ----------
    revision, flags : int
        Of the structure.
    page_size, allocation_granularity : int
        In bytes.
    processors : int
        Number of processors.
    physical_pages : int
        Pages of memory.
    minimum_address, maximum_address : int
        Of a process.
    affinity : int
        Processors in use, a bit mask.
    file_cache, peak_file_cache : int
        In bytes.
    available_pages, committed_pages, commit_limit_pages, peak_commitment_pages : int or None
        None where the flags say that they are not known.
    """

    revision: int
    flags: int
    page_size: int
    allocation_granularity: int
    processors: int
    physical_pages: int
    minimum_address: int
    maximum_address: int
    affinity: int
    file_cache: int
    peak_file_cache: int
    available_pages: int | None
    committed_pages: int | None
    commit_limit_pages: int | None
    peak_commitment_pages: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleInformation:
    """What the file says of a handle's object (``MINIDUMP_HANDLE_OBJECT_INFORMATION``).

    Attributes
    ----------
    handle : int
        The handle.
    type : str
        ``MINIDUMP_HANDLE_OBJECT_INFORMATION_TYPE`` without its prefix (``"MutantInformation1"``), or
        the number as text.
    data : bytes
        As they lie in the file; Microsoft does not specify their layout.
    """

    handle: int
    type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A security token (``MINIDUMP_TOKEN_INFO_HEADER``).

    Attributes
    ----------
    id : int
        Of the process or thread that has it.
    handle : int
        The handle.
    data : bytes
        As they lie in the file; Microsoft does not specify their layout.
    """

    id: int
    handle: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakpadAssertion:
    """An assertion that failed (``MDRawAssertionInfo``)."""

    expression: str
    function: str
    file: str
    line: int
    type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakpadInfo:
    """What Breakpad adds (``MDRawBreakpadInfo``, ``MDRawAssertionInfo``).

    Attributes
    ----------
    dump_thread_id : int or None
        The thread that wrote the dump.
    requesting_thread_id : int or None
        The thread that asked for it.
    assertion : BreakpadAssertion or None
        An assertion that failed.
    """

    dump_thread_id: int | None
    requesting_thread_id: int | None
    assertion: BreakpadAssertion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashpadAnnotation:
    """One annotation object of a module; type 1 is a string."""

    name: str
    type: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashpadModule:
    """What Crashpad says of a module (``MinidumpModuleCrashpadInfo``).

    Attributes
    ----------
    index : int
        Row in :meth:`DumpFile.modules`.
    list_annotations : tuple of str
        Texts without a name.
    simple_annotations : dict of str to str
        Texts by name.
    annotations : tuple of CrashpadAnnotation
        Objects.
    """

    index: int
    list_annotations: tuple[str, ...]
    simple_annotations: dict[str, str]
    annotations: tuple[CrashpadAnnotation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashpadInfo:
    """What Crashpad adds (``MinidumpCrashpadInfo``).

    Attributes
    ----------
    version : int
        Of the structure.
    report_id, client_id : str
        UUIDs.
    simple_annotations : dict of str to str
        Texts by name.
    modules : tuple of CrashpadModule
        Of the modules that have something to say.
    """

    version: int
    report_id: str
    client_id: str
    simple_annotations: dict[str, str]
    modules: tuple[CrashpadModule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MacCrashInfo:
    """What a module of a macOS process says of a crash (``__crash_info``); None where it does not.

    Attributes
    ----------
    version : int
        Of the structure.
    thread, dialog_mode, abort_cause : int or None
        Numbers.
    module_path, message, signature, backtrace, message2 : str or None
        Texts.
    """

    version: int
    thread: int | None
    dialog_mode: int | None
    abort_cause: int | None
    module_path: str | None
    message: str | None
    signature: str | None
    backtrace: str | None
    message2: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkMapEntry:
    """One object of the dynamic linker's list (``link_map``)."""

    address: int
    dynamic: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DsoDebug:
    """The dynamic linker's list for debuggers (``r_debug``), as Breakpad keeps it.

    Attributes
    ----------
    version : int
        ``r_version``.
    breakpoint, loader_base, dynamic : int
        Addresses: ``r_brk``, ``r_ldbase``, ``_DYNAMIC``.
    link_map : tuple of LinkMapEntry
        The objects, the program first.
    """

    version: int
    breakpoint: int
    loader_base: int
    dynamic: int
    link_map: tuple[LinkMapEntry, ...]


def text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _texts(raw: dict[str, Any]) -> dict[str, Any]:
    return {k: text_of(v) if isinstance(v, bytes) else v for k, v in raw.items()}


def _dictionary(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {text_of(key): text_of(value) for key, value in pairs}


def system_from(file: _core.DumpFile) -> DumpSystem:
    raw = _texts(file.system())
    architecture, platform = raw.pop("architecture"), raw.pop("platform_id")
    return DumpSystem(
        architecture=_ARCHITECTURES.get(architecture, str(architecture)),
        platform=_PLATFORMS.get(platform, str(platform)),
        **raw,
    )


def misc_from(file: _core.DumpFile) -> MiscInfo | None:
    raw = file.misc()
    return None if raw is None else MiscInfo(**_texts(raw))


def system_memory_from(file: _core.DumpFile) -> SystemMemory | None:
    raw = file.system_memory()
    return None if raw is None else SystemMemory(**raw)


def unloaded_modules_from(file: _core.DumpFile) -> tuple[UnloadedModule, ...]:
    return tuple(
        UnloadedModule(
            base=base, size=size, checksum=checksum, timestamp=timestamp, path=text_of(path)
        )
        for base, size, checksum, timestamp, path in file.unloaded_modules()
    )


def handle_information_from(file: _core.DumpFile) -> tuple[HandleInformation, ...]:
    return tuple(
        HandleInformation(handle=handle, type=_INFORMATION.get(type_, str(type_)), data=data)
        for handle, type_, data in file.handle_information()
    )


def tokens_from(file: _core.DumpFile) -> tuple[Token, ...]:
    return tuple(Token(id=id_, handle=handle, data=data) for id_, handle, data in file.tokens())


def breakpad_from(file: _core.DumpFile) -> BreakpadInfo | None:
    raw = file.breakpad()
    if raw is None:
        return None
    dump_thread_id, requesting_thread_id, assertion = raw
    failed = None
    if assertion is not None:
        expression, function, path, line, type_ = assertion
        failed = BreakpadAssertion(
            expression=text_of(expression),
            function=text_of(function),
            file=text_of(path),
            line=line,
            type=type_,
        )
    return BreakpadInfo(
        dump_thread_id=dump_thread_id,
        requesting_thread_id=requesting_thread_id,
        assertion=failed,
    )


def crashpad_from(file: _core.DumpFile) -> CrashpadInfo | None:
    raw = file.crashpad()
    if raw is None:
        return None
    version, report_id, client_id, simple, modules = raw
    return CrashpadInfo(
        version=version,
        report_id=report_id,
        client_id=client_id,
        simple_annotations=_dictionary(simple),
        modules=tuple(
            CrashpadModule(
                index=index,
                list_annotations=tuple(map(text_of, texts)),
                simple_annotations=_dictionary(pairs),
                annotations=tuple(
                    CrashpadAnnotation(name=text_of(name), type=type_, value=value)
                    for name, type_, value in objects
                ),
            )
            for index, texts, pairs, objects in modules
        ),
    )


def mac_crash_info_from(file: _core.DumpFile) -> tuple[MacCrashInfo, ...]:
    out = []
    for version, thread, dialog_mode, abort_cause, raw in file.mac_crash_info():
        texts = [text_of(text) or None for text in raw]
        texts += [None] * (5 - len(texts))
        module_path, message, signature, backtrace, message2 = texts
        out.append(
            MacCrashInfo(
                version=version,
                thread=thread,
                dialog_mode=dialog_mode,
                abort_cause=abort_cause,
                module_path=module_path,
                message=message,
                signature=signature,
                backtrace=backtrace,
                message2=message2,
            )
        )
    return tuple(out)


def dso_debug_from(file: _core.DumpFile) -> DsoDebug | None:
    raw = file.dso_debug()
    if raw is None:
        return None
    version, breakpoint_, loader_base, dynamic, link_map = raw
    return DsoDebug(
        version=version,
        breakpoint=breakpoint_,
        loader_base=loader_base,
        dynamic=dynamic,
        link_map=tuple(
            LinkMapEntry(address=address, dynamic=at, name=text_of(name))
            for address, at, name in link_map
        ),
    )
