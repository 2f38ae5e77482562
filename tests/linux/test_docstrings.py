# SPDX-License-Identifier: Apache-2.0
"""The examples in docstrings, asked of a process that is as they say."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import linux_support
import numpy as np
import pytest

import snapcore

# Docs: two threads, "app" and "worker"; five descriptors; says what it was told to do.
APP = """
import os, socket, sys, threading, time

def call(name):
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
        comm.write(name)

def work(started):
    call("worker")
    started.set()
    threading.Event().wait()

def leak():
    while True:
        kept.append(open(f"leak-{len(kept)}.log", "w"))
        time.sleep(0.02)

call("app")
needle = b"needle in the " + b"heap" * int(sys.argv[1])
log = open("app.log", "w+")
log.write("begin\\n")
log.flush()
listener = socket.create_server(("127.0.0.1", 0))
started = threading.Event()
threading.Thread(target=work, args=[started], daemon=True).start()
started.wait()
kept = []
print("ready", flush=True)
for line in sys.stdin:
    if line == "open a file\\n":
        kept.append(open("new-0.log", "w"))
    elif line == "leak\\n":
        threading.Thread(target=leak, daemon=True).start()
    print("done", flush=True)
"""

# Those that a reader of the reference meets first.
MUST_HAVE = {
    *("dump", "capture", "open", "handles", "threads", "system_handles", "system_threads"),
    *("diff", "leaks", "scan", "watch", "report"),
    *("Snapshot.process", "Snapshot.regions", "Snapshot.modules", "Snapshot.read", "Snapshot.dump"),
    *("DumpFile.find", "Table", "Table.valid", "Table.row", "Table.take", "StringColumn"),
}


@pytest.fixture(autouse=True)
def nothing_left_here(request):
    """As elsewhere, but that Arrow keeps its threads for their next work."""
    before = None if "scan" in request.node.name else linux_support.NothingLeft()
    yield
    if before is not None:
        before.check()


def examples() -> dict[str, doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for module in sorted(set(snapcore._HOMES)):
        for test in finder.find(importlib.import_module(module)):
            if test.examples:
                found[test.name.removeprefix(f"{module}.")] = test
    return found


EXAMPLES = examples()


def test_the_main_functions_have_examples():
    assert set(EXAMPLES) >= MUST_HAVE


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", APP, "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:

        def tell(what: str) -> None:
            print(what, file=process.stdin, flush=True)
            assert process.stdout.readline() == "done\n"

        try:
            assert process.stdout.readline() == "ready\n"
            if name != "dump":
                snapcore.dump(process.pid, "app.dmp", "mini")
            snapcore.dump(process.pid, "before.dmp", "mini")
            snapcore.dump(process.pid, "full.dmp", "full")
            test = EXAMPLES[name]
            test.globs = {"snapcore": snapcore, "pid": process.pid, "tell": tell}
            said: list[str] = []
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            with np.printoptions(linewidth=75):
                runner.run(test, out=said.append)
            assert runner.failures == 0, "".join(said)
        finally:
            process.kill()
