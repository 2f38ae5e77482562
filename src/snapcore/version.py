# SPDX-License-Identifier: Apache-2.0
"""The version, which has its home here."""

__version__ = "0.1.0"
