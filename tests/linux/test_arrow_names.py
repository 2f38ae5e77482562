# SPDX-License-Identifier: Apache-2.0
"""Names that are no UTF-8, which Linux has, as Arrow."""

from __future__ import annotations

import contextlib
import os

from arrow_reader import read

import snapcore


def test_names_of_the_system_that_are_no_utf8(tmp_path):
    names = [b"ok", b"\xff", b"\\xff", b"\xc3\xa9"]
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(open(os.fsencode(tmp_path) + b"/" + name, "wb"))
        table = snapcore.handles(os.getpid())
    texts = read(table)["object_name"].values
    assert texts == list(table["object_name"])
    found = {v.rpartition("/")[2] for v in texts if v}
    assert {"ok", r"\xff", "é"} <= found
    assert b"\xff" in {raw.rpartition(b"/")[2] for raw in table["object_name"].categories_bytes}
