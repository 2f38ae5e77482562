# SPDX-License-Identifier: Apache-2.0
"""What a dump file answers, all of it."""

from __future__ import annotations

import contextlib
import hashlib

import snapcore
from snapcore import DumpFormatError


def everything(path, *, strict: bool) -> int:
    """All that a file answers; how many diagnostics there were."""
    with snapcore.open(path, strict=strict) as file:
        for name in ("process", "system", "threads", "modules", "memory_ranges", "contexts"):
            getattr(file, name)()
        for name in ("handles", "regions"):
            try:
                getattr(file, name)()
            except DumpFormatError:
                raise
            except ValueError:
                pass
        for name in (
            *("exceptions", "comment", "unloaded_modules", "handle_information"),
            *("handle_operations", "misc", "system_memory", "tokens", "breakpad", "crashpad"),
            *("mac_crash_info", "mac_boot_arguments", "linux", "auxiliary_vector", "dso_debug"),
        ):
            getattr(file, name)()
        with contextlib.suppress(DumpFormatError):
            file.soft_errors()
        # Of two streams of a type the first is given.
        for stream in {s.type: s for s in reversed(file.streams())}.values():
            assert len(file.stream(stream.type)) == stream.present
        for address, data in file.chunks():
            assert file.read(address, len(data)) == data
        file.find(b"snapcore")
        return len(file.diagnostics)


# What Windows shows of its clock in every process (KUSER_SHARED_DATA): it goes on in a snapshot too.
_CLOCK = range(0x7FFE0000, 0x7FFE1000)


def answers(file) -> dict[str, object]:
    """Tables, registers and memory of a file, to be compared with those of another."""
    out: dict[str, object] = {"process": file.process()}
    for name in ("threads", "handles", "regions", "modules"):
        try:
            table = getattr(file, name)()
        except ValueError as error:
            out[name] = str(error)
            continue
        for column in table.columns:
            out[f"{name}.{column}"] = list(table[column]), table.valid(column).tolist()
    out["contexts"] = file.contexts().tobytes()
    out["memory_ranges"] = file.memory_ranges()[["address", "size", "present"]].tolist()
    memory = hashlib.sha256()
    for address, data in file.chunks():
        first, last = max(address, _CLOCK.start), min(address + len(data), _CLOCK.stop)
        if first < last:
            memory.update(data[: first - address] + data[last - address :])
        else:
            memory.update(data)
    out["memory"] = memory.hexdigest()
    return out
