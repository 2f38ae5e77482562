# SPDX-License-Identifier: Apache-2.0
"""What of the handle table only Linux knows."""

from __future__ import annotations

import snapcore


def test_other_ends_are_not_told_and_that_is_said(facts):
    for call in (
        lambda **options: snapcore.handles(facts.pid, **options),
        snapcore.system_handles,
    ):
        table = call(peers=True)
        assert [d.code for d in table.diagnostics].count("peers_unknown") == 1
        assert not table.valid("peer_pid").any()
        assert "peers_unknown" not in [d.code for d in call().diagnostics]
