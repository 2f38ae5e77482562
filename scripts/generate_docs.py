# SPDX-License-Identifier: Apache-2.0
"""Write docs/data-dictionary.md from src/snapcore/dtypes.py; with --check, fail where it differs."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "data-dictionary.md"

sys.path.insert(0, str(ROOT / "cpp"))
from generate import load


def page() -> str:
    """Build the text of the page."""
    dtypes = load(ROOT / "src" / "snapcore" / "dtypes.py")
    out = [
        "# Data dictionary",
        "",
        "Generated from `src/snapcore/dtypes.py` by `scripts/generate_docs.py`; do not edit.",
        "",
        "A value that is not known is 0 (a string: None), and `table.valid(column)` is False there. An",
        "empty source means that the system does not know the fact. What has no place in other streams of a",
        "dump file is kept in one of snapcore's own, and unknown in files of others.",
    ]
    tables = {**dtypes.TABLES, "process": dtypes.PROCESS}
    for name, columns in tables.items():
        out += [
            "",
            f"## {name}",
            "",
            "| column | dtype | unit | meaning | Windows | Linux | dump file |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        out += [
            f"| `{c.name}` | {c.dtype} | {c.unit} | {c.meaning} | {c.windows} | {c.linux} | {c.file} |"
            for c in columns
        ]
    out += ["", "## contexts (x86-64)", "", f"One record is {dtypes.CONTEXT_AMD64_SIZE} bytes.", ""]
    out += ["| field | dtype | offset | source |", "| --- | --- | --- | --- |"]
    out += [f"| `{f.name}` | {f.dtype} | {f.offset} | {f.member} |" for f in dtypes.CONTEXT_AMD64]
    return "\n".join(out) + "\n"


def main() -> int:
    """Run it."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(
            f"{PAGE.relative_to(ROOT)} is out of date: run scripts/generate_docs.py",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
