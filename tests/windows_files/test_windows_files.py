# SPDX-License-Identifier: Apache-2.0
"""Dumps that were made under Wine, on Linux: each library gives the answers that NumPy gave there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from query_engines import ENGINES, NumPy

import snapcore

COLUMNS = {"handles": "type_name", "modules": "path", "threads": "name", "regions": "mapped_file"}
ALL = {"numpy": NumPy(), **ENGINES}


@pytest.fixture(autouse=True)
def nothing_left_here():
    """The libraries keep threads for their next work."""


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where tests/windows/test_files_for_linux.py left them."""
    return Path(os.environ["SNAPCORE_WINDOWS_FILES"])


@pytest.fixture(scope="module")
def answers(folder):
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))


def tables(folder, name):
    out = []
    for dump in ("before.dmp", "after.dmp"):
        with snapcore.open(folder / dump, strict=True) as file:
            assert file.system().platform == "Windows"
            out.append(getattr(file, name)())
    return out


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("engine", ALL)
def test_the_same_answers(folder, answers, engine, name):
    before, after = tables(folder, name)
    expected, column = answers[name], COLUMNS[name]
    assert len(after) == expected["rows"] > 0
    asked = ALL[engine]
    assert asked.counts(after, column) == dict(expected["counts"])
    assert [list(row) for row in asked.top(after, column)] == expected["top"]
    assert asked.growth(before, after, column) == expected["growth"]


@pytest.mark.parametrize("engine", ALL)
def test_which_files_are_held_most(folder, answers, engine):
    table = tables(folder, "handles")[1]
    names = ALL[engine].top(table, "object_name")
    assert [list(row) for row in names] == answers["names"]
    assert any("held " in name for name, _ in names)


@pytest.mark.parametrize("name", COLUMNS)
def test_the_same_difference(folder, answers, name):
    found = snapcore.diff(folder / "before.dmp", folder / "after.dmp", table=name)
    assert (len(found.added), len(found.removed)) == (answers[name]["came"], answers[name]["went"])


def test_scan(folder, answers):
    scan = snapcore.scan(folder, "handles")
    rows = sum(batch.num_rows for batch in scan)
    assert scan.diagnostics == []
    assert rows == sum(len(table) for table in tables(folder, "handles"))
    pids = {pid for batch in scan for pid in batch.column("process_id").to_pylist()}
    assert pids == {answers["pid"]}
