# SPDX-License-Identifier: Apache-2.0
"""Compare two builds of a program as they run: their modules by build id, and their memory.

Usage: compare_builds.py [OLD NEW]: two dump files. Without them it compiles two versions of a small
program (which needs a C compiler), starts both, and dumps them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import snapcore
from snapcore import MemoryState

PROGRAM = r"""
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if VERSION > 1
static double table[1 << 20];  /* the new version looks its values up */
#endif
int main(int argc, char **argv)
{
#if VERSION > 1
    for (int i = 0; i < 1 << 20; i++) table[i] = sin(i * argc);
    printf("ready %f %s\n", table[argc], argv[0]);
#else
    char *cache = malloc(4 << 20);
    memset(cache, argc, 4 << 20);
    printf("ready %d %s\n", cache[argc], argv[0]);
#endif
    fflush(stdout);
    pause();
    return 0;
}
"""


def dump_of_version(version: int, folder: Path) -> Path:
    """Compile a version, start it, and dump it."""
    source, program = folder / "service.c", folder / f"v{version}" / "service"
    source.write_text(PROGRAM, encoding="utf-8")
    program.parent.mkdir()
    command = ["cc", "-O2", f"-DVERSION={version}", "-Wl,--build-id", "-o", program, source, "-lm"]
    subprocess.run(command, check=True)
    dump = folder / f"v{version}.dmp"
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            snapcore.dump(process.pid, dump, "full")
        finally:
            process.kill()
    return dump


def modules_of(file: snapcore.DumpFile) -> dict[str, tuple[str | None, int]]:
    """Debug id and size of each module, by the name of its file."""
    table = file.modules()
    return {
        PurePosixPath(path or "").name: (debug_id, size)
        for path, debug_id, size in zip(
            table["path"], table["debug_id"], table["size"].tolist(), strict=True
        )
    }


def memory_of(file: snapcore.DumpFile) -> dict[str, int]:
    """Committed bytes by what is mapped; what has no file is called private memory."""
    table = file.regions()
    sizes: dict[str, int] = {}
    committed = table["state"] == MemoryState.COMMIT
    for is_committed, name, size in zip(
        committed, table["mapped_file"], table["size"].tolist(), strict=True
    ):
        if is_committed:
            what = PurePosixPath(name).name if name else "private memory"
            sizes[what] = sizes.get(what, 0) + size
    return sizes


def compare(old: Path, new: Path) -> int:
    """Print what differs; give how many modules do."""
    with snapcore.open(old) as first, snapcore.open(new) as second:
        modules = modules_of(first), modules_of(second)
        memory = memory_of(first), memory_of(second)
    differ = 0
    for name in sorted(modules[0].keys() | modules[1].keys()):
        before, after = modules[0].get(name), modules[1].get(name)
        if before is None or after is None:
            what = "came" if before is None else "went"
        elif before[0] == after[0]:
            what = "the same build"
        else:
            what = f"another build: {before[0]} is now {after[0]}"
        differ += what != "the same build"
        print(f"  {name:24} {what}")
    print("memory, in KiB:")
    for name in sorted(memory[0].keys() | memory[1].keys()):
        was, now = memory[0].get(name, 0) >> 10, memory[1].get(name, 0) >> 10
        if was != now:
            print(f"  {name:24} {was:8} {now:8} {now - was:+8}")
    return differ


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, nargs="?")
    parser.add_argument("new", type=Path, nargs="?")
    options = parser.parse_args()
    if (options.old is None) != (options.new is None):
        parser.error("two dump files, or none")
    with tempfile.TemporaryDirectory() as folder:
        old = options.old or dump_of_version(1, Path(folder))
        new = options.new or dump_of_version(2, Path(folder))
        differ = compare(old, new)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
