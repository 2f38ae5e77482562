# SPDX-License-Identifier: Apache-2.0
"""Compare src/snapcore/_core.pyi with the installed module: names, arguments, properties.

Types are not compared: the stub's are narrower than what the bindings can say.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).resolve().parent.parent / "src" / "snapcore" / "_core.pyi"


def outline(source: str) -> set[str]:
    """Everything that a stub declares, one line each."""
    out = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                out.add(f"class {prefix}{node.name}")
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                decorators = "".join(f"@{ast.unparse(d)} " for d in node.decorator_list)
                arguments = ", ".join(a.arg for a in node.args.args)
                out.add(f"{decorators}def {prefix}{node.name}({arguments})")
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) != "TypeAlias":
                out.add(f"{prefix}{ast.unparse(node.target)}")

    visit(ast.parse(source).body, "")
    return out - {"__all__"}


def main() -> int:
    """Run it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pybind11_stubgen", "-o", folder, "snapcore._core"],
            cwd=folder,
            check=True,
        )
        generated = (Path(folder) / "snapcore" / "_core.pyi").read_text(encoding="utf-8")
    module, stub = outline(generated), outline(STUB.read_text(encoding="utf-8"))
    for line in sorted(module - stub):
        print(f"{STUB.name} lacks: {line}", file=sys.stderr)
    for line in sorted(stub - module):
        print(f"the module lacks: {line}", file=sys.stderr)
    return int(module != stub)


if __name__ == "__main__":
    sys.exit(main())
