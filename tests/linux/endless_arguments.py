# SPDX-License-Identifier: Apache-2.0
"""A process that says that its arguments and its environment are any memory of its own.

Usage: endless_arguments.py BYTES
"""

import ctypes
import struct
import sys
import time
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
size = int(sys.argv[1])
private_anonymous_noreserve, read_write = 0x4022, 3
at = libc.mmap(None, size, read_write, private_anonymous_noreserve, -1, 0)
assert at != ctypes.c_void_p(-1).value
stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
start_code, end_code, start_data, end_data, start_brk, start_stack = (
    int(stat[n - 3]) for n in (26, 27, 45, 46, 47, 28)
)
libc.sbrk.restype = ctypes.c_void_p
fields = (start_code, end_code, start_data, end_data, start_brk, libc.sbrk(0), start_stack)
# struct prctl_mm_map: where the arguments and the environment are; no auxiliary vector, no program.
packed = ctypes.create_string_buffer(
    struct.pack("=11QQIi", *fields, at, at + size, at, at + size, 0, 0, -1)
)
pr_set_mm, pr_set_mm_map = 35, 14
assert libc.prctl(pr_set_mm, pr_set_mm_map, packed, 104, 0) == 0, ctypes.get_errno()
print("ready", flush=True)
time.sleep(600)
