# SPDX-License-Identifier: Apache-2.0
"""A CPython program under load that checks itself.

Sums under a lock, numbered messages through a queue, a socket and an event loop, child processes, a database, sleeps,
memory that the collector walks, signals that it counts.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import itertools
import json
import os
import queue
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNTS, TOTAL = 16, 16_000

lock = threading.Lock()
balance = [TOTAL // ACCOUNTS] * ACCOUNTS
counts = {"violations": 0, "rounds": 0, "signals": 0}
report: list[str] = []


def check(good: bool, text: str) -> None:
    if not good:
        counts["violations"] += 1
        report.append(text)
    counts["rounds"] += 1


def start(work: Callable[[], None]) -> None:
    """Run it for ever; what it raises is a violation, and ends it."""

    def run() -> None:
        try:
            while True:
                work()
        except BaseException as error:  # noqa: BLE001
            check(False, f"{work.__name__}: {error!r}")

    threading.Thread(target=run, daemon=True, name=work.__name__).start()


def move() -> None:
    for i in range(64):
        with lock:
            balance[i % ACCOUNTS] -= 3
            balance[(i * 7 + 1) % ACCOUNTS] += 3
            total = sum(balance)
        check(total == TOTAL, f"the sum is {total}")
    time.sleep(0.001)


TEXT = bytes(1 << 16)
DIGEST = hashlib.sha256(TEXT).digest()


def digest() -> None:
    check(hashlib.sha256(TEXT).digest() == DIGEST, "another digest")


messages: queue.Queue[int] = queue.Queue(4)
sent, taken, numbered = itertools.count(), itertools.count(), itertools.count(1)


def put() -> None:
    messages.put(next(sent))
    time.sleep(0.0002)


def take() -> None:
    number, wanted = messages.get(timeout=30), next(taken)
    check(number == wanted, f"message {number} instead of {wanted}")


left, right = socket.socketpair()
right.settimeout(30)


def echo() -> None:
    left.sendall(left.recv(8))


def numbers() -> None:
    number = next(numbered)
    right.sendall(number.to_bytes(8, "little"))
    got = int.from_bytes(right.recv(8), "little")
    check(got == number, f"number {got} instead of {number}")
    time.sleep(0.0005)


def sleeps() -> None:
    begin = time.monotonic()
    time.sleep(0.005)
    check(time.monotonic() - begin >= 0.005, "slept too short")


def child() -> None:
    code = subprocess.run(["sh", "-c", "exit 7"], check=False).returncode
    check(code == 7, f"a child ended with {code}")
    time.sleep(0.02)


def database() -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table t (v integer)")
        connection.executemany("insert into t values (?)", [(i,) for i in range(200)])
        (total,) = connection.execute("select sum(v) from t").fetchone()
        check(total == 19_900, f"the table has {total}")
    connection.close()
    time.sleep(0.002)


def memory() -> None:
    cycles = []
    for i in range(500):
        cycle: list[object] = [i]
        cycle.append(cycle)
        cycles.append(cycle)
    check(sum(c[0] for c in cycles) == 124_750, "the lists have another sum")  # type: ignore[misc]
    del cycles
    gc.collect(0)
    time.sleep(0.002)


def loop() -> None:
    async def one(number: int) -> int:
        begin = time.monotonic()
        await asyncio.sleep(0.003)
        check(time.monotonic() - begin >= 0.0025, "the loop slept too short")
        return number

    async def all_of_them() -> None:
        got = await asyncio.gather(*map(one, range(20)))
        check(got == list(range(20)), f"the loop gave {got}")

    asyncio.run(all_of_them())


def on_signal(*_: object) -> None:
    counts["signals"] += 1


signal.signal(signal.SIGUSR1, on_signal)
for work in (move, move, digest, put, take, echo, numbers, sleeps, child, database, memory, loop):
    start(work)
print(json.dumps({"pid": os.getpid()}), flush=True)
for _ in sys.stdin:
    print(json.dumps({**counts, "report": "; ".join(report)[:2000]}), flush=True)
os._exit(0)
