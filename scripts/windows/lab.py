# SPDX-License-Identifier: Apache-2.0
"""The Windows build, cross-compiled and run under Wine by a real Windows CPython with the real NumPy.

Usage: python scripts/windows/lab.py COMMAND
    setup                           put the Windows Python together
    build                           cross-compile both modules, pack their wheels into dist/wine/, install them under Wine
    test [ARGUMENTS OF PYTEST]      build, then run the tests
    coverage [ARGUMENTS OF PYTEST]  the same with a build that counts which lines run; prints them
    bench [ROUNDS]                  build, then the walk that `python benchmarks` compares
    python production|stand_in ...  run the Windows Python with one of the two modules

What is downloaded is verified and kept in $SNAPCORE_CACHE (default: ~/.cache/snapcore); everything else lies in build/windows/.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from labs import ROOT, digest, download, kept, output, pack, run

BUILD = ROOT / "build" / "windows"
PYTHON = BUILD / "python"
WINE = Path("/usr/lib/wine/wine64")
# Two modules from one build; they differ in the names of two DLLs.
VARIANTS = ("production", "stand_in")
TAG = "cp311-cp311-win_amd64"
GCOV = "x86_64-w64-mingw32-gcov-posix"
NOT_COPIED = shutil.ignore_patterns(
    "lib-dynload", "test", "tests", "site-packages", "dist-packages", "__pycache__", "idlelib",
    "tkinter", "turtledemo", "ensurepip", "config-*", "lib2to3",
)  # fmt: skip


def fetch(requirements: Path, *platform: str) -> Path:
    """Folder of the wheels that a file of requirements names, verified by pip; downloaded once."""
    return kept(
        f"{requirements.stem}-{digest(requirements)[:16]}",
        lambda folder: download(folder, requirements, *platform),
    )


def the_wheel(folder: Path, name: str) -> Path:
    """The one wheel of a package."""
    (found,) = folder.glob(f"{name}-*.whl")
    return found


def unpack(wheel: Path, pattern: str, folder: Path) -> None:
    """Extract the files whose path matches, without their folders."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if re.fullmatch(pattern, name):
                (folder / name.rpartition("/")[2]).write_bytes(archive.read(name))


def windows_path(path: Path) -> str:
    """As Wine shows the machine's files."""
    return "Z:" + str(path).replace("/", "\\")


