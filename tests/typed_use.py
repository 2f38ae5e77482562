# SPDX-License-Identifier: Apache-2.0
"""What a type checker knows of the columns: mypy and pyright read this file, nobody runs it.

A line that is wrong on purpose says so to both; they report where it is not.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import snapcore
from snapcore.tables import HandleTable, ThreadTable


def columns_have_types(view: snapcore.ProcessView, name: str) -> None:
    handles = view.handles()
    assert_type(handles, HandleTable)
    assert_type(handles["handle"], NDArray[np.uint64])
    assert_type(handles["object_name"], snapcore.StringColumn)
    assert_type(view.threads()["tid"], NDArray[np.uint32])
    assert_type(view.threads()["base_priority"], NDArray[np.int32])
    assert_type(view.threads()["created_at_ns"], NDArray[np.int64])
    assert_type(view.regions()["base"], NDArray[np.uint64])
    assert_type(view.modules()["path"], snapcore.StringColumn)
    # A name that is not known before it runs.
    assert_type(view.modules()[name], Any)


def rows_are_tables_of_the_same_kind(snapshot: snapcore.Snapshot) -> ThreadTable:
    threads = snapshot.threads()
    return threads.take(threads["tid"] > 1)


def both_views_are_one_to_a_program(pid: int, path: str) -> None:
    views: list[snapcore.ProcessView] = [snapcore.capture(pid), snapcore.open(path)]
    for view in views:
        assert_type(view.read(0, 1), bytes)
    assert_type(snapcore.dump(pid, path).pause_ns, int)
    assert_type(snapcore.handles(pid)["flags"], NDArray[np.uint32])


def mistakes_are_found(snapshot: snapcore.Snapshot) -> None:
    snapshot.threads()["name"].astype(np.uint8)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    snapcore.dump("1", "name.dmp")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    snapcore.capture(1, flags="all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
