# SPDX-License-Identifier: Apache-2.0
"""Files that are written where others may write too: their owner's alone from the first byte, and no link is followed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from isolation import OTHER_USER, apart, refuse

import snapcore
from snapcore.cli import main
from snapcore.newfile import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterator

SYS_OPENAT = 257
O_TMPFILE_OPENED = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC


@pytest.fixture
def open_folder(shared_folder: Path) -> Iterator[Path]:
    """Everybody may write in it, what is made in it is everybody's by an ACL, and there is no umask."""
    everything, nobody = 7, 0xFFFFFFFF
    user_object, named_user, group_object, mask, other = 1, 2, 4, 0x10, 0x20
    entries = [
        (user_object, everything, nobody),
        (named_user, everything, OTHER_USER),
        (group_object, everything, nobody),
        (mask, everything, nobody),
        (other, everything, nobody),
    ]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(shared_folder, "system.posix_acl_default", acl)
    before = os.umask(0)
    try:
        plain = shared_folder / "plain"
        plain.write_bytes(b"")
        assert stat.S_IMODE(plain.stat().st_mode) == 0o666, "the ACL has no effect here"
        plain.unlink()
        yield shared_folder
    finally:
        os.umask(before)


def files_being_written(folder: Path) -> Iterator[os.stat_result]:
    """Files without a name, or with a temporary one, of a folder that this process has open."""
    for entry in os.scandir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(entry.path).startswith(f"{folder}/"):
                yield os.stat(entry.path)


