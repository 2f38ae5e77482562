# SPDX-License-Identifier: Apache-2.0
"""Make dumps of the facts target in a folder, with what the target says of itself; on AArch64, for test_aarch64_files.py elsewhere.

Usage: python tests/aarch64_files/make.py FOLDER
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from support import Target, programs

import snapcore

# Of every placement of the tracer, the dumps that differ in how memory is had.
PRESETS = ("full", "mini", "heap", "triage")


def main() -> None:
    """Make them."""
    folder = Path(sys.argv[1]).resolve()
    target = Target("facts", folder)
    known = {
        **target.facts,
        "links": {name: os.readlink(f"/proc/{target.pid}/fd/{name}") for name in os.listdir(f"/proc/{target.pid}/fd")},
        "executable": os.readlink(f"/proc/{target.pid}/exe"),
        "maps": Path(f"/proc/{target.pid}/maps").read_text(encoding="utf-8"),
        "machine": list(os.uname()),
    }  # fmt: skip
    for placement in ("helper", "thread"):
        os.environ["SNAPCORE_TRACER"] = placement
        for preset in PRESETS:
            result = snapcore.dump(
                target.pid, folder / f"{placement}-{preset}.dmp", preset, max_pause=60
            )
            print(f"{placement} {preset}: stood still for {result.pause_ns / 1e6:.1f} ms")
            assert result.diagnostics == () or not [
                d for d in result.diagnostics if d.severity != "info"
            ], result.diagnostics
    with snapcore.capture(target.pid) as snap:
        contexts = snap.contexts()
        known["registers"] = {
            str(row["tid"]): {name: int(row[name]) for name in ("pc", "sp", "lr", "x19", "cpsr")}
            for row in contexts
        }
    shutil.copy(programs() / "facts_target", folder / "facts_target")
    (folder / "facts.json").write_text(json.dumps(known), encoding="utf-8")
    target.end()


if __name__ == "__main__":
    main()
