# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import errno
import pickle

import pytest

import snapcore
from snapcore.errors import from_native


@pytest.mark.parametrize(
    ("kind", "expected", "builtin"),
    [
        ("access_denied", snapcore.AccessDenied, PermissionError),
        ("process_gone", snapcore.ProcessGone, ProcessLookupError),
        ("timed_out", snapcore.TimedOut, TimeoutError),
        ("unsupported", snapcore.Unsupported, OSError),
        ("other", snapcore.SnapError, OSError),
    ],
)
def test_kinds(kind, expected, builtin):
    error = from_native(kind, "errno", errno.EPERM, "ptrace", "do this", 7, "ptrace: no: do this")
    assert type(error) is expected
    assert isinstance(error, builtin)
    assert (error.call, error.domain, error.code, error.pid) == ("ptrace", "errno", errno.EPERM, 7)
    assert error.errno == errno.EPERM
    assert error.winerror is None
    assert str(error) == "ptrace: no: do this"


@pytest.mark.parametrize("again", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_errors_pickle_and_copy(again):
    error = again(from_native("timed_out", "hresult", -5, "f", "", 9, "text"))
    assert type(error) is snapcore.TimedOut
    assert (error.domain, error.code, error.call, error.pid, str(error)) == (
        "hresult",
        -5,
        "f",
        9,
        "text",
    )
    assert error.errno is None


def test_a_win32_number_is_winerror():
    assert from_native("access_denied", "win32", 5, "OpenProcess", "", 1, "x").winerror == 5


def test_format_errors_are_value_errors():
    error = from_native("format", "format", 0, "", "no minidump", 0, "m")
    assert isinstance(error, snapcore.DumpFormatError)
    assert isinstance(error, ValueError)
