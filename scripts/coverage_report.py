# SPDX-License-Identifier: Apache-2.0
"""Print what of the core and of the Python layer the tests ran, a folder a row.

Usage: coverage_report.py BUILD_FOLDER [GCOV]

GCOV is that of a cross build; the Python layer was not measured then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Files of which less was run are named.
LITTLE = 0.8


def cpp(build: Path, *gcov: str) -> dict[str, tuple[int, int]]:
    """Lines that ran and lines there are, of each file of the core."""
    out = build / "cpp.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "gcovr", "--root", ROOT, "--object-directory", build),
            *("--filter", "cpp/", "--exclude", "cpp/tests/", "--json-summary", out),
            *(f"--gcov-executable={name}" for name in gcov),
            *("--gcov-ignore-parse-errors=all", "--merge-mode-functions=merge-use-line-0"),
            build,
        ],
        check=True,
        cwd=ROOT,
    )
    files = json.loads(out.read_text(encoding="utf-8"))["files"]
    return {f["filename"]: (f["line_covered"], f["line_total"]) for f in files}


def python(build: Path) -> dict[str, tuple[int, int]]:
    """The same of the Python layer."""
    out = build / "python.json"
    subprocess.run([sys.executable, "-m", "coverage", "combine", "--quiet"], check=False, cwd=ROOT)
    subprocess.run(
        [sys.executable, "-m", "coverage", "json", "--quiet", "-o", out], check=True, cwd=ROOT
    )
    package = f"{build / 'package'}/"
    found = {}
    for name, file in json.loads(out.read_text(encoding="utf-8"))["files"].items():
        short = "src/" + str((ROOT / name).resolve()).removeprefix(package)
        summary = file["summary"]
        found[short] = (summary["covered_lines"], summary["num_statements"])
    return found


def main() -> int:
    """Run it."""
    build = Path(sys.argv[1]).resolve()
    gcov = sys.argv[2:]
    files = cpp(build, *gcov) | ({} if gcov else python(build))
    folders: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, (ran, lines) in files.items():
        for folder in (str(Path(name).parent), f"{name.split('/', maxsplit=1)[0]}, all"):
            folders[folder][0] += ran
            folders[folder][1] += lines
    print("| folder | lines | run |\n| --- | --- | --- |")
    for folder, (ran, lines) in sorted(folders.items()):
        if lines:
            print(f"| `{folder}` | {lines:,} | {100 * ran / lines:.1f} % |")
    print(f"\nless than {100 * LITTLE:.0f} %:")
    for name, (ran, lines) in sorted(files.items()):
        if lines and ran < LITTLE * lines:
            print(f"  {name} {100 * ran / lines:.0f} % of {lines}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
