# SPDX-License-Identifier: Apache-2.0
"""The pages name everything that there is, and nothing that is not."""

from __future__ import annotations

import re

import pytest
from support import ROOT

from snapcore import PRESETS, CaptureFlags, MiniDumpType

API = (ROOT / "docs" / "windows-api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [CaptureFlags, MiniDumpType])
def test_every_flag_is_in_the_table(kind):
    words = set(re.findall(r"\w+", API))
    left_out = {"NONE", "DOCUMENTED", "DEFAULT"}
    assert {name for name in kind.__members__ if name not in left_out} <= words


def test_every_dump_flag_has_a_row():
    page = (ROOT / "docs" / "dump-flags.md").read_text(encoding="utf-8")
    rows = {
        name
        for row in re.findall(r"^\| (`[A-Z].*?) \|", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert rows == set(MiniDumpType.__members__)


def test_presets_are_those_of_the_page():
    page = (ROOT / "docs" / "dump-flags.md").read_text(encoding="utf-8")
    said = {}
    for name, text in re.findall(r"^\| `([a-z]+)` \| (.+?) \|", page, re.MULTILINE):
        said[name] = MiniDumpType.NORMAL
        for flag in re.findall(r"`(\w+)`", text):
            said[name] |= MiniDumpType[flag]
    said["triage"] |= said["mini"]
    assert said == dict(PRESETS)


def test_every_test_that_is_named_exists():
    folders = {"w": "windows", "c": "common"}
    named = set(re.findall(r"\b([wc])/(test_\w+\.py)", API))
    assert named
    for folder, name in named:
        assert (ROOT / "tests" / folders[folder] / name).exists(), name


def test_every_test_of_a_target_exists():
    files = {"": "targets", "d": "dump", "i": "invisible", "r": "refused"}
    rows = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8").splitlines()
    cells = [row.rsplit("|", 2)[1] for row in rows if row.startswith("| ") and "`" in row]
    named = [found for cell in cells for found in re.findall(r"`(\w+)`(?: \((\w)\))?", cell)]
    assert len(named) > 40
    for name, letter in named:
        text = (ROOT / "tests" / "linux" / f"test_{files[letter]}.py").read_text(encoding="utf-8")
        assert f"def test_{name}(" in text, name


def test_every_link_leads_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_test_of_a_threat_exists():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    threats = page.partition("\n## Threats\n")[2].partition("\n## ")[0]
    rows = [row for row in threats.splitlines() if row.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| threat ", "| --- "))]
    assert len(rows) > 40
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row.rsplit(" | ", 1)[1])
        assert named, f"no test: {row}"
        for path, name in named:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{path}::{name}"
