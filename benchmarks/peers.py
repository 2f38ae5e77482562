# SPDX-License-Identifier: Apache-2.0
"""The other tools, as commands, and their versions."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = {
    "gdb": ("gdb", "--version"),
    "lldb": ("lldb-19", "--version"),
    "lsof": ("lsof", "-v"),
    "zstd": ("zstd", "--version"),
}
PACKAGES = ("minidump", "numpy", "psutil", "udmp-parser")


def quiet(*command: object) -> None:
    """Run a command that must succeed."""
    subprocess.run(
        list(map(str, command)),
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def gcore(pid: int, folder: Path) -> Path:
    """Write a core file with gdb."""
    quiet("gcore", "-o", folder / "core", pid)
    return folder / f"core.{pid}"


def lldb(pid: int, path: Path, style: str = "full") -> Path:
    """Write a minidump with LLDB."""
    save = f"process save-core --plugin-name=minidump --style={style} {path}"
    quiet("lldb-19", "--no-lldbinit", "--batch", "-p", pid, "-o", save, "-o", "detach")
    assert path.stat().st_size > 0
    return path


def zstd(source: Path, target: Path) -> Path:
    """Compress with all processors."""
    quiet("zstd", "-T0", "-q", "-f", source, "-o", target)
    return target


def versions() -> dict[str, str]:
    """Of those that are here."""
    out = {}
    for name, command in PROGRAMS.items():
        if shutil.which(command[0]):
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            number = re.search(
                r"(?:\bv|version |revision: |\) )(\d[\w.]*)", said.stdout + said.stderr
            )
            out[name] = number[1] if number else "unknown"
    for name in PACKAGES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out
