# SPDX-License-Identifier: Apache-2.0
"""The tests of one process and of many threads, by a CPython without the GIL.

Usage: python scripts/free_threaded.py [--python PROGRAM] [ARGUMENTS OF PYTEST]

Without a PROGRAM the interpreter is made of Debian's source, once, and kept in $SNAPCORE_CACHE (default: ~/.cache/snapcore).
The module does not say that it needs no GIL; it is tried without one all the same (PYTHON_GIL=0).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import labs
from labs import ROOT, kept, run

SUITE, VERSION = "trixie", "3.13"
RECIPE = 1  # another number makes the interpreter anew
FOLDER = ROOT / "build" / "free-threaded"
#: What CPython's own modules are made of, by Debian's names.
HEADERS = {
    "openssl/ssl.h": "libssl-dev",
    "zlib.h": "zlib1g-dev",
    "ffi.h": "libffi-dev",
    "lzma.h": "liblzma-dev",
    "bzlib.h": "libbz2-dev",
    "sqlite3.h": "libsqlite3-dev",
}
#: Other processes are snapshotted here, one test at a time; the others only read, by four threads at once.
ONE_BY_ONE = ("tests/common/test_snapshots.py", "tests/common/test_dumps.py")
AT_ONCE = ("tests/common/test_dump_files.py", "tests/common/test_corpus.py")
TOOLS = (
    *("hypothesis", "jinja2", "minidump==0.0.24", "psutil"),
    *("pytest", "pytest-run-parallel>=0.8", "pytest-timeout"),
)


def need_headers() -> None:
    """Install what is missing of them, or name it."""
    folders = (Path("/usr/include"), Path(f"/usr/include/{os.uname().machine}-linux-gnu"))
    missing = [
        package
        for header, package in HEADERS.items()
        if not any((folder / header).exists() for folder in folders)
    ]
    if not missing:
        return
    if os.geteuid() != 0:
        sys.exit("install these, or run this as root: " + " ".join(missing))
    run("apt-get", "update")
    run("apt-get", "install", "-y", "--no-install-recommends", *missing)


def interpreter() -> Path:
    """A CPython without the GIL, of Debian's source."""

    def make(folder: Path) -> None:
        print(f"== making a free-threaded CPython {VERSION} of Debian's source", flush=True)
        options = labs.apt(folder / "apt", SUITE, "amd64", "deb-src")
        run("apt-get", *options, "source", "--download-only", f"python{VERSION}", cwd=folder)
        (archive,) = folder.glob("*.orig.tar.*z")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        (source,) = folder.glob("Python-*")
        jobs = f"-j{os.environ.get('CMAKE_BUILD_PARALLEL_LEVEL') or os.cpu_count()}"
        options = {"cwd": source}
        run(
            "./configure",
            "--disable-gil",
            "--disable-test-modules",
            f"--prefix={folder}",
            **options,
        )
        run("make", jobs, **options)
        run("make", "install", **options)
        for rest in (source, folder / "apt"):
            shutil.rmtree(rest)

    need_headers()
    return kept(f"free-threaded-{SUITE}-{RECIPE}", make) / "bin" / f"python{VERSION}t"


def environment(program: Path) -> Path:
    """The package and what its tests need, in an environment of its own; its interpreter."""
    run(program, "-m", "venv", "--clear", FOLDER)
    python = FOLDER / "bin" / "python"
    # Of these the newest that has a wheel for it; only the package is compiled.
    run(python, "-m", "pip", "install", "--no-input", "--only-binary=:all:", *TOOLS, "numpy")
    run(python, "-m", "pip", "install", "--no-input", ROOT)
    return python


def main() -> int:
    """Run it."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--python"]:
        program, arguments = Path(arguments[1]), arguments[2:]
    else:
        program = interpreter()
    programs = ROOT / "build" / "tests"
    run("cmake", "--preset", "tests", cwd=ROOT)
    run("cmake", "--build", "--preset", "tests", cwd=ROOT)
    python = environment(program)
    without = os.environ | {
        "PYTHON_GIL": "0",
        "SNAPCORE_TEST_PROGRAMS": str(programs / "targets"),
    }
    run(
        python, "-c", "import sys, snapcore; snapcore.threads(1); assert not sys._is_gil_enabled()",
        env=without,
    )  # fmt: skip
    alone = [
        f"--deselect={line.split()[1]}"
        for line in (ROOT / "scripts" / "instrumented.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("parallel ")
    ]
    worst = 0
    for tests in (ONE_BY_ONE, ("--parallel-threads=4", *alone, *AT_ONCE)):
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *tests]
        worst = max(worst, subprocess.run(command, cwd=ROOT, env=without, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
