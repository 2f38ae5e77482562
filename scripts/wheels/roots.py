# SPDX-License-Identifier: Apache-2.0
"""Systems in a folder: what is fetched from Debian and PyPI to build for and to test with."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tarfile
from typing import TYPE_CHECKING, Any

from labs import CACHE, ROOT, debian_mirror, output, run
from targets import BUILD

if TYPE_CHECKING:
    from pathlib import Path


def debian(name: str, suite: str, packages: str, *options: str) -> Path:
    """The root of a Debian, made once.

    Parameters
    ----------
    name : str
        Of its folder.
    suite : str
        Which Debian.
    packages : str
        What is in it beside the least, with commas.
    *options : str
        Of debootstrap.
    """
    root = CACHE / "roots" / name
    marker = root / "made-from"
    made_from = f"{suite} {packages} {options}"
    if marker.exists() and marker.read_text(encoding="utf-8") == made_from:
        return root
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    print(f"== making a root of Debian {suite}", flush=True)
    run(
        "debootstrap", "--variant=minbase", f"--include={packages}", *options, suite, root, debian_mirror(),
    )  # fmt: skip
    marker.write_text(made_from, encoding="utf-8")
    return root


def newer_debian() -> Path:
    """With the Pythons that this system lacks."""
    return debian("newer", "sid", "python3.14,python3.14-dev,python3.15,python3.15-dev")


def arm64_debian() -> Path:
    """Unpacked, not configured: its programs run in emulation."""
    root = debian("arm64", "bookworm", "python3.11", "--arch=arm64", "--foreign")
    # A foreign root holds the least unpacked, what else was asked for as packages.
    for package in sorted(root.glob("var/cache/apt/archives/*.deb")):
        run("dpkg-deb", "-x", package, root)
        package.unlink()
    return root


def libc_of(root: Path) -> str:
    """The C library of a root."""
    (found,) = root.glob("usr/share/doc/libc6")
    status = (root / "var" / "lib" / "dpkg" / "status").read_text(encoding="utf-8")
    version = re.search(r"(?ms)^Package: libc6$.*?^Version: ([\d.]+)", status)
    return f"glibc {version[1]}" if version and found else "glibc"


def exports_of_windows_python(tag: str) -> list[str]:
    """Names in the DLL of the Windows Python, which are the same on all its processors."""
    import pefile

    sys.path.insert(0, str(ROOT / "scripts" / "windows"))
    import lab

    dll = f"python{tag.removeprefix('cp')}.dll"
    folder = BUILD / "windows"
    if not (folder / dll).exists():
        wheels = lab.fetch(
            lab.HERE / "requirements.txt", "--platform", "win_amd64", "--python-version", "3.11"
        )
        lab.unpack(lab.the_wheel(wheels, "panda3d"), rf"deploy_libs/{re.escape(dll)}", folder)
    image = pefile.PE(str(folder / dll), fast_load=True)
    image.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_EXPORT"]])
    return [symbol.name.decode() for symbol in image.DIRECTORY_ENTRY_EXPORT.symbols if symbol.name]


def windows_lab() -> dict[str, Any]:
    """The wheel for x86-64 Windows, which the Windows lane builds with mingw-w64 and installs under Wine."""
    import contents

    lab = ROOT / "scripts" / "windows" / "lab.py"
    run(sys.executable, lab, "build")
    (wheel,) = (ROOT / "dist" / "wine" / "production").glob("*.whl")
    facts = contents.check(wheel)
    windows = [sys.executable, lab, "python", "production"]
    file = "tests/corpus/file/linux.dmp"
    # Plain Wine has no snapshots, so the production module reads there.
    said = json.loads(output(*windows, "scripts/wheels/work.py", "--read", file, cwd=ROOT))
    told = json.loads(output(*windows, "-m", "snapcore", "info", file, "--json", cwd=ROOT))
    assert told, "the command tells nothing of a dump file"
    return {
        "platform": "windows-amd64",
        "tag": "cp311-win_amd64",
        "python": said["python"].rpartition(".")[0],
        "bytes": facts["bytes"],
        "checks": ["contents"],
        "runs": [{"where": f"CPython {said['python']} for Windows under Wine", "numpy": said["numpy"],
                  "did": ["install", "import", "read", "command"]}],
    }  # fmt: skip


def test_sdist() -> dict[str, Any]:
    """Build and test the sdist in an empty Debian without a network."""
    root = debian(
        "sdist", "bookworm", "python3,python3-venv,python3-dev,g++,cmake,ninja-build,doctest-dev"
    )
    work = root / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    run(sys.executable, "-c",
        "import sys; from scikit_build_core.build import build_sdist as f; f(sys.argv[1])",
        work, cwd=ROOT)  # fmt: skip
    (made,) = work.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set(output("git", "ls-files", cwd=ROOT).split("\n")) - {""}
    lacking = {n for n in tracked - names if not n.startswith(".")}
    assert not lacking, f"not in the sdist: {sorted(lacking)}"
    wheels = work / "wheels"
    run(sys.executable, "-m", "pip", "download", "-q", "--no-input", "--only-binary=:all:", "-d", wheels,
        "scikit-build-core>=1.0", "pybind11>=3.0.2", "numpy", "pytest>=9", "pytest-timeout>=2.4",
        "hypothesis>=6.100", "pip", "minidump==0.0.24", "zstandard", "jinja2")  # fmt: skip
    script = work / "test"
    script.write_text(_SDIST, encoding="utf-8")
    said = output(
        "unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c",
        'mount -t proc proc "$0/proc" && mount -t devtmpfs dev "$0/dev"; mount -t tmpfs tmpfs "$0/dev/shm";'
        ' ip link set lo up 2>/dev/null; exec chroot "$0" env -i HOME=/root LC_ALL=C.UTF-8 PATH=/usr/bin:/bin'
        " sh -eu /work/test",
        root,
    )  # fmt: skip
    passed = re.search(r"(\d+) passed", said)
    assert passed, said
    return {
        "platform": "sdist",
        "tag": "sdist",
        "python": "3.11",
        "bytes": made.stat().st_size,
        "checks": ["complete"],
        "runs": [
            {
                "where": "CPython 3.11 (empty Debian 12 root, no network)",
                "did": ["build", "install", f"{passed[1]} tests passed"],
            }
        ],
    }


# The tests of both systems that need no program that Debian alone has.
_SDIST = """
cd /work
python3 -m venv venv
venv/bin/python -m pip install -q --no-index --find-links wheels --upgrade pip
venv/bin/python -m pip install -q --no-index --find-links wheels scikit-build-core pybind11 numpy pytest \
    pytest-timeout hypothesis minidump zstandard jinja2
tar xf snapcore-*.tar.gz
cd snapcore-*/
../venv/bin/python -m pip install -q --no-index --no-build-isolation .
cmake -G Ninja -S . -B build/tests -DPython_EXECUTABLE=/work/venv/bin/python -DSNAPCORE_BINDINGS=OFF \
    -DSNAPCORE_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
cmake --build build/tests >/dev/null
SNAPCORE_TEST_PROGRAMS=$PWD/build/tests/targets ../venv/bin/python -m pytest -q tests/common/test_dump_files.py \
    tests/common/test_dumps.py tests/common/test_snapshots.py
"""
