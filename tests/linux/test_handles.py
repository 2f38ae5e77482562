# SPDX-License-Identifier: Apache-2.0
"""Descriptors of every kind, column by column, against a process that opened them and against the system."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from linux_support import LIBC, descriptors

import snapcore
from snapcore import CaptureFlags, HandleFlags, ObjectType

if TYPE_CHECKING:
    from support import Target

NOBODY = 65534
# What this table tells of the fields that all kinds have.
COMMON = {
    "handle",
    "type",
    "type_name",
    "object_name",
    "granted_access",
    "attributes",
    "captured_at_ns",
    "flags",
    "inode",
    "device",
    "position",
}
SECOND = 1_000_000_000


@pytest.fixture
def target(start, tmp_path):
    return start("descriptors", tmp_path)


class Rows:
    """Rows by the name that the target gave to the descriptor."""

    def __init__(self, table: snapcore.Table, target: Target) -> None:
        self.table = table
        self.facts = target.facts
        self.by_handle = {int(h): i for i, h in enumerate(table["handle"])}

    def __getitem__(self, name: str) -> dict:
        return self.table.row(self.by_handle[self.facts["descriptors"][name]])

    def special(self, name: str) -> dict:
        """What is known of it beyond the common columns."""
        return {k: v for k, v in self[name].items() if v is not None and k not in COMMON}


def handles(target: Target, **options) -> Rows:
    return Rows(snapcore.handles(target.pid, **options), target)


# --- kinds ---

KINDS = {
    "File": ["flock_file", "posix_file", "ofd_file", "deleted_file", "shared_memory"],
    "Directory": ["directory", "path_only"],
    "CharacterDevice": ["null", "pty_master", "pty_slave"],
    "BlockDevice": ["block_device"],
    "Pipe": ["pipe_read", "pipe_write"],
    "Fifo": ["fifo_read", "fifo_write", "lonely_fifo"],
    "Namespace": [
        f"namespace_{n}" for n in ("net", "mnt", "user", "uts", "ipc", "cgroup", "time", "pid")
    ],
    "MessageQueue": ["message_queue"],
    "Socket": [
        "pair_a",
        "pair_b",
        "datagram_pair_a",
        "datagram_pair_b",
        "tcp",
        "tcp_client",
        "tcp_accepted",
        "tcp6",
        "tcp6_client",
        "tcp6_accepted",
        "both",
        "both_client",
        "both_accepted",
        "tcp_unbound",
        "tcp6_unbound",
        "udp",
        "udp_client",
        "udp6",
        "unix",
        "unix_client",
        "unix_accepted",
        "unix_datagram",
        "abstract",
        "abstract_client",
        "abstract_accepted",
        "netlink",
        "raw",
        "raw6",
        "packet",
        "alg",
    ],
    "EventFd": ["event", "zero_event", "semaphore"],
    "EventPoll": ["epoll", "empty_epoll"],
    "TimerFd": ["timer", "disarmed_timer", "expired_timer"],
    "SignalFd": ["signal"],
    "Inotify": ["inotify"],
    "Fanotify": ["fanotify"],
    "PidFd": ["pidfd"],
    "MemFd": ["memory", "unsealed_memory"],
    "UserFaultFd": ["userfault"],
    "IoUring": ["ring"],
    "PerfEvent": ["perf"],
    "Bpf": ["bpf"],
    "Kvm": ["kvm"],
    "DmaBuf": ["dma_buffer"],
}
# What a kernel may be built without, or refuse to root in a container; all else must be there.
MAY_BE_REFUSED = {
    "block_device",
    "message_queue",
    "raw",
    "raw6",
    "packet",
    "alg",
    "fanotify",
    "userfault",
    "ring",
    "perf",
    "bpf",
    "kvm",
    "dma_buffer",
    "namespace_time",
}


def test_kinds(target, placement, record_property):
    facts = target.facts
    record_property("refused", facts["refused"])
    assert set(facts["refused"]) <= MAY_BE_REFUSED, facts["refused"]
    expected = {name: kind for kind, names in KINDS.items() for name in names}
    assert set(expected) == set(facts["descriptors"]) | set(facts["refused"])
    links = descriptors(target.pid)
    with snapcore.capture(target.pid, CaptureFlags.DEFAULT) as snap:
        rows = Rows(snap.handles(), target)
    assert set(rows.by_handle) == {int(n) for n in links}
    for name, number in facts["descriptors"].items():
        row = rows[name]
        assert row["type_name"] == expected[name], name
        assert row["flags"] & HandleFlags.HAVE_TYPE
        if expected[name] != "Socket":
            assert row["object_name"] == links[str(number)], name
        status = os.stat(f"/proc/{target.pid}/fd/{number}")
        assert (row["inode"], row["attributes"], row["device"]) == (
            status.st_ino,
            status.st_mode,
            status.st_dev,
        ) or expected[name] in {"Pipe", "Socket"}, name
        assert row["inode"] == status.st_ino
        info = Path(f"/proc/{target.pid}/fdinfo/{number}").read_text()
        fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        assert row["granted_access"] == int(fields["flags"], 8), name
        assert row["position"] == int(fields["pos"]), name


def test_kinds_that_are_objects_on_windows_have_its_types(target):
    rows = handles(target)
    assert rows["event"]["type"] == ObjectType.EVENT
    assert rows["memory"]["type"] == ObjectType.SECTION
    assert rows["pidfd"]["type"] == ObjectType.PROCESS
    assert rows["tcp"]["type"] == ObjectType.UNKNOWN


def test_files_have_their_locks_and_nothing_else(target):
    rows = handles(target)
    assert rows.special("flock_file") == {"locks": "FLOCK ADVISORY WRITE 0 EOF"}
    assert rows.special("posix_file") == {
        "locks": "POSIX ADVISORY WRITE 10 19; POSIX ADVISORY READ 100 EOF"
    }
    assert rows.special("ofd_file") == {"locks": "OFDLCK ADVISORY READ 0 EOF"}
    for name in ("deleted_file", "shared_memory", "directory", "path_only", "null", "pty_slave"):
        assert rows.special(name) == {}, name
    assert rows["deleted_file"]["object_name"].endswith("/deleted_file (deleted)")
    assert rows["shared_memory"]["object_name"].startswith("/dev/shm/")
    tty = int(rows["pty_slave"]["object_name"].removeprefix("/dev/pts/"))
    assert rows.special("pty_master") == {"details": f"tty-index={tty}"}


# --- sockets ---


def expected_sockets(facts: dict, folder: Path) -> dict[str, tuple]:
    """name -> family, type, protocol, state, local, remote."""
    port = facts["ports"]
    v4, v6 = "127.0.0.1:{}".format, "[::1]:{}".format
    mapped = "[::ffff:127.0.0.1]:{}".format
    tcp = "AF_INET", "SOCK_STREAM", "tcp"
    tcp6 = "AF_INET6", "SOCK_STREAM", "tcp"
    udp = "AF_INET", "SOCK_DGRAM", "udp"
    stream = "AF_UNIX", "SOCK_STREAM", None
    datagram = "AF_UNIX", "SOCK_DGRAM", None
    listens, connected, unconnected = "LISTEN", "ESTABLISHED", "UNCONNECTED"
    path, abstract = f"{folder}/stream.sock", f"@snapcore-{facts['pid']}"
    client, listener = v4(port["tcp_client"]), v4(port["tcp"])
    client6, listener6 = v6(port["tcp6_client"]), v6(port["tcp6"])
    out = {
        "tcp": (*tcp, listens, listener, None),
        "tcp_client": (*tcp, connected, client, listener),
        "tcp_accepted": (*tcp, connected, listener, client),
        "tcp6": (*tcp6, listens, listener6, None),
        "tcp6_client": (*tcp6, connected, client6, listener6),
        "tcp6_accepted": (*tcp6, connected, listener6, client6),
        "both": (*tcp6, listens, f"[::]:{port['both']}", None),
        "both_client": (*tcp, connected, v4(port["both_client"]), v4(port["both"])),
        "both_accepted": (*tcp6, connected, mapped(port["both"]), mapped(port["both_client"])),
        "tcp_unbound": (*tcp, None, None, None),
        "tcp6_unbound": (*tcp6, None, None, None),
        "udp": (*udp, unconnected, v4(port["udp"]), None),
        "udp_client": (*udp, connected, v4(port["udp_client"]), v4(port["udp"])),
        "udp6": ("AF_INET6", "SOCK_DGRAM", "udp", unconnected, v6(port["udp6"]), None),
        "pair_a": (*stream, connected, None, None),
        "pair_b": (*stream, connected, None, None),
        "datagram_pair_a": (*datagram, connected, None, None),
        "datagram_pair_b": (*datagram, connected, None, None),
        "unix": (*stream, listens, path, None),
        "unix_client": (*stream, connected, None, path),
        "unix_accepted": (*stream, connected, path, None),
        "unix_datagram": (*datagram, unconnected, f"{folder}/datagram.sock", None),
        "abstract": (*stream, listens, abstract, None),
        "abstract_client": (*stream, connected, None, abstract),
        "abstract_accepted": (*stream, connected, abstract, None),
        "netlink": ("AF_NETLINK", None, "route", None, str(port["netlink"]), None),
        "raw": ("AF_INET", "SOCK_RAW", "icmp", unconnected, "0.0.0.0", None),
        "raw6": ("AF_INET6", "SOCK_RAW", "ipv6-icmp", unconnected, "[::]", None),
        "packet": ("AF_PACKET", "SOCK_DGRAM", "0x88b5", None, f"if{port.get('packet')}", None),
        "alg": ("AF_ALG", "SOCK_SEQPACKET", None, None, None, None),
    }
    return {name: values for name, values in out.items() if name in facts["descriptors"]}


def name_of(protocol: str, local: str | None, remote: str | None) -> str:
    out = protocol if local is None else f"{protocol} {local}"
    return out if remote is None else f"{out} -> {remote}"


def assert_sockets(rows: Rows, folder: Path, *, unix_peers: bool = True) -> None:
    links = descriptors(rows.facts["pid"])
    for name, expected in expected_sockets(rows.facts, folder).items():
        family, kind, protocol, state, local, remote = expected
        if family == "AF_UNIX" and not unix_peers:
            remote = None
        row = rows[name]
        assert (
            row["socket_family"],
            row["socket_type"],
            row["socket_protocol"],
            row["socket_state"],
            row["local_address"],
            row["remote_address"],
        ) == (family, kind, protocol, state, local, remote), name
        link = links[str(row["handle"])]
        assert row["inode"] == int(link.removeprefix("socket:[")[:-1])
        if local is None and remote is None:
            assert row["object_name"] == link
            continue
        shown = {
            "AF_UNIX": "unix",
            "AF_NETLINK": f"netlink {protocol}",
            "AF_PACKET": f"packet {protocol}",
        }.get(family, f"raw {protocol}" if kind == "SOCK_RAW" else protocol)
        assert row["object_name"] == name_of(shown, local, remote)
        assert row["flags"] & HandleFlags.HAVE_TYPE_SPECIFIC_INFORMATION


def test_sockets(target, tmp_path, placement):
    with snapcore.capture(target.pid) as snap:
        assert_sockets(Rows(snap.handles(), target), tmp_path)
    assert_sockets(handles(target), tmp_path)


MANY = """
import os, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
kept = []
for number in range(1000):
    kept += socket.socketpair()
    kept.append(open(os.path.join(sys.argv[1], str(number)), "a"))
    os.pipe()
    os.eventfd(number)
