"""Which nodes only lack the rule that a kube-proxy leaves out when it starts too early for ServiceCIDRs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewire.verify.offline import verify_folder
from kubewire.verify.servicecidr_race import unlisted_networks
from repository import GOLDEN

NFTABLES = sorted((GOLDEN / "verify").glob("nftables-*"))[-1]
NODE = "nftables-worker"
DROP = "Drop traffic to unallocated ClusterIPs"
REFUSE = "Reject traffic to invalid ports of ClusterIPs"

Without = Callable[..., list[str]]


@pytest.fixture
def without(tmp_path: Path) -> Without:
    """What untold_networks says of the lab once a node's rules with these comments are gone."""

    def coverage_gaps(*comments: str) -> list[str]:
        folder = Path(shutil.copytree(NFTABLES, tmp_path / "snapshot"))
        for dump in (folder / "nodes" / NODE).glob("nft-ip*.json"):
            found = json.loads(dump.read_text())
            kept = [e for e in found["nftables"] if e.get("rule", {}).get("comment") not in comments]
            dump.write_text(json.dumps({"nftables": kept}))
        report = verify_folder(folder)
        assert any(check.status == "failed" for check in report.checks) is bool(comments)
        return unlisted_networks(report.checks)

    return coverage_gaps


def test_a_healthy_lab_has_none(without: Without) -> None:
    assert without() == []


def test_a_node_without_just_that_rule(without: Without) -> None:
    assert without(DROP) == [NODE]


def test_another_rule_is_damage(without: Without) -> None:
    assert without(REFUSE) == []


def test_with_more_than_that_rule_it_is_damage(without: Without) -> None:
    assert without(DROP, REFUSE) == []
