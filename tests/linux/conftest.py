# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the Linux tests."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kills import Killer
from runtime_targets import RuntimeTarget, build_runtimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder in which every user may read and write; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="snapcore-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def quiet_parser() -> Iterator[None]:
    """The package `minidump` logs that a Linux dump has no Windows PEB."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def huge_pages() -> Iterator[Path]:
    """Two huge pages, taken from the machine for the time of the test."""
    number = Path("/proc/sys/vm/nr_hugepages")
    before = number.read_text()
    number.write_text(str(int(before) + 2))
    try:
        assert int(number.read_text()) >= int(before) + 2, "no huge page can be had"
        yield number
    finally:
        number.write_text(before)


@pytest.fixture(scope="session")
def built_runtimes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of tests/linux/runtimes, where they want to be compiled."""
    folder = tmp_path_factory.mktemp("runtimes")
    build_runtimes(folder)
    return folder


@pytest.fixture
def start_runtime(built_runtimes: Path) -> Iterator[Callable[[str], RuntimeTarget]]:
    """Start a program of a runtime; it is ended after the test."""
    running: list[RuntimeTarget] = []

    def starter(runtime: str) -> RuntimeTarget:
        running.append(RuntimeTarget(runtime, built_runtimes))
        return running[-1]

    yield starter
    try:
        for target in running:
            assert target.process.poll() is None, f"it ended: {target.process.returncode}"
    finally:
        for target in running:
            target.end()


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[Killer]:
    """What kills at any instant."""
    program = Killer(tmp_path / "killer")
    yield program
    program.end()
