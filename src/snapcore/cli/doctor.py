# SPDX-License-Identifier: Apache-2.0
"""``snapcore doctor``."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import snapcore
from snapcore import SnapError
from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.output import write_json
from snapcore.cli.streams import is_terminal, write_lines
from snapcore.cli.tables import add_format
from snapcore.cli.target import find_process
from snapcore.display.text import human_size, printable
from snapcore.naming import process_name
from snapcore.native import _core

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

__all__ = ["Check", "DoctorCommand", "Operation", "linux_checks", "windows_checks"]

_OK, _NOTE, _NO = "ok", "note", "no"
_CAPABILITIES = {
    1: "CAP_DAC_OVERRIDE",
    2: "CAP_DAC_READ_SEARCH",
    5: "CAP_KILL",
    19: "CAP_SYS_PTRACE",
    21: "CAP_SYS_ADMIN",
}
_SYS_PTRACE = 19
# What an older kernel, or a filter, costs.
_FEATURES = {
    "pagemap_scan": ("PAGEMAP_SCAN", "Linux 6.7: the page map is read instead, which is slower"),
    "procmap_query": ("PROCMAP_QUERY", "Linux 6.11: the whole map is read instead"),
    "close_range": ("close_range", "Linux 5.9: a clone shares the descriptor table of its target"),
    "process_vm_readv": ("process_vm_readv", "a filter refuses it: /proc/PID/mem is read instead"),
}
_LITTLE_SPACE = 100 << 20
# The first dbghelp.dll that reads process snapshots is that of Windows 8.1.
_FIRST_DBGHELP = (6, 3)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What it is.
    status : str
        ``"ok"``, ``"note"`` (some captures are refused or cost more) or ``"no"`` (all are refused).
    value : str
        What was found.
    advice : str
        What follows, and what to do; empty where nothing is.
    """

    name: str
    status: str
    value: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """What may be done with one process.

    Attributes
    ----------
    operation : str
        ``"threads"``, ``"handles"``, ``"stacks"``, ``"memory"`` or ``"snapshot"``.
    allowed : bool
        Whether the system lets this user do it.
    call : str
        What is refused; empty where nothing is.
    reason : str
        The test that fails, and what to do.
    """

    operation: str
    allowed: bool
    call: str
    reason: str


_OPERATIONS = {
    "threads": "list its threads",
    "handles": "list its handles",
    "stacks": "registers, regions, a stacks-only dump",
    "memory": "its memory, a dump of it while it stands still",
    "snapshot": "a snapshot, and a dump of it while it runs on",
}


