"""Every recorded kube-proxy, of every version, mode and configuration: the engine finds no difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.dataplane.check import check_snapshot
from recorded import FOLDERS, load


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_difference(folder: Path) -> None:
    snapshot = load(folder)
    checks = check_snapshot(snapshot).checks
    assert [check for check in checks if check.status != "passed"] == []
    whole = {(c.node, c.family) for c in checks if c.id.endswith(".table")}
    assert whole == {(node.name, family) for node in snapshot.nodes for family in ("ipv4", "ipv6")}
