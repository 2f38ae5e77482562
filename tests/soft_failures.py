# SPDX-License-Identifier: Apache-2.0
"""Which diagnostics there are, and where each must be told: in the result, the log, the JSON and the dump."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import snapcore
from snapcore.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

# Every code that the package can give, by who gives it. tests/unit/test_diagnostics.py finds them in
# the source and fails where one is missing here; the tests named in the comments provoke each.
# tests/linux/test_soft_failures.py
LINUX = {
    "arguments_cut",
    "clone_not_preferred_by_oom_killer",
    "clone_shares_descriptors",
    "dead_stack_not_restored",
    "device_memory_left_out",
    "dontdump_left_out",
    "fell_back_to_live",
    "flag_without_effect",
    "flag_without_meaning",
    "handles_not_atomic",
    "memory_kept_from_clone",
    "no_way_home",
    "pause_exceeded",
    "processes_refused",
    "referenced_memory_left_out",
    "seals_refused",
    "threads_gone",
    "timed_call_interrupted",
    "tracer_killed",
    "unmapped_file_pages_left_out",
    "unreadable_memory_left_out",
    "zombie_left",
}
# tests/windows/test_soft_failures.py
WINDOWS = {
    "debug_privilege_used",
    "dump_retried",
    "ended_threads",
    "environment_not_kept",
    "fell_back_to_live",
    "flag_without_effect",
    "handle_names_given_up",
    "module_list_broken",
    "not_freed",
    "not_in_clone",
    "own_process",
    "peers_unknown",
    "processes_refused",
    "unreadable_memory_left_out",
    "wider_rights_needed",
    "wow64_target",
}
# Of watch() and leaks(): tests/linux/test_soft_failures.py; whole_dumps_only on Windows.
PYTHON = {
    "base_gone",
    "busy",
    "clone_released",
    "dump_timed_out",
    "no_clone_held",
    "process_ended",
    "whole_dumps_only",
}


# What was told of a diagnostic, by where: "result", "log", "json", "file".
Evidence = dict[str, Any]
PROVOKERS: dict[str, Callable[..., Evidence]] = {}


def provokes(code: str) -> Callable[[Callable[..., Evidence]], Callable[..., Evidence]]:
    """Register what provokes a diagnostic; its arguments are fixtures, and `folder`."""

    def add(function: Callable[..., Evidence]) -> Callable[..., Evidence]:
        assert code not in PROVOKERS
        PROVOKERS[code] = function
        return function

    return add


def provoked(code: str, request: pytest.FixtureRequest, folder: Path) -> Evidence:
    """Provoke it."""
    provoker = PROVOKERS[code]
    wanted = provoker.__code__.co_varnames[: provoker.__code__.co_argcount]
    given = {name: folder if name == "folder" else request.getfixturevalue(name) for name in wanted}
    return provoker(**given)


@contextlib.contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """What is logged meanwhile, as the fields of each record."""
    found: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if hasattr(record, "code"):
                said = {
                    name: getattr(record, name)
                    for name in ("code", "severity", "subject", "call", "domain", "error")
                }
                found.append(
                    {
                        **said,
                        "level": record.levelname,
                        "logger": record.name,
                        "text": record.getMessage(),
                    }
                )

    handler, log = Keep(), logging.getLogger("snapcore")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield found
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def opened(path: Path) -> list[Any]:
    """What the writer of a dump had to say; the dump opens, and has what every dump has."""
    with snapcore.open(path, strict=True) as dump:
        assert len(dump.threads()) > 0
        assert len(dump.modules()) > 0
        return dump.soft_errors()


def command_json(*words: object) -> list[Any]:
    """The objects that the command prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main(list(map(str, words)))
    assert code in (0, 5), code
    try:
        return [json.loads(out.getvalue())]
    except json.JSONDecodeError:
        return [json.loads(line) for line in out.getvalue().splitlines()]


def rows(diagnostics: Any) -> list[dict[str, Any]]:
    return [asdict(d) for d in diagnostics]


def dump_evidence(
    pid: int,
    folder: Path,
    code: str,
    flags: int = 0,
    *,
    options: Callable[[int], dict[str, Any]] = lambda _: {},
    tries: int = 1,
) -> dict[str, Any]:
    """Where the diagnostic of a dump is told; more than one try for what a race decides."""
    path = folder / "soft.dmp"
    for at in range(tries):
        try:
            with logged() as log:
                result = rows(
                    snapcore.dump(pid, path, flags, overwrite=True, **options(at)).diagnostics
                )
        except snapcore.TimedOut:
            continue
        if code in {d["code"] for d in result}:
            break
    said = {"result": result, "log": log, "file": opened(path)}
    for at in range(tries):
        words: list[object] = ["dump", pid, "-o", path, "--force", "--json", "--flags", int(flags)]
        for name, value in options(at).items():
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
        try:
            (printed,) = command_json(*words)
        except AssertionError:
            if tries == 1:
                raise
            continue
        if code in {d["code"] for d in printed["diagnostics"]}:
            break
    return {**said, "json": printed["diagnostics"]}


def is_told(code: str, said: dict[str, Any], *, logger: str | None = None) -> None:
    """Assert that a diagnostic is in the result, once in the log, in the JSON, and in the dump if there is one."""
    found = {
        where: [d for d in entries if d.get("code") == code] for where, entries in said.items()
    }
    assert found["result"], said["result"]
    as_logged = ("code", "severity", "subject", "call", "domain", "error")
    assert len(found["log"]) == len(found["result"]), found
    for record, diagnostic in zip(found["log"], found["result"], strict=True):
        assert {key: record[key] for key in as_logged} == {
            key: diagnostic[key] for key in as_logged
        }
        assert record["level"] == {"info": "INFO", "warning": "WARNING"}[diagnostic["severity"]]
        assert diagnostic["message"] in record["text"]
        assert logger in (None, record["logger"])
    assert {(d["code"], d["severity"]) for d in found["json"]} == {
        (d["code"], d["severity"]) for d in found["result"]
    }
    if "file" in said:
        assert found["file"] == found["result"]
