# SPDX-License-Identifier: Apache-2.0
"""A plugin of pytest: a test that hangs is dumped, with its child processes, before it is killed.

``pytest --snapcore-on-timeout=DIR``, with pytest-timeout or with ``--snapcore-timeout=SECONDS``. Without
the first option the plugin does nothing.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["pytest_addoption", "pytest_configure"]

# pytest-timeout strikes at its time-out. The dumps are begun that much before, so that they show the
# test as it hangs.
_LEAST_LEAD, _MOST_LEAD = 2.0, 10.0
# For all dumps of a test, and of one process.
_BOUND = 30.0
_PROCESS_BOUND = 10.0
_MOST_PROCESSES = 32
_LONGEST_NAME = 120
PRESETS = ("mini", "triage", "heap", "full")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options.

    Parameters
    ----------
    parser : pytest.Parser
        Of pytest.
    """
    group = parser.getgroup("snapcore")
    group.addoption(
        "--snapcore-on-timeout",
        metavar="DIR",
        help="dump a test that is about to be killed by pytest-timeout, or runs for "
        "--snapcore-timeout, and its child processes, into DIR",
    )
    group.addoption(
        "--snapcore-timeout",
        metavar="SECONDS",
        type=float,
        help="dump a test that runs for so long; it is not killed",
    )
    group.addoption(
        "--snapcore-preset",
        choices=PRESETS,
        default="mini",
        help="what the dumps hold (default: %(default)s: stacks, threads, modules, handles)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start what was asked for.

    Parameters
    ----------
    config : pytest.Config
        With the options.
    """
    folder, seconds = config.option.snapcore_on_timeout, config.option.snapcore_timeout
    if seconds is not None and not 0 < seconds < math.inf:
        message = f"--snapcore-timeout must be a positive number of seconds, not {seconds}"
        raise pytest.UsageError(message)
    if folder is None:
        if seconds is not None:
            message = "--snapcore-timeout needs --snapcore-on-timeout=DIR"
            raise pytest.UsageError(message)
        return
    dumper = _Dumper(Path(folder).absolute(), config.option.snapcore_preset, seconds)
    config.pluginmanager.register(dumper, "snapcore-dumper")


def lead(timeout: float) -> float:
    """How long before a time-out the dumps are begun.

    Parameters
    ----------
    timeout : float
        In s.

    Returns
    -------
    float
        A fifth of it, at least 2 s, at most 10 s, and no more than half of it.
    """
    return min(_MOST_LEAD, max(timeout / 5, _LEAST_LEAD), timeout / 2)


def file_name(test: str, pid: int) -> str:
    """Name of a dump file.

    Parameters
    ----------
    test : str
        Id of the test.
    pid : int
        The process.

    Returns
    -------
    str
        The id with ``_`` for what a file's name should not have; a long one is cut, and told from
        others by a hash.
    """
    name = re.sub(r"[^\w.+-]+", "_", test, flags=re.ASCII).strip("_.") or "test"
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(test.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{name[: _LONGEST_NAME - 9]}-{digest}"
    return f"{name}.{pid}.dmp"


def family(root: int, parents: list[tuple[int, int]]) -> list[int]:
    """A process and its descendants.

    Parameters
    ----------
    root : int
        The process.
    parents : list of (int, int)
        Process and parent of every process.

    Returns
    -------
    list of int
        The nearest first.
    """
    found = [root]
    for pid in found:
        found += [child for child, parent in parents if parent == pid and child not in found]
    return found


@dataclass(eq=False)
class _Timer:
    """What pytest-timeout has set for a test."""

    item: pytest.Item
    settings: Any
    end: float


@dataclass(eq=False)
class _Test:
    """One test that runs."""

    id: str
    started: float
    deadlines: dict[str, float] = field(default_factory=dict)
    timer: _Timer | None = None
    begun: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    lines: list[str] = field(default_factory=list)
    reported: bool = False

    @property
    def deadline(self) -> float:
        return min(self.deadlines.values(), default=math.inf)


class _Dumper:
    """Watches the running test from a thread of its own, and dumps it when its time is up."""

    def __init__(self, folder: Path, preset: str, seconds: float | None) -> None:
        self._folder, self._preset, self._seconds = folder, preset, seconds
        self._changed = threading.Condition()
        self._test: _Test | None = None
        self._thread: threading.Thread | None = None
        self._owner = 0
        self._stop = False
        self._local = threading.local()
        # Tests are captured by replacing descriptor 2.
        self._stderr: int | None = None

    # --- pytest's hooks

    def pytest_sessionstart(self) -> None:
        try:
            self._stderr = os.dup(2)
        except OSError:
            self._stderr = None

    def pytest_sessionfinish(self) -> None:
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        if self._thread is not None and self._owner == os.getpid():
            self._thread.join(_BOUND)
        if self._stderr is not None:
            os.close(self._stderr)
            self._stderr = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        test = _Test(item.nodeid, time.monotonic())
        if self._seconds is not None:
            test.deadlines["own"] = test.started + self._seconds
        self._watch(test)
        try:
            return (yield)
        finally:
            self._watch(None)

    # Of pytest-timeout, where that is there.
    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_timeout_set_timer(
        self, item: pytest.Item, settings: Any
    ) -> Generator[None, object, object]:
        seconds = settings.timeout
        if seconds and not self._is_ours:
            now = time.monotonic()
            with self._changed:
                if self._test is not None:
                    self._test.timer = _Timer(item, settings, now + seconds)
                    self._test.deadlines["pytest-timeout"] = now + seconds - lead(seconds)
                    self._changed.notify_all()
        return (yield)

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_timeout_cancel_timer(self) -> Generator[None, object, object]:
        if not self._is_ours:
            with self._changed:
                if self._test is not None:
                    self._test.timer = None
                    self._test.deadlines.pop("pytest-timeout", None)
                    self._changed.notify_all()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        test = self._test
        if test is not None and test.id == item.nodeid and test.begun and not test.reported:
            test.reported = True
            # Its signal would strike here, where it is no failure of the test.
            left = self._hold(test, "signal")
            if not test.done.wait(_BOUND):
                test.lines.append(f"the dumps were not done within {_BOUND:.0f} s")
            self._let_go(test, left)
            report.sections.append(("snapcore dumps", "\n".join(test.lines)))
        return report

    # --- The watcher

    def _watch(self, test: _Test | None) -> None:
        with self._changed:
            self._test = test
            if test is not None and self._owner != os.getpid():
                # In a fork of the process, as some plugins run tests, there is no thread yet.
                self._owner = os.getpid()
                self._thread = threading.Thread(target=self._run, name="snapcore", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _hold(self, test: _Test, method: str) -> float | None:
        """Stop the clock of pytest-timeout; how much was left, None where there is no such clock."""
        with self._changed:
            timer = test.timer
            if timer is None or timer.settings.method != method:
                return None
            left = timer.end - time.monotonic()
            if left <= 0:
                return None
            self._local.ours = True
            try:
                timer.item.config.hook.pytest_timeout_cancel_timer(item=timer.item)
            finally:
                self._local.ours = False
            return left

    def _let_go(self, test: _Test, left: float | None) -> None:
        """Let it go on, unless the test has ended and nothing would stop it any more."""
        with self._changed:
            timer = test.timer
            if timer is None or left is None:
                return
            timer.end = time.monotonic() + left
            settings = timer.settings._replace(timeout=left)
            self._local.ours = True
            try:
                hook = timer.item.config.hook
                hook.pytest_timeout_set_timer(item=timer.item, settings=settings)
            finally:
                self._local.ours = False

    @property
    def _is_ours(self) -> bool:
        return getattr(self._local, "ours", False)

    def _due(self) -> _Test | None:
        """The next test whose time is up; None at the end."""
        with self._changed:
            while not self._stop:
                test = self._test
                left = math.inf
                if test is not None and not test.begun:
                    left = test.deadline - time.monotonic()
                if left <= 0:
                    assert test is not None
                    test.begun = True
                    return test
                self._changed.wait(None if left == math.inf else left)
            return None

    def _run(self) -> None:
        while (test := self._due()) is not None:
            left = None
            try:
                # This method ends the process, and so the dumps; the other is held up by the report.
                left = self._hold(test, "thread")
                self._dump(test)
            except BaseException as error:  # noqa: BLE001  (a test must not fail of it)
                test.lines.append(f"no dumps: {error!r}")
            self._say(test)
            test.done.set()
            self._let_go(test, left)

    def _dump(self, test: _Test) -> None:
        import snapcore
        from snapcore.native import _core

        end = time.monotonic() + _BOUND
        test.lines.append(
            f"{test.id} still ran after {time.monotonic() - test.started:.1f} s; dumps:"
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        own = os.getpid()
        pids = family(own, _core.process_parents())
        names = {pid: os.fsdecode(name) for pid, name, _ in _core.list_processes()}
        # This one last: the others may be what it waits for, and there may not be time for all.
        for pid in [*pids[1:_MOST_PROCESSES], own]:
            left = end - time.monotonic()
            if left <= 0:
                test.lines.append("there was no time for more")
                return
            path = self._folder / file_name(test.id, pid)
            try:
                snapcore.dump(
                    pid,
                    path,
                    self._preset,
                    method="snapshot" if pid == own else "auto",
                    overwrite=True,
                    comment=f"pytest: {test.id}",
                    timeout=min(left, _PROCESS_BOUND),
                )
                line = str(path)
            except (OSError, ValueError) as error:
                line = f"not dumped: {error}"
            name = ascii(names.get(pid, "?"))[1:-1]
            test.lines.append(f"  {pid} {name}{' (this process)' if pid == own else ''}: {line}")
        if len(pids) > _MOST_PROCESSES:
            test.lines.append(f"  {len(pids) - _MOST_PROCESSES} more processes were not dumped")

    def _say(self, test: _Test) -> None:
        """At once, since pytest-timeout may end the process without a report."""
        if self._stderr is None:
            return
        text = "\n".join(["", *(f"snapcore: {line}" for line in test.lines), ""])
        try:
            os.write(self._stderr, text.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))
        except (OSError, AttributeError, LookupError):
            self._stderr = None
