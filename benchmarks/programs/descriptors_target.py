# SPDX-License-Identifier: Apache-2.0
"""A process with COUNT descriptors, as far as RLIMIT_NOFILE lets it, of a KIND: files, pipes, sockets, mixed.

Arguments: KIND COUNT
"""

import os
import resource
import socket
import sys

limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
count = min(int(sys.argv[2]), limit - 20)
server = socket.create_server(("127.0.0.1", 0), backlog=100)
kept = []


def open_two(kind: str) -> None:
    """Open two descriptors of a kind."""
    match kind:
        case "files":
            kept.extend((open(sys.executable, "rb"), open(os.__file__, "rb")))  # noqa: PTH123, SIM115
        case "pipes":
            os.pipe()
        case "sockets":
            kept.extend(socket.socketpair())
        case "connections":
            client = socket.create_connection(server.getsockname())
            kept.extend((client, server.accept()[0]))
        case "events":
            os.eventfd(0)
            os.eventfd(0)


mixture = ("files", "pipes", "sockets", "events", "files", "pipes", "connections", "events")
kinds = mixture if sys.argv[1] == "mixed" else (sys.argv[1],)
for number in range(count // 2):
    open_two(kinds[number % len(kinds)])
print("ready", flush=True)
sys.stdin.read()
