# SPDX-License-Identifier: Apache-2.0
"""A process with MIB of memory, a quarter each of log lines, of structures with pointers and counters, of
pages that are zero but for a few words, and of bytes that do not compress.
"""

import sys

import numpy as np

size = int(sys.argv[1]) << 18
rng = np.random.default_rng(1)
lines = b"".join(
    b"2026-01-%02d 12:%02d:%02d GET /items/%d HTTP/1.1 200 %d bytes in %d us\n"
    % (d % 28 + 1, m % 60, s % 60, i, n, u)
    for d, m, s, i, n, u in rng.integers(0, 10**6, (200_000, 6)).tolist()
)
logs = bytearray((lines * (size // len(lines) + 1))[:size])
# A block that repeats is found by a compressor with a large window alone: each copy gets words of its own.
words = np.frombuffer(logs, np.uint32)[: size // 4 // 16 * 16].reshape(-1, 16)
words[:, 3] ^= rng.integers(0, 1 << 16, len(words)).astype(np.uint32)
fields = [("next", "u8"), ("count", "u4"), ("kind", "u4"), ("data", "u8", 2)]
structures = np.empty(size // 32, fields)
structures["next"] = 0x7F1200000000 + rng.integers(0, 1 << 22, len(structures)) * 32
structures["count"] = rng.integers(0, 1000, len(structures))
structures["kind"] = rng.integers(0, 8, len(structures))
structures["data"] = 0x55AA00000000 + rng.integers(0, 1 << 26, (len(structures), 2)) * 16
sparse = np.zeros((size // 4096, 512), np.uint64)
sparse[:, :3] = rng.integers(0, 1 << 40, (len(sparse), 3))
noise = rng.bytes(size)
del lines, words
print("ready", flush=True)
sys.stdin.read()
