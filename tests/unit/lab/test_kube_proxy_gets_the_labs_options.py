"""KubeProxyConfiguration of a node: the right section for the mode, and nothing that is not asked for."""

from __future__ import annotations

from typing import Any

import pytest

from kubewire.lab.kubeproxy import kube_proxy_config
from kubewire.lab.schema import Lab


def config(*, conntrack_tunable: bool = False, **settings: Any) -> dict[str, Any]:
    lab = Lab.model_validate({"name": "x", "mode": "iptables", **settings})
    return kube_proxy_config(lab, "x-worker", kubeconfig="/run/kc", conntrack_tunable=conntrack_tunable)


def test_the_plain_iptables_lab() -> None:
    assert config() == {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "hostnameOverride": "x-worker",
        "clientConnection": {"kubeconfig": "/run/kc"},
        "clusterCIDR": "10.244.0.0/16",
        "healthzBindAddress": "0.0.0.0:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"},
        "mode": "iptables",
        "iptables": {
            "masqueradeAll": False,
            "masqueradeBit": 14,
            "localhostNodePorts": True,
            "syncPeriod": "30s",
            "minSyncPeriod": "1s",
        },
        "detectLocalMode": "ClusterCIDR",
    }


def test_in_nftables_mode_its_own_section_is_used() -> None:
    proxy = {"masqueradeAll": True, "masqueradeBit": 5, "syncPeriod": "10s"}
    found = config(mode="nftables", kubeProxy=proxy)
    assert found["nftables"] == {**proxy, "minSyncPeriod": "1s"}
    assert "iptables" not in found


def test_in_ipvs_mode_masquerading_stays_in_the_iptables_section() -> None:
    found = config(mode="ipvs", kubeProxy={"scheduler": "sh", "strictARP": True, "masqueradeAll": True})
    assert found["iptables"] == {"masqueradeAll": True, "masqueradeBit": 14}
    assert found["ipvs"] == {"scheduler": "sh", "strictARP": True, "syncPeriod": "30s", "minSyncPeriod": "1s"}
    assert "scheduler" not in config(mode="ipvs")["ipvs"]


@pytest.mark.parametrize(("kubernetes", "needed"), [("1.30", True), ("1.29.6", True), ("1.31", False)])
def test_nftables_before_1_31_needs_its_gate(kubernetes: str, needed: bool) -> None:
    gates = config(mode="nftables", kubernetes=kubernetes).get("featureGates", {})
    assert gates == ({"NFTablesProxyMode": True} if needed else {})
    assert "featureGates" not in config(kubernetes=kubernetes)


def test_both_families_and_the_ipv6_addresses() -> None:
    assert config(ipFamily="dual")["clusterCIDR"] == "10.244.0.0/16,fd00:10:244::/56"
    ipv6 = config(ipFamily="ipv6")
    assert (ipv6["healthzBindAddress"], ipv6["metricsBindAddress"]) == ("[::]:10256", "[::1]:10249")


def test_local_detection_and_node_port_addresses() -> None:
    found = config(
        kubeProxy={
            "detectLocalMode": "InterfaceNamePrefix",
            "interfaceNamePrefix": "veth",
            "nodePortAddresses": ["10.0.0.0/8"],
        }
    )
    assert found["detectLocal"] == {"interfaceNamePrefix": "veth"}
    assert found["nodePortAddresses"] == ["10.0.0.0/8"]


def test_conntrack_is_left_to_kube_proxy_where_it_can_be_set() -> None:
    assert "conntrack" not in config(conntrack_tunable=True)
