# SPDX-License-Identifier: Apache-2.0
"""No diagnostic is given that no test provokes and no page explains."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from soft_failures import LINUX, PYTHON, WINDOWS
from support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORIES = {
    "linux": ["cpp/linux", "cpp/job"],
    "windows": ["cpp/windows", "cpp/job"],
    "reader": ["cpp/minidump/reader"],
    "python": ["src/snapcore"],
}
# A code is the first word in quotes behind a severity, or what a helper of this name is given.
_GIVEN = re.compile(
    r"(?:Severity::k(?:Info|Warning)|\bseverity|\bwarn\(diagnostics|\bfindings\.add\(|\bbroken\(|\brefuse\()"
    r"[,\s]*\"([a-z][a-z0-9_]+)\""
)
_PYTHON = re.compile(r"(?:\b_say\(|\bcode=)\s*\"([a-z][a-z0-9_]+)\"")


def source(kind: str) -> dict[Path, str]:
    suffix = ".py" if kind == "python" else ".cpp"
    return {
        path: path.read_text(encoding="utf-8")
        for folder in DIRECTORIES[kind]
        for path in sorted((ROOT / folder).rglob(f"*{suffix}"))
    }


_EITHER = re.compile(r"\brefuse\(\s*\w+ \? \"([a-z_]+)\" : \"([a-z_]+)\"")


def given(kind: str) -> set[str]:
    pattern = _PYTHON if kind == "python" else _GIVEN
    texts = source(kind).values()
    either = {code for text in texts for pair in _EITHER.findall(text) for code in pair}
    return {code for text in texts for code in pattern.findall(text)} | either


def codes_of_page() -> set[str]:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").partition("# Diagnostics")[2]
    firsts = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    return {code for first in firsts for code in re.findall(r"`([a-z0-9_]+)`", first)}


@pytest.mark.parametrize(
    ("kind", "table"), [("linux", LINUX), ("windows", WINDOWS), ("python", PYTHON)]
)
def test_each_code_is_provoked(kind, table):
    assert given(kind) == table


def test_each_code_of_a_file_is_provoked():
    tests = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("common", "linux")
        for path in (ROOT / "tests" / folder).glob("*.py")
    )
    assert {code for code in given("reader") if f'"{code}"' not in tests} == set()


def test_no_diagnostic_is_made_without_a_code_that_is_found():
    """Each place that adds one has its code next to it, or hands on one that it was given."""
    added = re.compile(r"\b(?:diagnostics_?|late)\.push_back\(|\bfindings\.add\(")
    handed_on = re.compile(r"\bcode\b|\bdiagnostic\)|late\.back\(\)")
    seen = 0
    for kind in ("linux", "windows", "reader"):
        for path, text in source(kind).items():
            for match in added.finditer(text):
                near = text[match.start() : match.start() + 160]
                assert _GIVEN.search(near) or handed_on.search(near), (path, near)
                seen += 1
    assert seen > 40


def test_each_code_is_explained():
    everything = {code for kind in DIRECTORIES for code in given(kind)}
    assert everything - codes_of_page() == set()
    assert codes_of_page() - everything == set()
