# SPDX-License-Identifier: Apache-2.0
"""Sessions for development; scripts/test runs everything that CI does, without nox."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

# What has no target, or only looks at one: a process has one tracer at a time.
PARALLEL = [
    "tests/unit",
    *(
        f"tests/common/test_{name}.py"
        for name in ("arrow", "compressed_files", "corpus", "dump_files", "notebook", "report_file")
    ),
]
CPP = [str(path) for pattern in ("*.cpp", "*.h") for path in sorted(Path("cpp").rglob(pattern))]


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, types, generated documents."""
    session.install("--group", "lint", "numpy")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("pyright")
    session.run("python", "scripts/generate_docs.py", "--check")
    session.run("clang-format", "--dry-run", "--Werror", *CPP)


@nox.session
def tests(session: nox.Session) -> None:
    """All the tests."""
    session.run("scripts/test", *session.posargs, external=True)


def build_and_test(session: nox.Session, preset: str) -> None:
    """Run the C++ tests of a preset."""
    session.install("cmake>=3.24", "ninja")
    session.run("cmake", "--preset", preset)
    session.run("cmake", "--build", "--preset", preset)
    session.run("ctest", "--preset", preset, *session.posargs)


@nox.session(python="3.11")
def windows(session: nox.Session) -> None:
    """The Windows lane: cross build, wheels, tests under Wine. As root it installs what it needs."""
    session.run("scripts/test", "windows", *session.posargs, external=True)


@nox.session(python="3.11")
def aarch64(session: nox.Session) -> None:
    """The Linux backend on AArch64, in an emulated machine. As root it installs what it needs."""
    session.run("scripts/test", "aarch64", *session.posargs, external=True)


@nox.session
def cpp(session: nox.Session) -> None:
    """The C++ tests alone."""
    build_and_test(session, "tests")


@nox.session
def clang(session: nox.Session) -> None:
    """The C++ tests, by clang; a warning is an error."""
    build_and_test(session, "clang")


@nox.session
def asan(session: nox.Session) -> None:
    """C++ and Python tests with AddressSanitizer and UBSan."""
    session.run("scripts/instrumented", "asan", *session.posargs, external=True)


@nox.session
def tsan(session: nox.Session) -> None:
    """C++ and Python tests with ThreadSanitizer."""
    session.run("scripts/instrumented", "tsan", *session.posargs, external=True)


@nox.session
def coverage(session: nox.Session) -> None:
    """How much of the C++ core and of the Python layer the tests run."""
    session.run("scripts/instrumented", "coverage", *session.posargs, external=True)


@nox.session
def parallel(session: nox.Session) -> None:
    """Tests that only read, each in several threads at once."""
    session.install(".[cli,report,arrow,zstd]", "--group", "test", "pytest-run-parallel>=0.8")
    alone = [
        f"--deselect={line.split()[1]}"
        for line in Path("scripts/instrumented.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("parallel ")
    ]
    session.run("pytest", *PARALLEL, "--parallel-threads=4", *alone, *session.posargs)


@nox.session
def free_threaded(session: nox.Session) -> None:
    """Snapshots, and reading by several threads, by a CPython without the GIL."""
    session.install("cmake>=3.24", "ninja")
    session.run("python", "scripts/free_threaded.py", *session.posargs)


@nox.session
def tidy(session: nox.Session) -> None:
    """The C++ core through clang-tidy; what it finds is an error."""
    session.install("cmake>=3.24", "ninja", "clang-tidy==23.1.*")
    session.run("cmake", "--preset", "tidy")
    session.run("cmake", "--build", "--preset", "tidy")


@nox.session(python="3.11")
def wheels(session: nox.Session) -> None:
    """Wheels for every platform that can be had: built, checked, installed, used. Wants root."""
    session.install("--group", "wheels", "--group", "wheel-test")
    session.install(
        "scikit-build-core>=1.0", "pybind11>=3.0.2", "cmake>=3.24", "ninja", "wheel>=0.45", "numpy"
    )
    session.run("python", "scripts/wheels/build.py", *session.posargs)


@nox.session
def stubs(session: nox.Session) -> None:
    """The stub of the native module against the module."""
    session.install(".", "pybind11-stubgen>=2.5", "pyright[nodejs]")
    session.run("python", "scripts/check_stubs.py")
    # Every public name has a type.
    session.run("pyright", "--verifytypes", "snapcore", "--ignoreexternal")


def long_run(session: nox.Session, *files: str) -> None:
    """Tests in their long form; SNAPCORE_LONG=0.1 is a tenth of it."""
    environment = {
        "SNAPCORE_LONG": os.environ.get("SNAPCORE_LONG", "1"),
        "SNAPCORE_FIGURES": str(Path(session.create_tmp()).resolve() / "figures.jsonl"),
    }
    tests = [f"tests/linux/{file}" for file in files]
    session.run("scripts/test", "linux", *tests, *session.posargs, external=True, env=environment)
    session.log("what was counted and measured: %s", environment["SNAPCORE_FIGURES"])


@nox.session
def kills(session: nox.Session) -> None:
    """Thousands of kills of the tracer and its caller, at random and at chosen instants."""
    long_run(session, "test_killed.py", "test_states.py")


@nox.session
def runtimes(session: nox.Session) -> None:
    """Runtimes and servers under load, and the kernel's trace of a target, in hundreds of snapshots."""
    long_run(session, "test_runtimes.py", "test_system_calls.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Comparisons with other tools, which must be installed (scripts/setup)."""
    session.install(".[arrow,cli,zstd]", "--group", "bench")
    session.run("python", "benchmarks", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site of the documents, in build/docs/html; a warning is an error. "linkcheck": links to others too."""
    session.install(".[report]", "--group", "docs")
    for builder in session.posargs or ["html"]:
        session.run(
            *("python", "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs"),
            *("-b", builder, ".", f"build/docs/{builder}"),
        )


@nox.session
def soak(session: nox.Session) -> None:
    """10,000 captures and 1,000 dumps by 8 threads of 20 targets: nothing grows (docs/reliability.md)."""
    session.install(".[arrow,cli,report,zstd]", "--group", "test")
    session.run(
        *("python", "-m", "pytest", "-s", "tests/common/test_soak.py"),
        *session.posargs,
        env={"SNAPCORE_SOAK": "long"},
    )
