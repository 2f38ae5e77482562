# SPDX-License-Identifier: Apache-2.0
"""``snapcore info``."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapcore import DumpFile, DumpFormatError, Snapshot
from snapcore.cli.exit_codes import ExitCode
from snapcore.cli.frame import Frame
from snapcore.cli.output import heading, write_json, write_table
from snapcore.cli.stream_types import stream_name
from snapcore.cli.streams import is_terminal, warn, write_lines
from snapcore.cli.tables import add_format
from snapcore.cli.views import add_target, identity_of, open_view
from snapcore.display.text import human_size, printable
from snapcore.display.values import formatter
from snapcore.dtypes import PROCESS, Column

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from snapcore import MiniDumpType

__all__ = ["COMMANDS", "InfoCommand"]

_TIME = "ns since 1970-01-01 UTC"
_STREAMS = (
    Column("type", "u4", "bit mask", "MINIDUMP_STREAM_TYPE"),
    Column("name", "str", "", "its name in the SDK, or of who writes it"),
    Column("offset", "u8", "", "where it lies in the file"),
    Column("size", "u8", "", "its length in bytes"),
    Column("present", "u8", "", "bytes of it that the file has"),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a section.

    Parameters
    ----------
    name : str
        Name of the fact.
    value : object
        What JSON holds; None where it is not known.
    text : str or None
        For people, where it is more than the value.
    """

    name: str
    value: Any
    text: str | None = None


_Section = list[Fact] | Frame | str | None


def _fact(name: str, value: Any, unit: str, meaning: str = "", dtype: str = "u8") -> Fact:
    if value is None:
        return Fact(name, None)
    return Fact(name, value, formatter(Column(name, dtype, unit, meaning))(value))


def _flags(flags: MiniDumpType) -> str:
    names = formatter(Column("flags", "u8", "", "MiniDumpType"))(int(flags)) if flags else "NORMAL"
    return names.replace("|", ", ")


def _size_fact(name: str, value: int) -> Fact:
    exact = f" ({value:,} bytes)" if value >= 1024 else ""
    return Fact(name, value, human_size(value) + exact)


def _file(file: DumpFile) -> _Section:
    return [
        _size_fact("size", Path(file.path).stat().st_size),
        Fact("flags", int(file.flags), _flags(file.flags)),
        _fact("captured_at_ns", file.captured_at_ns, _TIME, dtype="i8"),
    ]


def _capture(snapshot: Snapshot) -> _Section:
    return [
        _fact("captured_at_ns", snapshot.captured_at_ns or None, _TIME, dtype="i8"),
        _fact("pause_ns", snapshot.pause_ns or None, "ns", dtype="i8"),
    ]


def _system(file: DumpFile) -> _Section:
    system = file.system()
    masks = {"cpu_version", "cpu_features"}
    facts = []
    for field in dataclasses.fields(system):
        value = getattr(system, field.name)
        text = hex(value) if field.name in masks else None
        facts.append(Fact(field.name, value, text))
    version = ".".join(map(str, system.version))
    return [Fact(f.name, f.value, version) if f.name == "version" else f for f in facts]


def _process(view: Snapshot | DumpFile) -> _Section:
    process = view.process()
    facts = []
    for column in PROCESS:
        value = getattr(process, column.name)
        fact = _fact(column.name, value, column.unit, column.meaning, column.dtype)
        if column.name == "command_line" and value is not None and "\0" in value:
            fact = Fact(column.name, value, shlex.join(value.rstrip("\0").split("\0")))
        facts.append(fact)
    return facts


def _exception(file: DumpFile) -> _Section:
    exception = file.exception()
    if exception is None:
        return None
    at = None
    if exception.context is not None:
        registers = exception.context.dtype.names or ()
        pointer = next(name for name in ("rip", "eip", "pc") if name in registers)
        at = int(exception.context[pointer])
    return [
        Fact("tid", exception.tid),
        Fact("code", exception.code, f"{exception.code} ({exception.code:#x})"),
        Fact("flags", exception.flags, hex(exception.flags)),
        Fact("address", exception.address, hex(exception.address)),
        Fact("parameters", exception.parameters, " ".join(map(hex, exception.parameters))),
        Fact("instruction_pointer", at, None if at is None else hex(at)),
    ]


