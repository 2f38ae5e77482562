# SPDX-License-Identifier: Apache-2.0
"""A Python with THREADS more threads; with "rich" also the modules of NumPy and others, with "large" 5 GiB.

Of the 5 GiB, which are one mapping, a page in every 256 KiB is touched.
"""

import mmap
import sys
import threading

if "rich" in sys.argv:
    import ctypes
    import decimal
    import hashlib
    import lzma
    import socket
    import sqlite3
    import ssl
    import zlib

    import numpy as np

    modules = (ctypes, decimal, hashlib, lzma, socket, sqlite3, ssl, zlib, np.fft, np.random)
if "large" in sys.argv:
    memory = mmap.mmap(-1, 5 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, 5 << 30, 1 << 18):
        memory[at] = 1
for _ in range(int(sys.argv[1])):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
