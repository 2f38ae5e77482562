# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks` and `python -m benchmarks`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # The folder that holds the package: Python has put the package itself there.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from benchmarks.command import main

    sys.exit(main())