def _tables(view: Snapshot | DumpFile) -> _Section:
    facts = []
    for name in ("threads", "handles", "regions", "modules"):
        try:
            facts.append(Fact(name, len(getattr(view, name)())))
        except DumpFormatError:
            raise
        except ValueError:  # the file does not hold it, or it was not captured
            facts.append(Fact(name, None))
    if isinstance(view, DumpFile):
        facts.append(Fact("unloaded_modules", len(view.unloaded_modules())))
    return facts


def _memory(file: DumpFile) -> _Section:
    ranges = file.memory_ranges()
    size, present = int(ranges["size"].sum()), int(ranges["present"].sum())
    facts = [Fact("ranges", len(ranges)), _size_fact("size", size)]
    return [*facts, _size_fact("present", present)] if size != present else facts


def _base(file: DumpFile) -> _Section:
    base = file.base
    if base is None:
        return None
    ranges = file.memory_ranges()
    there = int(ranges["size"][ranges["in_base"] == 1].sum())
    return [
        Fact("name", base.name),
        Fact("path", base.path),
        Fact("identity", base.identity),
        _size_fact("size", base.size),
        _size_fact("memory", there),
    ]


_MASKS = {"flags", "affinity", "xstate_features", "integrity_level", "execute_flags"}
_SIZES = {"file_cache", "peak_file_cache", "page_size", "allocation_granularity"}


def _dataclass(value: Any) -> _Section:
    """Facts of a dataclass of the package; None where there is none."""
    if value is None:
        return None
    facts = []
    for field in dataclasses.fields(value):
        fact = getattr(value, field.name)
        if fact is not None and (field.name in _MASKS or field.name.endswith("_address")):
            facts.append(Fact(field.name, fact, hex(fact)))
        elif fact is not None and field.name in _SIZES:
            facts.append(_size_fact(field.name, fact))
        elif dataclasses.is_dataclass(fact) and not isinstance(fact, type):
            facts.append(Fact(field.name, dataclasses.asdict(fact), _words(fact)))
        else:
            facts.append(Fact(field.name, fact or None))
    return facts


def _words(value: Any) -> str:
    pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    return ", ".join(f"{name} {fact}" for name, fact in pairs)


def _misc(file: DumpFile) -> _Section:
    return _dataclass(file.misc())


def _system_memory(file: DumpFile) -> _Section:
    return _dataclass(file.system_memory())


def _breakpad(file: DumpFile) -> _Section:
    return _dataclass(file.breakpad())


def _crashpad(file: DumpFile) -> _Section:
    info = file.crashpad()
    if info is None:
        return None
    facts = [
        Fact("version", info.version),
        Fact("report_id", info.report_id),
        Fact("client_id", info.client_id),
        *(Fact(name, text) for name, text in info.simple_annotations.items()),
    ]
    for module in info.modules:
        texts = {
            **dict.fromkeys(module.list_annotations, ""),
            **module.simple_annotations,
            **{a.name: a.value.decode("utf-8", "backslashreplace") for a in module.annotations},
        }
        words = ", ".join(f"{name}={text}" if text else name for name, text in texts.items())
        facts.append(Fact(f"module {module.index}", texts, words))
    return facts


def _macos(file: DumpFile) -> _Section:
    infos, arguments = file.mac_crash_info(), file.mac_boot_arguments()
    if not infos and arguments is None:
        return None
    said = (Fact(i.module_path or "module", dataclasses.asdict(i), i.message or "") for i in infos)
    return [Fact("boot_arguments", arguments), *said]


