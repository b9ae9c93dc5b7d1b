"""Every recorded kube-proxy, of every version, mode and configuration: the engine finds no difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import FOLDERS, GOLDEN, load

from kubewire.dataplane.judge import judge
from kubewire.kubernetes.versions import MINORS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_difference(folder: Path) -> None:
    snapshot = load(folder)
    checks = judge(snapshot).checks
    assert [check for check in checks if check.status != "passed"] == []
    whole = {(c.node, c.family) for c in checks if c.id.endswith(".table")}
    assert whole == {(node.name, family) for node in snapshot.nodes for family in ("ipv4", "ipv6")}


def test_every_minor_and_mode_is_recorded() -> None:
    recorded = {folder.name for folder in (GOLDEN / "versions").iterdir() if folder.is_dir()}
    minors = {(name.rpartition(".")[0], name.rpartition("-")[2]) for name in recorded}
    assert minors >= {(f"v1.{minor}", mode) for minor in MINORS for mode in ("iptables", "nftables")}
