# SPDX-License-Identifier: Apache-2.0
"""pytest --snapcore-on-timeout: runs of pytest in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support import WINDOWS

import snapcore
from pytest_snapcore import PRESETS, family, file_name, lead

if TYPE_CHECKING:
    from pathlib import Path

HANGS = """
import subprocess, sys, time, pathlib
import pytest

CHILD = "print('ready', flush=True); import time; time.sleep(600)"

@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        pathlib.Path("child").write_text(str(process.pid))
        yield process
        process.kill()

@pytest.mark.parametrize("name", ["a/b <c>"])
def test_hangs(child, name):
    time.sleep({seconds})

def test_is_quick():
    pass
"""


@dataclass
class Run:
    """A run of pytest."""

    code: int
    out: str
    err: str
    seconds: float
    dumps: list[str]


def run(folder: Path, text: str, *options: str) -> Run:
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    started = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no"),
            *("--snapcore-on-timeout=dumps", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    dumps = sorted(os.listdir(folder / "dumps")) if (folder / "dumps").is_dir() else []
    return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - started, dumps)


def of_both(folder: Path, done: Run) -> None:
    """A dump of the test's process and one of its child."""
    child = int((folder / "child").read_text())
    assert len(done.dumps) == 2, (done.dumps, done.out, done.err)
    pids = set()
    for name in done.dumps:
        assert re.fullmatch(r"test_it\.py_test_hangs_a_b_c\.\d+\.dmp", name)
        with snapcore.open(folder / "dumps" / name) as dump:
            assert name.endswith(f".{dump.pid}.dmp")
            assert dump.comment() == "pytest: test_it.py::test_hangs[a/b <c>]"
            assert len(dump.threads()) > 0
            pids.add(dump.pid)
    assert child in pids


def test_without_pytest_timeout(tmp_path):
    done = run(
        tmp_path, HANGS.replace("{seconds}", "4"), "-p", "no:timeout", "--snapcore-timeout=2", "-rP"
    )
    assert done.code == 0, done.out
    assert "2 passed" in done.out
    of_both(tmp_path, done)
    section = done.out.split("snapcore dumps", 1)[1]
    assert "test_hangs[a/b <c>] still ran after 2." in section
    assert "(this process)" in section
    for name in done.dumps:
        assert name in section
        assert name in done.err


TIMEOUT = 5
METHODS = ["thread"] if WINDOWS else ["signal", "thread"]


@pytest.mark.parametrize("method", METHODS)
def test_with_pytest_timeout(tmp_path, method):
    done = run(
        tmp_path,
        HANGS.replace("{seconds}", "600"),
        f"--timeout={TIMEOUT}",
        f"--timeout-method={method}",
    )
    assert done.code == 1
    assert done.seconds < 60
    of_both(tmp_path, done)
    assert all(name in done.err for name in done.dumps)
    if method == "signal":
        assert "1 failed, 1 passed" in done.out
        section = done.out.split("snapcore dumps", 1)[1]
        assert all(name in section for name in done.dumps)
    else:
        # pytest-timeout ends the process without any teardown.
        os.kill(int((tmp_path / "child").read_text()), signal.SIGTERM)
        assert "Timeout" in done.out + done.err
        assert "passed" not in done.out


def test_a_marked_test(tmp_path):
    """The time-out that is a mark's, of the function alone."""
    text = HANGS.replace("{seconds}", "600").replace(
        "@pytest.mark.parametrize",
        f"@pytest.mark.timeout({TIMEOUT}, func_only=True)\n@pytest.mark.parametrize",
    )
    done = run(tmp_path, text)
    assert done.code == 1
    if WINDOWS:  # pytest-timeout ended the process there
        os.kill(int((tmp_path / "child").read_text()), signal.SIGTERM)
    of_both(tmp_path, done)


def test_a_fixture_that_hangs(tmp_path):
    text = (
        "import pytest, time\n"
        "@pytest.fixture\ndef slow():\n    time.sleep(3)\n"
        "def test_it(slow):\n    pass\n"
    )
    done = run(tmp_path, text, "--snapcore-timeout=1")
    assert done.code == 0, done.out
    (name,) = done.dumps
    assert re.fullmatch(r"test_it\.py_test_it\.\d+\.dmp", name)