def environment() -> dict[str, str]:
    """For programs under Wine: a prefix of their own, nothing of the machine's Python."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "WINE"))
    }
    return inherited | {
        "WINEPREFIX": str(BUILD / "prefix"),
        "WINEDEBUG": "-all",
        "LC_ALL": "C.UTF-8",
    }


def wine(*command: str | Path, extra: dict[str, str] | None = None) -> int:
    """Run a Windows program; returns its exit code. Its output goes through a pipe, since CPython cannot start on a terminal of Wine's."""
    with subprocess.Popen(
        [str(WINE), *map(str, command)],
        env=environment() | (extra or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.buffer.write(line.replace(b"\r\n", b"\n"))
            sys.stdout.buffer.flush()
    return process.returncode


def import_library(dll: Path, library: Path) -> None:
    """What a linker needs to know of a DLL."""
    listing = subprocess.run(
        ["x86_64-w64-mingw32-objdump", "-p", dll], capture_output=True, text=True, check=True
    ).stdout
    table = listing.partition("[Ordinal/Name Pointer] Table")[2]
    names = re.findall(
        r"^\s*\[\s*\d+\] (?:\+base\[\s*\d+\] +[0-9a-f]+ )?(\w+)\s*$", table, re.MULTILINE
    )
    definitions = library.with_suffix(".def")
    definitions.write_text(f"LIBRARY {dll.name}\nEXPORTS\n" + "".join(f"    {n}\n" for n in names))
    run("x86_64-w64-mingw32-dlltool", "-d", definitions, "-l", library)


def setup() -> None:
    """Put the Windows Python together, once."""
    if sys.version_info[:2] != (3, 11):
        sys.exit(
            "the Windows lane runs python311.dll with the standard library and the headers of the Python that builds: "
            f"use CPython 3.11, not {sys.version_info.major}.{sys.version_info.minor}"
        )
    wheels = fetch(HERE / "requirements.txt", "--platform", "win_amd64", "--python-version", "3.11")
    headers = fetch(HERE / "headers.txt")
    made_from = digest(
        HERE / "requirements.txt",
        HERE / "headers.txt",
        *sorted(HERE.glob("*.[ch]")),
        HERE / "lab.py",
    )
    marker = BUILD / "made-from"
    if marker.exists() and marker.read_text() == made_from + sys.base_prefix:
        return
    print("== putting the Windows Python together")
    for old in (PYTHON, BUILD / "prefix", BUILD / "third_party"):
        shutil.rmtree(old, ignore_errors=True)
    PYTHON.mkdir(parents=True)
    panda = the_wheel(wheels, "panda3d")
    unpack(panda, r"deploy_libs/python311\.dll", PYTHON)
    unpack(panda, r"deploy_libs/(?!api-ms-|VCRUNTIME|python311)[^/]+\.(dll|pyd)", PYTHON / "DLLs")
    unpack(the_wheel(wheels, "msvc_runtime"), r".*/Scripts/(vcruntime|msvcp)140.*\.dll", PYTHON)
    shutil.copytree(sysconfig.get_path("stdlib"), PYTHON / "Lib", ignore=NOT_COPIED)
    packages = PYTHON / "Lib" / "site-packages"
    for wheel in sorted(wheels.glob("*.whl")):
        if not wheel.name.startswith(("panda3d", "msvc_runtime")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(packages)
    run(
        "x86_64-w64-mingw32-gcc", "-municode", "-O2", "-o", PYTHON / "python.exe", HERE / "python.c"
    )
    (PYTHON / "libs").mkdir()
    import_library(PYTHON / "python311.dll", PYTHON / "libs" / "libpython311.a")
    shutil.copytree(sysconfig.get_path("include"), PYTHON / "include")
    shutil.copy(HERE / "pyconfig.h", PYTHON / "include" / "pyconfig.h")
    unpack(
        the_wheel(headers, "ziglang"),
        r".*/any-windows-any/processsnapshot\.h",
        BUILD / "third_party",
    )
    run(WINE, "wineboot", "-i", env=environment(), stdin=subprocess.DEVNULL)
    run(WINE, "winecfg", "-v", "win10", env=environment(), stdin=subprocess.DEVNULL)
    # A crash ends the program, instead of waiting for somebody at a debugger.
    key = r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\AeDebug"
    run(
        WINE, "reg", "add", key, "/v", "Debugger", "/d", "false", "/f",
        env=environment(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    marker.write_text(made_from + sys.base_prefix)


def built(*, coverage: bool) -> Path:
    """Folder of the build."""
    return BUILD / ("coverage" if coverage else "cmake")


def build(*, coverage: bool) -> Path:
    """Cross-compile; returns the folder of the build."""
    folder = built(coverage=coverage)
    run(
        "cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
        f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'windows-x86_64.cmake'}",
        f"-DSNAPCORE_WINDOWS_PYTHON={PYTHON}", f"-DPython_EXECUTABLE={sys.executable}",
        f"-DSNAPCORE_THIRD_PARTY={BUILD / 'third_party'}", "-DSNAPCORE_TESTS=ON", "-DSNAPCORE_WERROR=ON",
        f"-DSNAPCORE_COVERAGE={'ON' if coverage else 'OFF'}",
    )  # fmt: skip
    run("cmake", "--build", folder)
    system = BUILD / "prefix" / "drive_c" / "windows" / "system32"
    for name in ("snapsim.dll", "snapclone.exe"):
        shutil.copy(folder / "cpp" / "tests" / "snapsim" / name, system)
    return folder


def wheel(variant: str, *, coverage: bool) -> Path:
    """Pack what was built; a test artefact, since users get what MSVC builds."""
    folder = build(coverage=coverage)
    wheels = (folder / "wheels" if coverage else ROOT / "dist" / "wine") / variant
    return pack(BUILD / variant / "wheel", folder, TAG, wheels, variant)


def install(variant: str, *, coverage: bool) -> Path:
    """Put the wheel into a folder of its own that goes before site-packages; returns it."""
    folder = BUILD / variant / "site"
    shutil.rmtree(folder, ignore_errors=True)
    run(
        sys.executable, "-m", "pip", "install", "--no-input", "--no-deps", "--no-index", "--target", folder,
        "--platform", "win_amd64", "--python-version", "3.11", "--only-binary=:all:", wheel(variant, coverage=coverage),
    )  # fmt: skip
    return folder


def python(variant: str, *arguments: str | Path, **extra: str) -> int:
    """Run the Windows Python with one of the two builds installed."""
    extra["PYTHONPATH"] = windows_path(BUILD / variant / "site")
    return wine(PYTHON / "python.exe", *arguments, extra=extra)


def test(*arguments: str, coverage: bool) -> int:
    """Run the tests against the stand-in, what is left of them against plain Wine, and those of the files that the first left on Linux."""
    programs = windows_path(built(coverage=coverage) / "cpp" / "tests" / "windows_targets")
    files = BUILD / "files"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir()
    worst = 0
    for variant in VARIANTS if not arguments else ("stand_in",):
        print(f"== pytest, {variant.replace('_', '-')} build, under Wine", flush=True)
        status = python(
            variant, "-B", "-m", "pytest", "-p", "no:cacheprovider", *arguments,
            SNAPCORE_TEST_PROGRAMS=programs, SNAPCORE_VARIANT=variant,
            SNAPCORE_FILES_FOR_LINUX=windows_path(files),
            GCOV_PREFIX="Z:",
        )  # fmt: skip
        worst = max(worst, status)
    if arguments:
        return worst
    print("== pytest, dump files of Wine, on Linux", flush=True)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", ROOT / "tests" / "windows_files"],
        cwd=ROOT,
        env=os.environ | {"SNAPCORE_WINDOWS_FILES": str(files)},
        check=False,
    )
    return max(worst, ran.returncode)


def lines_that_ran(*arguments: str) -> int:
    """Run the tests with a build that counts, and print what it counted."""
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--group", "instrumented")
    for variant in VARIANTS:
        install(variant, coverage=True)
    folder = built(coverage=True)
    for counts in folder.rglob("*.gcda"):
        counts.unlink()
    status = test(*arguments, coverage=True)
    print("== coverage", flush=True)
    print(output(sys.executable, HERE.parent / "coverage_report.py", folder, GCOV), flush=True)
    return status


def main() -> int:
    """Run it."""
    commands = ("setup", "build", "test", "coverage", "bench", "python")
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    command, arguments = sys.argv[1], sys.argv[2:]
    setup()
    if command == "build":
        for variant in VARIANTS:
            install(variant, coverage=False)
        return 0
    if command == "test":
        for variant in VARIANTS:
            install(variant, coverage=False)
        return test(*arguments, coverage=False)
    if command == "coverage":
        return lines_that_ran(*arguments)
    if command == "bench":
        install("stand_in", coverage=False)
        program = ROOT / "benchmarks" / "programs" / "windows_walk.py"
        return python("stand_in", program, *(arguments or ["9"]), SNAPCORE_VARIANT="stand_in")
    if command == "python":
        return python(arguments[0], *arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
