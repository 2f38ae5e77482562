# SPDX-License-Identifier: Apache-2.0
"""How much memory is left to a process: of the machine, and of every control group that it is in."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

__all__ = ["Headroom", "headroom"]

_GROUPS = Path("/sys/fs/cgroup")
# A limit of version 1 that is none is a page less than this.
_NO_LIMIT = 1 << 62


class Headroom(NamedTuple):
    """Memory of one bound.

    Attributes
    ----------
    available : int
        Bytes that can still be had without swapping.
    total : int
        Bytes of it in all.
    """

    available: int
    total: int

    @property
    def is_short(self) -> bool:
        """Whether less than a twentieth is left."""
        return self.available < self.total // 20


def _pairs(text: str) -> dict[str, int]:
    out = {}
    for line in text.splitlines():
        name, number, *_ = line.replace(":", " ").split()
        out[name] = int(number)
    return out


def _machine() -> Headroom:
    kib = _pairs(Path("/proc/meminfo").read_text())
    return Headroom(kib["MemAvailable"] << 10, kib["MemTotal"] << 10)


def _group(folder: Path, limit: str, usage: str, cache: str) -> Headroom | None:
    text = (folder / limit).read_text().strip()
    if text == "max" or int(text) >= _NO_LIMIT:
        return None
    used = int((folder / usage).read_text())
    # Pages of files that nobody uses just now are given back before anything else.
    used -= _pairs((folder / "memory.stat").read_text()).get(cache, 0)
    return Headroom(max(int(text) - used, 0), int(text))


_VERSIONS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        "memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}


def headroom(pid: int) -> Headroom | None:
    """The tightest bound on the memory of a process.

    Parameters
    ----------
    pid : int
        Process id.

    Returns
    -------
    Headroom or None
        None where the system does not tell.
    """
    found = []
    with contextlib.suppress(OSError, ValueError, KeyError):
        found.append(_machine())
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/cgroup").read_text(errors="replace").splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller not in _VERSIONS or ".." in path:
                continue
            root, *files = _VERSIONS[controller]
            top = _GROUPS / root
            folder = top / path.lstrip("/")
            for each in (folder, *folder.parents):
                if each == top:
                    break
                with contextlib.suppress(OSError, ValueError):
                    group = _group(each, *files)
                    if group is not None:
                        found.append(group)
    return min(found, default=None)
