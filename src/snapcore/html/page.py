# SPDX-License-Identifier: Apache-2.0
"""What the page says, and the page itself.

All that comes from the process goes through `_clean`, which leaves nothing that is not printable,
and through the template's escaping.
"""

from __future__ import annotations

import json
import shlex
import signal
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

import snapcore
from snapcore.display.text import UNKNOWN, human_size, human_time, iso_time, printable, shortened
from snapcore.display.values import enumeration_of, formatter
from snapcore.dtypes import Column
from snapcore.dumpfile import DumpFile
from snapcore.errors import DumpFormatError
from snapcore.flags import MemoryState, MemoryType, MiniDumpType
from snapcore.html.treemap import Group, Item, svg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from snapcore.snapshot import Process, ProcessView
    from snapcore.table import StringColumn, Table

__all__ = ["render"]

_TABLES = ("threads", "handles", "regions", "modules")
# What is shown of each; the rest is counted.
_MOST_BARS = 20
_MOST_NAMES = 15
_MOST_THREADS = 200
_MOST_MODULES = 100
_MOST_REGIONS = 30
_MOST_DIAGNOSTICS = 50
_MOST_AREAS = 40
_MOST_CHANGES = 25
_LONGEST = 200
_LONGEST_FACT = 2000

# In the order of the legend: class of the style sheet, heading.
_KINDS = (
    ("private", "private memory"),
    ("stack", "stacks"),
    ("image", "programs and libraries"),
    ("mapped", "mapped files, shared memory"),
    ("other", "of unknown kind"),
)
_PRIVATE, _STACK, _IMAGE, _MAPPED, _OTHER = range(5)

_WINDOWS_EXCEPTIONS = {
    0x80000003: "breakpoint",
    0xC0000005: "access violation",
    0xC0000006: "in page error",
    0xC000001D: "illegal instruction",
    0xC0000094: "integer division by zero",
    0xC00000FD: "stack overflow",
    0xC0000374: "heap corruption",
    0xC0000409: "fail fast",
    0xE0434352: "exception of the common language runtime",
    0xE06D7363: "C++ exception",
}
_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "waiting, cannot be interrupted",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
    "P": "parked",
}


def _clean(text: str | None, longest: int = _LONGEST) -> str | None:
    """Text that is printable and not endless."""
    # Cut first: a hostile text may be megabytes long, and each of its characters become ten.
    if text is None:
        return None
    if len(text) > longest:
        head = longest // 3
        text = f"{text[:head]}…{text[head - longest :]}"
    return shortened(printable(text), 2 * longest)


def _base_name(path: str) -> str:
    # A backslash in a path of Linux may be one of an escaped byte.
    on_windows = "\\" in path and not path.startswith(("/", "["))
    return (PureWindowsPath if on_windows else PurePosixPath)(path).name or path


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a bar list."""

    name: str
    count: int
    text: str
    percent: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar list, and what it leaves out."""

    bars: tuple[Bar, ...]
    more: int = 0
    more_text: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Lines of a plain table, and how many it leaves out."""

    rows: tuple[tuple[str, ...], ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A count or a size, before and now."""

    name: str
    before: str
    now: str
    change: str
    direction: str


def _bars(
    counts: Iterable[tuple[str, int]],
    most: int,
    write: Callable[[int], str] = str,
    notes: dict[str, str] | None = None,
) -> Bars:
    ordered = sorted(counts, key=lambda pair: (-pair[1], pair[0]))
    shown, rest = ordered[:most], ordered[most:]
    greatest = max((count for _, count in shown), default=0) or 1
    return Bars(
        tuple(
            Bar(name, count, write(count), 100 * count / greatest, (notes or {}).get(name, ""))
            for name, count in shown
        ),
        len(rest),
        write(sum(count for _, count in rest)),
    )


def _counted(column: StringColumn, unknown: str = "not known") -> list[tuple[str, int]]:
    """How many rows have each text."""
    codes, counts = np.unique(column.codes, return_counts=True)
    return [
        (unknown if code < 0 else _clean(column.categories[code]) or "", count)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
    ]


