# SPDX-License-Identifier: Apache-2.0
"""``python -m snapcore``."""

from __future__ import annotations

import sys

from snapcore.cli import main

sys.exit(main())
