# SPDX-License-Identifier: Apache-2.0
"""Fixtures of both systems: target programs, and the proof that a test leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np  # noqa: F401  (it starts threads when it is first imported)
import pytest
from support import LINUX, SLOWER, VARIANT, WINDOWS, Target

import snapcore
from snapcore import _core

if WINDOWS:
    import windows_support
elif LINUX:
    import linux_support

# What the other system, or the other build, has.
collect_ignore = ["linux", "windows_files"] if WINDOWS else ["windows", "plain_wine"]
if not WINDOWS and "SNAPCORE_WINDOWS_FILES" not in os.environ:
    collect_ignore += ["windows_files"]  # run by the Windows lane, which makes them
if "SNAPCORE_AARCH64_FILES" not in os.environ:
    collect_ignore += ["aarch64_files"]  # likewise
if WINDOWS:
    collect_ignore += ["windows", "common", "unit"] if VARIANT == "production" else ["plain_wine"]
if _core.backend != "none":
    collect_ignore += ["reader_only"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give tests more time where everything is slower."""
    if SLOWER == 1:
        return
    for function in (snapcore.capture, snapcore.dump):
        assert function.__kwdefaults__ is not None
        function.__kwdefaults__["max_pause"] *= SLOWER
    usual = float(config.getini("timeout") or 0)
    for item in items:
        own = item.get_closest_marker("timeout")
        seconds = own.args[0] if own else usual
        item.add_marker(pytest.mark.timeout(seconds * SLOWER), append=False)


@pytest.fixture
def start(request: pytest.FixtureRequest):
    """Start target programs; they are ended after the test, and must not be stopped or traced then."""
    running: list[Target] = []

    def starter(name: str, *arguments: object, **options: Any) -> Target:
        target = Target(name, *arguments, **options)
        running.append(target)
        return target

    yield starter
    try:
        for target in running:
            if target.ended:
                continue
            assert target.process.poll() is None, f"the target ended: {target.process.returncode}"
            if WINDOWS:
                assert target.ask("are you there")["done"] == "are you there"
            elif LINUX and not hasattr(request.node, "may_leave_zombie"):
                linux_support.is_untouched(target.pid)
    finally:
        for target in running:
            target.end()


@pytest.fixture
def facts(start, tmp_path):
    """A process that publishes what it knows of itself."""
    return start("facts", tmp_path)


@pytest.fixture
def idle():
    """The pid of a process that does nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(600)"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


if WINDOWS:
    if VARIANT:
        windows_support.start_again_under_wine()

    def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
        for program in windows_support.started_again:
            terminalreporter.write_line(f"Wine had to be asked twice to start {program}")

    @pytest.fixture(autouse=True)
    def sim():
        """The stand-in, which must have seen nothing wrong and have nothing left after a test."""
        stand_in = windows_support.stand_in()
        if stand_in is None:
            yield None
            return
        stand_in.reset()
        yield stand_in
        assert stand_in.violations() == []
        assert stand_in.alive() == 0

else:

    @pytest.fixture(autouse=True)
    def nothing_left_here():
        """No child, no descriptor and no thread of this process is left after a test."""
        before = linux_support.NothingLeft()
        yield
        before.check()

    @pytest.fixture(params=["helper", "thread"])
    def placement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        """Run the test with the tracer in each of its two placements."""
        monkeypatch.setenv("SNAPCORE_TRACER", request.param)
        return request.param
