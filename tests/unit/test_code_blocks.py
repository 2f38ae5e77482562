# SPDX-License-Identifier: Apache-2.0
"""Code and commands in the pages are those of this version: they compile, exist, and are parsed."""

from __future__ import annotations

import ast
import inspect
import re

import pytest
from code_blocks import PAGES, blocks, command_lines
from support import ROOT

import snapcore
from snapcore.cli import build_parser
from snapcore.cli import main as command

PYTHON = [block for block in blocks() if block.language == "python"]
LINES = list(command_lines())
NAMES = set(snapcore.__all__)


def test_there_are_some():
    assert len(PYTHON) > 8
    assert len(LINES) > 70
    assert sum(line.is_usage for line in LINES) > 15


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_python_compiles_and_calls_what_there_is(block):
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "snapcore":
            assert hasattr(snapcore, node.attr), node.attr
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.startswith("snapcore.") and called.count(".") == 1:
            signature = inspect.signature(getattr(snapcore, called.partition(".")[2]))
            named = {keyword.arg: None for keyword in node.keywords if keyword.arg}
            signature.bind(*node.args, **named)


def parser_of(name):
    return build_parser((name,))._subparsers._group_actions[0].choices[name]


@pytest.mark.parametrize(
    "line", [line for line in LINES if not line.is_usage], ids=lambda line: line.text
)
def test_the_parser_takes_the_line(line, monkeypatch, capsys):
    """As main() reads it, up to where it would run."""
    taken = []
    monkeypatch.setattr(
        "argparse.ArgumentParser.parse_args",
        lambda self, words: taken.append(self.parse_known_args(words)) or self.exit(0),
    )
    with pytest.raises(SystemExit) as ended:
        command(list(line.words))
    assert ended.value.code == 0, capsys.readouterr().err
    assert not taken or taken[0][1] == []


@pytest.mark.parametrize(
    "line", [line for line in LINES if line.is_usage], ids=lambda line: line.text
)
def test_a_usage_line_names_what_there_is(line):
    known = {
        option
        for name in line.words[0].split("|")
        for option in parser_of(name)._option_string_actions
    }
    for option in re.findall(r"(?<![\w-])(?:--[a-z][\w-]*|-[a-z]\b)", " ".join(line.words[1:])):
        assert option in known, option


def test_options_of_the_plugin_are_those_of_the_pages():
    source = (ROOT / "src" / "pytest_snapcore" / "__init__.py").read_text(encoding="utf-8")
    known = set(re.findall(r'"(--snapcore-[\w-]+)"', source))
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"--snapcore-[a-z-]+", text)) == known


def test_every_public_name_is_in_the_reference():
    listed = {
        name
        for block in blocks(*(ROOT / "docs" / "api").glob("*.md"))
        for name in re.findall(r"^\.\. auto\w+:: snapcore\.(\w+)$", block.text, re.MULTILINE)
    }
    assert listed == NAMES


def test_every_page_is_in_a_table_of_contents():
    contents = [
        ROOT / "docs" / name
        for name in ("index.md", "api/README.md", "cookbook/README.md", "decisions/README.md")
    ]
    linked = {
        (page.parent / link).resolve()
        for page in contents
        for link in re.findall(
            r"^(?:\| |- )\[[^]]+\]\(([^)#]+\.md)\)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert linked | {contents[0]} == set(PAGES)
