# SPDX-License-Identifier: Apache-2.0
"""Build wheels for every platform that can be had here, check what is in them, install and use them.

Usage: python scripts/wheels/build.py [--short] [--only NAME]... [--python TAG]... [--record]
    --short    one wheel for this Python: built, checked, installed in a fresh environment, used, removed
    --only     a step or a platform: manylinux-x86_64, ..., windows-amd64, sdist; --list names them
    --record   write what was done into docs/platforms.json and docs/platforms.md

The compiler is that of the package ziglang, since the system's own links newer symbols than the wheels may
ask for. What users get is built by .github/workflows/wheels.yml; these wheels show that it can be, and that
the wheels do their work. The long form wants root, and Debian's debootstrap, qemu-user-static and musl. What is
downloaded is kept in $SNAPCORE_CACHE (default: ~/.cache/snapcore); everything else lies in build/wheels/ and dist/wheels/.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = map(str, Path(__file__).resolve().parents[:2])

import contents
import installed
import labs
import roots
import zig
from labs import ROOT, run
from platforms import PAGE, RESULTS, render
from targets import BUILD, PLATFORMS, Platform, Python, pythons

if TYPE_CHECKING:
    from collections.abc import Iterator

DIST = ROOT / "dist" / "wheels"


def folder_of(python: Python, platform: Platform) -> Path:
    """Headers of a Python, and how its modules are called, for the cross build."""
    folder = BUILD / "pythons" / platform.name / python.tag
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(python.include, folder / "include")
    # The types of the processors are of the same sizes, which is what the file tells.
    config = python.config
    if platform.is_windows:
        config = ROOT / "scripts" / "windows" / "pyconfig.h"
        dll = f"python{python.tag.removeprefix('cp')}.dll"
        zig.import_library(
            roots.exports_of_windows_python(python.tag), dll, folder / "python.lib", "arm64"
        )
    # With their times, so that what was compiled with them stays.
    shutil.copy2(config, folder / "include" / "pyconfig.h")
    (folder / "suffix").write_text(platform.suffix(python.tag), encoding="utf-8")
    return folder


def compile_all(platform: Platform, wanted: list[Python], backend: str = "") -> Path:
    """Compile the core once, and a module for each Python; the folder of the build.

    With `backend` what is captured is another thing than the platform's; the rest is not compiled again.
    """
    folder = BUILD / platform.name
    tools = zig.tools(platform, folder / "tools")
    run(
        "cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_SYSTEM_NAME={platform.system}", f"-DCMAKE_SYSTEM_PROCESSOR={platform.processor}",
        *(f"-DCMAKE_{variable}={path}" for variable, path in tools.items()),
        # There is none to set, and CMake would want a tool for it.
        "-DCMAKE_SKIP_RPATH=ON",
        # Nothing of what a debugger wants, which is ten times the rest.
        *(f"-DCMAKE_{kind}_LINKER_FLAGS=-s" for kind in ("EXE", "MODULE", "SHARED")),
        f"-DPython_EXECUTABLE={sys.executable}", *zig.settings(platform, folder / "tools"),
        f"-DSNAPCORE_BACKEND={backend or platform.backend}",
        f"-DSNAPCORE_PYTHONS={';'.join(str(folder_of(python, platform)) for python in wanted)}",
    )  # fmt: skip
    run("cmake", "--build", folder)
    return folder


def pack(platform: Platform, python: Python, built: Path) -> Path:
    """Make the wheel of what was compiled."""
    tag = f"{python.tag}-{python.tag}-{platform.tag}"
    return labs.pack(BUILD / platform.name / "stage" / python.tag, built, tag, DIST, "", python.tag)


def build(platform: Platform, wanted: list[Python]) -> list[dict[str, Any]]:
    """Wheels of one platform, checked; a row of the results each."""
    started = time.monotonic()
    built = compile_all(platform, wanted)
    out = []
    for python in wanted:
        wheel = pack(platform, python, built)
        facts = contents.check(wheel)
        checks = ["contents"]
        if platform.system == "Linux":
            contents.audit(wheel, platform.tag)
            checks.append("auditwheel")
        out.append(
            {
                "platform": platform.name,
                "tag": f"{python.tag}-{platform.tag}",
                "python": python.version.rpartition(".")[0],
                "bytes": facts["bytes"],
                "checks": checks,
                "runs": [],
            }
        )
        print(f"== {wheel.name}: {facts['bytes']} bytes, {', '.join(checks)}", flush=True)
    print(f"== {platform.name}: {time.monotonic() - started:.0f} s", flush=True)
    return out


def reader_only(platform: Platform, python: Python) -> dict[str, Any]:
    """Build what only reads, by POSIX alone, and run the tests of that."""
    built = compile_all(platform, [python], "none")
    site = BUILD / "reader-only"
    shutil.rmtree(site, ignore_errors=True)
    run("cmake", "--install", built, "--prefix", site, "--component", python.tag)
    shutil.copytree(
        ROOT / "src", site, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    tests = ["tests/reader_only", "@scripts/wheels/reading_tests.txt"]
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    passed = re.search(r"(\d+) passed", done.stdout)
    if done.returncode != 0 or passed is None:
        sys.exit(done.stdout + done.stderr)
    print(f"== reader only: {passed[1]} passed", flush=True)
    return {
        "platform": "reader-only",
        "tag": "-",
        "python": python.version.rpartition(".")[0],
        "bytes": sum(path.stat().st_size for path in site.glob("snapcore/_core*")),
        "checks": [],
        "runs": [
            {
                "where": f"CPython {python.version} ({python.distribution}), {installed.libc()}",
                "did": [f"{passed[1]} tests passed"],
            }
        ],
    }


def wheel_of(row: dict[str, Any]) -> Path:
    """The file of a row of the results."""
    python = row["tag"].partition("-")[0]
    (found,) = DIST.glob(f"snapcore-*-{python}-{row['tag']}.whl")
    return found


def short() -> None:
    """One wheel for the Python that runs this, from start to end."""
    found = pythons([])
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platform = PLATFORMS[f"manylinux-{os.uname().machine}"]
    (row,) = build(platform, [found[tag]])
    print(json.dumps(installed.in_environment(wheel_of(row), found[tag], None)), flush=True)
    reader_only(platform, found[tag])


def names() -> list[str]:
    """Steps of the long form."""
    return [*PLATFORMS, "windows-amd64", "reader-only", "sdist"]


def everything(wanted: list[str], tags: list[str]) -> Iterator[list[dict[str, Any]]]:
    """The long form; rows of the results, step by step."""
    newer = not tags or {"cp314", "cp315"} & set(tags)
    found = pythons([roots.newer_debian()] if newer else [])
    found = {tag: python for tag, python in found.items() if not tags or tag in tags}
    for name in wanted:
        if name == "sdist":
            yield [roots.test_sdist()]
            continue
        if name == "reader-only":
            native = PLATFORMS[f"manylinux-{os.uname().machine}"]
            yield [reader_only(native, found[next(iter(found))])]
            continue
        if name == "windows-amd64":
            yield [roots.windows_lab()]
            continue
        platform = PLATFORMS[name]
        those = list(found.values())
        if platform.system != "Linux":
            those = [p for p in those if p.tag == "cp311"]
        made = build(platform, those)
        for row, python in zip(made, those, strict=True):
            row["runs"] = installed.runs(platform, python, wheel_of(row))
        yield made


def record(rows: list[dict[str, Any]]) -> None:
    """Renew the results, those of other steps and Pythons left as they are, and the page."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    done = {(row["platform"], row["tag"]) for row in rows}
    kept = [row for row in known if (row["platform"], row["tag"]) not in done]
    order = {name: number for number, name in enumerate(names())}
    rows = sorted([*kept, *rows], key=lambda row: (order[row["platform"]], row["tag"]))
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(render(page, rows), encoding="utf-8")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="one wheel, from start to end")
    parser.add_argument("--only", action="append", choices=names(), help="this step alone")
    parser.add_argument("--python", action="append", metavar="cp311", help="this Python alone")
    parser.add_argument("--record", action="store_true", help="renew docs/platforms.*")
    parser.add_argument("--list", action="store_true", help="the steps")
    options = parser.parse_args()
    if options.list:
        print(*names(), sep="\n")
        return 0
    os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(labs.CACHE / "zig"))
    os.environ.setdefault("ZIG_LOCAL_CACHE_DIR", str(labs.CACHE / "zig"))
    if options.short:
        short()
        return 0
    for rows in everything(options.only or names(), options.python or []):
        if options.record:
            record(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