@dataclass(slots=True)
class _Facts:
    """The tables of a view; None where it does not hold one."""

    view: ProcessView
    process: Process
    tables: dict[str, Table | None]

    @classmethod
    def of(cls, view: ProcessView) -> _Facts:
        tables: dict[str, Table | None] = {}
        for name in _TABLES:
            try:
                tables[name] = getattr(view, name)()
            except DumpFormatError:
                raise
            except ValueError:  # the file does not hold it, or it was not captured
                tables[name] = None
        return cls(view, view.process(), tables)

    @property
    def name(self) -> str:
        process = self.process
        modules = self.tables["modules"]
        path = process.image_path
        if not path and modules is not None and len(modules):
            path = modules["path"][0]
        return _clean(_base_name(path or "") or process.name or "process") or "process"


# --- Where an address lies


class _Places:
    """Modules, and other mappings with a name, by address."""

    def __init__(self, facts: _Facts) -> None:
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
                return f"{_clean(_base_name(text), 80)}+{offset:#x}"
        return f"{address:#x}"


# --- Memory


@dataclass(slots=True)
class _Areas:
    """Committed memory by kind, and by file or region."""

    sizes: list[int]
    groups: list[Group]
    reserved: int
    files: dict[str, int]


def _kinds(facts: _Facts, regions: Table) -> NDArray[np.intp]:
    """Number in `_KINDS` of each region."""
    types, known = regions["type"], regions.valid("type")
    kinds = np.full(len(regions), _OTHER, dtype=np.intp)
    for value, kind in (
        (MemoryType.PRIVATE, _PRIVATE),
        (MemoryType.MAPPED, _MAPPED),
        (MemoryType.IMAGE, _IMAGE),
    ):
        kinds[known & (types == int(value))] = kind
    threads = facts.tables["threads"]
    stack = regions["mapped_file"].isin(["[stack]"])
    if threads is not None and len(threads) and len(regions):
        pointers = threads["stack_pointer"][threads.valid("stack_pointer")]
        order = np.argsort(regions["base"], kind="stable")
        at = np.searchsorted(regions["base"][order], pointers, side="right").astype(np.intp) - 1
        at = order[at[at >= 0]]
        inside = np.isin(np.arange(len(regions)), at)
        stack = stack | inside
    kinds[stack & (kinds == _PRIVATE)] = _STACK
    return kinds


def _areas(facts: _Facts, most: int = _MOST_AREAS) -> _Areas | None:
    regions = facts.tables["regions"]
    if regions is None:
        return None
    state, state_known = regions["state"], regions.valid("state")
    sizes = regions["size"].astype(np.float64)  # a sum of 2**53 bytes is exact
    reserved = state_known & (state == int(MemoryState.RESERVE))
    free = state_known & (state == int(MemoryState.FREE))
    used = ~reserved & ~free
    kinds = _kinds(facts, regions)
    names: StringColumn = regions["mapped_file"]
    categories = names.categories
    count = len(categories)
    rows = np.arange(len(regions))
    # All mappings of one file are one area; a region without a name is one of its own.
    keys = np.where(names.codes >= 0, names.codes.astype(np.int64), count + rows)
    groups, totals = [], []
    files: dict[str, int] = {}
    protect = formatter(Column("protect", "u4", "", "PageProtection"))
    for kind, (css, heading) in enumerate(_KINDS):
        chosen = used & (kinds == kind)
        distinct, first, which = np.unique(keys[chosen], return_index=True, return_inverse=True)
        sums = np.bincount(which.reshape(-1), weights=sizes[chosen], minlength=len(distinct))
        parts = np.bincount(which.reshape(-1), minlength=len(distinct))
        total = int(sums.sum())
        totals.append(total)
        if total == 0:
            continue
        order = np.argsort(-sums, kind="stable")
        origin = rows[chosen][first]
        items = []
        for at in order[:most].tolist():
            size = int(sums[at])
            if distinct[at] < count:
                path = categories[distinct[at]]
                mappings = f", {parts[at]} mappings" if parts[at] > 1 else ""
                name, title = _clean(_base_name(path), 60), f"{_clean(path)}: {human_size(size)}"
                items.append(Item(name or "", size, title + mappings))
            else:
                row = int(origin[at])
                base = int(regions["base"][row])
                rights = protect(int(regions["protect"][row]))
                items.append(Item(f"{base:#x}", size, f"{base:#x} {rights}: {human_size(size)}"))
        rest = order[most:]
        if len(rest):
            size = int(sums[rest].sum())
            text = f"{len(rest):,} more"
            items.append(Item(text, size, f"{text}: {human_size(size)}"))
            items.sort(key=lambda item: -item.size)
        title = f"{heading}: {human_size(total)} in {int(chosen.sum()):,} regions"
        groups.append(Group(heading, css, title, tuple(items)))
        named = order[distinct[order] < count]
        for at in named.tolist():
            path = categories[distinct[at]]
            files[path] = files.get(path, 0) + int(sums[at])
        unnamed = float(sums[distinct >= count].sum())
        if unnamed:
            files[f"no name, {heading}"] = int(unnamed)
    groups.sort(key=lambda group: -group.size)
    return _Areas(totals, groups, int(sizes[reserved].sum()), files)


