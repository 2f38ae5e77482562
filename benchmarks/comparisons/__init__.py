# SPDX-License-Identifier: Apache-2.0
"""One module a comparison; each has a `COMPARISON`."""

from snapcore import MiniDumpType

# Of dumps of all memory.
FULL = (
    MiniDumpType.WITH_FULL_MEMORY
    | MiniDumpType.WITH_FULL_MEMORY_INFO
    | MiniDumpType.WITH_THREAD_INFO
)