def test_quick_tests_leave_nothing(tmp_path):
    text = "def test_it():\n    pass\n"
    done = run(tmp_path, text, "--timeout=60", "--snapcore-timeout=50")
    assert done.code == 0
    assert not (tmp_path / "dumps").exists()
    assert "snapcore" not in done.err


def test_a_folder_that_cannot_be_made_fails_no_test(tmp_path):
    (tmp_path / "dumps").write_text("a file")
    text = "import time\ndef test_it():\n    time.sleep(2)\n"
    done = run(tmp_path, text, "--snapcore-timeout=1", "-rP", "-W", "error")
    assert done.code == 0, done.out
    assert "no dumps: FileExistsError" in done.out.split("snapcore dumps", 1)[1]


def test_each_test_has_its_own(tmp_path):
    text = (
        "import time, pytest\n@pytest.mark.parametrize('n', range(3))\n"
        "def test_it(n):\n    time.sleep(1.5 if n != 1 else 0)\n"
    )
    done = run(tmp_path, text, "--snapcore-timeout=0.5", "--snapcore-preset=triage")
    assert done.code == 0, done.out
    assert [re.sub(r"\.\d+\.dmp", "", name) for name in done.dumps] == [
        "test_it.py_test_it_0",
        "test_it.py_test_it_2",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--snapcore-timeout=0"], "must be a positive number"),
        (["--snapcore-timeout=nan"], "must be a positive number"),
        (["--snapcore-preset=all"], "invalid choice"),
    ],
)
def test_wrong_options(tmp_path, options, said):
    done = run(tmp_path, "def test_it():\n    pass\n", *options)
    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert said in done.err


def test_a_time_alone_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--snapcore-timeout=1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "needs --snapcore-on-timeout" in done.stderr


def test_names_of_files():
    assert file_name("tests/a.py::test_b[x/y]", 7) == "tests_a.py_test_b_x_y.7.dmp"
    assert file_name("../..", 7) == "test.7.dmp"
    assert file_name("é\u202e\n", 7) == "test.7.dmp"
    long = [file_name("t" * 500 + end, 7) for end in "ab"]
    assert long[0] != long[1]
    assert all(len(name) <= 126 for name in long)


def test_a_family():
    parents = [(1, 0), (5, 1), (9, 5), (7, 5), (8, 7), (4, 1), (5, 5), (6, 8), (8, 6)]
    assert family(5, parents) == [5, 9, 7, 8, 6]
    assert family(3, parents) == [3]


def test_dumps_are_begun_in_time():
    assert [lead(t) for t in (1, 3, 6, 30, 300)] == [0.5, 1.5, 2, 6, 10]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seconds", ["0.7", "600"])
def test_pytest_timeout_waits_for_the_dumps(tmp_path, seconds, method):
    """Which take longer than it would: a test that hangs is ended after them, one that goes on is not."""
    (tmp_path / "conftest.py").write_text(
        "import time, snapcore\nreal = snapcore.dump\n"
        "def slow(*a, **k):\n    time.sleep(2)\n    return real(*a, **k)\nsnapcore.dump = slow\n"
    )
    text = (
        f"import time\ndef test_it():\n    time.sleep({seconds})\n"
        "def test_after_it():\n    time.sleep(2.5)\n"
    )
    mark = f"import pytest\n@pytest.mark.timeout(1, method='{method}')\n"
    done = run(tmp_path, text.replace("def test_it", f"{mark}def test_it"))
    assert len(done.dumps) == 1, (done.out, done.err)
    if seconds == "600":
        assert done.code == 1
        assert "Timeout" in done.out + done.err
        if method == "signal":
            assert "1 failed, 1 passed" in done.out
        else:
            assert "passed" not in done.out
    else:
        assert done.code == 0, done.out + done.err
        assert "2 passed" in done.out


def test_pytest_pays_nothing_for_a_plugin_that_is_not_asked():
    """Whoever has snapcore has its plugin in every run of pytest."""
    code = (
        "import sys, pytest; before = set(sys.modules); import pytest_snapcore;"
        "print({n.split('.')[0] for n in set(sys.modules) - before} & {'snapcore', 'numpy'})"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout
    assert said == "set()\n"


def test_presets_are_the_package_s():
    assert tuple(snapcore.PRESETS) == PRESETS
