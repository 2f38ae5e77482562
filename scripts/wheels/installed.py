# SPDX-License-Identifier: Apache-2.0
"""Wheels that are installed where they are meant for, used, and removed again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contents
import musl
import roots
from labs import ROOT, output
from targets import BUILD, Platform, Python

if TYPE_CHECKING:
    from collections.abc import Sequence

WORK = ROOT / "scripts" / "wheels" / "work.py"
DUMP = ROOT / "tests" / "corpus" / "file" / "linux.dmp"
# The oldest that snapcore asks for, where it has a wheel for the Python.
OLDEST_NUMPY = {"cp311": "1.26.4", "cp312": "1.26.4"}


def files_of(folder: Path) -> set[str]:
    """Everything in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def in_environment(wheel: Path, python: Python, numpy: str | None) -> dict[str, Any]:
    """Install a wheel in a fresh environment, do the main job, remove it; nothing may be left.

    Parameters
    ----------
    wheel : Path
        The file.
    python : Python
        The interpreter.
    numpy : str, optional
        Version of NumPy; the newest by default.
    """
    folder = BUILD / "environments" / f"{python.tag}-{numpy or 'newest'}"
    shutil.rmtree(folder, ignore_errors=True)
    output(python.command, "-m", "venv", folder)
    pip = [folder / "bin" / "python", "-m", "pip", "--no-input", "--disable-pip-version-check"]
    wanted = f"numpy=={numpy}" if numpy else "numpy"
    output(*pip, "install", "-q", "--only-binary=:all:", wanted)
    return {
        "where": f"CPython {python.version} ({python.distribution}), {libc()}",
        **used(wheel, folder, pip),
    }


def used(
    wheel: Path, folder: Path, pip: list[str | Path], within: Sequence[str | Path] = ()
) -> dict[str, Any]:
    """Install a wheel in an environment that has NumPy, do the main job, remove it.

    `within` is what starts the commands.
    """
    before = files_of(folder)
    # Offline, so that nothing but the wheel can be what is installed.
    output(*within, *pip, "install", "-q", "--no-index", wheel)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    options = {"cwd": folder, "env": environment}
    facts = json.loads(output(*within, folder / "bin" / "python", WORK, DUMP, **options))
    command = folder / "bin" / "snapcore"
    told = json.loads(output(*within, command, "info", DUMP, "--json", **options))
    assert told, "the command tells nothing of a dump file"
    output(*within, *pip, "uninstall", "-q", "-y", "snapcore")
    left = files_of(folder) - before
    assert not left, f"left behind: {sorted(left)}"
    shutil.rmtree(folder)
    return {
        "numpy": facts["numpy"],
        "did": ["install", "import", "read", "dump", "command", "uninstall"],
        "dumped": facts["dumped"],
    }


def libc() -> str:
    """The C library of this machine."""
    return " ".join(os.confstr("CS_GNU_LIBC_VERSION").split())  # type: ignore[union-attr]


