# SPDX-License-Identifier: Apache-2.0
"""The compiler of the package ziglang, which brings the C libraries of all its targets."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from targets import Platform


def tools(platform: Platform, folder: Path) -> dict[str, Path]:
    """Programs that CMake can be given, by the words of its variables."""
    folder.mkdir(parents=True, exist_ok=True)
    target = f"-target {platform.zig}"
    if platform.zig.endswith("-musl"):
        target += " -dynamic"  # else programs get a musl of their own
    words = {
        "C_COMPILER": ("cc", target),
        "CXX_COMPILER": ("c++", target),
        "AR": ("ar", ""),
        "RANLIB": ("ranlib", ""),
        "RC_COMPILER": ("rc", ""),
    }
    out = {}
    for variable, (word, arguments) in words.items():
        path = folder / f"zig-{word}"
        path.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ziglang {word} {arguments} "$@"\n',
            encoding="utf-8",
        )
        path.chmod(0o755)
        out[variable] = path
    return out


def settings(platform: Platform) -> list[str]:
    """What else CMake wants to know of a target."""
    if platform.system != "Darwin":
        return []
    # Apple's tools, of which none is used.
    return [
        "-DCMAKE_OSX_SYSROOT=",
        "-DCMAKE_OSX_DEPLOYMENT_TARGET=",
        "-DCMAKE_INSTALL_NAME_TOOL=true",
    ]


def import_library(names: list[str], dll: str, library: Path, machine: str) -> None:
    """What a linker needs to know of a DLL.

    Parameters
    ----------
    names : list of str
        What it exports.
    dll : str
        Its name.
    library : Path
        The file to make.
    machine : str
        As dlltool calls the processor.
    """
    definitions = library.with_suffix(".def")
    definitions.write_text(f"LIBRARY {dll}\nEXPORTS\n" + "".join(f"    {n}\n" for n in names))
    subprocess.run(
        [sys.executable, "-m", "ziglang", "dlltool", "-m", machine, "-D", dll, "-d", definitions,
         "-l", library],
        check=True, env=os.environ,
    )  # fmt: skip
