# SPDX-License-Identifier: Apache-2.0
"""All comparisons, in the order in which they are run and printed."""

from __future__ import annotations

from benchmarks.comparisons import (
    compression,
    descriptors,
    full_dump,
    later_dumps,
    many_files,
    pause,
    phases,
    reading,
    sparse,
    stacks,
    start_up,
    walk,
)

COMPARISONS = {
    module.COMPARISON.name: module.COMPARISON
    for module in (
        pause,
        phases,
        stacks,
        full_dump,
        sparse,
        compression,
        later_dumps,
        descriptors,
        reading,
        many_files,
        start_up,
        walk,
    )
}