def unpacked(
    wheel: Path, python: Python, tags: Sequence[str], folder: Path, numpy: str = "numpy"
) -> None:
    """Install a wheel and NumPy for another platform into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    platforms = [argument for tag in tags for argument in ("--platform", tag)]
    version = python.tag.removeprefix("cp")
    output(
        sys.executable, "-m", "pip", "install", "-q", "--no-input", "--target", folder,
        "--only-binary=:all:", "--python-version", f"{version[0]}.{version[1:]}", *platforms,
        numpy, wheel,
    )  # fmt: skip


def in_root(wheel: Path, python: Python, platform: Platform) -> dict[str, Any]:
    """Use a wheel with the Python of another system's root, which this machine's kernel runs."""
    assert python.root is not None
    folder = python.root / "opt" / f"snapcore-{python.tag}"
    # NumPy of newer systems is no matter: this one is the newest.
    unpacked(wheel, python, [platform.tag, platform.tag.replace("2_28", "2_27")], folder)
    for file in (WORK, DUMP):
        shutil.copy(file, folder / file.name)
    inside = Path("/") / folder.relative_to(python.root)
    facts = json.loads(
        output(
            "unshare", "--mount", "--net", "sh", "-c",
            'mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev/shm" && exec chroot "$0" "$@"',
            python.root, "env", "-i", "PATH=/usr/bin:/bin", f"PYTHONPATH={inside}",
            "PYTHONDONTWRITEBYTECODE=1", python.command, inside / WORK.name, inside / DUMP.name,
        )
    )  # fmt: skip
    return {
        "where": f"CPython {python.version} ({python.distribution} root), {roots.libc_of(python.root)}",
        "numpy": facts["numpy"],
        "did": ["install", "import", "read", "dump"],
        "dumped": facts["dumped"],
    }


def emulated(wheel: Path, python: Python, platform: Platform) -> list[dict[str, Any]]:
    """Use a wheel for AArch64 in user-mode emulation, which cannot trace: dump files are read."""
    if python.tag != "cp311":
        return []  # Debian 12 has no other
    root = roots.arm64_debian()
    folder = root / "opt" / f"snapcore-{python.tag}"
    unpacked(wheel, python, [platform.tag, platform.tag.replace("2_28", "2_27")], folder)
    command = [
        "qemu-aarch64-static", "-L", root, root / "usr" / "bin" / f"python3.{python.tag[3:]}",
    ]  # fmt: skip
    facts = read_with(command, folder, PYTHONHOME=str(root / "usr"))
    return [
        {
            "where": f"CPython {facts['python']} (Debian 12 arm64, emulated), {roots.libc_of(root)}",
            "numpy": facts["numpy"],
            "did": ["install", "import", "read"],
        }
    ]


def read_with(command: Sequence[str | Path], folder: Path, **environment: str) -> dict[str, Any]:
    """Read a dump file with an emulated Python and what was unpacked into a folder."""
    environment |= {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    facts = json.loads(output(*command, WORK, "--read", DUMP, env=environment))
    assert facts["machine"] == "aarch64"
    return facts


def on_musl(wheel: Path, platform: Platform) -> dict[str, Any]:
    """Of any Python's wheel: musl has every name, and loads the tracer."""
    loader = musl.loader(platform.processor)
    given = contents.defined_names(loader.read_bytes())
    for name, data in contents.programs(wheel).items():
        lacking = {
            n for n in contents.undefined_names(data) - given if not n.startswith(("Py", "_Py"))
        }
        assert not lacking, f"{name} wants of musl what it has not: {sorted(lacking)}"
    folder = BUILD / "musl"
    folder.mkdir(parents=True, exist_ok=True)
    tracer = folder / "snapcore-tracer"
    tracer.write_bytes(contents.programs(wheel)["snapcore/snapcore-tracer"])
    tracer.chmod(0o755)
    # Without a caller it ends at once; a loader that lacks something says so.
    done = subprocess.run(
        [*musl.emulator(platform.processor), loader, tracer],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "Error" not in done.stderr, done.stderr
    assert done.returncode >= 0, f"the tracer died of signal {-done.returncode}"
    return {
        "where": f"musl {musl.version(platform.processor)}",
        "did": ["names", "tracer loaded"],
    }


def in_musl_python(wheel: Path, platform: Platform) -> list[dict[str, Any]]:
    """Use a wheel with a Python that was made for musl; in emulation dump files are read alone."""
    python = musl.python(platform)
    where = f"CPython {python.version} ({python.distribution}"
    oldest = f"numpy=={OLDEST_NUMPY[python.tag]}"
    tags = [platform.tag, platform.tag.replace("1_2", "1_1")]
    folder = BUILD / "environments" / platform.name
    if platform.processor != os.uname().machine:
        unpacked(wheel, python, tags, folder, oldest)
        facts = read_with([*musl.emulator(platform.processor), python.command], folder)
        return [
            {
                "where": f"{where}, emulated), musl {musl.version(platform.processor)}",
                "numpy": facts["numpy"],
                "did": ["install", "import", "read"],
            }
        ]
    out = []
    # NumPy's newer wheels have relocations (RELR) that the musl of this system does not know.
    for numpy, within in ((oldest, []), ("numpy", musl.with_a_newer_one(platform.processor))):
        shutil.rmtree(folder, ignore_errors=True)
        output(python.command, "-m", "venv", "--without-pip", folder)
        pip = [
            folder / "bin" / "python", musl.pip_of(python), "--no-input", "--disable-pip-version-check",
        ]  # fmt: skip
        # It has no TLS to fetch anything with.
        with tempfile.TemporaryDirectory() as fetched:
            output(
                sys.executable, "-m", "pip", "download", "-q", "--no-input", "--no-deps", "-d", fetched,
                "--only-binary=:all:", "--python-version", musl.VERSION,
                *(f"--platform={tag}" for tag in tags), numpy,
            )  # fmt: skip
            output(*pip, "install", "-q", "--no-index", *Path(fetched).glob("*.whl"))
        libc = f"musl {musl.version(platform.processor, within)}"
        out.append({"where": f"{where}), {libc}", **used(wheel, folder, pip, within)})
    return out


def runs(platform: Platform, python: Python, wheel: Path) -> list[dict[str, Any]]:
    """Everything that can be done with a wheel here."""
    if platform.system != "Linux":
        return []
    if platform.name.startswith("musllinux"):
        used_too = in_musl_python(wheel, platform) if python.tag == musl.TAG else []
        return [on_musl(wheel, platform), *used_too]
    if platform.processor != os.uname().machine:
        return emulated(wheel, python, platform)
    if python.root is not None:
        return [in_root(wheel, python, platform)]
    versions = [*filter(None, [OLDEST_NUMPY.get(python.tag)]), None]
    return [in_environment(wheel, python, version) for version in versions]
