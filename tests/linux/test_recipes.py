# SPDX-License-Identifier: Apache-2.0
"""The cookbook is what its commands say today, and its code runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from code_blocks import blocks
from support import ROOT

import snapcore

# What the code of the pages has from the text around it. A process, an address in it, two dumps.
BEFORE = """
import logging, sys, time
import duckdb, polars as pl, pyarrow as pa
import snapcore
from snapcore import MiniDumpType as T

pid, address = {pid}, {address}
snapcore.dump(pid, "before.dmp", "heap")
snapcore.dump(pid, "after.dmp", "heap")
snapcore.dump(pid, "start.dmp", "heap")
"""
# What would take minutes, or a terminal, or what a page does not define.
SHORTER = {
    "interval=1.0, count=60": "interval=0.05, count=4",
    "every=30, keep=10": "every=0.2, keep=10, count=2",
    "count=24": "count=3",
    "len(h) > 10_000": "len(h) > 0",
}
PAGES = {
    "README.md": "",
    "docs/quickstart.md": "",
    "docs/leaks.md": "",
    "docs/report.md": "snapcore.dump(pid, 'leak.dmp', 'heap')\n",
    "docs/watch.md": "looks_wrong = lambda: False\nfirst = next(snapcore.watch(pid, 'first', every=1, count=1))\n",
    "docs/errors.md": "",
    "docs/arrow.md": "",
    "docs/fleet.md": """
import os
for host in ("web-0", "web-1"):
    os.makedirs(f"dumps/{host}")
    snapcore.dump(pid, f"dumps/{host}/one.dmp", "mini")
open("dumps/web-1/half.dmp", "wb").write(b"no dump")

class client:
    submit = staticmethod(lambda function, *arguments: function(*arguments))
    gather = staticmethod(list)

parts, output = [["dumps/web-0/one.dmp"], ["dumps/web-1/one.dmp"]], "gathered"
""",
    "docs/cookbook/many-dumps.md": "import os\nos.makedirs('dumps')\nsnapcore.dump(pid, 'dumps/a.dmp', 'mini')\n",
}


def test_every_page_with_python_is_run():
    with_python = {str(b.page.relative_to(ROOT)) for b in blocks() if b.language == "python"}
    # The test that hangs is run by the cookbook.
    assert with_python - {"docs/cookbook/hanging-test.md"} == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page, idle, tmp_path):
    with open(f"/proc/{idle}/maps") as maps:
        address = int(next(line for line in maps if "rw-p" in line).partition("-")[0], 16)
    code = BEFORE.format(pid=idle, address=address) + PAGES[page]
    for block in blocks(ROOT / page):
        if block.language == "python":
            code += block.text
    for long, short in SHORTER.items():
        code = code.replace(long, short)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def example(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT / "examples",
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_compare_builds_sees_the_other_build():
    code, said = example("compare_builds.py")
    assert code == 1
    was, now = re.search(
        r"^  service +another build: (\w+) is now (\w+)$", said, re.MULTILINE
    ).groups()
    assert was != now
    assert re.search(r"^  libc\.so\.6 +the same build$", said, re.MULTILINE)
    assert re.search(r"^  libm\.so\.6 +came$", said, re.MULTILINE)
    grown = re.search(r"^  private memory +\d+ +\d+ +([+-]\d+)$", said, re.MULTILINE)
    assert int(grown[1]) > 3000  # a table of 8 MiB for a heap of 4


def test_hung_service_finds_the_deadlock_live_and_in_a_dump(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    import hung_service

    with hung_service.hung_service() as pid:
        live = example("hung_service.py", pid)
        snapcore.dump(pid, tmp_path / "hung.dmp", "heap")
    assert live == example("hung_service.py", tmp_path / "hung.dmp")
    code, said = live
    assert code == 1
    assert said.endswith("deadlock: payments -> audit -> payments\n")
    assert len(re.findall(r"waits for the mutex at 0x[0-9a-f]+, which", said)) == 2


def test_hung_service_of_a_process_that_is_not(idle):
    assert example("hung_service.py", idle) == (0, "no deadlock\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_cookbook_says_what_its_commands_say():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_cookbook.py", "--check", "--without", "breakpad"],
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