def _largest(regions: Table) -> Rows:
    used = np.flatnonzero(~(regions.valid("state") & (regions["state"] != int(MemoryState.COMMIT))))
    order = used[np.argsort(-regions["size"][used].astype(np.float64), kind="stable")]
    columns = {c.name: c for c in regions.schema}
    rows = []
    for row in order[:_MOST_REGIONS].tolist():
        facts = regions.row(row)
        rows.append(
            (
                f"{facts['base']:#x}",
                human_size(facts["size"]),
                *(_known(columns[name], facts[name]) for name in ("resident", "protect", "type")),
                _clean(facts["mapped_file"]) or "",
            )
        )
    return Rows(tuple(rows), len(order) - len(rows))


def _known(column: Column, value: Any) -> str:
    """A value as the command writes it; a dash where it is not known."""
    if value is None or (value == 0 and enumeration_of(column) is not None):
        return UNKNOWN
    text = formatter(column)(value)
    return _clean(text) or ""


# --- Sections


def _process(process: Process, threads: int | None) -> list[tuple[str, str]]:
    line = process.command_line
    if line is not None and "\0" in line:
        line = line[: 2 * _LONGEST_FACT]
        line = shlex.join(line.rstrip("\0").split("\0"))
    times = [t for t in (process.user_time_ns, process.kernel_time_ns) if t is not None]
    facts: list[tuple[str, str | None]] = [
        ("Process id", _number(process.pid)),
        ("Parent", _number(process.parent_pid)),
        ("Name", process.name),
        ("Executable", process.image_path),
        ("Command line", line),
        ("Started", _time(process.created_at_ns)),
        ("Processor time", human_time(sum(times)) if times else None),
        ("User", _number(process.uid)),
        ("Group", _number(process.gid)),
        ("Threads", _number(threads if process.thread_count is None else process.thread_count)),
        ("Resident", _size(process.working_set_size)),
        ("Resident at most", _size(process.peak_working_set_size)),
        ("Private", _size(process.private_usage)),
        ("Address space", _size(process.virtual_size)),
    ]
    return [(name, _clean(text, _LONGEST_FACT) or "") for name, text in facts if text]


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def _size(value: int | None) -> str | None:
    return None if value is None else human_size(value)


def _time(ns: int | None) -> str | None:
    return iso_time(ns) if ns else None


def _system(view: ProcessView) -> list[tuple[str, str]]:
    if not isinstance(view, DumpFile):
        return []
    system = view.system()
    facts = [
        ("System", f"{system.platform} {'.'.join(map(str, system.version))}"),
        ("Described as", system.os_text),
        ("Architecture", system.architecture),
        ("Processors", f"{system.processors} {system.cpu_vendor}".strip()),
    ]
    return [(name, _clean(text) or "") for name, text in facts if text]


