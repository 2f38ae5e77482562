# SPDX-License-Identifier: Apache-2.0
"""Time of descriptor tables, against plain C loops, psutil and lsof in the same run.

Usage: python benchmarks/handles.py [--count 20000] [--runs 9] [--only kinds|mixed|system]. Needs
psutil, a C compiler, and lsof (Debian's package lsof). There are no more descriptors than RLIMIT_NOFILE
lets a process have. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

import snapcore
from snapcore import CaptureFlags
from snapcore.dumping import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TARGET = """
import os, resource, socket, sys
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
count = min(int(sys.argv[2]), limit - 20)
kept = []

def two(kind):
    global kept
    match kind:
        case "files":
            kept += open(sys.executable, "rb"), open(os.__file__, "rb")
        case "pipes":
            os.pipe()
        case "sockets":
            kept += socket.socketpair()
        case "connections":
            client = socket.create_connection(server.getsockname())
            kept += client, server.accept()[0]
        case "events":
            os.eventfd(0), os.eventfd(0)

server = socket.create_server(("127.0.0.1", 0), backlog=100)
mixture = ("files", "pipes", "sockets", "events", "files", "pipes", "connections", "events")
kinds = mixture if sys.argv[1] == "mixed" else (sys.argv[1],)
for number in range(count // 2):
    two(kinds[number % len(kinds)])
print("ready", flush=True)
sys.stdin.read()
"""

# What somebody would write who wants nothing but speed: system calls in a row, on one thread, and no
# table. Prints the time in ns.
LOOP = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long checksum;

static void dump_sockets(const void *request, size_t size) {
    static char buffer[65536];
    struct { struct nlmsghdr header; char body[64]; } message = {0};
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), done = 0;
    message.header.nlmsg_len = sizeof message.header + size;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    memcpy(message.body, request, size);
    send(s, &message, message.header.nlmsg_len, 0);
    while (!done) {
        ssize_t n = recv(s, buffer, sizeof buffer, 0);
        if (n <= 0) break;
        for (struct nlmsghdr *h = (void *)buffer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            done |= h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
            checksum += h->nlmsg_len;
        }
    }
    close(s);
}

static int links, infos, level;
static char link_text[4096], text[4096];

static void look(const char *name) {
    struct statx status;
    if (level == 0) return;
    if (level >= 2)
        statx(links, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE | STATX_INO | STATX_SIZE,
              &status);
    checksum += readlinkat(links, name, link_text, sizeof link_text);
    if (level == 1) return;
    int info = openat(infos, name, O_RDONLY | O_CLOEXEC);
    checksum += read(info, text, sizeof text);
    close(info);
    if (!strncmp(link_text, "anon_inode:", 11))
        checksum += readlinkat(links, name, link_text, sizeof link_text);
}

int main(int argc, char **argv) {
    /* 0: numbers; 1: names; 2: types and access; 3: socket addresses as well. */
    char path[64], entries[32768];
    struct timespec start, end;
    level = atoi(argv[2]);
    clock_gettime(CLOCK_MONOTONIC, &start);
    snprintf(path, sizeof path, "/proc/%s/fd", argv[1]);
    links = open(path, O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "/proc/%s/fdinfo", argv[1]);
    infos = open(path, O_RDONLY | O_DIRECTORY);
    if (level >= 2) {
        /* As snapcore does: the first so many numbers, then the list of what is behind them. */
        struct stat status;
        fstat(links, &status);
        for (long number = 0; number < status.st_size; ++number) {
            char name[16];
            snprintf(name, sizeof name, "%ld", number);
            look(name);
        }
        lseek(links, status.st_size + 2, SEEK_SET);
    }
    for (long n; (n = syscall(SYS_getdents64, links, entries, sizeof entries)) > 0;) {
        for (long at = 0; at < n;) {
            uint16_t length;
            memcpy(&length, entries + at + 16, 2);
            if (entries[at + 19] != '.') look(entries + at + 19);
            ++checksum;
            at += length;
        }
    }
    if (level == 3) {
        struct unix_diag_req local = {.sdiag_family = AF_UNIX, .udiag_states = ~0u,
                                      .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER};
        dump_sockets(&local, sizeof local);
        for (int family = 0; family < 2; ++family) {
            struct inet_diag_req_v2 tcp = {.sdiag_family = family ? AF_INET6 : AF_INET,
                                           .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~(1u << 6)};
            dump_sockets(&tcp, sizeof tcp);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%ld %ld\n", (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec,
           checksum);
}
"""
NUMBERS = CaptureFlags.HANDLES
NAMES = CaptureFlags.HANDLES | CaptureFlags.HANDLE_NAME_INFORMATION


class Loop:
    """The C loops, compiled."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "loop"
        source = folder / "loop.c"
        source.write_text(LOOP)
        subprocess.run(["cc", "-O2", "-o", self.program, source], check=True)

    def seconds(self, pid: int, level: int) -> float:
        """What it took, without the start of its process."""
        said = subprocess.run(
            [self.program, str(pid), str(level)], check=True, capture_output=True, text=True
        )
        return int(said.stdout.split()[0]) / 1e9


def milliseconds(calls: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Medians; the calls take turns, so that what disturbs the machine disturbs all.

    A call that returns a float has measured itself.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            start = time.perf_counter()
            said = call()
            elapsed = said if isinstance(said, float) else time.perf_counter() - start
            taken[name].append(elapsed * 1000)
    return {name: statistics.median(values) for name, values in taken.items()}


@contextlib.contextmanager
def target(kind: str, count: int) -> Iterator[int]:
    """A process with so many descriptors."""
    with subprocess.Popen(
        [sys.executable, "-c", TARGET, kind, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process.pid
        process.kill()


def measure_kinds(count: int, runs: int) -> None:
    """One kind of descriptor at a time."""
    print("| descriptors | without details | with | with `peers=True` | psutil | psutil / with |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in ("files", "pipes", "sockets"):
        with target(kind, count) as pid:
            process = psutil.Process(pid)
            calls: dict[str, Callable[[], object]] = {
                "bare": lambda pid=pid: snapcore.handles(pid, details=False),
                "details": lambda pid=pid: snapcore.handles(pid),
                "peers": lambda pid=pid: snapcore.handles(pid, peers=True),
            }
            if kind == "files":
                calls["psutil"] = process.open_files
            if kind == "sockets":
                calls["psutil"] = lambda process=process: process.net_connections("all")
            rows = len(snapcore.handles(pid))
            took = milliseconds(calls, runs)
            theirs = took.get("psutil")
            print(
                f"| {rows:,} {kind} | {took['bare']:.0f} ms | {took['details']:.0f} ms"
                f" | {took['peers']:.0f} ms | "
                + (f"{theirs:.0f} ms | {theirs / took['details']:.1f} |" if theirs else "none | |")
            )


def measure_mixed(count: int, runs: int) -> None:
    """Files, pipes, sockets and event descriptors in one process, against all that answer the same."""
    with tempfile.TemporaryDirectory() as folder, target("mixed", count) as pid:
        loop = Loop(Path(folder))
        process = psutil.Process(pid)

        def looked(flags: int) -> None:
            with look(pid, flags) as view:
                view.handles()

        calls: dict[str, Callable[[], object]] = {
            "numbers": lambda: looked(NUMBERS),
            "names": lambda: looked(NAMES),
            "bare": lambda: snapcore.handles(pid, details=False),
            "details": lambda: snapcore.handles(pid),
            **{f"C {level}": lambda level=level: loop.seconds(pid, level) for level in range(4)},
            "psutil": lambda: (process.open_files(), process.net_connections("all")),
            "lsof": lambda: subprocess.run(
                ["lsof", "-nP", "-p", str(pid)], check=True, capture_output=True
            ),
        }
        rows = len(snapcore.handles(pid))
        took = milliseconds(calls, runs)
        print(f"{rows:,} descriptors, {runs} runs in turn, medians\n")
        print("| snapcore | | against | | ratio |")
        print("| --- | --- | --- | --- | --- |")
        for ours, what, theirs, of_what in (
            ("numbers", "the table without names", "C 0", "C: getdents64"),
            ("names", "with names", "C 1", "C: getdents64, readlinkat"),
            ("bare", "types, access, names", "C 2", "C: the same system calls"),
            ("details", "and socket addresses", "C 3", "C: the same system calls"),
            ("details", "the same", "psutil", "psutil open_files + net_connections"),
            ("details", "the same", "lsof", "lsof -nP -p"),
        ):
            mine, other = took[ours], took[theirs]
            ratio = f"{mine / other:.2f}" if theirs.startswith("C") else f"1 / {other / mine:.1f}"
            print(f"| {what} | {mine:.1f} ms | {of_what} | {other:.1f} ms | {ratio} |")


def measure_system(runs: int) -> None:
    """Every process of the machine."""
    calls: dict[str, Callable[[], object]] = {
        "handles": snapcore.system_handles,
        "threads": snapcore.system_threads,
        "lsof": lambda: subprocess.run(["lsof", "-n", "-P"], check=False, capture_output=True),
    }
    with target("mixed", 2000):
        rows = len(snapcore.system_handles()), len(snapcore.system_threads())
        took = milliseconds(calls, runs)
    print("| | rows | time | lsof -n -P | ratio |")
    print("| --- | --- | --- | --- | --- |")
    print(
        f"| system_handles() | {rows[0]:,} | {took['handles']:.0f} ms | {took['lsof']:.0f} ms"
        f" | {took['lsof'] / took['handles']:.1f} |"
    )
    print(f"| system_threads() | {rows[1]:,} | {took['threads']:.0f} ms | | |")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--only", choices=("kinds", "mixed", "system"))
    options = parser.parse_args()
    if shutil.which("lsof") is None and options.only != "kinds":
        parser.error("lsof is missing: apt-get install lsof")
    if options.only in (None, "kinds"):
        measure_kinds(options.count, options.runs)
        print()
    if options.only in (None, "mixed"):
        measure_mixed(options.count, options.runs)
        print()
    if options.only in (None, "system"):
        measure_system(options.runs)


if __name__ == "__main__":
    main()
