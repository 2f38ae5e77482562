# SPDX-License-Identifier: Apache-2.0
"""snapcore doctor on both systems; of what Linux refuses see linux/test_doctor_refusals.py."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support import WINDOWS

from snapcore.cli import main
from snapcore.cli.doctor import linux_checks, windows_checks
from snapcore.cli.exit_codes import ExitCode


def test_this_system(idle, capsys):
    assert main(["doctor", str(idle)]) == ExitCode.OK
    out = capsys.readouterr().out
    names = ["process snapshots", "dump writer", "SeDebugPrivilege"]
    for name in names if WINDOWS else ["Yama ptrace_scope", "tracer program", "/proc"]:
        assert re.search(rf"^(ok|note)  +{name}  ", out, re.MULTILINE), out
    assert re.search(r"^ok    snapshot ", out, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "snapcore", "doctor", "99999999"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.NO_SUCH_PROCESS, done.stderr


@pytest.mark.parametrize(
    ("changed", "name", "status", "advice"),
    [
        ({}, "process snapshots", "ok", ""),
        ({"snapshots": "no"}, "process snapshots", "no", "Windows 8.1"),
        ({}, "dump writer", "ok", ""),
        ({"dump_writer": ""}, "dump writer", "no", "MiniDumpWriteDump"),
        ({"dump_writer_version": "6.2.9200.1"}, "dump writer", "note", "older than Windows 8.1"),
        ({"dump_writer_version": ""}, "dump writer", "ok", ""),
        ({}, "SeDebugPrivilege", "ok", "debug_privilege=True"),
        ({"debug_privilege": "absent"}, "SeDebugPrivilege", "note", "administrator"),
        ({"debug_privilege": "enabled"}, "SeDebugPrivilege", "ok", ""),
    ],
)
def test_what_windows_facts_mean(changed, name, status, advice):
    facts = {
        "snapshots": "yes",
        "dump_writer": "C:\\Windows\\System32\\dbghelp.dll",
        "dump_writer_version": "10.0.19041.1",
        "debug_privilege": "disabled",
        **changed,
    }
    (check,) = [c for c in windows_checks(facts) if c.name == name]
    assert check.status == status
    assert advice in check.advice
    assert bool(advice) == bool(check.advice)


@pytest.mark.parametrize(
    ("changed", "name", "status", "advice"),
    [
        ({}, "Yama ptrace_scope", "ok", ""),
        ({"yama_scope": "1"}, "Yama ptrace_scope", "note", "PR_SET_PTRACER"),
        ({"yama_scope": "2"}, "Yama ptrace_scope", "no", "CAP_SYS_PTRACE"),
        ({"yama_scope": "2", "effective": "0x80000"}, "Yama ptrace_scope", "ok", ""),
        ({"yama_scope": "3", "effective": "0x80000"}, "Yama ptrace_scope", "no", "next boot"),
        ({"ptrace_filtered": "yes", "seccomp": "2"}, "seccomp of this process", "no", "Docker"),
        ({"seccomp": "2"}, "seccomp of this process", "note", "lets ptrace through"),
        ({"foreign_proc": "yes"}, "/proc", "no", "mount it anew"),
        ({"hidepid": "invisible"}, "/proc", "note", "gid="),
        ({"hidepid": "2", "effective": "0x80000"}, "/proc", "ok", ""),
        ({"helper_executable": "no"}, "tracer program", "no", "SNAPCORE_TRACER=thread"),
        ({"pagemap_scan": "no"}, "kernel", "note", "Linux 6.7"),
        ({"page_frames": "no"}, "page frames", "note", "CAP_SYS_ADMIN"),
        ({"initial_user_namespace": "no"}, "user namespace", "note", "processes outside"),
        ({"suspend_seccomp": "run with X"}, "targets with a seccomp filter", "note", "run with X"),
    ],
)
def test_what_linux_facts_mean(changed, name, status, advice):
    facts = {
        **dict.fromkeys(("yama_scope", "hidepid", "label", "suspend_seccomp"), ""),
        **dict.fromkeys(("no_new_privs", "ptrace_filtered", "foreign_proc"), "no"),
        **dict.fromkeys(("pagemap_scan", "procmap_query", "close_range"), "yes"),
        **dict.fromkeys(("process_vm_readv", "initial_user_namespace", "page_frames"), "yes"),
        "effective": "0x0",
        "permitted": "0x0",
        "seccomp": "0",
        "helper": "/x/snapcore-tracer",
        "helper_executable": "yes",
        **changed,
    }
    (check,) = [c for c in linux_checks(facts, 1000) if c.name == name]
    assert check.status == status
    assert advice in check.advice
    assert bool(advice) == bool(check.advice)