# Holes, and numbers far beyond the count.
for number in range(40, 4000, 7):
    os.close(number)
os.dup2(1, 9000)
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.mark.parametrize("details", [True, False])
def test_more_than_one_thread_reads_at_once(tmp_path, details):
    """Row by row what /proc says, of so many that two threads share them."""
    with subprocess.Popen(
        [sys.executable, "-c", MANY, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        table = snapcore.handles(process.pid, details=details)
        folder = Path(f"/proc/{process.pid}")
        links = descriptors(process.pid)
        assert len(links) > 5000
        assert table["handle"].tolist() == sorted(map(int, links))
        for i, number in enumerate(map(str, table["handle"])):
            row = table.row(i)
            if row["type_name"] != "Socket" or not details:
                assert row["object_name"] == links[number]
            assert row["inode"] == os.stat(folder / "fd" / number).st_ino
            info = dict(
                line.split(":", 1) for line in (folder / "fdinfo" / number).read_text().splitlines()
            )
            assert row["granted_access"] == int(info["flags"], 8)
            if details and row["type_name"] == "EventFd":
                assert row["current_count"] == int(info["eventfd-count"], 16)
        kinds = [row["type_name"] for row in map(table.row, range(len(table)))]
        counts = {kind: kinds.count(kind) for kind in ("Socket", "File", "EventFd")}
        assert all(count > 700 for count in counts.values()), counts
        if details:
            sockets = np.flatnonzero(table["type_name"] == "Socket")
            peers = dict(zip(table["handle"][sockets], table["peer_handle"][sockets], strict=True))
            paired = [h for h, peer in peers.items() if peer in peers]
            assert len(paired) > 1000
            assert all(peers[peers[h]] == h for h in paired)
        process.communicate()


def test_handles_alone_are_numbers(target):
    with snapcore.capture(target.pid, CaptureFlags.HANDLES) as snap:
        table = snap.handles()
    assert table["handle"].tolist() == sorted(int(n) for n in descriptors(target.pid))
    assert table.valid("captured_at_ns").all()
    known = {c for c in table.columns if table.valid(c).any()}
    assert known == {"handle", "captured_at_ns", "flags"}
    assert set(table["flags"].tolist()) == {HandleFlags.NONE}


def test_sockets_of_another_network_namespace(start, tmp_path):
    target = start("descriptors", tmp_path, "netns")
    assert os.stat(f"/proc/{target.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
    rows = handles(target)
    # Only sock_diag tells the other end of an AF_UNIX socket, and it tells of our namespace alone.
    assert_sockets(rows, tmp_path, unix_peers=False)
    assert rows["pair_a"]["peer_pid"] is None
    assert rows["tcp_client"]["peer_handle"] == target.facts["descriptors"]["tcp_accepted"]
    # Made before the process left our namespace.
    foreign = f"127.0.0.1:{target.facts['ports']['foreign']}"
    assert rows["foreign_udp"]["object_name"] == f"udp {foreign}"
    # We have entered nothing.
    assert os.readlink("/proc/thread-self/ns/net") == os.readlink(f"/proc/{os.getpid()}/ns/net")


def test_equal_addresses_in_two_namespaces_are_not_confused(start, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here = start("descriptors", tmp_path / "a")
    there = start("descriptors", tmp_path / "b", "netns")
    table = snapcore.system_handles(peers=True)
    for target in (here, there):
        number = target.facts["descriptors"]["tcp_client"]
        row = np.flatnonzero((table["pid"] == target.pid) & (table["handle"] == number))[0]
        found = table.row(row)
        ports = target.facts["ports"]
        assert found["object_name"] == (
            f"tcp 127.0.0.1:{ports['tcp_client']} -> 127.0.0.1:{ports['tcp']}"
        )
        assert found["peer_pid"] == target.pid
        assert found["peer_handle"] == target.facts["descriptors"]["tcp_accepted"]


def test_sockets_are_those_that_psutil_sees(target):
    states = {"NONE": {"UNCONNECTED", "ESTABLISHED"}}
    families = {"AF_INET", "AF_INET6"}
    theirs = {c.fd: c for c in psutil.Process(target.pid).net_connections("all")}
    table = snapcore.handles(target.pid)
    ours = {
        int(table["handle"][i]): table.row(i)
        for i in range(len(table))
        if table["socket_family"][i] in families | {"AF_UNIX"}
        and table["socket_state"][i] is not None
        and table["socket_type"][i] != "SOCK_RAW"
    }
    assert set(theirs) == set(ours)
    for number, connection in theirs.items():
        row = ours[number]
        assert row["socket_family"] == connection.family.name
        assert row["socket_type"] == connection.type.name
        if row["socket_family"] not in families:
            assert (row["local_address"] or "") == connection.laddr
            continue
        assert row["socket_state"] in states.get(connection.status, {connection.status})
        for column, address in (
            ("local_address", connection.laddr),
            ("remote_address", connection.raddr),
        ):
            if not address:
                assert row[column] is None
            else:
                host, port = row[column].rsplit(":", 1)
                # psutil shows IPv4 within IPv6 as IPv4.
                assert host.strip("[]").removeprefix("::ffff:") == address.ip.removeprefix(
                    "::ffff:"
                )
                assert int(port) == address.port


def test_a_dump_has_the_addresses_as_names(target, tmp_path):
    path = tmp_path / "x.dmp"
    snapcore.dump(target.pid, path, snapcore.MiniDumpType.WITH_HANDLE_DATA)
    ports = target.facts["ports"]
    for name in (f"tcp 127.0.0.1:{ports['tcp']}", f"unix @snapcore-{target.pid}"):
        assert (name + "\0").encode("utf-16-le") in path.read_bytes()


# --- other ends ---


def test_other_ends_in_the_same_process(target):
    rows = handles(target)
    numbers = target.facts["descriptors"]
    pairs = [
        ("pipe_read", "pipe_write"),
        ("fifo_read", "fifo_write"),
        ("pair_a", "pair_b"),
        ("datagram_pair_a", "datagram_pair_b"),
        ("tcp_client", "tcp_accepted"),
        ("tcp6_client", "tcp6_accepted"),
        ("both_client", "both_accepted"),
        ("unix_client", "unix_accepted"),
        ("abstract_client", "abstract_accepted"),
    ]
    for one, other in (*pairs, *((b, a) for a, b in pairs)):
        assert (rows[one]["peer_pid"], rows[one]["peer_handle"]) == (
            target.pid,
            numbers[other],
        ), one
    alone = set(numbers) - {name for pair in pairs for name in pair}
    for name in alone:
        assert rows[name]["peer_pid"] is None, name
        assert rows[name]["peer_handle"] is None, name


def test_other_ends_in_another_process(target, tmp_path):
    numbers, ports = target.facts["descriptors"], target.facts["ports"]
    unix, tcp = socket.socket(socket.AF_UNIX), socket.socket()
    with unix, tcp, open(tmp_path / "lonely_fifo", "wb", buffering=0) as fifo:
        unix.connect(os.fspath(tmp_path / "stream.sock"))
        unix_accepted = target.ask(f"accept {numbers['unix']}")["descriptor"]
        tcp.connect(("127.0.0.1", ports["tcp"]))
        tcp_accepted = target.ask(f"accept {numbers['tcp']}")["descriptor"]
        stdin, stdout = target.process.stdin.fileno(), target.process.stdout.fileno()
        here = {
            0: stdin,
            1: stdout,
            unix_accepted: unix.fileno(),
            tcp_accepted: tcp.fileno(),
            numbers["lonely_fifo"]: fifo.fileno(),
        }
        without = snapcore.handles(target.pid)
        inside = {
            int(h): bool(v)
            for h, v in zip(without["handle"], without.valid("peer_pid"), strict=True)
        }
        assert not any(inside[number] for number in here)

        table = snapcore.handles(target.pid, peers=True)
        found = {int(table["handle"][i]): table.row(i) for i in range(len(table))}
        for theirs, ours in here.items():
            assert (found[theirs]["peer_pid"], found[theirs]["peer_handle"]) == (
                os.getpid(),
                ours,
            ), found[theirs]["object_name"]
        # The same from our side, of which the pipes are read and written the other way.
        table = snapcore.handles(os.getpid(), peers=True)
        found = {int(table["handle"][i]): table.row(i) for i in range(len(table))}
        for theirs, ours in here.items():
            assert (found[ours]["peer_pid"], found[ours]["peer_handle"]) == (target.pid, theirs)

        # The table of the system knows them where it is asked, else those of one process alone.
        for peers in (False, True):
            system = snapcore.system_handles(peers=peers)
            mine = system["pid"] == target.pid
            for theirs, ours in here.items():
                row = system.row(np.flatnonzero(mine & (system["handle"] == theirs))[0])
                expected = (os.getpid(), ours) if peers else (None, None)
                assert (row["peer_pid"], row["peer_handle"]) == expected
            pipe = np.flatnonzero(mine & (system["handle"] == numbers["pipe_read"]))[0]
            assert system["peer_handle"][pipe] == numbers["pipe_write"]


def test_the_lowest_of_several_other_ends(start, tmp_path):
    (tmp_path / "a").mkdir()
    target = start("descriptors", tmp_path / "a")
    fifo = tmp_path / "a" / "lonely_fifo"
    with open(fifo, "wb", buffering=0) as first, open(fifo, "wb", buffering=0) as second:
        copy = os.dup(first.fileno())
        try:
            row = handles(target, peers=True)["lonely_fifo"]
            assert row["peer_pid"] == os.getpid()
            assert row["peer_handle"] == min(first.fileno(), second.fileno(), copy)
        finally:
            os.close(copy)
    assert handles(target, peers=True)["lonely_fifo"]["peer_pid"] is None


def test_peers_need_details(target):
    with pytest.raises(ValueError, match="details"):
        snapcore.handles(target.pid, peers=True, details=False)


# --- special kinds ---


def test_events_and_timers(target):
    rows = handles(target)
    for name, count, semaphore in (("event", 42, 0), ("zero_event", 0, 0), ("semaphore", 3, 1)):
        special = rows.special(name)
        details = special.pop("details")
        assert special == {"current_count": count, "signaled": count != 0}, name
        assert f"eventfd-semaphore={semaphore}" in details
    timer = rows.special("timer")
    assert 3500 * SECOND < timer.pop("expires_in_ns") < 3600 * SECOND
    assert timer.pop("details") == "settime flags=00"
    assert timer == {
        "clock": "CLOCK_MONOTONIC",
        "interval_ns": 7_500_000_000,
        "current_count": 0,
        "signaled": False,
    }
    disarmed = rows["disarmed_timer"]
    assert (disarmed["clock"], disarmed["expires_in_ns"], disarmed["interval_ns"]) == (
        "CLOCK_REALTIME",
        0,
        0,
    )
    expired = rows["expired_timer"]
    assert (expired["clock"], expired["current_count"], expired["signaled"]) == (
        "CLOCK_BOOTTIME",
        1,
        True,
    )


def test_what_watches(target):
    rows = handles(target)
    event = target.facts["descriptors"]["event"]
    assert rows.special("epoll") == {"watch_count": 2, "watched": f"0,{event}"}
    assert rows.special("empty_epoll") == {"watch_count": 0, "watched": ""}
    assert rows.special("inotify") == {"watch_count": 2}
    if "fanotify" not in target.facts["refused"]:
        assert rows["fanotify"]["watch_count"] == 1
    # SIGUSR1 is 10, SIGRTMAX 64.
    assert rows.special("signal") == {"signal_mask": 1 << 9 | 1 << 63}


def test_memory_files(target):
    rows = handles(target)
    assert rows.special("memory") == {
        "section_size": 12345,
        "seals": fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK,
    }
    assert rows.special("unsealed_memory") == {"section_size": 0, "seals": 0}


def test_other_special_kinds(target):
    rows, refused = handles(target), target.facts["refused"]
    assert rows["pidfd"]["target_pid"] == os.getpid()
    for name, text in (
        ("userfault", "pending=0"),
        ("ring", "SqMask=0x7"),
        ("bpf", "map_type=2;key_size=4;value_size=8;max_entries=16"),
        ("dma_buffer", "exp_name="),
    ):
        if name not in refused:
            assert text in rows[name]["details"], name
    if "dma_buffer" not in refused:
        assert rows["dma_buffer"]["section_size"] == 8192


def test_nothing_special_unless_asked(target):
    special = {c.name for c in snapcore.dtypes.HANDLES} - COMMON
    flags = (
        CaptureFlags.HANDLES
        | CaptureFlags.HANDLE_NAME_INFORMATION
        | CaptureFlags.HANDLE_BASIC_INFORMATION
    )
    with snapcore.capture(target.pid, flags) as snap:
        captured = snap.handles()
    for table in (captured, snapcore.handles(target.pid, details=False)):
        links = descriptors(target.pid)
        assert dict(zip(map(str, table["handle"]), table["object_name"], strict=True)) == links
        for column in special:
            assert not table.valid(column).any(), column
        assert not (table["flags"] & HandleFlags.HAVE_TYPE_SPECIFIC_INFORMATION).any()


# System calls of x86-64.
SOCKET, GETXATTR, SETNS, PIDFD_OPEN, PIDFD_GETFD = 41, 191, 308, 434, 438
KILL_PROCESS, REFUSE = 0x80000000, 0x00050000 | errno.EPERM

FILTERED = """
import ctypes, json, struct, sys
import snapcore

def instruction(code, yes, no, value):
    return struct.pack("HBBI", code, yes, no, value)

pid, options, action, calls = json.loads(sys.argv[1])
code = instruction(0x20, 0, 0, 0)  # load the number of the call
for call in calls:
    code += instruction(0x15, 0, 1, call) + instruction(0x06, 0, 0, action)
code += instruction(0x06, 0, 0, 0x7FFF0000)  # allow
buffer = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(
    struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP
table = snapcore.handles(pid, **options)
memory = [i for i in range(len(table)) if table["type_name"][i] == "MemFd"]
print(json.dumps({
    "rows": len(table),
    "names": {int(h): n for h, n in zip(table["handle"], table["object_name"], strict=True)},
    "seals": [table.row(i)["seals"] for i in memory],
    "diagnostics": {d.code: d.subject for d in table.diagnostics},
}))
"""


def filtered(pid: int, options: dict, action: int, calls: list[int]) -> dict | None:
    """What handles() says in a process whose filter acts on some calls; None where it is killed."""
    done = subprocess.run(
        [sys.executable, "-c", FILTERED, json.dumps([pid, options, action, calls])],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == -signal.SIGSYS:
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_not_asked_for_makes_no_call(target):
    costly = [SOCKET, GETXATTR, SETNS, PIDFD_OPEN, PIDFD_GETFD]
    bare = filtered(target.pid, {"details": False}, KILL_PROCESS, costly)
    assert bare["rows"] == len(descriptors(target.pid))
    # Nor does what is asked for, where the process has no such thing.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as plain:
        assert filtered(plain.pid, {"peers": True}, KILL_PROCESS, costly)["rows"] == 3
    # A namespace is never entered; the others are what the details are made of.
    assert filtered(target.pid, {"peers": True}, KILL_PROCESS, [SETNS])["rows"] == bare["rows"]
    for call in (SOCKET, GETXATTR, PIDFD_OPEN, PIDFD_GETFD):
        assert filtered(target.pid, {}, KILL_PROCESS, [call]) is None


def test_sockets_where_sock_diag_is_refused(target, tmp_path):
    """A policy of the system may forbid netlink: /proc tells all but the other ends of AF_UNIX."""
    said = filtered(target.pid, {}, REFUSE, [SOCKET])
    assert said["diagnostics"] == {}
    table = snapcore.handles(target.pid)
    expected = {str(h): n for h, n in zip(table["handle"], table["object_name"], strict=True)}
    unnamed = {"unix_client", "abstract_client"}  # their names were those of the other ends
    links = descriptors(target.pid)
    for name in unnamed:
        number = str(target.facts["descriptors"][name])
        expected[number] = links[number]
    assert said["names"] == expected


# --- who may not look ---


def as_nobody(work) -> dict:
    """Run a function as another user, in a fork."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            # PR_SET_DUMPABLE, which the change of user has taken: /proc/self would stay root's.
            assert LIBC.prctl(4, 1, 0, 0, 0) == 0
            os.write(writer, json.dumps(work()).encode())
        except BaseException as error:  # noqa: BLE001  (the parent reports it)
            os.write(writer, json.dumps({"failed": repr(error)}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = json.loads(stream.read())
    os.waitpid(child, 0)
    assert "failed" not in said, said
    return said


def test_refusals_are_counted_and_are_no_errors(target):
    def look() -> dict:
        # Its own to see, with the other end of its input.
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as own:
            alone = snapcore.handles(own.pid)
            table = snapcore.handles(own.pid, peers=True)
            system = snapcore.system_handles(peers=True)
            return {
                "peer": table.row(0)["peer_pid"],
                "alone": {d.code: d.subject for d in alone.diagnostics},
                "me": os.getpid(),
                "table": {d.code: d.subject for d in table.diagnostics},
                "system": {d.code: d.subject for d in system.diagnostics},
                "pids": sorted({int(p) for p in system["pid"]}),
            }

    processes = len(psutil.pids())
    said = as_nobody(look)
    assert said["peer"] == said["me"]
    assert said["alone"] == {}
    assert 1 <= said["table"]["processes_refused"] <= processes + 2
    assert 1 <= said["system"]["processes_refused"] <= processes + 2
    assert target.pid not in said["pids"]
    assert said["me"] in said["pids"]


def test_seals_that_may_not_be_asked_for_are_counted(target):
    """A filter refuses in the same way on every kernel, with Yama or without."""
    for call in (PIDFD_OPEN, PIDFD_GETFD):
        said = filtered(target.pid, {}, REFUSE, [call])
        assert said["seals"] == [None, None]
        assert said["diagnostics"] == {"seals_refused": 2}
    assert filtered(target.pid, {}, REFUSE, [])["seals"] == [6, 0]


# --- many, and changing ---


def test_many_descriptors(target):
    before = len(snapcore.handles(target.pid))
    target.ask("open 900")
    table = snapcore.handles(target.pid)
    assert len(table) == before + 900
    assert (np.diff(table["handle"].astype(np.int64)) > 0).all()
    assert (table["object_name"] == "/dev/null").sum() >= 900


def test_descriptors_that_come_and_go_meanwhile():
    program = (
        "import os, socket\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    a, b = socket.socketpair()\n"
        "    r, w = os.pipe()\n"
        "    e, m = os.eventfd(7), os.memfd_create('m')\n"
        "    for x in (a, b): x.close()\n"
        "    for x in (r, w, e, m): os.close(x)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            seen = set()
            for _ in range(300):
                table = snapcore.handles(process.pid, peers=True)
                for i in range(len(table)):
                    row = table.row(i)
                    kind = row["type_name"]
                    seen.add(kind)
                    # A fact of one kind is never told of another.
                    assert row["current_count"] in (None, 7)
                    assert row["current_count"] is None or kind == "EventFd"
                    assert row["seals"] is None or kind == "MemFd"
                    assert row["socket_family"] is None or kind == "Socket"
                    if row["attributes"] is not None and kind in {"Socket", "Pipe"}:
                        is_kind = stat.S_ISSOCK if kind == "Socket" else stat.S_ISFIFO
                        assert is_kind(row["attributes"])
            assert {"Pipe", "Socket", "EventFd"} <= seen
        finally:
            process.kill()
