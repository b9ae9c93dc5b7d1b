"""From EndpointSlices to the endpoints a node uses: order, duplicates, readiness, locality, topology."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.endpoints import Endpoint, categorize, endpoints_for
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.objects import Node

NEW, OLD = Version.parse("v1.37.2"), Version.parse("v1.29.6")
HERE = Node("here", zone="a")


def service(**spec: Any) -> dict[str, Any]:
    base = {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{"name": "http", "port": 80}]}
    return {"kind": "Service", "metadata": {"namespace": "ns", "name": "svc"}, "spec": base | spec}


def endpoint_slice(*endpoints: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "ns", "name": "s", "labels": {"kubernetes.io/service-name": "svc"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": list(endpoints),
    } | other


def at(ip: str, node: str = "here", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [ip, "9.9.9.9"], "nodeName": node, "conditions": conditions}


def cluster(*items: dict[str, Any]) -> ClusterState:
    return ClusterState.from_list({"items": list(items)})


def port_of(state: ClusterState) -> ServicePort:
    [port] = service_ports(state, "ipv4")
    return port


def found(state: ClusterState, version: Version = NEW) -> list[str]:
    return [str(e) for e in endpoints_for(state, port_of(state), "here", version)]


def test_endpoints_are_sorted_as_strings() -> None:
    state = cluster(service(), endpoint_slice(at("10.0.0.9"), at("10.0.0.10"), at("10.0.0.2")))
    assert found(state) == ["10.0.0.10:8080", "10.0.0.2:8080", "10.0.0.9:8080"]


def test_only_slices_and_ports_that_fit_count() -> None:
    other_port = endpoint_slice(at("10.0.0.2"), ports=[{"name": "https", "protocol": "TCP", "port": 8443}])
    other_protocol = endpoint_slice(at("10.0.0.3"), ports=[{"name": "http", "protocol": "UDP", "port": 80}])
    no_number = endpoint_slice(at("10.0.0.4"), ports=[{"name": "http", "protocol": "TCP", "port": None}])
    names = endpoint_slice({"addresses": ["a.example"]}, addressType="FQDN")
    v6 = endpoint_slice({"addresses": ["fd00::1"]}, addressType="IPv6")
    foreign = endpoint_slice(at("10.0.0.5"), metadata={"namespace": "ns", "labels": {}})
    state = cluster(
        service(), endpoint_slice(at("10.0.0.1")), other_port, other_protocol, no_number, names, v6, foreign
    )
    assert found(state) == ["10.0.0.1:8080"]


def test_a_later_duplicate_wins_unless_it_terminates() -> None:
    draining = at("10.0.0.1", ready=False, serving=True, terminating=True)
    state = cluster(service(), endpoint_slice(at("10.0.0.1")), endpoint_slice(draining))
    [kept] = endpoints_for(state, port_of(state), "here", NEW)
    assert kept.ready
    turned = cluster(service(), endpoint_slice(draining), endpoint_slice(at("10.0.0.1", "there")))
    assert [e.ready for e in endpoints_for(turned, port_of(turned), "here", NEW)] == [True]
    assert [e.ready for e in endpoints_for(turned, port_of(turned), "here", OLD)] == [False]


def ready(ip: str, *, local: bool = False, **other: Any) -> Endpoint:
    return Endpoint(ip, 80, is_local=local, **other)


def draining(ip: str, *, local: bool = False) -> Endpoint:
    return Endpoint(ip, 80, ready=False, serving=True, terminating=True, is_local=local)


GONE = Endpoint("10.0.0.8", 80, ready=False, serving=False, terminating=True)
PLAIN = port_of(cluster(service()))
INTERNAL = replace(PLAIN, internal_policy_local=True)
EXTERNAL = replace(PLAIN, external_policy_local=True, node_port=30000)
BOTH = replace(EXTERNAL, internal_policy_local=True)


@pytest.mark.parametrize(
    ("port", "endpoints", "chosen"),
    [
        (PLAIN, [], ("", "", "", False)),
        (PLAIN, [ready("1"), draining("2"), GONE], ("1", "", "1", True)),
        (PLAIN, [draining("2"), GONE], ("2", "", "2", True)),
        (PLAIN, [GONE], ("", "", "", False)),
        (INTERNAL, [ready("1"), ready("2", local=True)], ("", "2", "2", True)),
        (INTERNAL, [ready("1")], ("", "", "", True)),
        (INTERNAL, [GONE], ("", "", "", False)),
        (EXTERNAL, [ready("1"), ready("2", local=True)], ("12", "2", "12", True)),
        (EXTERNAL, [ready("1"), draining("2", local=True)], ("1", "2", "12", True)),
        (EXTERNAL, [ready("1")], ("1", "", "1", True)),
        (BOTH, [ready("1"), ready("2", local=True)], ("12", "2", "12", True)),
        (BOTH, [draining("1"), draining("2", local=True)], ("12", "2", "12", True)),
    ],
)
def test_cluster_local_and_reachable(
    port: ServicePort, endpoints: list[Endpoint], chosen: tuple[str, str, str, bool]
) -> None:
    got = categorize(endpoints, port, HERE, NEW)
    ips = tuple("".join(e.ip for e in part) for part in (got.cluster, got.local, got.reachable))
    assert (*ips, got.has_any) == chosen


def zoned(ip: str, zone: str, node: str = "") -> Endpoint:
    return ready(ip, zone_hints=frozenset([zone]), node_hints=frozenset([node] if node else []))


@pytest.mark.parametrize(
    ("version", "annotation", "endpoints", "cluster_ips"),
    [
        ("v1.29.6", "", [zoned("1", "a"), zoned("2", "b")], "12"),
        ("v1.29.6", "Auto", [zoned("1", "a"), zoned("2", "b")], "1"),
        ("v1.29.6", "Disabled", [zoned("1", "a"), zoned("2", "b")], "12"),
        ("v1.31.0", "", [zoned("1", "a"), zoned("2", "b")], "1"),
        ("v1.37.2", "", [zoned("1", "a"), zoned("2", "b")], "1"),
        ("v1.37.2", "", [zoned("1", "b"), zoned("2", "c")], "12"),
        ("v1.37.2", "", [zoned("1", "a"), ready("2")], "12"),
        ("v1.37.2", "", [zoned("1", "a", "here"), zoned("2", "a", "there")], "1"),
        ("v1.33.0", "", [zoned("1", "a", "here"), zoned("2", "a", "there")], "12"),
        ("v1.37.2", "", [zoned("1", "a", "x"), zoned("2", "b", "y")], "1"),
    ],
)
def test_topology_by_version(
    version: str, annotation: str, endpoints: list[Endpoint], cluster_ips: str
) -> None:
    port = replace(PLAIN, topology_annotation=annotation)
    got = categorize(endpoints, port, HERE, Version.parse(version))
    assert "".join(e.ip for e in got.cluster) == cluster_ips


def test_local_endpoints_outside_the_zone_are_reachable_too() -> None:
    port = replace(PLAIN, external_policy_local=True, node_port=30000)
    endpoints = [zoned("1", "a"), replace(zoned("2", "b"), is_local=True)]
    got = categorize(endpoints, port, HERE, NEW)
    assert [e.ip for e in got.cluster] == ["1"]
    assert [e.ip for e in got.reachable] == ["1", "2"]
