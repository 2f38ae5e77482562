# SPDX-License-Identifier: Apache-2.0
"""Texts and values as people read and type them."""
