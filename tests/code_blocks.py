# SPDX-License-Identifier: Apache-2.0
"""What the pages show of Python and of the command."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(snapcore [a-z][^`\n]*)`")
# A word of a usage line: PID|NAME, [-o, [ARGUMENTS], FILE, ...
_PLACEHOLDER = re.compile(r"[\[\]|]|^[A-Z]+(/?$|\.dmp$)|^\.\.\.$|COLUMN|VALUE")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text.splitlines()[0] if self.text else ''}"


def blocks(*pages: Path) -> Iterator[Block]:
    for page in pages or PAGES:
        for language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
            yield Block(page, language, text)


@dataclass(frozen=True)
class CommandLine:
    """A line that runs the command, or one that says how it is used."""

    page: Path
    text: str
    words: tuple[str, ...]

    @property
    def is_usage(self) -> bool:
        return len(self.words) == 1 or any(_PLACEHOLDER.search(word) for word in self.words)


def command_lines() -> Iterator[CommandLine]:
    """Every line "snapcore ..." of every page, in blocks and in the text, each once."""
    seen = set()
    for page in PAGES:
        if page.name == "CHANGELOG.md":
            continue
        lines = [
            line.removeprefix("$ ")
            for block in blocks(page)
            if block.language in ("", "sh", "text")
            for line in block.text.splitlines()
        ]
        lines += _SPAN.findall(page.read_text(encoding="utf-8"))
        for line in lines:
            if re.match(r"snapcore [a-z-]", line) and not line.startswith("snapcore: "):
                words = _words(line)
                if words not in seen:
                    seen.add(words)
                    yield CommandLine(page, line, words)


def _words(line: str) -> tuple[str, ...]:
    """The words behind "snapcore", as far as a shell takes them for this command's."""
    lexer = shlex.shlex(
        re.sub(r"\s{2,}#? .*$| #.*$", "", line), posix=True, punctuation_chars=";<>&"
    )
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = []
    for word in lexer:
        if word == "|" or set(word) <= set(";<>&"):
            break
        words.append(word)
    return tuple(words[1:])
