# SPDX-License-Identifier: Apache-2.0
"""How much memory is left: of the machine, and of control groups of both versions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapcore import headroom as module
from snapcore.headroom import Headroom, headroom

MIB = 1 << 20


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A tree of control groups, of which this process is said to be in one."""
    monkeypatch.setattr(module, "_GROUPS", tmp_path)
    real = Path.read_text
    said = {"text": ""}

    def read_text(path, *arguments, **options):
        if str(path) == f"/proc/{os.getpid()}/cgroup":
            return said["text"]
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read_text)

    def group(path: str, **files: object) -> None:
        folder = tmp_path / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name.replace("_dot_", ".")).write_text(f"{content}\n")

    return said, group


def test_the_machine():
    found = headroom(os.getpid())
    assert 0 < found.available <= found.total
    assert found.total <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert headroom(2**31 - 1) is not None


def test_short_is_less_than_a_twentieth():
    assert Headroom(4, 100).is_short
    assert not Headroom(5, 100).is_short


def test_version_2_and_a_tighter_parent(groups):
    said, group = groups
    said["text"] = "0::/outer/inner\n"
    group("outer/inner", memory_dot_max="max")
    group(
        "outer",
        memory_dot_max=10 * MIB,
        memory_dot_current=8 * MIB,
        memory_dot_stat=f"anon 1\ninactive_file {MIB}",
    )
    assert headroom(os.getpid()) == (3 * MIB, 10 * MIB)


def test_version_1(groups):
    said, group = groups
    said["text"] = "4:memory:/a\n3:cpu,cpuacct:/b\n0::/\n"
    group(
        "memory/a",
        memory_dot_limit_in_bytes=20 * MIB,
        memory_dot_usage_in_bytes=21 * MIB,
        memory_dot_stat=f"total_inactive_file {MIB // 2}",
    )
    assert headroom(os.getpid()) == (0, 20 * MIB)


@pytest.mark.parametrize(
    "text", ["", "0::/../..\n", "4:memory:/../../etc\n", "0::/not/there\n", "4:memory:/none\n"]
)
def test_groups_that_are_not_seen(groups, text):
    said, group = groups
    said["text"] = text
    group("memory/none", memory_dot_limit_in_bytes=(1 << 63) - 4096)
    assert headroom(os.getpid()).total > 100 * MIB


def test_files_that_say_nonsense(groups):
    said, group = groups
    said["text"] = "0::/a\n"
    group("a", memory_dot_max="many", memory_dot_current="few")
    assert headroom(os.getpid()).total > 100 * MIB