def owners_alone(folder: Path) -> int:
    """Assert it of all that is in a folder, or is being written there; how many files that were."""
    found = [*files_being_written(folder), *(path.lstat() for path in folder.iterdir())]
    for status in found:
        assert stat.S_ISREG(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_uid == os.getuid()
    return len(found)


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_dump_is_its_owners_alone_from_the_first_byte(start, open_folder, compression, overwrite):
    target = start("memory", 64)
    seen = []
    snapcore.dump(
        target.pid,
        open_folder / "a.dmp",
        "full",
        overwrite=overwrite,
        compression=compression,
        progress=lambda *_: seen.append(owners_alone(open_folder)),
    )
    assert max(seen) >= 1
    assert owners_alone(open_folder) == 1


def test_other_files_are_their_owners_alone_from_the_first_byte(facts, open_folder, tmp_path):
    with NewFile(open_folder / "a", overwrite=True) as file:
        assert owners_alone(open_folder) == 1
        file.write(b"x")
        assert owners_alone(open_folder) == 1
    dump = tmp_path / "a.dmp"
    snapcore.dump(facts.pid, dump, "full")
    address = facts.facts["sentinels"]["heap sentinel"]
    snapcore.report(dump, open_folder / "b.html")
    for words in (
        ["read", facts.pid, address, 64, "-o", open_folder / "c"],
        ["dump", facts.pid, "-o", open_folder / "e.dmp"],
    ):
        assert main([*map(str, words)]) == 0
    # In a process of its own: pyarrow starts threads.
    words = ["scan", dump, "--table", "handles", "-o", open_folder / "d.parquet"]
    subprocess.run([sys.executable, "-m", "snapcore", *words], check=True)
    assert owners_alone(open_folder) == 5


def test_folders_of_watch_are_their_owners_alone(facts, open_folder):
    for _ in snapcore.watch(facts.pid, open_folder / "dumps", every=0.2, count=1):
        pass
    assert stat.S_IMODE((open_folder / "dumps").stat().st_mode) == 0o700
    assert owners_alone(open_folder / "dumps") >= 1


# --- What lies there already


def dump(pid: int, path: Path, *, overwrite: bool) -> None:
    snapcore.dump(pid, path, "mini", overwrite=overwrite)


def new_file(_pid: int, path: Path, *, overwrite: bool) -> None:
    with NewFile(path, overwrite=overwrite) as file:
        file.write(b"MDMP of a kind")


@pytest.mark.parametrize("write", [dump, new_file])
@pytest.mark.parametrize(
    ("link", "content"),
    [(os.symlink, b"precious"), (os.symlink, None), (os.link, b"precious")],
    ids=["symbolic", "dangling", "hard"],
)
def test_no_link_is_followed(idle, tmp_path, write, link, content):
    victim, path = tmp_path / "victim", tmp_path / "a.dmp"
    if content is not None:
        victim.write_bytes(content)
    link(victim, path)
    with pytest.raises(FileExistsError):
        write(idle, path, overwrite=False)
    write(idle, path, overwrite=True)
    assert not path.is_symlink()
    assert path.read_bytes()[:4] == b"MDMP"
    assert path.stat().st_nlink == 1
    assert victim.exists() == (content is not None)
    assert content is None or victim.read_bytes() == content


PLANT = """
import os, sys
victim, path = sys.argv[1:]
print("ready", flush=True)
while True:
    for plant in (os.symlink, os.link):
        try:
            plant(victim, path)
        except FileExistsError:
            pass
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
"""


@pytest.mark.parametrize("overwrite", [False, True])
def test_links_that_come_meanwhile_are_not_followed(tmp_path, overwrite):
    """Somebody plants and removes links under the name all the time."""
    victim, path = tmp_path / "victim", tmp_path / "a"
    victim.write_bytes(b"precious")
    outcomes = []
    with subprocess.Popen(
        [sys.executable, "-c", PLANT, victim, path], stdout=subprocess.PIPE, text=True
    ) as planter:
        try:
            assert planter.stdout is not None
            planter.stdout.readline()
            for _ in range(2000):
                try:
                    with NewFile(path, overwrite=overwrite) as file:
                        file.write(b"ours")
                except FileExistsError:
                    outcomes.append("refused")
                else:
                    outcomes.append("written")
            assert planter.poll() is None
        finally:
            planter.kill()
    assert victim.read_bytes() == b"precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644
    assert "written" in outcomes
    assert overwrite or "refused" in outcomes
    path.unlink(missing_ok=True)
    assert os.listdir(tmp_path) == ["victim"]


def test_a_file_system_without_files_that_have_no_name(open_folder):
    """The temporary name cannot be guessed, is made exclusively, and is gone in the end."""

    def work() -> dict[str, Any]:
        with pytest.raises(OSError, match="Operation not supported"):
            os.open(open_folder, O_TMPFILE_OPENED, 0o600)
        names = set()
        for attempt in range(4):
            overwrite = attempt % 2 == 1
            with NewFile(open_folder / "a", overwrite=overwrite) as file:
                file.write(b"x")
                (temporary,) = [n for n in os.listdir(open_folder) if n != "a"]
                names.add(temporary)
                status = (open_folder / temporary).lstat()
                assert stat.S_IMODE(status.st_mode) == 0o600
                assert status.st_nlink == 1
            assert os.listdir(open_folder) == ["a"]
            if not overwrite:
                (open_folder / "b").symlink_to(open_folder / "victim")
                with pytest.raises(FileExistsError), NewFile(open_folder / "c", overwrite=False):
                    (open_folder / "b").rename(open_folder / "c")
                assert not (open_folder / "victim").exists()
                (open_folder / "c").unlink()
            if attempt == 1:
                (open_folder / "a").unlink()
        return {"names": sorted(names)}

    no_unnamed_files = refuse(SYS_OPENAT, third_argument=O_TMPFILE_OPENED, error=errno.EOPNOTSUPP)
    said = apart(work, no_unnamed_files)
    assert len(said["names"]) == 4
    for name in said["names"]:
        assert name.startswith(".a.")
        assert len(name) == len(".a.0123456789abcdef.tmp")


def test_no_program_of_the_package_has_rights_of_its_own():
    """Not set-user-id, no file capabilities: what may be traced is the caller's right alone."""
    folder = Path(snapcore.__file__).parent
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "snapcore-tracer" in files
    for path in files:
        assert path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID) == 0
        assert "security.capability" not in os.listxattr(path)


def test_the_helper_inherits_nothing(idle, monkeypatch):
    """No environment, no descriptor but its connection, no standard stream, and a session of its own."""
    monkeypatch.setenv("SNAPCORE_TRACER", "helper")
    monkeypatch.setenv("SECRET", "of the caller")
    inherited = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        with snapcore.capture(idle):
            (helper,) = [
                int(entry)
                for entry in os.listdir("/proc")
                if entry.isdigit() and is_helper_of_this_process(entry)
            ]
            assert Path(f"/proc/{helper}/environ").read_bytes() == b""
            assert os.getsid(helper) == helper
            links = {
                n: os.readlink(f"/proc/{helper}/fd/{n}") for n in os.listdir(f"/proc/{helper}/fd")
            }
            assert [links[n] for n in "012"] == ["/dev/null"] * 3
            assert "/dev/zero" not in links.values()
            assert len([n for n in links.values() if n.startswith("socket:")]) == 1
    finally:
        os.close(inherited)


def is_helper_of_this_process(pid: str) -> bool:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        link = os.readlink(f"/proc/{pid}/exe")
        return int(fields[1]) == os.getpid() and link.endswith("snapcore-tracer")
    return False
