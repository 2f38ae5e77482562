# SPDX-License-Identifier: Apache-2.0
"""For which platforms wheels are built here, and of which Pythons."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labs import ROOT

BUILD = ROOT / "build" / "wheels"
# The C library of the oldest system that the wheels are for.
GLIBC = "2.28"


@dataclass(frozen=True, slots=True)
class Platform:
    """A system and processor.

    `extension` is the end of the module's name behind ``cpython-311`` or ``cp311``, `zig` what the
    compiler calls the target.
    """

    name: str
    tag: str
    zig: str
    extension: str
    system: str
    processor: str

    @property
    def is_windows(self) -> bool:
        return self.system == "Windows"

    @property
    def backend(self) -> str:
        """What is captured there; "none": dump files are read alone."""
        return {"Linux": "linux", "Windows": "windows"}.get(self.system, "none")

    def suffix(self, python: str) -> str:
        """End of the module's name.

        Parameters
        ----------
        python : str
            As ``"cp311"``.
        """
        if self.system == "Darwin":
            return ".cpython-" + python.removeprefix("cp") + "-darwin.so"
        abi = python if self.is_windows else "cpython-" + python.removeprefix("cp")
        return f".{abi}-{self.extension}"


def _linux(processor: str, libc: str) -> Platform:
    family = {"gnu": "manylinux_" + GLIBC.replace(".", "_"), "musl": "musllinux_1_2"}[libc]
    return Platform(
        name=f"{family.partition('_')[0]}-{processor}",
        tag=f"{family}_{processor}",
        zig=f"{processor}-linux-{libc}" + (f".{GLIBC}" if libc == "gnu" else ""),
        extension=f"{processor}-linux-{libc}.so",
        system="Linux",
        processor=processor,
    )


PLATFORMS = {
    platform.name: platform
    for platform in (
        *(_linux(p, c) for c in ("gnu", "musl") for p in ("x86_64", "aarch64")),
        Platform(
            "windows-arm64", "win_arm64", "aarch64-windows-gnu", "win_arm64.pyd", "Windows", "ARM64"
        ),
        Platform("macos-x86_64", "macosx_11_0_x86_64", "x86_64-macos.11.0", "", "Darwin", "x86_64"),
        Platform("macos-arm64", "macosx_11_0_arm64", "aarch64-macos.11.0", "", "Darwin", "arm64"),
    )
}


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter of this machine, with headers; `root` is where it is ``/``, if not here."""

    tag: str
    version: str
    command: Path
    include: Path
    config: Path
    root: Path | None = None
    distribution: str = ""


_ASK = """
import os, sys, sysconfig
print(*sys.version_info[:2], sep='')
print('.'.join(map(str, sys.version_info[:3])))
print(sysconfig.get_path('include'))
config = sysconfig.get_config_h_filename()
# Debian's only chooses one by the processor.
if 'multiarch' in open(config).read():
    config = os.path.join('/usr/include', sysconfig.get_config_var('MULTIARCH'),
                          os.path.basename(os.path.dirname(config)), 'pyconfig.h')
print(config)
print(os.path.realpath(sys.executable))
print(sysconfig.get_config_var('Py_GIL_DISABLED') or 0)
"""


def ask(command: str | Path, root: Path | None = None) -> Python | None:
    """What an interpreter says of itself; None where there is none, or none with headers."""
    inside = ["chroot", str(root)] if root else []
    try:
        done = subprocess.run(
            [*inside, str(command), "-I", "-c", _ASK], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    digits, version, include, config, real, free_threaded = done.stdout.split("\n")[:6]
    base = root or Path("/")
    out = Python(
        f"cp{digits}",
        version,
        Path(real),
        base / include.lstrip("/"),
        base / config.lstrip("/"),
        root,
        _distribution(Path(real), base),
    )
    has_headers = (out.include / "Python.h").exists() and out.config.exists()
    old = tuple(map(int, version.split("."))) < (3, 11)
    return out if has_headers and free_threaded == "0" and not old else None


def _distribution(command: Path, base: Path) -> str:
    if ".pyenv" in command.parts:
        return "pyenv"
    if command.parts[:2] == ("/", "usr"):
        text = (base / "etc" / "debian_version").read_text(encoding="utf-8").strip()
        return f"Debian {text}"
    return "built here"


def pythons(roots: list[Path]) -> dict[str, Python]:
    """The interpreters of this machine and of other roots, one of each version.

    Parameters
    ----------
    roots : list of Path
        Folders with a system each.
    """
    found: dict[str, Python] = {}
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    here = [sys.executable, *(f"python3.{minor}" for minor in range(11, 16))]
    here += [str(p) for p in sorted(versions.glob("3.*/bin/python"))]
    asked = [(shutil.which(name), None) for name in here if shutil.which(name)]
    for root in roots:
        asked += [
            ("/" + str(p.relative_to(root)), root)
            for p in sorted(root.glob("usr/bin/python3.[0-9]*"))
            if re.fullmatch(r"python3\.\d+", p.name)
        ]
    for command, root in asked:
        python = ask(str(command), root)
        if python is not None:
            found.setdefault(python.tag, python)
    return dict(sorted(found.items()))
