# SPDX-License-Identifier: Apache-2.0
"""Comparisons of snapcore with other tools and with what the system itself takes: `python benchmarks`."""
