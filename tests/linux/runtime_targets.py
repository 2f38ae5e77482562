# SPDX-License-Identifier: Apache-2.0
"""Targets that are programs of a runtime, and servers from Debian, each with checks of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from linux_support import children
from support import Target, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parent / "runtimes"
RUNTIMES = ["python", "go", "go_cgo", "java", "node"]


def build_runtimes(folder: Path) -> None:
    """Compile what wants to be compiled."""
    go = {**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    for name, cgo in [("go", "0"), ("go_cgo", "1")]:
        command = ["go", "build", "-o", folder / name, SOURCES / "target.go"]
        subprocess.run(command, check=True, env={**go, "CGO_ENABLED": cgo})
    subprocess.run(["javac", "-d", folder, SOURCES / "Target.java"], check=True)


class RuntimeTarget(Target):
    """A program of tests/linux/runtimes."""

    def __init__(self, runtime: str, built: Path) -> None:
        command = {
            "python": [sys.executable, SOURCES / "target.py"],
            "go": [built / "go"],
            "go_cgo": [built / "go_cgo"],
            "java": ["java", "-Xmx64m", "-cp", built, "Target"],
            "node": ["node", SOURCES / "target.js"],
        }[runtime]
        self.run(list(map(str, command)))


def is_right(target: Target) -> None:
    """Assert that it goes on, and that all of its own checks hold."""
    before = target.ask("check")
    assert before["violations"] == 0, before["report"]
    wait_until(lambda: target.ask("check")["rounds"] > before["rounds"] + 20, 30)
    after = target.ask("check")
    assert after["violations"] == 0, after["report"]


class Load:
    """Runs a command again and again until it is told to stop; each run must end well."""

    def __init__(self, command: list[str], bad: str) -> None:
        self.runs = 0
        self.failure = ""
        self._command = command
        self._bad = re.compile(bad)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set() and not self.failure:
            ran = subprocess.run(self._command, capture_output=True, text=True, check=False)
            output = ran.stdout + ran.stderr
            if ran.returncode != 0 or self._bad.search(output):
                self.failure = f"exit {ran.returncode}: {output}"
            self.runs += 1

    def stop(self) -> None:
        """Wait for the last run, and assert that none has failed."""
        self._ending.set()
        self._thread.join()
        assert not self.failure, self.failure
        assert self.runs > 0


REDIS_REQUESTS = 5_000


class Redis:
    """redis-server on a socket, with redis-benchmark at work."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = str(folder / "redis.sock")
        settings = ["--port", "0", "--unixsocket", self._socket, "--dir", str(folder)]
        settings += ["--save", "", "--appendonly", "yes", "--enable-debug-command", "local"]
        self._server = subprocess.Popen(
            ["redis-server", *settings], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        self.pids = [self._server.pid]
        wait_until(self._answers)
        tests = "set,get,incr,lpush,rpop,sadd,hset,zadd,mset"
        amount = ["-n", str(REDIS_REQUESTS), "-c", "20", "-t", tests]
        self._load = Load(["redis-benchmark", "-s", self._socket, *amount, "-q"], "(?i)err")

    def ask(self, *command: str) -> str:
        """The answer to a command of Redis."""
        return subprocess.run(
            ["redis-cli", "-s", self._socket, *command], capture_output=True, text=True, check=True
        ).stdout.strip()

    def _answers(self) -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.ask("ping") == "PONG"
        return False

    def while_under_load(self) -> None:
        """A fork of its own, beside the ones that are not."""
        self.ask("bgsave")

    def check(self) -> int:
        """Assert that nothing was lost; how often the load ran."""
        self._load.stop()
        info = dict(
            line.split(":", 1) for line in self.ask("info", "all").splitlines() if ":" in line
        )
        assert int(self.ask("get", "counter:__rand_int__")) == REDIS_REQUESTS * self._load.runs
        # As many were put on the list as were taken.
        assert self.ask("llen", "mylist") == "0"
        assert info["unexpected_error_replies"] == "0"
        assert info["total_error_replies"] == "0"
        wait_until(lambda: "rdb_bgsave_in_progress:0" in self.ask("info", "persistence"))
        assert "rdb_last_bgsave_status:ok" in self.ask("info", "persistence")
        assert "aof_last_write_status:ok" in self.ask("info", "persistence")
        before = self.ask("debug", "digest")
        self.ask("save")
        self.ask("debug", "loadaof")
        assert self.ask("debug", "digest") == before
        return self._load.runs

    def end(self) -> None:
        """Stop it in the ordinary way."""
        with contextlib.suppress(AssertionError):
            self._load.stop()
        self._server.send_signal(signal.SIGTERM)
        assert self._server.wait(30) == 0
        for program, pattern in [
            ("redis-check-rdb", "*.rdb"),
            ("redis-check-aof", "**/*.manifest"),
        ]:
            for file in self._folder.glob(pattern):
                subprocess.run([program, file], check=True, stdout=subprocess.DEVNULL)


NOBODY = 65534
POSTGRES = Path("/usr/lib/postgresql/15/bin")
TRANSACTIONS = 200


class Postgres:
    """PostgreSQL with checksums on a socket, with pgbench at work."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._as_nobody = {
            "user": NOBODY,
            "group": NOBODY,
            "extra_groups": [],
            "cwd": "/",
            "env": {"LC_ALL": "C", "PATH": os.environ["PATH"], "HOME": str(folder)},
        }
        self._run("initdb", "-D", self._data, "-k", "-A", "trust", "-U", "postgres", "-N")
        settings = ["-k", folder, "-h", "", "-c", "shared_buffers=16MB", "-c", "fsync=off"]
        with (folder / "log").open("w") as log:
            self._server = subprocess.Popen(
                list(map(str, [POSTGRES / "postgres", "-D", self._data, *settings])),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._as_nobody,
            )
        wait_until(self._answers, 30)
        self._run("pgbench", "-h", folder, "-U", "postgres", "-i", "-q", "-s", "2", "postgres")
        amount = ["-c", "4", "-j", "2", "-t", TRANSACTIONS, "-n"]
        command = [POSTGRES / "pgbench", "-h", folder, "-U", "postgres", *amount, "postgres"]
        self._load = Load(list(map(str, command)), "(?i)error|abort|failed transactions: [^0]")

    def _run(self, program: str, *arguments: object) -> str:
        ran = subprocess.run(
            list(map(str, [POSTGRES / program, *arguments])),
            capture_output=True,
            text=True,
            check=False,
            **self._as_nobody,
        )
        assert ran.returncode == 0, f"{program}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def _answers(self) -> bool:
        with contextlib.suppress(AssertionError):
            return "accepting" in self._run("pg_isready", "-h", self._folder, "-U", "postgres")
        return False

    def ask(self, sql: str) -> str:
        """What a query gives."""
        return self._run("psql", "-h", self._folder, "-U", "postgres", "-Atc", sql).strip()

    @property
    def pids(self) -> list[int]:
        """The postmaster, and whatever works for it now."""
        return [self._server.pid, *children(self._server.pid)]

    def while_under_load(self) -> None:
        """A process that comes and goes, and one that writes."""
        self.ask("checkpoint")

    def check(self) -> int:
        """Assert that nothing was lost; how often the load ran."""
        self._load.stop()
        sums = self.ask(
            "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers),"
            " (select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history)"
        ).split("|")
        assert len(set(sums)) == 1, sums
        done = int(self.ask("select count(*) from pgbench_history"))
        assert done == 4 * TRANSACTIONS * self._load.runs
        self._run(
            "pg_amcheck", "-h", self._folder, "-U", "postgres", "--install-missing", "postgres"
        )
        return self._load.runs

    def end(self) -> None:
        """Stop it in the ordinary way; every page has the checksum that it should have."""
        with contextlib.suppress(AssertionError):
            self._load.stop()
        # It waits for backends whose client has just gone; SIGINT would end them with an error.
        self._server.send_signal(signal.SIGTERM)
        assert self._server.wait(60) == 0
        self._run("pg_checksums", "--check", "-D", self._data)
        log = (self._folder / "log").read_text()
        # The question whether it answers may come before it does.
        assert not re.search("PANIC|ERROR|crash|FATAL(?!.*starting up)", log), log


SERVERS = {"redis": Redis, "postgres": Postgres}


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Redis | Postgres]:
    """A server, stopped in the ordinary way afterwards."""
    server = SERVERS[name](folder)
    try:
        yield server
    finally:
        server.end()