def _exception_name(view: DumpFile, code: int) -> str:
    if view.system().platform in ("Linux", "Android") and 0 < code < 65:
        try:
            return signal.Signals(code).name
        except ValueError:
            return ""
    return _WINDOWS_EXCEPTIONS.get(code, "")


def _exception(view: ProcessView, places: _Places, facts: _Facts) -> list[tuple[str, str]]:
    exception = view.exception() if isinstance(view, DumpFile) else None
    if exception is None or not isinstance(view, DumpFile):
        return []
    name = _exception_name(view, exception.code)
    out = [("Code", f"{exception.code:#x} {name}".strip())]
    out.append(("Address", places.name(exception.address)))
    if exception.context is not None:
        registers = exception.context.dtype.names or ()
        pointer = next((n for n in ("rip", "eip", "pc") if n in registers), None)
        if pointer is not None:
            out.append(("Instruction", places.name(int(exception.context[pointer]))))
    thread = str(exception.tid)
    threads = facts.tables["threads"]
    if threads is not None:
        rows = np.flatnonzero(threads["tid"] == exception.tid)
        if len(rows) and threads["name"][int(rows[0])]:
            thread += f" ({_clean(threads['name'][int(rows[0])])})"
    out.append(("Thread", thread))
    if exception.parameters:
        out.append(("Parameters", " ".join(map(hex, exception.parameters))))
    return out


def _capture(view: ProcessView) -> list[tuple[str, str]]:
    facts: list[tuple[str, str | None]] = []
    if isinstance(view, DumpFile):
        flags = formatter(Column("flags", "u8", "", "MiniDumpType"))(int(view.flags))
        if view.flags == MiniDumpType.NORMAL:
            flags = "NORMAL"
        ranges = view.memory_ranges()
        facts = [
            ("File", view.path),
            ("Flags", flags.replace("|", ", ")),
            ("Memory", f"{human_size(int(ranges['size'].sum()))} in {len(ranges):,} ranges"),
            ("Comment", view.comment()),
        ]
    else:
        pause = getattr(view, "pause_ns", None)
        facts = [
            ("From", "the running process"),
            ("It stood still for", human_time(pause) if pause else None),
        ]
    taken = ("Taken", _time(getattr(view, "captured_at_ns", None)))
    return [(name, _clean(text, _LONGEST_FACT) or "") for name, text in (taken, *facts) if text]


def _states(threads: Table) -> Bars:
    counts = _counted(threads["state"])
    return _bars(((_STATES.get(s, s), n) for s, n in counts), _MOST_BARS)


def _tops(threads: Table, places: _Places) -> Bars | None:
    """Threads by the place of their next instruction."""
    pointers, known = threads["instruction_pointer"], threads.valid("instruction_pointer")
    if not known.any():
        return None
    distinct, which, counts = np.unique(pointers[known], return_inverse=True, return_counts=True)
    rows = np.flatnonzero(known)
    order = np.argsort(-counts, kind="stable")
    found: list[tuple[str, int]] = []
    notes: dict[str, str] = {}
    for at in order[:_MOST_BARS].tolist():
        place = places.name(int(distinct[at]))
        found.append((place, int(counts[at])))
        members = rows[which.reshape(-1) == at][:1000].tolist()
        names = dict.fromkeys(name for name in (threads["name"][row] for row in members) if name)
        some = [_clean(name, 40) or "" for name in list(names)[:4]]
        notes[place] = ", ".join([*some, *(["…"] if len(names) > 4 else [])])
    bars = _bars(found, _MOST_BARS, notes=notes)
    rest = order[_MOST_BARS:]
    return Bars(bars.bars, len(rest), str(int(counts[rest].sum())))


