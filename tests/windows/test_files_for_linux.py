# SPDX-License-Identifier: Apache-2.0
"""Dumps, with what NumPy makes of them here, for the tests of tests/windows_files on Linux."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from query_engines import NumPy

import snapcore
from snapcore import MiniDumpType

CHILD = """
import os, sys, threading
kept = []
for line in sys.stdin:
    for number in range(int(line)):
        kept.append(open(os.path.join(sys.argv[1], f"held {number % 7}.log"), "a"))
        kept.append(threading.Lock())
    print("done", flush=True)
"""
FLAGS = (
    MiniDumpType.WITH_HANDLE_DATA
    | MiniDumpType.WITH_THREAD_INFO
    | MiniDumpType.WITH_FULL_MEMORY_INFO
)
# Of each table the text that its rows are counted by.
COLUMNS = {"handles": "type_name", "modules": "path", "threads": "name", "regions": "mapped_file"}


def test_dumps_of_a_process_that_leaks(tmp_path):
    folder = Path(os.environ.get("SNAPCORE_FILES_FOR_LINUX", tmp_path))
    dumps = [folder / "before.dmp", folder / "after.dmp"]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for more, path in zip((20, 60), dumps, strict=True):
            child.stdin.write(f"{more}\n")
            child.stdin.flush()
            assert child.stdout.readline() == "done\n"
            snapcore.dump(child.pid, path, FLAGS, overwrite=True)
        child.stdin.close()
    engine = NumPy()
    answers = {"pid": child.pid, "names": engine_names(dumps[1])}
    for table, column in COLUMNS.items():
        with snapcore.open(dumps[0]) as first, snapcore.open(dumps[1]) as second:
            before, after = getattr(first, table)(), getattr(second, table)()
        difference = snapcore.diff(before, after)
        answers[table] = {
            "rows": len(after),
            "counts": [[k, n] for k, n in engine.counts(after, column).items()],
            "top": engine.top(after, column),
            "growth": engine.growth(before, after, column),
            "came": len(difference.added),
            "went": len(difference.removed),
        }
    assert answers["handles"]["growth"]["File"] == 60
    assert answers["handles"]["came"] >= 60
    held = [(name, n) for name, n in answers["names"] if "held " in name]
    assert [n for _, n in held[:5]] == [12, 12, 12, 12, 11]
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def engine_names(path: Path) -> list[tuple[str, int]]:
    with snapcore.open(path) as file:
        return NumPy().top(file.handles(), "object_name")
