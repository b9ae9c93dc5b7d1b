"""Two Services that claim one external address: kube-proxy lets either win, so either is right."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from nft_support import failed

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import Place
from kubewire.dataplane.core.model import Dataplane, Element
from kubewire.dataplane.nftables.compare import compare_nft
from kubewire.dataplane.nftables.expected import expected_nftables

ADDRESS = "192.0.2.7 . tcp . 80"


def service(name: str, cluster_ip: str, endpoint: str) -> list[dict[str, Any]]:
    port = {"name": "http", "port": 80, "protocol": "TCP"}
    return [
        {
            "kind": "Service",
            "metadata": {"namespace": "default", "name": name},
            "spec": {
                "type": "ClusterIP",
                "clusterIP": cluster_ip,
                "ipFamilies": ["IPv4"],
                "externalIPs": ["192.0.2.7"],
                "ports": [port],
            },
        },
        {
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": "default",
                "name": name,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [endpoint]}],
        },
    ]


def table() -> Dataplane:
    objects = [*service("a", "10.96.0.10", "10.244.0.5"), *service("b", "10.96.0.11", "10.244.0.6")]
    cluster = ClusterState.from_list({"items": objects})
    config = ProxyConfig.from_mapping({"kind": "KubeProxyConfiguration", "mode": "nftables"})
    facts = NodeFacts.build(cluster.node("n"))
    return expected_nftables(cluster, config, facts, Version.parse("v1.37.2"), "ipv4")


def with_value(dataplane: Dataplane, value: str) -> Dataplane:
    def change(element: Element) -> Element:
        return replace(element, value=value) if element.key == ADDRESS else element

    sets = tuple(replace(item, elements=tuple(map(change, item.elements))) for item in dataplane.sets)
    return replace(dataplane, sets=sets)


def test_either_service_may_have_the_address_but_no_third() -> None:
    expected = table()
    (element,) = (e for item in expected.sets for e in item.elements if e.key == ADDRESS)
    assert len(element.alternatives) == 1
    for value in (element.value, element.alternatives[0][0]):
        assert not failed(
            compare_nft(expected, with_value(expected, value), Place("nftables", "n", "ipv4"))[0]
        )
    other = compare_nft(expected, with_value(expected, "drop"), Place("nftables", "n", "ipv4"))[0]
    assert [check.id for check in failed(other)] == ["nftables.services.dispatch", "nftables.table"]
