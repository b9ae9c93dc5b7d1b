"""The same rules in other clothes: iptables-legacy's order, and comments that large clusters leave out."""

from __future__ import annotations

import re

import pytest

from dataplane_golden import FILES, RICH, bench
from kubewire.dataplane.core.findings import IpFamily
from repository import GOLDEN

LARGE = "large-iptables-v1.37.2"


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_iptables_legacy_orders_chains_and_tables_its_own_way(family: IpFamily) -> None:
    dump = (GOLDEN / "dataplane" / "legacy" / FILES[family]).read_text()
    node = bench(RICH, "rich-worker", family)
    assert dump.index("*nat") < dump.index("*filter") < len(dump)
    assert node.dump.index("*filter") < node.dump.index("*nat")
    assert node.failed(dump) == []


def test_a_large_cluster_has_no_comments_on_endpoint_rules() -> None:
    node = bench(LARGE, "rich-worker", "ipv4")
    rules = [line for line in node.dump.splitlines() if line.startswith(("-A KUBE-SEP-", "-A KUBE-SVC-"))]
    assert len(rules) > 3000
    assert not any("--comment" in line for line in rules if "cluster IP" not in line)
    assert node.failed(node.dump) == []


def test_comments_may_coexist_while_the_cluster_crosses_the_limit() -> None:
    node = bench(RICH, "rich-worker", "ipv4")
    dump = re.sub(
        r'^(-A KUBE-SEP-.*?)-m comment --comment "[^"]*" ', r"\1", node.dump, count=5, flags=re.MULTILINE
    )
    assert dump != node.dump
    assert node.failed(dump) == []
    dump = re.sub(r'^(-A KUBE-EXT-.*?)-m comment --comment "[^"]*" ', r"\1", node.dump, flags=re.MULTILINE)
    assert node.failed(dump) != []


def test_counters_make_no_difference() -> None:
    node = bench(RICH, "rich-worker", "ipv4")
    counted = re.sub(r"^-A ", "[12:3456] -A ", node.dump, flags=re.MULTILINE)
    assert node.failed(counted) == []
