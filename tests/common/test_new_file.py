# SPDX-License-Identifier: Apache-2.0
"""Files that Python writes: whole or not there, and for their owner alone."""

from __future__ import annotations

import os
import stat

import pytest

from snapcore.newfile import NewFile


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_it_appears_at_the_end(tmp_path, overwrite):
    goal = tmp_path / "ä.bin"
    with NewFile(goal, overwrite=overwrite) as file:
        assert file.write(b"one ") == 4
        assert file.write(memoryview(b"two")) == 3
        assert not goal.exists()
    assert goal.read_bytes() == b"one two"
    assert names(tmp_path) == ["ä.bin"]
    assert os.name == "nt" or stat.S_IMODE(goal.stat().st_mode) == 0o600


def test_nothing_is_left_after_an_exception(tmp_path):
    goal = tmp_path / "a"
    goal.write_bytes(b"old")
    file = NewFile(goal, overwrite=True)
    file.write(b"new")
    with pytest.raises(KeyboardInterrupt), file:
        raise KeyboardInterrupt
    assert goal.read_bytes() == b"old"
    file = NewFile(tmp_path / "b", overwrite=False)
    file.write(b"new")
    file.close()
    del file
    assert names(tmp_path) == ["a"]


def test_what_exists(tmp_path):
    goal = tmp_path / "a"
    goal.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        NewFile(goal, overwrite=False)
    with NewFile(goal, overwrite=True) as file:
        file.write(b"new")
    assert goal.read_bytes() == b"new"
    # It came meanwhile.
    with pytest.raises(FileExistsError), NewFile(tmp_path / "b", overwrite=False):
        (tmp_path / "b").write_bytes(b"other")
    assert (tmp_path / "b").read_bytes() == b"other"
    assert names(tmp_path) == ["a", "b"]


def test_what_is_no_file(tmp_path):
    with pytest.raises(OSError, match=r".") as caught:
        NewFile(tmp_path, overwrite=True)
    assert isinstance(caught.value, PermissionError if os.name == "nt" else IsADirectoryError)
    with pytest.raises(FileNotFoundError):
        NewFile(tmp_path / "missing" / "a", overwrite=False)
    if os.name != "nt":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileExistsError):
            NewFile(tmp_path / "pipe", overwrite=True)
        assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_closed(tmp_path):
    file = NewFile(tmp_path / "a", overwrite=False)
    file.commit()
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")
    other = NewFile(tmp_path / "b", overwrite=False)
    with pytest.raises(ValueError, match="contiguous"), other:
        other.write(memoryview(b"abcdef")[::2])
    assert names(tmp_path) == ["a"]
