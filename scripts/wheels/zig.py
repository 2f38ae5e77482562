# SPDX-License-Identifier: Apache-2.0
"""The compiler of the package ziglang, which brings the C libraries of all its targets."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ziglang

if TYPE_CHECKING:
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


def settings(platform: Platform, folder: Path) -> list[str]:
    """What else CMake wants to know of a target; what has to be made for that lies in the folder."""
    if platform.zig.endswith("-musl"):
        library = musl_by_name(platform, folder)
        return [f"-DCMAKE_{language}_STANDARD_LIBRARIES={library}" for language in ("C", "CXX")]
    if platform.system != "Darwin":
        return []
    # Apple's tools, of which none is used.
    return [
        "-DCMAKE_OSX_SYSROOT=",
        "-DCMAKE_OSX_DEPLOYMENT_TARGET=",
        "-DCMAKE_INSTALL_NAME_TOOL=true",
    ]


def musl_by_name(platform: Platform, folder: Path) -> Path:
    """The names of musl in a library that is called as on Alpine, which is what a wheel may need.

    The compiler's own is called libc.so. It follows on the linker's command line and, as all names are
    found by then, is not needed.
    """
    library = folder / "libc.so"
    names = Path(ziglang.__file__).parent / "lib" / "libc" / "musl" / "libc.S"
    family = {"x86_64": "FAMILY_x86", "aarch64": "FAMILY_aarch64"}[platform.processor]
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", "-target", platform.zig, "-nostdlib", "-shared",
         f"-Wl,-soname,libc.musl-{platform.processor}.so.1", "-DPTR64", f"-D{family}",
         f"-DARCH_{platform.processor}", names, "-o", library],
        check=True, env=os.environ,
    )  # fmt: skip
    return library


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
