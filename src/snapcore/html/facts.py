# SPDX-License-Identifier: Apache-2.0
"""The tables that the page is made of, and where an address lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapcore.errors import DumpFormatError
from snapcore.html.pieces import base_name, clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from snapcore.snapshot import Process, ProcessView
    from snapcore.table import StringColumn, Table

__all__ = ["TABLES", "Facts", "Places"]

TABLES = ("threads", "handles", "regions", "modules")


@dataclass(slots=True)
class Facts:
    """The tables of a view; None where it does not hold one."""

    view: ProcessView
    process: Process
    tables: dict[str, Table | None]

    @classmethod
    def of(cls, view: ProcessView) -> Facts:
        """Read them."""
        tables: dict[str, Table | None] = {}
        for name in TABLES:
            try:
                tables[name] = getattr(view, name)()
            except DumpFormatError:
                raise
            except ValueError:  # the file does not hold it, or it was not captured
                tables[name] = None
        return cls(view, view.process(), tables)

    @property
    def name(self) -> str:
        """What the process is called."""
        process = self.process
        modules = self.tables["modules"]
        path = process.image_path
        if not path and modules is not None and len(modules):
            path = modules["path"][0]
        return clean(base_name(path or "") or process.name or "process") or "process"


class Places:
    """Modules, and other mappings with a name, by address."""

    def __init__(self, facts: Facts) -> None:
        self._ranges: list[tuple[NDArray[Any], NDArray[Any], StringColumn, NDArray[Any]]] = []
        for table, names in (("modules", "path"), ("regions", "mapped_file")):
            found = facts.tables[table]
            if found is not None and len(found):
                order = np.argsort(found["base"], kind="stable")
                bases = found["base"][order]
                self._ranges.append((bases, found["size"][order], found[names], order))

    def name(self, address: int) -> str:
        """Module and offset, or the address alone."""
        for bases, sizes, names, order in self._ranges:
            at = int(np.searchsorted(bases, np.uint64(address), side="right")) - 1
            if at < 0 or address - int(bases[at]) >= int(sizes[at]):
                continue
            text = names[int(order[at])]
            if text:
                offset = address - int(bases[at])
                return f"{clean(base_name(text), 80)}+{offset:#x}"
        return f"{address:#x}"
