# SPDX-License-Identifier: Apache-2.0
"""Sessions for development; scripts/test runs everything that CI does, without nox."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, types, generated documents."""
    session.install("--group", "lint", "numpy")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--python-executable", "python")
    session.run("python", "scripts/generate_docs.py", "--check")


@nox.session
def tests(session: nox.Session) -> None:
    """All the tests."""
    session.run("scripts/test", *session.posargs, external=True)


@nox.session
def cpp(session: nox.Session) -> None:
    """The C++ tests alone."""
    preset = session.posargs[0] if session.posargs else "tests"
    session.run("cmake", "--preset", preset, external=True)
    session.run("cmake", "--build", "--preset", preset, external=True)
    session.run("ctest", "--preset", preset, external=True)


@nox.session
def asan(session: nox.Session) -> None:
    """The C++ tests with AddressSanitizer and UBSan."""
    session.notify("cpp", ["asan"])


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against fork() and gcore."""
    session.install(".")
    session.run("python", "benchmarks/run.py", *session.posargs)
