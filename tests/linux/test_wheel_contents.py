# SPDX-License-Identifier: Apache-2.0
"""The check of wheels finds what must not be in one, and what must."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import ROOT

import snapcore
from snapcore import _core

TAG = "cp311-cp311-manylinux_2_28_x86_64"
MODULE = "snapcore/_core.cpython-311-x86_64-linux-gnu.so"
TRACER = "snapcore/snapcore-tracer"


@pytest.fixture
def contents(monkeypatch):
    """The module that checks."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "wheels"))
    import contents

    yield contents
    for name in ("contents", "targets"):
        sys.modules.pop(name, None)


@pytest.fixture
def wheel(tmp_path, contents):
    """Make a wheel of what should be in it, with some files changed; None leaves one out."""
    # Needs the C library alone, and has no symbols.
    program = Path("/bin/true").read_bytes()

    def make(mode: int = 0o755, changes: dict[str, bytes | None] | None = None) -> Path:
        path = tmp_path / f"snapcore-{snapcore.__version__}-{TAG}.whl"
        files: dict[str, bytes | None] = dict.fromkeys(
            contents.expected(snapcore.__version__, Path(MODULE).name, True), b"x"
        )
        files |= {MODULE: program, TRACER: program} | (changes or {})
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                if data is not None:
                    info = zipfile.ZipInfo(name)
                    info.external_attr = (0o100000 | (mode if name == TRACER else 0o644)) << 16
                    archive.writestr(info, data, zipfile.ZIP_DEFLATED)
        return path

    return make


def test_a_right_one(contents, wheel):
    assert contents.check(wheel())["libraries"] == ["libc.so.6"]


@pytest.mark.parametrize(
    "name", ["snapcore/py.typed", "snapcore/_core.pyi", TRACER, "snapcore/html/report.py"]
)
def test_what_is_missing(contents, wheel, name):
    with pytest.raises(AssertionError, match="missing: .*" + name.rpartition("/")[2]):
        contents.check(wheel(changes={name: None}))


@pytest.mark.parametrize("name", ["snapcore.libs/libstdc++.so.6", "snapcore/libsnapcore_job.a"])
def test_what_is_not_of_the_wheel(contents, wheel, name):
    with pytest.raises(AssertionError, match="not of the wheel: .*" + name.rpartition("/")[2][:6]):
        contents.check(wheel(changes={name: b"x"}))


def test_the_tracer_must_be_a_program(contents, wheel):
    with pytest.raises(AssertionError, match=r"mode is .*644"):
        contents.check(wheel(mode=0o644))


def test_too_large(contents, wheel):
    import random

    with pytest.raises(AssertionError, match="too many"):
        contents.check(wheel(changes={"snapcore/py.typed": random.Random(1).randbytes(2 << 20)}))


def test_a_foreign_library(contents, wheel):
    data = Path(_core.__file__).read_bytes()
    with pytest.raises(AssertionError, match=r"needs .*libstdc\+\+"):
        contents.check(wheel(changes={MODULE: data}))


def test_musl_by_another_name_than_alpines(contents, wheel):
    """ziglang's own is called so, and auditwheel takes it for a library that is not there."""
    data = Path("/bin/true").read_bytes().replace(b"libc.so.6\0", b"libc.so\0\0\0")
    with pytest.raises(AssertionError, match=r"needs {'libc\.so'}"):
        contents.check(wheel(changes={MODULE: data}))


def test_the_module_for_the_stand_in(contents, wheel):
    data = Path("/bin/true").read_bytes() + "snapsim.dll".encode("utf-16-le")
    with pytest.raises(AssertionError, match="is the one for the stand-in"):
        contents.check(wheel(changes={MODULE: data}))


def test_symbols(contents, wheel):
    # This build keeps them.
    data = Path(_core.__file__).with_name("snapcore-tracer").read_bytes()
    with pytest.raises(AssertionError, match=r"has a \.symtab"):
        contents.check(wheel(changes={TRACER: data}))


# What the C library of the oldest system of the wheels has by other versions or inline, and what the
# C++ library asks for, which is another one there.
KNOWN_NEWER = re.compile(
    r"pthread_(sigmask|once|create|join|detach|key_create|key_delete|getspecific|setspecific)"
    r"|__pthread_key_create|dladdr|__libc_start_main|[lf]?stat|fstatat|__isoc23_\w+"
    r"|pthread_(cond_clockwait|mutex_clocklock)|__libc_single_threaded|arc4random|_dl_find_object"
)
# Of musl after 1.2.0, whose names have no versions: auditwheel does not see them.
NEWER_IN_MUSL = {"_Fork", "gettid", "preadv2", "pwritev2", "qsort_r", "reallocarray", "statx"}


@pytest.mark.parametrize("name", [Path(_core.__file__).name, "snapcore-tracer"])
def test_names_that_an_old_c_library_has(name):
    """gettid() or statx() would build here, and be missing when a wheel is linked or loaded."""
    path = Path(_core.__file__).with_name(name)
    listed = subprocess.run(
        ["readelf", "-W", "--dyn-syms", path], capture_output=True, text=True, check=True
    ).stdout
    wanted = re.findall(r" UND (\w+)@GLIBC_2\.(\d+)", listed)
    assert ("read", "2") in wanted
    assert {symbol for symbol, _ in wanted} & NEWER_IN_MUSL == set()
    newer = {symbol for symbol, minor in wanted if int(minor) > 28}
    assert [symbol for symbol in sorted(newer) if not KNOWN_NEWER.fullmatch(symbol)] == []
