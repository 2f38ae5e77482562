# SPDX-License-Identifier: Apache-2.0
"""docs/platforms.md says what was done, and the settings of the hosted workflow agree with the package's own."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib

import pytest
from support import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOW = (ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8")


@pytest.fixture
def page(monkeypatch):
    """The module that writes the page."""
    folder = ROOT / "scripts" / "wheels"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("platforms", folder / "platforms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("targets", None)


def test_the_tables_are_those_of_the_results(page):
    text = page.PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- platforms: (\w+) -->", text)) == {"here", "hosted"}
    assert page.render(text, page.load()) == text, "run scripts/wheels/platforms.py"


def test_a_row_that_was_never_installed_says_so(page):
    row = {"platform": "x", "tag": "t", "python": "3.11", "bytes": 2048, "checks": [], "runs": []}
    assert page.here([row])[-1] == "| x | 3.11 | `t` | 2 KiB |  | nowhere |"


def test_the_workflow_builds_for_what_the_package_claims():
    claimed = {
        word.rpartition(" ")[2]
        for word in SETTINGS["project"]["classifiers"]
        if re.search(r"Python :: 3\.\d+$", word)
    }
    built = re.findall(r"cp3(\d+)(t?)-", SETTINGS["tool"]["cibuildwheel"]["build"])
    assert {f"3.{minor}" for minor, _ in built} == claimed
    assert [minor for minor, free_threaded in built if free_threaded] == ["14", "15"]
    assert SETTINGS["project"]["requires-python"] == ">=3.11"


def test_the_tests_of_the_wheels_exist():
    command = " ".join(SETTINGS["tool"]["cibuildwheel"]["test-command"])
    sources = SETTINGS["tool"]["cibuildwheel"]["test-sources"]
    listed = (ROOT / "scripts" / "wheels" / "reading_tests.txt").read_text(encoding="utf-8")
    paths = re.findall(r"(?:scripts|tests)/[\w./]+", command + " " + listed)
    for path in [*paths, *sources]:
        assert (ROOT / path).exists(), path
        assert any(path == s or path.startswith(s + "/") for s in sources), path


def test_the_compiler_is_the_one_whose_hash_is_known():
    (pinned,) = [w for w in SETTINGS["dependency-groups"]["wheels"] if w.startswith("ziglang")]
    headers = (ROOT / "scripts" / "windows" / "headers.txt").read_text(encoding="utf-8")
    assert f"\n{pinned} --hash=" in headers


def test_actions_are_pinned_and_rights_are_given_by_job():
    assert "\npermissions: {}\n" in WORKFLOW
    assert "secrets." not in WORKFLOW
    for action, version in re.findall(r"uses: ([\w./-]+)@(\S+)", WORKFLOW):
        own = action.startswith("actions/")
        assert re.fullmatch(r"v\d+" if own else r"[0-9a-f]{40}", version), action
    publish = WORKFLOW.partition("\n  publish:\n")[2]
    assert WORKFLOW.count("id-token: write") == publish.count("id-token: write") == 1
    assert "if: github.event_name == 'release'" in publish
