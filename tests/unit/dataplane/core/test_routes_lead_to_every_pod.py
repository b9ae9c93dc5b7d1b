"""Routes: other nodes' pod CIDRs by way of those nodes, and one veth for each local pod."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.iproute import route_text
from kubewire.dataplane.core.routes import check_routes
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot

NODES = [
    {
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDRs": [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": f"172.18.0.{number + 2}"},
                {"type": "InternalIP", "address": f"fc00::{number + 2}"},
                {"type": "Hostname", "address": name},
            ]
        },
    }
    for number, name in enumerate(("one", "two"))
]


def pod(name: str, node: str, *ips: str, **other: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "podIPs": [{"ip": ip} for ip in ips]},
    } | other


PODS = [
    pod("web", "one", "10.244.0.2", "fd00:10:244::2"),
    pod("far", "two", "10.244.1.2"),
    pod("done", "one", "10.244.0.3", status={"phase": "Succeeded", "podIPs": [{"ip": "10.244.0.3"}]}),
    pod("host", "one", "172.18.0.2", spec={"nodeName": "one", "hostNetwork": True}),
]
GOOD = [
    {"dst": "default", "gateway": "172.18.0.1", "dev": "eth0", "flags": []},
    {"dst": "10.244.0.2", "dev": "veth1a2b", "scope": "host", "flags": []},
    {"dst": "10.244.1.0/24", "gateway": "172.18.0.3", "dev": "eth0", "flags": []},
    {"dst": "fd00:10:244::2", "dev": "veth1a2b", "metric": 1024, "flags": []},
    {"dst": "fd00:10:244:1::/64", "gateway": "fc00::3", "dev": "eth0", "metric": 1024, "flags": []},
]


def judged(routes: Any, **errors: str) -> list[Check]:
    files = (
        {} if routes is None else {"ip-route.json": routes if isinstance(routes, str) else json.dumps(routes)}
    )
    return check_routes(Snapshot({"items": NODES + PODS}, (NodeSnapshot("one", files, errors),)))


def test_the_right_routes_pass() -> None:
    checks = judged(GOOD)
    assert [(check.id, check.family, check.object, check.status) for check in checks] == [
        ("route.pod-cidr", "ipv4", "10.244.1.0/24 of two", "passed"),
        ("route.pod-cidr", "ipv6", "fd00:10:244:1::/64 of two", "passed"),
        ("route.pod", "ipv4", "10.244.0.2 of default/web", "passed"),
        ("route.pod", "ipv6", "fd00:10:244::2 of default/web", "passed"),
    ]
    assert checks[0].observed == "10.244.1.0/24 via 172.18.0.3 dev eth0"


@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_a_missing_route_fails(index: int) -> None:
    failed = [check for check in judged(GOOD[:index] + GOOD[index + 1 :]) if check.status == "failed"]
    assert [check.observed for check in failed] == ["(no such route)"]


@pytest.mark.parametrize(
    ("index", "change", "observed"),
    [
        (2, {"gateway": "172.18.0.9"}, "10.244.1.0/24 via 172.18.0.9 dev eth0"),
        (1, {"dev": "eth0"}, "10.244.0.2 dev eth0 scope host"),
        (1, {"gateway": "172.18.0.1"}, "10.244.0.2 via 172.18.0.1 dev veth1a2b scope host"),
        (2, {"type": "blackhole"}, "(no such route)"),
    ],
)
def test_a_wrong_route_fails_with_its_text(index: int, change: dict[str, str], observed: str) -> None:
    routes = [dict(route) | (change if number == index else {}) for number, route in enumerate(GOOD)]
    assert [check.observed for check in judged(routes) if check.status == "failed"] == [observed]


@pytest.mark.parametrize(
    ("addresses", "failed"),
    [
        ([{"ifname": "veth1a2b", "flags": ["BROADCAST", "UP"]}], 0),
        ([{}, {"ifname": "veth1a2b", "flags": ["BROADCAST"]}], 2),
        ([{"ifname": "veth9", "flags": []}], 0),
        ("not a list", 0),
    ],
)
def test_a_route_over_a_link_that_is_down_leads_nowhere(addresses: Any, failed: int) -> None:
    files = {"ip-route.json": json.dumps(GOOD), "ip-addr.json": json.dumps(addresses)}
    checks = check_routes(Snapshot({"items": NODES + PODS}, (NodeSnapshot("one", files, {}),)))
    found = [check.observed for check in checks if check.status == "failed"]
    assert len(found) == failed
    assert all(text.endswith("(veth1a2b is down)") for text in found)


def test_a_narrower_route_that_diverts_fails() -> None:
    narrow = {"dst": "10.244.1.0/25", "dev": "lo"}
    [failed] = [check for check in judged([*GOOD, narrow]) if check.status == "failed"]
    assert failed.observed == "10.244.1.0/24 via 172.18.0.3 dev eth0\n10.244.1.0/25 dev lo"


def test_without_a_dump_the_node_is_skipped_with_the_reason() -> None:
    [check] = judged(None)
    assert (check.status, check.reason) == ("skipped", "the snapshot has no ip-route.json")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"dst": "x"}]', "[{}]"])
def test_a_dump_that_is_not_understood_fails(text: str) -> None:
    [check] = judged(text)
    assert check.status == "failed"


def test_routes_are_printed_as_ip_route_does() -> None:
    entry = {
        "dst": "172.18.0.0/16",
        "dev": "eth0",
        "protocol": "kernel",
        "scope": "link",
        "prefsrc": "172.18.0.2",
        "flags": ["linkdown"],
    }
    assert route_text(entry) == "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.2 linkdown"
    hops = {
        "dst": "10.0.0.0/8",
        "nexthops": [
            {"gateway": "1.1.1.1", "dev": "a", "weight": 1},
            {"gateway": "1.1.1.2", "dev": "b", "weight": 2},
        ],
    }
    assert (
        route_text(hops) == "10.0.0.0/8 nexthop via 1.1.1.1 dev a weight 1 nexthop via 1.1.1.2 dev b weight 2"
    )
