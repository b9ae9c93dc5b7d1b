"""Which Services count, and what kube-proxy makes of each port, per family and version."""

from __future__ import annotations

from typing import Any

import pytest

from kubewire.core.errors import LabError
from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import IpFamily


def ports(
    spec: dict[str, Any], family: IpFamily = "ipv4", version: str = "v1.37.2", **other: Any
) -> list[ServicePort]:
    meta = {"namespace": "ns", "name": "svc"} | other.pop("metadata", {})
    base = {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}
    item = {"kind": "Service", "metadata": meta, "spec": base | spec} | other
    return list(service_ports(ClusterState.from_list({"items": [item]}), family, Version.parse(version)))


@pytest.mark.parametrize(
    "spec", [{"clusterIP": "None"}, {"clusterIP": ""}, {"type": "ExternalName"}, {"clusterIP": "fd00::1"}]
)
def test_services_without_an_address_of_the_family_are_skipped(spec: dict[str, Any]) -> None:
    assert ports(spec) == []


def test_another_proxys_service_is_skipped() -> None:
    assert ports({}, metadata={"labels": {"service.kubernetes.io/service-proxy-name": "x"}}) == []


def test_each_family_has_its_own_addresses() -> None:
    spec = {
        "type": "LoadBalancer",
        "clusterIPs": ["fd00::9", "10.96.0.9"],
        "clusterIP": "fd00::9",
        "externalIPs": ["192.0.2.1", "2001:DB8::0001"],
        "loadBalancerSourceRanges": [" 203.0.113.7/25", "2001:db8:1::/64"],
    }
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}, {"ip": "2001:db8::9"}, {"hostname": "x"}]}}
    [v4], [v6] = ports(spec, status=status), ports(spec, "ipv6", status=status)
    assert (v4.cluster_ip, v4.external_ips, v4.lb_vips, v4.source_ranges) == (
        "10.96.0.9",
        ("192.0.2.1",),
        ("192.0.2.9",),
        ("203.0.113.0/25",),
    )
    assert (v6.cluster_ip, v6.external_ips, v6.lb_vips, v6.source_ranges) == (
        "fd00::9",
        ("2001:db8::1",),
        ("2001:db8::9",),
        ("2001:db8:1::/64",),
    )


def test_a_proxied_load_balancer_address_counts_only_before_1_30() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.9", "ipMode": "Proxy"}]}}
    assert ports({"type": "LoadBalancer"}, status=status)[0].lb_vips == ()
    assert ports({"type": "LoadBalancer"}, version="v1.29.6", status=status)[0].lb_vips == ("192.0.2.9",)


def test_policies_and_derived_facts() -> None:
    [plain] = ports({"ports": [{"name": "p", "port": 80}]})
    assert plain.name == "ns/svc:p"
    assert (plain.externally_accessible, plain.uses_cluster_endpoints, plain.uses_local_endpoints) == (
        False,
        True,
        False,
    )
    [local] = ports({"internalTrafficPolicy": "Local"})
    assert local.name == "ns/svc"
    assert (local.uses_cluster_endpoints, local.uses_local_endpoints) == (False, True)
    pending = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000}
    [port] = ports(pending)
    assert (port.externally_accessible, port.uses_local_endpoints, port.health_check_node_port) == (
        False,
        False,
        31000,
    )
    [cluster] = ports({"type": "LoadBalancer", "healthCheckNodePort": 31000})
    assert cluster.health_check_node_port == 0
    [ignored] = ports({"externalTrafficPolicy": "Local"})
    assert not ignored.external_policy_local
    [external] = ports({"externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.1"]})
    assert external.external_policy_local
    assert external.uses_local_endpoints


def test_affinity_seconds() -> None:
    assert ports({})[0].sticky_seconds is None
    assert ports({"sessionAffinity": "ClientIP"})[0].sticky_seconds == 10800
    timeout = {"clientIP": {"timeoutSeconds": 60}}
    assert ports({"sessionAffinity": "ClientIP", "sessionAffinityConfig": timeout})[0].sticky_seconds == 60


@pytest.mark.parametrize(
    "item",
    [
        {"kind": "Service"},
        {"kind": "Node", "metadata": None},
        {"kind": "Service", "metadata": {"namespace": "a", "name": "b"}, "spec": {"clusterIP": "nonsense"}},
    ],
)
def test_an_object_that_is_none_is_an_error(item: dict[str, Any]) -> None:
    with pytest.raises(LabError, match="not as the API gives it"):
        ClusterState.from_list({"items": [item]})
