# SPDX-License-Identifier: Apache-2.0
"""HTML: the report and what notebooks show."""