class DoctorCommand:
    """Tell what may be captured here."""

    name = "doctor"
    description = (
        "Tell what this user may capture on this system, and why not. With a process also what may "
        "be done with it; nothing of it is captured, and it is not stopped. Ends with 0 where "
        "captures can be had, and with 3 where they cannot."
    )

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        parser.add_argument(
            "target", metavar="PID|NAME", nargs="?", help="process id, or name of one process"
        )
        add_format(parser, ("table", "json"))

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it.

        Parameters
        ----------
        arguments : argparse.Namespace
            What the parser made.

        Returns
        -------
        int
            The exit code.
        """
        checks = list(_checks())
        pid = None if arguments.target is None else find_process(arguments.target)
        operations = [] if pid is None else _operations(pid)
        if pid is None:
            can = all(check.status != _NO for check in checks)
        else:
            can = any(o.allowed for o in operations if o.operation == "stacks")
        if arguments.format == "json":
            write_json(
                {
                    "pid": pid,
                    "can_capture": can,
                    "checks": [asdict(check) for check in checks],
                    "operations": [asdict(operation) for operation in operations],
                }
            )
        else:
            _print(checks, pid, operations)
        return ExitCode.OK if can else ExitCode.ACCESS_DENIED


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _operations(pid: int) -> list[Operation]:
    return [
        Operation(name, allowed, call, _text(reason))
        for name, allowed, call, reason in _core.check_access(pid)
    ]


def _checks() -> Iterator[Check]:
    python = f"Python {platform.python_version()}, snapcore {snapcore.__version__}"
    yield Check("system", _OK, f"{platform.system()} {platform.release()}; {python}")
    try:
        facts = {name: _text(value) for name, value in _core.system_facts()}
    except SnapError as error:
        yield Check("facts", _NO, "cannot be had", str(error))
        return
    if sys.platform == "win32":
        yield from windows_checks(facts)
    else:
        yield from linux_checks(facts, os.geteuid())
        yield _space("shared memory", "/dev/shm")
    yield _space("free disk here", os.getcwd())  # noqa: PTH109  (a name for a system call)


def _space(name: str, path: str) -> Check:
    try:
        free = shutil.disk_usage(path).free
    except OSError as error:
        return Check(name, _NOTE, str(error))
    little = free < _LITTLE_SPACE and name != "shared memory"
    advice = "a dump of all memory may not fit" if little else ""
    return Check(name, _NOTE if little else _OK, human_size(free), advice)


def linux_checks(facts: Mapping[str, str], uid: int) -> Iterator[Check]:
    """What the facts of a Linux system mean.

    Parameters
    ----------
    facts : mapping of str to str
        As the native core tells them.
    uid : int
        Effective user id.

    Yields
    ------
    Check
        One for each test of the kernel, and for what snapcore itself needs.
    """
    effective = int(facts["effective"], 16)
    capable = bool(effective >> _SYS_PTRACE & 1)
    missing = [key for key in _FEATURES if facts[key] != "yes"]
    yield Check(
        "kernel",
        _NOTE if missing else _OK,
        ", ".join(
            f"{word}{' missing' if key in missing else ''}" for key, (word, _) in _FEATURES.items()
        ),
        "; ".join(f"{_FEATURES[key][0]}: {_FEATURES[key][1]}" for key in missing),
    )
    sees = facts["page_frames"] == "yes"
    yield Check(
        "page frames",
        _OK if sees else _NOTE,
        "seen" if sees else "not seen",
        ""
        if sees
        else "watch reads all memory to see what has changed; with CAP_SYS_ADMIN it would not",
    )
    held = [name for bit, name in _CAPABILITIES.items() if effective >> bit & 1]
    own_alone = "" if capable else "processes of other users need root or CAP_SYS_PTRACE"
    yield Check("user", _OK if capable else _NOTE, f"{uid}", own_alone)
    yield Check("capabilities", _OK if capable else _NOTE, ", ".join(held) or "none of use")
    if facts["no_new_privs"] == "yes":
        text = "sudo and file capabilities have no effect here"
        yield Check("NoNewPrivs", _OK if capable else _NOTE, "1", "" if capable else text)
    yield _yama(facts["yama_scope"], capable=capable)
    yield _seccomp(facts)
    inside = facts["initial_user_namespace"] != "yes"
    yield Check(
        "user namespace",
        _NOTE if inside else _OK,
        "another one" if inside else "that of the machine",
        "capabilities count in it alone: processes outside are refused" if inside else "",
    )
    yield _proc(facts, capable=capable)
    if facts["label"]:
        yield Check("security label", _OK, facts["label"])
    filtered = facts["suspend_seccomp"]
    yield Check(
        "targets with a seccomp filter",
        _NOTE if filtered else _OK,
        "live and stacks alone" if filtered else "as others",
        filtered,
    )
    runs = facts["helper_executable"] == "yes"
    yield Check(
        "tracer program",
        _OK if runs else _NO,
        facts["helper"] or "not found",
        ""
        if runs
        else "it is missing, or this user may not run it: install snapcore again, where "
        "this user may read it and not on a mount without exec; SNAPCORE_TRACER=thread does without",
    )


def _yama(scope: str, *, capable: bool) -> Check:
    name = "Yama ptrace_scope"
    if scope in ("", "0"):
        return Check(name, _OK, scope or "not in this kernel")
    if scope == "3":
        return Check(name, _NO, scope, "no process may trace another until the next boot")
    if capable:
        return Check(name, _OK, scope)
    if scope == "2":
        return Check(name, _NO, scope, "run as root or with CAP_SYS_PTRACE")
    return Check(
        name,
        _NOTE,
        scope,
        "only an ancestor may trace: start the target from the calling process, run with "
        "CAP_SYS_PTRACE, or let the target call prctl(PR_SET_PTRACER)",
    )


def _seccomp(facts: Mapping[str, str]) -> Check:
    name = "seccomp of this process"
    if facts["ptrace_filtered"] == "yes":
        advice = (
            "a filter refuses ptrace: a container profile; Docker: --cap-add=SYS_PTRACE or "
            "--security-opt seccomp=PROFILE, Kubernetes: seccompProfile"
        )
        return Check(name, _NO, facts["seccomp"], advice)
    if facts["seccomp"] != "0":
        return Check(name, _NOTE, facts["seccomp"], "its filter lets ptrace through")
    return Check(name, _OK, "none")


def _proc(facts: Mapping[str, str], *, capable: bool) -> Check:
    if facts["foreign_proc"] == "yes":
        return Check(
            "/proc",
            _NO,
            "of another pid namespace",
            "mount it anew in this one (unshare --mount-proc, mount -t proc proc /proc)",
        )
    hidepid = facts["hidepid"]
    if not hidepid:
        return Check("/proc", _OK, "hides no process")
    advice = (
        "" if capable else "it hides other users' processes; its gid= option names who sees them"
    )
    return Check("/proc", _OK if capable else _NOTE, f"hidepid={hidepid}", advice)


def windows_checks(facts: Mapping[str, str]) -> Iterator[Check]:
    """What the facts of a Windows system mean.

    Parameters
    ----------
    facts : mapping of str to str
        As the native core tells them.

    Yields
    ------
    Check
        One for each thing that a capture needs.
    """
    snapshots = facts["snapshots"] == "yes"
    yield Check(
        "process snapshots",
        _OK if snapshots else _NO,
        "there" if snapshots else "missing",
        ""
        if snapshots
        else "they need Windows 8.1 or Windows Server 2012 R2, or newer; "
        "method='live' writes a dump without one",
    )
    writer, version = facts["dump_writer"], facts.get("dump_writer_version", "")
    advice, status = "", _OK
    if not writer:
        status, advice = _NO, "neither dbghelp.dll nor dbgcore.dll has MiniDumpWriteDump"
    elif version and tuple(map(int, version.split(".")[:2])) < _FIRST_DBGHELP:
        status, advice = _NOTE, "it is older than Windows 8.1 and does not know process snapshots"
    yield Check("dump writer", status, f"{writer} {version}".strip() or "missing", advice)
    privilege = facts["debug_privilege"]
    advice = {
        "absent": "processes of other users are refused; run as an administrator",
        "disabled": "held; debug_privilege=True uses it for one call",
    }.get(privilege, "")
    status = _NOTE if privilege == "absent" else _OK
    yield Check("SeDebugPrivilege", status, privilege or "cannot be told", advice)


def _print(checks: list[Check], pid: int | None, operations: list[Operation]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        _line(check.status, check.name, width, check.value, check.advice)
    if pid is None:
        return
    write_lines(["", f"process {pid} ({printable(process_name(pid))})"])
    for operation in operations:
        status = _OK if operation.allowed else _NO
        what = _OPERATIONS[operation.operation]
        reason = operation.reason
        if operation.call and reason:
            reason = f"{operation.call}: {reason}"
        _line(status, operation.operation, 9, what, reason)


def _line(status: str, name: str, width: int, value: str, advice: str) -> None:
    write_lines([f"{status:<4}  {printable(name):<{width}}  {printable(value)}".rstrip()])
    if not advice:
        return
    indent = " " * (8 + width)
    columns = shutil.get_terminal_size().columns if is_terminal() else 100
    write_lines(
        textwrap.wrap(
            printable(advice),
            max(columns, len(indent) + 30),
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


COMMANDS = (DoctorCommand(),)
