# SPDX-License-Identifier: Apache-2.0
"""The page itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import snapcore
from snapcore.display.text import UNKNOWN, human_size
from snapcore.dumpfile import DumpFile
from snapcore.html.facts import TABLES, Facts, Places
from snapcore.html.grew import growth
from snapcore.html.memory import Areas, areas_of, largest, legend, picture
from snapcore.html.pieces import bar_list, comma, counted
from snapcore.html.summary import diagnostics, summary
from snapcore.html.tables import module_rows, repeated, states, thread_rows, tops

if TYPE_CHECKING:
    from snapcore.snapshot import ProcessView

__all__ = ["render"]


def _tiles(facts: Facts, areas: Areas | None) -> list[tuple[str, str]]:
    tiles = []
    for name in TABLES:
        table = facts.tables[name]
        tiles.append((name, UNKNOWN if table is None else comma(len(table))))
    if areas is not None:
        tiles.append(("committed", human_size(sum(areas.sizes))))
        tiles.append(("reserved", human_size(areas.reserved)))
    return tiles


def _environment() -> Any:
    try:
        # An extra, and a slow import: only where it is used.
        import jinja2
    except ImportError as error:
        message = "snapcore.report needs jinja2: pip install 'snapcore[report]'"
        raise ImportError(message, name="jinja2") from error
    return jinja2.Environment(
        loader=jinja2.PackageLoader("snapcore.html", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(view: ProcessView, earlier: ProcessView | None = None) -> str:
    """Build the page.

    Parameters
    ----------
    view : ProcessView
        What it is about.
    earlier : ProcessView, optional
        What it is compared with.

    Returns
    -------
    str
        HTML.
    """
    environment = _environment()
    facts = Facts.of(view)
    places = Places(facts)
    areas = areas_of(facts)
    threads, handles = facts.tables["threads"], facts.tables["handles"]
    regions, modules = facts.tables["regions"], facts.tables["modules"]
    exception = view.exception() if isinstance(view, DumpFile) else None
    content: dict[str, Any] = {
        "name": facts.name,
        "pid": facts.process.pid,
        "version": snapcore.__version__,
        "tiles": _tiles(facts, areas),
        "facts": summary(facts, places),
        "grew": None if earlier is None else growth(Facts.of(earlier), facts, areas),
        "types": None if handles is None else bar_list(counted(handles["type_name"])),
        "repeated": None if handles is None else repeated(handles),
        "states": None if threads is None else states(threads),
        "tops": None if threads is None else tops(threads, places),
        "threads": None
        if threads is None
        else thread_rows(threads, places, None if exception is None else exception.tid),
        "legend": None if areas is None else legend(areas),
        "reserved": None if areas is None else human_size(areas.reserved),
        "wide": "" if areas is None else picture(areas, 1040, 460),
        "narrow": "" if areas is None else picture(areas, 360, 520),
        "regions": None if regions is None else largest(regions),
        "modules": None if modules is None else module_rows(modules),
        "diagnostics": diagnostics(view),
    }
    text: str = environment.get_template("page.html").render(content)
    return text
