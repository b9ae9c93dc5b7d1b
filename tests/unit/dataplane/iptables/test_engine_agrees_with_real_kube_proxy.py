"""Every recorded node, whatever its mode, version and configuration: the engine finds no difference."""

from __future__ import annotations

import pytest

from dataplane_golden import goldens, load
from kubewire.dataplane.check import check_snapshot
from kubewire.dataplane.core.registry import KINDS


@pytest.mark.parametrize("name", goldens("-v"))
def test_no_difference_to_the_real_dump(name: str) -> None:
    checked = check_snapshot(load(name))
    assert [check for check in checked.checks if check.status != "passed"] == []
    assert checked.notes == []


@pytest.mark.parametrize("name", goldens("-v"))
def test_every_node_and_family_has_a_passed_table(name: str) -> None:
    snapshot = load(name)
    passed = {
        (check.node, check.family)
        for check in check_snapshot(snapshot).checks
        if check.id.endswith(".table") and check.status == "passed"
    }
    assert passed == {(node.name, family) for node in snapshot.nodes for family in ("ipv4", "ipv6")}


@pytest.mark.parametrize("name", goldens("-v"))
def test_checks_are_registered_unique_and_explained(name: str) -> None:
    checks = check_snapshot(load(name)).checks
    assert {check.id for check in checks} <= KINDS.keys()
    keys = [(check.id, check.node, check.service, check.object) for check in checks]
    assert len(set(keys)) == len(keys)
    assert all(check.reason for check in checks)


def test_the_articles_service_is_told_with_its_numbers() -> None:
    checks = check_snapshot(load("rich-iptables-v1.37.2")).checks
    [spread] = [
        check
        for check in checks
        if check.id == "iptables.service.probability"
        and check.service == "default/httpbin:http"
        and check.node == "rich-worker"
    ]
    assert spread.object == "iptables nat KUBE-SVC-FREKB6WNWYJLKTHC"
    assert [line.split("--probability ")[-1].split()[0] for line in spread.expected.splitlines()[:3]] == [
        "0.25000000000",
        "0.33333333349",
        "0.50000000000",
    ]
