"""What the real kube-proxy wrote is exactly what the engine expects, on every recorded node."""

from __future__ import annotations

from pathlib import Path

import pytest
from nft_support import DUMP_IDS, DUMPS, NODES, compare, failed, recorded

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.registry import KINDS


def test_dumps_were_collected() -> None:
    assert len(NODES) >= 5


@pytest.mark.parametrize(("folder", "family"), DUMPS, ids=DUMP_IDS)
def test_no_difference(folder: Path, family: IpFamily) -> None:
    node = recorded(folder)
    checks, notes = compare(node.expected(family), node.dump(family), family)
    assert failed(checks) == []
    assert notes == []
    assert [check.object for check in checks if check.id == "nftables.table"] == [
        f"table {'ip' if family == 'ipv4' else 'ip6'} kube-proxy"
    ]


@pytest.mark.parametrize(("folder", "family"), DUMPS, ids=DUMP_IDS)
def test_checks_are_unique_known_and_say_why(folder: Path, family: IpFamily) -> None:
    node = recorded(folder)
    checks, _ = compare(node.expected(family), node.dump(family), family)
    keys = [(check.id, check.node, check.service, check.object) for check in checks]
    assert len(keys) == len(set(keys))
    assert {check.id for check in checks} <= {
        kind for kind, known in KINDS.items() if "nftables" in known.modes
    }
    assert all(check.reason and check.expected == check.observed for check in checks)
    assert all("kubernetes" not in check.observed or check.service != "" for check in checks if check.service)
