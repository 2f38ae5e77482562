# SPDX-License-Identifier: Apache-2.0
"""What a dump file answers, all of it."""

from __future__ import annotations

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
        file.exception()
        file.comment()
        file.unloaded_modules()
        # Of two streams of a type the first is given.
        for stream in {s.type: s for s in reversed(file.streams())}.values():
            assert len(file.stream(stream.type)) == stream.present
        for address, data in file.chunks():
            assert file.read(address, len(data)) == data
        file.find(b"snapcore")
        return len(file.diagnostics)
