# SPDX-License-Identifier: Apache-2.0
"""The native core, of the package's own version."""

from __future__ import annotations

from snapcore import _core
from snapcore.version import __version__

__all__ = ["_core"]

if _core.__version__ != __version__:
    _message = (
        f"snapcore {__version__} found a native module of version {_core.__version__}; "
        "build and install the package again"
    )
    raise ImportError(_message)
