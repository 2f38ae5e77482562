# SPDX-License-Identifier: Apache-2.0
"""Work done apart: in namespaces of its own, as another user, with fewer capabilities, behind a filter.

Each step is a function without arguments for `apart`. All of it ends with its processes; mounts are made in
private mount namespaces alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import struct
import subprocess
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linux_support import LIBC, children, kill
from support import Target, programs

import snapcore

if TYPE_CHECKING:
    from collections.abc import Callable

# Nobody of the machine's own.
USER, OTHER_USER = 610_001, 610_002

DAC_READ_SEARCH, SYS_PTRACE = 2, 19

_NEW_MOUNTS, _NEW_USER, _NEW_PIDS = 0x20000, 0x10000000, 0x20000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 0x4000, 1 << 18
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 8, 22, 38


def _must(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def apart(work: Callable[[], dict[str, Any]], *steps: Callable[[], None]) -> dict[str, Any]:
    """What `work` returns in a fork of this process that has taken the steps."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for step in steps:
                step()
            os.write(writer, json.dumps(work()).encode())
        except BaseException:  # noqa: BLE001  (the parent reports it)
            os.write(writer, json.dumps({"failed": traceback.format_exc()}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = json.loads(stream.read())
    os.waitpid(child, 0)
    assert "failed" not in said, said["failed"]
    return said


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    """The AccessDenied of a call."""
    try:
        result = call()
    except snapcore.AccessDenied as error:
        return {"text": str(error), "call": error.call, "errno": error.errno, "pid": error.pid}
    msg = f"it was not refused: {result!r}"
    raise AssertionError(msg)


def mount(
    source: str, where: str | Path, kind: str = "", flags: int = 0, options: str = ""
) -> None:
    _must(LIBC.mount(source.encode(), os.fsencode(where), kind.encode(), flags, options.encode()))


def private_mounts() -> None:
    """Mounts from here on are seen by nobody else."""
    _must(LIBC.unshare(_NEW_MOUNTS))
    mount("none", "/", flags=_MS_REC | _MS_PRIVATE)


def mount_proc(options: str = "") -> None:
    mount("proc", "/proc", "proc", 0, options)


def _continue_in_a_child() -> None:
    """A pid namespace holds the children of who asked for it."""
    child = os.fork()
    if child != 0:
        os.waitpid(child, 0)
        os._exit(0)


def own_pids() -> None:
    """Go on as process 1 of a new pid namespace, with a /proc of its own."""
    _must(LIBC.unshare(_NEW_PIDS))
    _continue_in_a_child()
    private_mounts()
    mount_proc()


def pids_of(pid: int) -> Callable[[], None]:
    """Go on as a process of another one's pid namespace, in a mount namespace of its own."""

    def step() -> None:
        namespace = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
        _must(LIBC.setns(namespace, _NEW_PIDS))
        os.close(namespace)
        _continue_in_a_child()
        private_mounts()
        mount_proc()

    return step


def own_user_namespace() -> None:
    """Go on as root of a new user namespace, that of a user who is nobody outside."""
    uid, gid = os.getuid(), os.getgid()
    _must(LIBC.unshare(_NEW_USER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def package_within_reach() -> None:
    """Let every user run the tracer program, wherever the package lies."""
    private_mounts()
    folder = Path(snapcore.__file__).parent
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    closed = [above for above in reversed(folder.parents) if above.stat().st_mode & 1 == 0]
    if closed:
        mount("none", closed[0], "tmpfs", options="mode=755")
        folder.mkdir(parents=True)
        mount(f"/proc/self/fd/{descriptor}", folder, flags=_MS_BIND)
    os.close(descriptor)


def user(
    uid: int = USER, *, group: int | None = None, keep: tuple[int, ...] = ()
) -> Callable[[], None]:
    """Become a user without any right but the capabilities to keep."""

    def step() -> None:
        gid = uid if group is None else group
        _must(LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        capabilities(*keep)
        # As it was after execve; the change of users took it away.
        _must(LIBC.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))

    return step


def capabilities(*keep: int, ambient: bool = True) -> None:
    """Give up all capabilities but some, which programs that are started get as well."""
    low = sum(1 << number for number in keep)
    version, pr_cap_ambient, raise_it = 0x20080522, 47, 2
    header = (ctypes.c_uint32 * 2)(version, 0)
    _must(LIBC.capset(header, (ctypes.c_uint32 * 6)(low, low, low, 0, 0, 0)))
    for number in keep if ambient else ():
        _must(LIBC.prctl(pr_cap_ambient, raise_it, number, 0, 0))


def root_of_a_container(*keep: int) -> Callable[[], None]:
    """Stay root, but without capabilities, and without getting them back from programs that are started."""

    def step() -> None:
        pr_capbset_drop, count = 24, 41
        for number in set(range(count)) - set(keep):
            LIBC.prctl(pr_capbset_drop, number, 0, 0, 0)
        capabilities(*keep, ambient=False)

    return step


def yama(scope: int) -> Callable[[], None]:
    """Let ptrace_scope be read as this. What Yama would refuse must be refused by a filter."""

    def step() -> None:
        private_mounts()
        mount("none", "/proc/sys/kernel", "tmpfs")
        os.mkdir("/proc/sys/kernel/yama")
        Path("/proc/sys/kernel/yama/ptrace_scope").write_text(f"{scope}\n")
        os.chmod("/proc/sys/kernel", 0o755)

    return step


def read_only_proc() -> None:
    """As containers have it: bound over itself, read-only."""
    private_mounts()
    mount("/proc", "/proc", flags=_MS_BIND)
    mount("none", "/proc", flags=_MS_BIND | _MS_REMOUNT | _MS_RDONLY)


def no_new_privs() -> None:
    _must(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def refuse(
    *calls: int,
    first_argument: int | None = None,
    third_argument: int | None = None,
    error: int = 1,
) -> Callable[[], None]:
    """Answer system calls with an error, as a container's seccomp profile does with EPERM."""
    load, jump_if_equal, give = 0x20, 0x15, 0x06
    allow, refused = 0x7FFF0000, 0x00050000 | error
    which, wanted = (16, first_argument) if third_argument is None else (32, third_argument)

    def step() -> None:
        code = []
        for number in calls:
            code.append((load, 0, 0, 0))  # seccomp_data.nr
            if wanted is None:
                code.append((jump_if_equal, 0, 1, number))
            else:
                code.append((jump_if_equal, 0, 3, number))
                code.append((load, 0, 0, which))  # the low half of the argument
                code.append((jump_if_equal, 0, 1, wanted))
            code.append((give, 0, 0, refused))
        code.append((give, 0, 0, allow))
        program = b"".join(struct.pack("=HBBI", *line) for line in code)
        memory = ctypes.create_string_buffer(program)
        header = struct.pack("@HxxxxxxP", len(code), ctypes.addressof(memory))
        no_new_privs()
        _must(LIBC.prctl(_PR_SET_SECCOMP, 2, ctypes.create_string_buffer(header), 0, 0))

    return step


def copied(name: str, folder: Path, mode: int = 0o755) -> Path:
    """Copy a target program to where every user can run it."""
    path = folder / name
    shutil.copy(programs() / f"{name}_target", path)
    path.chmod(mode)
    return path


class Started(Target):
    """A target from a command line, with arguments of Popen such as its user."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )
        self.pid = self.process.pid
        self.ended = False
        self.facts = self.answer()


class Contained(Started):
    """A target whose program lies in a file system that only its own mount namespace has.

    `kinds` are options of unshare(1); with ``--fork`` the target is process 1 of its pid namespace.
    """

    def __init__(self, kinds: list[str], folder: Path, name: str = "facts") -> None:
        self.folder = folder
        script = 'mount -t tmpfs none "$1" && cp "$0" "$1/hidden" && exec "$1/hidden" "$1"'
        program = programs() / f"{name}_target"
        fork = ["--fork", "--kill-child"] if "--pid" in kinds else []
        super().__init__(
            ["unshare", "--mount", *kinds, *fork, "sh", "-c", script, str(program), str(folder)]
        )
        if fork:
            (self.pid,) = children(self.process.pid)

    @property
    def program(self) -> str:
        return str(self.folder / "hidden")

    def end(self) -> None:
        self.ended = True
        kill(self.pid)
        self.process.communicate()
