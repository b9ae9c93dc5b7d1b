"""Which probes a cluster gets, and what each must see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.lab.schema import Httpbin
from kubewire.verify.plan import Scene, plan
from kubewire.verify.probes import Probe

MakeScene = Callable[..., Scene]
HTTPBIN = Httpbin()
ALL = tuple(f"httpbin-{n}" for n in range(4))
EVEN, ODD = ("httpbin-0", "httpbin-2"), ("httpbin-1", "httpbin-3")


def rows(probes: tuple[Probe, ...]) -> list[tuple[Any, ...]]:
    return [
        (p.check, p.vantage.place, p.node.removeprefix("lab-"), p.outcome, p.replicas, p.source)
        for p in probes
    ]


def test_a_cluster_ip_is_asked_by_a_pod_and_by_every_node(make_scene: MakeScene) -> None:
    probes = plan(make_scene(), HTTPBIN)
    assert rows(probes) == [
        ("traffic.clusterip", "pod", "worker", "served", ALL, "client"),
        ("traffic.clusterip", "node", "control-plane", "served", ALL, "node"),
        ("traffic.clusterip", "node", "worker", "served", ALL, "node"),
        ("traffic.clusterip", "node", "worker2", "served", ALL, "node"),
    ]
    assert [p.spread for p in probes] == [True, False, True, False]
    assert probes[0].count == probes[2].count > 50


def test_masquerade_all_hides_the_pod(make_scene: MakeScene) -> None:
    probes = plan(make_scene(config={"iptables": {"masqueradeAll": True}}), HTTPBIN)
    assert [p.source for p in probes] == ["node"] * 4


def test_without_replicas_every_node_is_refused(make_scene: MakeScene) -> None:
    probes = plan(make_scene(replicas=0, type="NodePort", nodePort=30080), HTTPBIN)
    assert {(p.check, p.outcome, p.count) for p in probes} == {("traffic.no-endpoints", "refused", 1)}
    assert {(p.vantage.place, p.node) for p in probes if p.port == 30080} == {
        (place, f"lab-{node}")
        for place in ("outside", "node")
        for node in ("control-plane", "worker", "worker2")
    }


def test_a_node_port_is_asked_on_every_node_from_outside_and_inside(make_scene: MakeScene) -> None:
    probes = [
        p
        for p in plan(make_scene(type="NodePort", nodePort=30080), HTTPBIN)
        if p.port == 30080 and p.address != "127.0.0.1"
    ]
    assert rows(tuple(probes)) == [
        ("traffic.nodeport", place, node, "served", ALL, "node")
        for node in ("control-plane", "worker", "worker2")
        for place in ("outside", "node")
    ]
    assert [p.address for p in probes[::2]] == ["172.18.0.2", "172.18.0.3", "172.18.0.4"]


def test_external_local_keeps_the_client_and_drops_where_no_replica_is(make_scene: MakeScene) -> None:
    scene = make_scene(type="NodePort", nodePort=30080, externalTrafficPolicy="Local")
    probes = [p for p in plan(scene, HTTPBIN) if p.port == 30080 and p.address != "127.0.0.1"]
    assert rows(tuple(probes)) == [
        ("traffic.local-only", "outside", "control-plane", "dropped", (), "any"),
        ("traffic.nodeport", "outside", "worker", "served", EVEN, "client"),
        ("traffic.nodeport", "node", "worker", "served", ALL, "node"),
        ("traffic.nodeport", "outside", "worker2", "served", ODD, "client"),
        ("traffic.nodeport", "node", "worker2", "served", ALL, "node"),
    ]


def test_internal_local_stays_on_the_node(make_scene: MakeScene) -> None:
    probes = plan(make_scene(internalTrafficPolicy="Local"), HTTPBIN)
    assert [(p.outcome, p.replicas) for p in probes] == [
        ("served", EVEN),
        ("dropped", ()),
        ("served", EVEN),
        ("served", ODD),
    ]


def test_ipvs_falls_back_to_all_where_a_local_policy_finds_none(make_scene: MakeScene) -> None:
    scene = make_scene(mode="ipvs", type="NodePort", nodePort=30080, externalTrafficPolicy="Local")
    outside = [p for p in plan(scene, HTTPBIN) if p.vantage.place == "outside"]
    assert outside[0].replicas == ALL


def test_affinity_asks_for_one_replica_and_no_spread(make_scene: MakeScene) -> None:
    probes = plan(make_scene(sessionAffinity="ClientIP"), HTTPBIN)
    assert all(p.sticky and not p.spread for p in probes)


@pytest.mark.parametrize(
    ("addresses", "asked"), [(["10.0.0.0/8"], 0), (["172.18.0.3/32"], 2), (["primary"], 6)]
)
def test_node_ports_are_asked_only_where_they_are_accepted(
    make_scene: MakeScene, addresses: list[str], asked: int
) -> None:
    scene = make_scene(config={"nodePortAddresses": addresses}, type="NodePort", nodePort=30080)
    assert len([p for p in plan(scene, HTTPBIN) if p.port == 30080 and p.address != "127.0.0.1"]) == asked


def test_ipv6_is_planned_like_ipv4(make_scene: MakeScene) -> None:
    probes = plan(make_scene(family="ipv6"), HTTPBIN)
    assert {p.family for p in probes} == {"ipv6"}
    assert probes[0].target == "[fd00:10:96::9]:8000"
    assert probes[0].replicas == ALL


def test_the_budget_is_shared_by_all_spread_probes(make_scene: MakeScene) -> None:
    few, many = (plan(make_scene(replicas=n), HTTPBIN)[0].count for n in (2, 100))
    assert few < 30 < 1000 < many


GATED = {"featureGates": {"KubeProxyNFTablesLocalhostNodePorts": True}}
LOCAL = {**GATED, "nodePortAddresses": ["primary", "localhost"]}


def on_localhost(scene: Scene) -> list[tuple[Any, ...]]:
    probes = tuple(p for p in plan(scene, HTTPBIN) if p.address in ("127.0.0.1", "::1"))
    assert {p.vantage.place for p in probes} <= {"node"}
    return [(p.check, p.node.removeprefix("lab-"), p.outcome, p.replicas, p.source) for p in probes]


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ({}, ("traffic.localhost", "served", ALL, "node")),
        ({"externalTrafficPolicy": "Local"}, ("traffic.localhost", "served", ALL, "node")),
        ({"replicas": 0}, ("traffic.no-endpoints", "refused", (), "any")),
        ({"config": {"iptables": {"localhostNodePorts": False}}}, None),
        ({"config": {"nodePortAddresses": ["primary"]}}, None),
        ({"family": "ipv6"}, None),
        ({"mode": "ipvs"}, None),
        ({"mode": "nftables"}, None),
        ({"mode": "nftables", "config": {"nodePortAddresses": ["primary", "localhost"]}}, None),
        ({"mode": "nftables", "config": GATED}, ("traffic.localhost", "refused", (), "any")),
        ({"mode": "nftables", "config": LOCAL}, ("traffic.localhost", "served", ALL, "any")),
        (
            {"mode": "nftables", "config": LOCAL, "family": "ipv6"},
            ("traffic.localhost", "served", ALL, "any"),
        ),
        (
            {"mode": "nftables", "config": LOCAL, "replicas": 0},
            ("traffic.localhost", "refused", (), "any"),
        ),
    ],
)
def test_localhost_is_asked_on_every_node_where_the_mode_has_node_ports_there(
    make_scene: MakeScene, scene: dict[str, Any], expected: tuple[Any, ...] | None
) -> None:
    found = on_localhost(make_scene(type="NodePort", nodePort=30080, **scene))
    nodes = ("control-plane", "worker", "worker2") if expected else ()
    assert found == [(expected[0], node, *expected[1:]) for node in nodes if expected]


def test_a_socket_on_localhost_leads_to_the_nodes_own_replicas_with_policy_local(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(
        mode="nftables", config=LOCAL, type="NodePort", nodePort=30080, externalTrafficPolicy="Local"
    )
    assert [(outcome, replicas) for _, _, outcome, replicas, _ in on_localhost(scene)] == [
        ("refused", ()),
        ("served", EVEN),
        ("served", ODD),
    ]


def test_udp_is_refused_on_localhost_whether_tcp_is_served_there_or_not(
    make_scene: MakeScene, cluster: Callable[..., dict[str, Any]]
) -> None:
    for config in (GATED, LOCAL):
        scene = make_scene(mode="nftables", config=config)
        objects = cluster()
        [service] = [item for item in objects["items"] if item["kind"] == "Service"]
        ports = [{"name": "u", "port": 53, "nodePort": 30053, "protocol": "UDP"}]
        service["spec"] = {**service["spec"], "type": "NodePort", "ports": ports}
        asked = plan(replace(scene, cluster=ClusterState.from_list(objects)), HTTPBIN)
        found = [(p.object, p.outcome) for p in asked if p.protocol == "UDP"]
        assert found == [("the node → 127.0.0.1:30053/udp", "refused")] * 3
