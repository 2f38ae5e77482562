# SPDX-License-Identifier: Apache-2.0
"""Dumps that hold what has changed since another one, their base: which one, and whole ones of both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snapcore.dumping import compression_level
from snapcore.jobs import run, run_compressed
from snapcore.native import _core
from snapcore.newfile import NewFile

if TYPE_CHECKING:
    from typing import Any

    from snapcore.jobs import Progress

__all__ = ["DumpBase", "base_of", "save_whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpBase:
    """The dump that holds what another one leaves out, since it has not changed.

    Attributes
    ----------
    name : str
        Of its file, which lies in the same folder; as the dump says, be it nonsense.
    path : str or None
        Where it was found; None where it was not, or is not the one that is meant: then the
        diagnostics of the dump say why, and only what has changed can be read.
    identity : str
        32 hexadecimal digits.
    size : int
        Of its minidump, in bytes.
    """

    name: str
    path: str | None
    identity: str
    size: int


def base_of(native: _core.DumpFile, path: str) -> DumpBase | None:
    facts = native.base()
    if facts is None:
        return None
    raw, identity, size, found = facts
    name = os.fsdecode(raw) if found else raw.decode("utf-8", "backslashreplace")
    return DumpBase(
        name=name,
        path=str(Path(path).parent / name) if found else None,
        identity=identity.hex(),
        size=size,
    )


def save_whole(
    native: _core.DumpFile,
    path: str | bytes | os.PathLike[Any],
    *,
    overwrite: bool,
    progress: Progress | None,
    compression: str | None,
    level: int | None,
) -> None:
    used_level = compression_level(compression, level)
    name = os.fsencode(path)
    if b"\0" in name:
        message = "the path holds a NUL character"
        raise ValueError(message)
    if used_level is None:
        run(_core.write_whole(native, name, overwrite), progress)
        return
    with NewFile(name, overwrite=overwrite) as file:
        job = _core.write_whole(native, None, overwrite)
        run_compressed(job, file.write, used_level, progress)