def _thread_rows(threads: Table, places: _Places, first: int | None) -> Rows:
    order = np.arange(len(threads))
    if first is not None:
        order = np.concatenate([order[threads["tid"] == first], order[threads["tid"] != first]])
    rows = []
    for row in order[:_MOST_THREADS].tolist():
        facts = threads.row(row)
        times = [t for t in (facts["user_time_ns"], facts["kernel_time_ns"]) if t is not None]
        pointer = facts["instruction_pointer"]
        state = facts["state"]
        rows.append(
            (
                str(facts["tid"]),
                _clean(facts["name"], 80) or UNKNOWN,
                _clean(_STATES.get(state, state) if state else None) or UNKNOWN,
                human_time(sum(times)) if times else UNKNOWN,
                UNKNOWN if pointer is None else places.name(pointer),
            )
        )
    return Rows(tuple(rows), len(threads) - len(rows))


def _repeated(handles: Table) -> Bars | None:
    """Names that more than one handle has."""
    names: StringColumn = handles["object_name"]
    codes, counts = np.unique(names.codes, return_counts=True)
    chosen = (codes >= 0) & (counts > 1)
    codes, counts = codes[chosen], counts[chosen]
    if not len(codes):
        return None
    order = np.argsort(-counts, kind="stable")
    shown = [
        (_clean(names.categories[codes[at]]) or "(empty)", int(counts[at]))
        for at in order[:_MOST_NAMES].tolist()
    ]
    rest = order[_MOST_NAMES:]
    bars = _bars(shown, _MOST_NAMES)
    return Bars(bars.bars, len(rest), str(int(counts[rest].sum())))


def _module_rows(modules: Table) -> Rows:
    order = np.argsort(-modules["size"].astype(np.float64), kind="stable")
    rows = []
    for row in order[:_MOST_MODULES].tolist():
        facts = modules.row(row)
        rows.append(
            (
                f"{facts['base']:#x}",
                human_size(facts["size"]),
                _clean(facts["version"], 40) or UNKNOWN,
                _clean(facts["debug_id"], 80) or UNKNOWN,
                _clean(facts["path"]) or UNKNOWN,
            )
        )
    return Rows(tuple(rows), len(modules) - len(rows))


def _soft_error(error: Any) -> tuple[str, str, str]:
    """Severity, code and message of what the writer of a file could not do."""
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        severity, code = str(error.get("severity", "writer")), str(error.get("code", ""))
        return _clean(severity) or "", _clean(code) or "", _clean(error["message"], 500) or ""
    text = error if isinstance(error, str) else json.dumps(error)
    return "writer", "", _clean(text, 500) or ""


def _diagnostics(view: ProcessView) -> Rows:
    rows = [
        (d.severity, _clean(d.code) or "", _clean(d.message, 500) or "")
        for d in getattr(view, "diagnostics", ())
    ]
    if isinstance(view, DumpFile):
        try:
            errors = view.soft_errors()
        except DumpFormatError as error:
            errors = [str(error)]
        rows += map(_soft_error, errors)
    rows.sort(key=lambda row: row[0] != "warning")
    return Rows(tuple(rows[:_MOST_DIAGNOSTICS]), max(len(rows) - _MOST_DIAGNOSTICS, 0))


# --- What grew


def _change(name: str, before: int, now: int, write: Callable[[int], str]) -> Change:
    difference = now - before
    sign = "+" if difference > 0 else "-" if difference < 0 else "±"
    direction = "grew" if difference > 0 else "shrank" if difference < 0 else "same"
    return Change(name, write(before), write(now), f"{sign}{write(abs(difference))}", direction)


def _changes(
    before: dict[str, int], now: dict[str, int], write: Callable[[int], str]
) -> tuple[tuple[Change, ...], int]:
    """Those that differ, the greatest difference first, and how many are left out."""
    names = [n for n in {**now, **before} if before.get(n, 0) != now.get(n, 0)]
    names.sort(key=lambda n: (-abs(now.get(n, 0) - before.get(n, 0)), n))
    shown = tuple(
        _change(_clean(n) or "", before.get(n, 0), now.get(n, 0), write)
        for n in names[:_MOST_CHANGES]
    )
    return shown, len(names) - len(shown)


def _comma(value: int) -> str:
    return f"{value:,}"


