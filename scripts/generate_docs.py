# SPDX-License-Identifier: Apache-2.0
"""Write from src/snapcore/dtypes.py what follows from it; with --check, fail where it differs.

docs/data-dictionary.md, and src/snapcore/tables.py with the types of the columns.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent

sys.path.insert(0, str(ROOT / "cpp"))
from generate import load, stem_of

NUMPY_TYPES = {
    "u1": "np.uint8",
    "u2": "np.uint16",
    "u4": "np.uint32",
    "u8": "np.uint64",
    "i4": "np.int32",
    "i8": "np.int64",
    "b1": "np.bool_",
}


def data_dictionary(dtypes: ModuleType) -> str:
    """Build the text of the page."""
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


def typed_tables(dtypes: ModuleType) -> str:
    """Build the text of the module."""
    classes = {name: f"{stem_of(name)}Table" for name in dtypes.TABLES}
    out = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# Generated from dtypes.py by scripts/generate_docs.py; do not edit.",
        '"""The tables by name: each knows the types of its columns, for type checkers and editors."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import TYPE_CHECKING, Any",
        "",
        "from snapcore.table import Table",
        "",
        "if TYPE_CHECKING:",
        "    from typing import Literal, overload",
        "",
        "    import numpy as np",
        "    from numpy.typing import NDArray",
        "",
        "    from snapcore.table import StringColumn",
        "",
        f"__all__ = [{', '.join(repr(name) for name in sorted(classes.values()))}]",
    ]
    for table, name in classes.items():
        by_type: dict[str, list[str]] = {}
        for column in dtypes.TABLES[table]:
            by_type.setdefault(column.dtype, []).append(column.name)
        out += [
            "",
            "",
            f"class {name}(Table):",
            f'    """A :class:`Table` with the columns of ``snapcore.dtypes.{table.upper()}``."""',
            "",
            "    __slots__ = ()",
            "",
            "    if TYPE_CHECKING:",
        ]
        for dtype, names in by_type.items():
            found = "StringColumn" if dtype == "str" else f"NDArray[{NUMPY_TYPES[dtype]}]"
            out += [
                "",
                "        @overload",
                f"        def __getitem__(self, column: Literal{names!r}, /) -> {found}: ...",
            ]
        out += [
            "",
            "        @overload",
            "        def __getitem__(self, column: str, /) -> Any: ...",
            "",
            "        def __getitem__(self, column: str, /) -> Any: ...",
        ]
    text = "\n".join(out) + "\n"
    formatted = subprocess.run(
        ["ruff", "format", "--stdin-filename", str(ROOT / "src" / "snapcore" / "tables.py"), "-"],
        input=text,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return formatted.stdout


MADE = {"docs/data-dictionary.md": data_dictionary, "src/snapcore/tables.py": typed_tables}


def main() -> int:
    """Run it."""
    dtypes = load(ROOT / "src" / "snapcore" / "dtypes.py")
    status = 0
    for name, make in MADE.items():
        path, text = ROOT / name, make(dtypes)
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{name} is out of date: run scripts/generate_docs.py", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
