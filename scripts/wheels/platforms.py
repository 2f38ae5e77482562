# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/platforms.md, which follow from docs/platforms.json and from the workflow's settings."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from targets import ROOT

RESULTS = ROOT / "docs" / "platforms.json"
PAGE = ROOT / "docs" / "platforms.md"
WORKFLOW = ROOT / ".github" / "workflows" / "wheels.yml"
MARKED = re.compile(r"(<!-- platforms: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def here(rows: list[dict[str, Any]]) -> list[str]:
    """What was built and tried here."""
    out = [
        "| platform | Python | wheel | size | checked | installed and used |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        used = "; ".join(_run(run) for run in row["runs"]) or "nowhere"
        size = f"{row['bytes'] / 1024:.0f} KiB"
        cells = [
            row["platform"],
            row["python"],
            f"`{row['tag']}`",
            size,
            ", ".join(row["checks"]),
            used,
        ]
        out.append("| " + " | ".join(cells) + " |")
    return out


def _run(run: dict[str, Any]) -> str:
    numpy = f", NumPy {run['numpy']}" if "numpy" in run else ""
    return f"{run['where']}{numpy}: {', '.join(run['did'])}"


def hosted(_: list[dict[str, Any]]) -> list[str]:
    """What the hosted workflow is told to build."""
    text = WORKFLOW.read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pattern = settings["tool"]["cibuildwheel"]["build"]
    words = pattern if isinstance(pattern, list) else pattern.split()
    names = [f"{word[2]}.{word[3:].rstrip('-*')}" for word in words]
    (runners,) = re.findall(r"(?m)^ +os: \[(.*)\]$", text)
    out = ["| runner | Pythons |", "| --- | --- |"]
    out += [f"| `{runner.strip()}` | {', '.join(names)} |" for runner in runners.split(",")]
    return out


def render(page: str, rows: list[dict[str, Any]]) -> str:
    """Give the page with its tables as they follow from the results.

    Raises
    ------
    KeyError
        If the page has a marker of a table that there is not.
    """
    tables = {"here": here, "hosted": hosted}

    def filled(match: re.Match[str]) -> str:
        return match[1] + "\n" + "\n".join(tables[match[2]](rows)) + "\n\n" + match[3]

    return MARKED.sub(filled, page)


def load() -> list[dict[str, Any]]:
    """The results."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def main() -> None:
    """Renew the page."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), load()), encoding="utf-8")


if __name__ == "__main__":
    main()