def _grew(earlier: _Facts, now: _Facts, areas: _Areas | None) -> dict[str, Any]:
    counts = []
    for name in _TABLES:
        old, new = earlier.tables[name], now.tables[name]
        if old is not None and new is not None:
            counts.append(_change(name, len(old), len(new), _comma))
    of = [fact for fact in _capture(earlier.view) if fact[0] in ("Taken", "File")]
    out: dict[str, Any] = {"counts": counts, "of": of}
    old, new = earlier.tables["handles"], now.tables["handles"]
    if old is not None and new is not None:
        types = [dict(_counted(t["type_name"])) for t in (old, new)]
        out["types"] = _changes(types[0], types[1], _comma)
    before = _areas(earlier)
    if before is not None and areas is not None:
        pairs = zip(_KINDS, before.sizes, areas.sizes, strict=True)
        counts += [_change(h, b, n, human_size) for (_, h), b, n in pairs if b or n]
        out["files"] = _changes(before.files, areas.files, human_size)
    out["others"] = (
        earlier.process.pid != now.process.pid
        or earlier.process.created_at_ns != now.process.created_at_ns
        if None not in (earlier.process.created_at_ns, now.process.created_at_ns)
        else earlier.process.pid != now.process.pid
    )
    return out


# --- The page


def _tiles(facts: _Facts, areas: _Areas | None) -> list[tuple[str, str]]:
    tiles = []
    for name in _TABLES:
        table = facts.tables[name]
        tiles.append((name, UNKNOWN if table is None else _comma(len(table))))
    if areas is not None:
        tiles.append(("committed", human_size(sum(areas.sizes))))
        tiles.append(("reserved", human_size(areas.reserved)))
    return tiles


def _legend(areas: _Areas) -> list[tuple[str, str, str, str]]:
    total = sum(areas.sizes) or 1
    return [
        (css, heading, human_size(size), f"{100 * size / total:.1f} %")
        for (css, heading), size in zip(_KINDS, areas.sizes, strict=True)
        if size
    ]


def _map(areas: _Areas, width: int, height: int) -> str:
    total = human_size(sum(areas.sizes))
    label = f"Committed memory, {total}, by kind and by file; the tables below have the numbers"
    return svg(areas.groups, width, height, label=label, write_size=human_size)


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
    facts = _Facts.of(view)
    places = _Places(facts)
    areas = _areas(facts)
    threads, handles = facts.tables["threads"], facts.tables["handles"]
    regions, modules = facts.tables["regions"], facts.tables["modules"]
    exception = view.exception() if isinstance(view, DumpFile) else None
    content: dict[str, Any] = {
        "name": facts.name,
        "pid": facts.process.pid,
        "version": snapcore.__version__,
        "tiles": _tiles(facts, areas),
        "facts": _summary(facts, places),
        "grew": None if earlier is None else _grew(_Facts.of(earlier), facts, areas),
        "types": None if handles is None else _bars(_counted(handles["type_name"]), _MOST_BARS),
        "repeated": None if handles is None else _repeated(handles),
        "states": None if threads is None else _states(threads),
        "tops": None if threads is None else _tops(threads, places),
        "threads": None
        if threads is None
        else _thread_rows(threads, places, None if exception is None else exception.tid),
        "legend": None if areas is None else _legend(areas),
        "reserved": None if areas is None else human_size(areas.reserved),
        "wide": "" if areas is None else _map(areas, 1040, 460),
        "narrow": "" if areas is None else _map(areas, 360, 520),
        "regions": None if regions is None else _largest(regions),
        "modules": None if modules is None else _module_rows(modules),
        "diagnostics": _diagnostics(view),
    }
    text: str = environment.get_template("page.html").render(content)
    return text


def _summary(facts: _Facts, places: _Places) -> Sequence[tuple[str, list[tuple[str, str]]]]:
    threads = facts.tables["threads"]
    sections = [
        ("Exception", _exception(facts.view, places, facts)),
        ("Process", _process(facts.process, None if threads is None else len(threads))),
        ("Capture", _capture(facts.view)),
        ("System", _system(facts.view)),
    ]
    return [(name, lines) for name, lines in sections if lines]
