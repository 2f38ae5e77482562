# SPDX-License-Identifier: Apache-2.0
"""Facts of the process, the system, a crash and the capture, and what went less than perfectly."""

from __future__ import annotations

import json
import shlex
import signal
from typing import TYPE_CHECKING, Any

import numpy as np

from snapcore.display.text import human_size, human_time, iso_time
from snapcore.display.values import formatter
from snapcore.dtypes import Column
from snapcore.dumpfile import DumpFile
from snapcore.errors import DumpFormatError
from snapcore.flags import MiniDumpType
from snapcore.html.pieces import Rows, clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snapcore.html.facts import Facts, Places
    from snapcore.snapshot import Process, ProcessView

__all__ = ["capture_facts", "diagnostics", "summary"]

_MOST_DIAGNOSTICS = 50
_LONGEST_FACT = 2000

_WINDOWS_EXCEPTIONS = {
    0x80000003: "breakpoint",
    0xC0000005: "access violation",
    0xC0000006: "in page error",
    0xC000001D: "illegal instruction",
    0xC0000094: "integer division by zero",
    0xC00000FD: "stack overflow",
    0xC0000374: "heap corruption",
    0xC0000409: "fail fast",
    0xE0434352: "exception of the common language runtime",
    0xE06D7363: "C++ exception",
}


def summary(facts: Facts, places: Places) -> Sequence[tuple[str, list[tuple[str, str]]]]:
    """Headings, each with its names and values."""
    threads = facts.tables["threads"]
    sections = [
        ("Exception", _exception_facts(facts.view, places, facts)),
        ("Process", _process_facts(facts.process, None if threads is None else len(threads))),
        ("Capture", capture_facts(facts.view)),
        ("System", _system_facts(facts.view)),
    ]
    return [(name, lines) for name, lines in sections if lines]


def _process_facts(process: Process, threads: int | None) -> list[tuple[str, str]]:
    line = process.command_line
    if line is not None and "\0" in line:
        line = line[: 2 * _LONGEST_FACT]
        line = shlex.join(line.rstrip("\0").split("\0"))
    times = [t for t in (process.user_time_ns, process.kernel_time_ns) if t is not None]
    facts: list[tuple[str, str | None]] = [
        ("Process id", _number(process.pid)),
        ("Parent", _number(process.parent_pid)),
        ("Name", process.name),
        ("Executable", process.image_path),
        ("Command line", line),
        ("Started", _time(process.created_at_ns)),
        ("Processor time", human_time(sum(times)) if times else None),
        ("User", _number(process.uid)),
        ("Group", _number(process.gid)),
        ("Threads", _number(threads if process.thread_count is None else process.thread_count)),
        ("Resident", _size(process.working_set_size)),
        ("Resident at most", _size(process.peak_working_set_size)),
        ("Private", _size(process.private_usage)),
        ("Address space", _size(process.virtual_size)),
    ]
    return [(name, clean(text, _LONGEST_FACT) or "") for name, text in facts if text]


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def _size(value: int | None) -> str | None:
    return None if value is None else human_size(value)


def _time(ns: int | None) -> str | None:
    return iso_time(ns) if ns else None


def _system_facts(view: ProcessView) -> list[tuple[str, str]]:
    if not isinstance(view, DumpFile):
        return []
    system = view.system()
    facts = [
        ("System", f"{system.platform} {'.'.join(map(str, system.version))}"),
        ("Described as", system.os_text),
        ("Architecture", system.architecture),
        ("Processors", f"{system.processors} {system.cpu_vendor}".strip()),
    ]
    return [(name, clean(text) or "") for name, text in facts if text]


def _exception_name(view: DumpFile, code: int) -> str:
    if view.system().platform in ("Linux", "Android") and 0 < code < 65:
        try:
            return signal.Signals(code).name
        except ValueError:
            return ""
    return _WINDOWS_EXCEPTIONS.get(code, "")


def _exception_facts(view: ProcessView, places: Places, facts: Facts) -> list[tuple[str, str]]:
    exception = view.exception() if isinstance(view, DumpFile) else None
    if exception is None or not isinstance(view, DumpFile):
        return []
    name = _exception_name(view, exception.code)
    out = [("Code", f"{exception.code:#x} {name}".strip())]
    out.append(("Address", places.name(exception.address)))
    if exception.context is not None:
        registers = exception.context.dtype.names or ()
        pointer = next((n for n in ("rip", "eip", "pc") if n in registers), None)
        if pointer is not None:
            out.append(("Instruction", places.name(int(exception.context[pointer]))))
    thread = str(exception.tid)
    threads = facts.tables["threads"]
    if threads is not None:
        rows = np.flatnonzero(threads["tid"] == exception.tid)
        if len(rows) and threads["name"][int(rows[0])]:
            thread += f" ({clean(threads['name'][int(rows[0])])})"
    out.append(("Thread", thread))
    if exception.parameters:
        out.append(("Parameters", " ".join(map(hex, exception.parameters))))
    return out


def capture_facts(view: ProcessView) -> list[tuple[str, str]]:
    """When, from what and how it was taken."""
    facts: list[tuple[str, str | None]] = []
    if isinstance(view, DumpFile):
        flags = formatter(Column("flags", "u8", "", "MiniDumpType"))(int(view.flags))
        if view.flags == MiniDumpType.NORMAL:
            flags = "NORMAL"
        ranges = view.memory_ranges()
        facts = [
            ("File", view.path),
            ("Flags", flags.replace("|", ", ")),
            ("Memory", f"{human_size(int(ranges['size'].sum()))} in {len(ranges):,} ranges"),
            ("Base", view.base.name if view.base else None),
            ("Comment", view.comment()),
        ]
    else:
        pause = getattr(view, "pause_ns", None)
        facts = [
            ("From", "the running process"),
            ("It stood still for", human_time(pause) if pause else None),
        ]
    taken = ("Taken", _time(getattr(view, "captured_at_ns", None)))
    return [(name, clean(text, _LONGEST_FACT) or "") for name, text in (taken, *facts) if text]


def _soft_error(error: Any) -> tuple[str, str, str]:
    """Severity, code and message of what the writer of a file could not do."""
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        severity, code = str(error.get("severity", "writer")), str(error.get("code", ""))
        return clean(severity) or "", clean(code) or "", clean(error["message"], 500) or ""
    text = error if isinstance(error, str) else json.dumps(error)
    return "writer", "", clean(text, 500) or ""


def diagnostics(view: ProcessView) -> Rows:
    """What the view complains of, warnings first."""
    rows = [
        (d.severity, clean(d.code) or "", clean(d.message, 500) or "")
        for d in getattr(view, "diagnostics", ())
    ]
    if isinstance(view, DumpFile):
        try:
            errors = view.soft_errors()
        except DumpFormatError as error:
            errors = [str(error)]
        rows += map(_soft_error, errors)
    rows.sort(key=lambda row: row[0] != "warning")
    return Rows(tuple(rows[:_MOST_DIAGNOSTICS]), max(len(rows) - _MOST_DIAGNOSTICS, 0))