def _writer(file: DumpFile) -> _Section:
    """What the writer says it could not do, one JSON text each."""
    try:
        errors = file.soft_errors()
    except DumpFormatError as error:
        errors = [str(error)]
    return [Fact(str(n), e, json.dumps(e)) for n, e in enumerate(errors, 1)] or None


def _comment(file: DumpFile) -> _Section:
    return file.comment()


def _streams(file: DumpFile) -> _Section:
    rows = [(s.type, stream_name(s.type), s.offset, s.size, s.present) for s in file.streams()]
    return Frame.from_rows("streams", _STREAMS, rows)


#: Sections in the order of the output. A new question to a file is a line here.
_FILE_SECTIONS: tuple[tuple[str, Callable[[DumpFile], _Section]], ...] = (
    ("file", _file),
    ("system", _system),
    ("process", _process),
    ("exception", _exception),
    ("tables", _tables),
    ("memory", _memory),
    ("base", _base),
    ("misc", _misc),
    ("system_memory", _system_memory),
    ("breakpad", _breakpad),
    ("crashpad", _crashpad),
    ("macos", _macos),
    ("soft_errors", _writer),
    ("comment", _comment),
    ("streams", _streams),
)
_PROCESS_SECTIONS: tuple[tuple[str, Callable[[Snapshot], _Section]], ...] = (
    ("capture", _capture),
    ("process", _process),
    ("tables", _tables),
)


class InfoCommand:
    """Print what a process or a dump file is."""

    name = "info"
    description = (
        "Tell what a process or a dump file is: its facts, and how many rows each table has. Of a "
        "file also the system, the exception, its memory and its streams. A process is looked at "
        "while it runs on, and what only a snapshot has is left out."
    )

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The subparser of this command.
        """
        add_target(parser)
        parser.add_argument(
            "--snapshot",
            action="store_true",
            help="of a process: make a clone of it, for counts of regions and modules; it stands "
            "still for about as long as a fork of it would take",
        )
        add_format(parser, ("table", "json"))
        parser.add_argument("-q", "--quiet", action="store_true", help="print no warnings")

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
        with open_view(self.name, arguments) as view:
            if isinstance(view, DumpFile):
                sections = {name: answer(view) for name, answer in _FILE_SECTIONS}
            else:
                sections = {name: answer(view) for name, answer in _PROCESS_SECTIONS}
            identity, diagnostics = identity_of(view), view.diagnostics
        if arguments.format == "json":
            content = {name: _json(section) for name, section in sections.items()}
            notes = [dataclasses.asdict(d) for d in diagnostics]
            write_json({**identity, **content, "diagnostics": notes})
        else:
            for name, value in identity.items():
                write_lines([f"{name} {printable(str(value))}"])
            for name, section in sections.items():
                _print_section(name, section)
        return ExitCode.WARNINGS if warn(diagnostics, quiet=arguments.quiet) else ExitCode.OK


def _json(section: _Section) -> Any:
    if isinstance(section, Frame):
        columns = [field.python() for field in section.fields]
        return [dict(zip(section.names, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(section, list):
        return {fact.name: fact.value for fact in section}
    return section


def _print_section(name: str, section: _Section) -> None:
    if section is None:
        return
    write_lines([""])
    heading(name)
    if isinstance(section, Frame):
        write_table(section, indent="  ")
        return
    if isinstance(section, str):
        write_lines(f"  {printable(line)}" for line in section.splitlines())
        return
    known = [fact for fact in section if fact.value is not None]
    width = max((len(fact.name) for fact in known), default=0)
    for fact in known:
        text = printable(str(fact.value) if fact.text is None else fact.text)
        write_lines(_wrapped(f"  {fact.name:<{width}}  ", text))


def _wrapped(start: str, text: str) -> list[str]:
    """Lines of a terminal's width, the later ones below the first one's text."""
    if not is_terminal():
        return [f"{start}{text}".rstrip()]
    return textwrap.wrap(
        text,
        max(shutil.get_terminal_size().columns, len(start) + 20),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start.rstrip()]


COMMANDS = (InfoCommand(),)
