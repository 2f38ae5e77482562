# SPDX-License-Identifier: Apache-2.0
"""Debian's musl, and a CPython for it.

No package with such a Python was found, so it is made of Debian's sources by the compiler of the wheels. What it has
beside the language is what pip and NumPy import; all of that is linked into it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import labs
import zig
from labs import output, run
from targets import Platform, Python

if TYPE_CHECKING:
    from collections.abc import Sequence

SUITE = "bookworm"
VERSION = "3.11"  # of that suite
NEWER_SUITE = "trixie"  # whose musl alone is of interest
TAG = "cp" + VERSION.replace(".", "")
RECIPE = 1  # another number makes the Pythons anew
_DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
# Newer than Debian's musl; the compiler brings a newer one. The others cannot be asked of a processor that is not here.
_ANSWERS = (
    "ac_cv_func_preadv2=no",
    "ac_cv_func_pwritev2=no",
    "py_cv_module__crypt=n/a",
    "ac_cv_buggy_getaddrinfo=no",
    "ac_cv_file__dev_ptmx=yes",
    "ac_cv_file__dev_ptc=no",
)
_NOT_COPIED = shutil.ignore_patterns(
    "test", "tests", "__pycache__", "idlelib", "tkinter", "lib2to3"
)


def root(processor: str) -> Path:
    """Where Debian's musl lies in ``lib``: here, or unpacked for another processor."""
    return Path("/") if processor == os.uname().machine else _package(SUITE, processor)


def _package(suite: str, processor: str) -> Path:
    def make(folder: Path) -> None:
        options = labs.apt(folder / "apt", suite, _DEBIAN_NAMES[processor])
        run("apt-get", *options, "download", "musl", cwd=folder)
        (package,) = folder.glob("musl_*.deb")
        run("dpkg-deb", "-x", package, folder)
        shutil.rmtree(folder / "apt")

    return labs.kept(f"musl-{suite}-{processor}", make)


def loader(processor: str) -> Path:
    """The library, which is the program that starts others."""
    return root(processor) / "lib" / f"ld-musl-{processor}.so.1"


def emulator(processor: str) -> list[str | Path]:
    """What programs of a processor are started with here."""
    if processor == os.uname().machine:
        return []
    return [f"qemu-{processor}-static", "-L", root(processor)]


def with_a_newer_one(processor: str) -> list[str | Path]:
    """What starts a command with a newer musl in the place of this system's, for that command alone."""
    (library,) = _package(NEWER_SUITE, processor).rglob("libc.so")
    replace = 'mount --bind "$0" "$1" && shift && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", replace, library, loader(processor).resolve()]


def version(processor: str, within: Sequence[str | Path] = ()) -> str:
    """What the loader says of itself; `within` is what starts it."""
    command = [*within, *emulator(processor), loader(processor)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    found = re.search(r"Version ([\d.]+)", said)
    assert found, said
    return found[1]


def sources() -> Path:
    """CPython's and zlib's, as Debian has them, unpacked."""

    def make(folder: Path) -> None:
        options = labs.apt(folder / "apt", SUITE, "amd64", "deb-src")
        wanted = (f"python{VERSION}", "zlib")
        run("apt-get", *options, "source", "--download-only", *wanted, cwd=folder)
        shutil.rmtree(folder / "apt")
        for archive in sorted(folder.glob("*.orig.tar.*")):
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            archive.unlink()

    return labs.kept(f"musl-sources-{SUITE}", make)


def python(platform: Platform) -> Python:
    """The interpreter; pip's wheel is in its library, as ensurepip has it."""
    name = f"musl-python-{platform.processor}-{RECIPE}"
    folder = labs.kept(name, lambda part: _make_python(platform, part))
    command = folder / "bin" / f"python{VERSION}"
    said = output(
        *emulator(platform.processor), command, "-c",
        "import sysconfig, platform as p; print(p.python_version(), sysconfig.get_config_var('EXT_SUFFIX'))",
    ).split()  # fmt: skip
    assert said[1] == platform.suffix(TAG), f"a module of this Python ends with {said[1]}"
    return Python(TAG, said[0], command, folder, folder, distribution="Debian's source, built here")


def pip_of(python: Python) -> Path:
    """The program pip in the wheel that Python's own library brings."""
    library = python.command.parents[1] / "lib" / f"python{VERSION}"
    (wheel,) = library.glob("ensurepip/_bundled/pip-*.whl")
    return wheel / "pip"


def _make_python(platform: Platform, folder: Path) -> None:
    print(f"== making a Python for {platform.zig}", flush=True)
    build = folder / "build"
    tools = zig.tools(platform, build / "tools")
    environment = os.environ | {"CC": str(tools["C_COMPILER"])}
    # By its path: its bare name is refused in a cross build.
    environment["READELF"] = str(shutil.which("readelf"))
    for variable in ("AR", "RANLIB"):
        environment[variable] = str(tools[variable])
    source = sources()
    (zlib,) = source.glob("zlib-*")
    shutil.copytree(zlib, build / "zlib")
    jobs = f"-j{os.environ.get('CMAKE_BUILD_PARALLEL_LEVEL') or os.cpu_count()}"
    options = {"cwd": build / "zlib", "env": environment | {"CFLAGS": "-O2 -fPIC"}}
    run("./configure", "--static", **options)
    run("make", jobs, "libz.a", **options)
    (cpython,) = source.glob("Python-*")
    modules = build / "Modules"
    modules.mkdir()
    # Before configure, which else would make an empty one.
    (modules / "Setup.local").symlink_to("Setup.stdlib")
    options = {"cwd": build, "env": environment}
    run(
        cpython / "configure",
        # It takes the C library's name from the machine that builds.
        f"--build={os.uname().machine}-linux-musl", f"--host={platform.processor}-linux-musl",
        f"--with-build-python={sys.executable}", "--without-ensurepip", "--disable-test-modules",
        "MODULE_BUILDTYPE=static",
        # The compiler else checks for undefined behaviour, and refuses a date.
        "CFLAGS=-fno-sanitize=undefined -Wno-date-time",
        "PKG_CONFIG=false", f"ZLIB_CFLAGS=-I{build / 'zlib'}", f"ZLIB_LIBS={build / 'zlib' / 'libz.a'}",
        *_ANSWERS, **options,
    )  # fmt: skip
    run("make", jobs, "python", "platform", **options)
    library = folder / "lib" / f"python{VERSION}"
    shutil.copytree(cpython / "Lib", library, ignore=_NOT_COPIED)
    (library / "lib-dynload").mkdir()
    for facts in build.glob("build/lib.*/_sysconfigdata*.py"):
        shutil.copy(facts, library)
    (folder / "bin").mkdir()
    shutil.copy(build / "python", folder / "bin" / f"python{VERSION}")
    shutil.rmtree(build)
