"""KubeProxyConfiguration with its zero values, node port addresses, detectors, and the version table."""

from __future__ import annotations

from typing import Any

import pytest

from kubewire.core.errors import DefinitionError, LabError
from kubewire.dataplane.core.config import LocalDetector, ProxyConfig
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import FEATURES, Feature, Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.objects import Node

NODE = Node("n", pod_cidrs=("10.244.1.0/24", "fd00:1::/64"), internal_ips=("172.18.0.2", "fc00::2"))


def config(**fields: Any) -> ProxyConfig:
    return ProxyConfig.from_mapping({"kind": "KubeProxyConfiguration"} | fields)


def test_zero_values_stand_for_defaults() -> None:
    raw = {
        "mode": "",
        "iptables": {"masqueradeBit": None, "localhostNodePorts": None},
        "nodePortAddresses": None,
    }
    got = config(**raw, clusterCIDR="", detectLocalMode="", ipvs={"scheduler": ""})
    assert got == ProxyConfig(mode="iptables")
    assert got.mark == 0x4000


def test_the_modes_own_section_counts() -> None:
    sections = {"iptables": {"masqueradeAll": True, "masqueradeBit": 1}, "nftables": {"masqueradeBit": 0}}
    assert (config(mode="iptables", **sections).mark, config(mode="iptables", **sections).masquerade_all) == (
        2,
        True,
    )
    assert (config(mode="nftables", **sections).mark, config(mode="nftables", **sections).masquerade_all) == (
        1,
        False,
    )


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"kind": "X"},
        {"kind": "KubeProxyConfiguration", "mode": "userspace"},
        {"kind": "KubeProxyConfiguration", "clusterCIDR": "10.0.0.0/99"},
    ],
)
def test_what_is_no_configuration_is_refused(document: Any) -> None:
    with pytest.raises(LabError):
        ProxyConfig.from_mapping(document)


@pytest.mark.parametrize(
    ("addresses", "mode", "version", "v4", "v6"),
    [
        ([], "iptables", "1.37", "0.0.0.0/0", "::/0"),
        ([], "nftables", "1.37", "172.18.0.2/32", "fc00::2/128"),
        ([], "nftables", "1.30", "172.18.0.2/32", "fc00::2/128"),
        ([], "nftables", "1.29", "0.0.0.0/0", "::/0"),
        (["172.18.0.0/16"], "iptables", "1.30", "172.18.0.0/16", "::/0"),
        (["172.18.0.0/16"], "nftables", "1.31", "172.18.0.0/16", "::/0"),
        (["172.18.0.0/16"], "nftables", "1.30", "172.18.0.0/16", "fc00::2/128"),
        (["primary"], "iptables", "1.37", "172.18.0.2/32", "fc00::2/128"),
        (["localhost", "10.0.0.0/8"], "iptables", "1.37", "127.0.0.0/8 10.0.0.0/8", "::1/128"),
        (["all"], "nftables", "1.37", "0.0.0.0/0", "::/0"),
    ],
)
def test_node_port_addresses(addresses: list[str], mode: str, version: str, v4: str, v6: str) -> None:
    got = config(nodePortAddresses=addresses, mode=mode)
    assert got.node_port_cidrs("ipv4", NODE, Version.parse(version)) == tuple(v4.split())
    assert got.node_port_cidrs("ipv6", NODE, Version.parse(version)) == tuple(v6.split())


@pytest.mark.parametrize(
    ("version", "cidr"), [("1.29", "::/0"), ("1.30", "::1/128"), ("1.31", "::/0"), ("1.37", "::/0")]
)
def test_no_address_of_a_family_leaves_its_node_ports_open(version: str, cidr: str) -> None:
    only_ipv4 = Node("n", internal_ips=("172.18.0.2",))
    assert config(mode="nftables").node_port_cidrs("ipv6", only_ipv4, Version.parse(version)) == (cidr,)


@pytest.mark.parametrize(
    ("fields", "family", "detector"),
    [
        (
            {"clusterCIDR": "10.1.0.0/16,10.2.0.0/16,fd00::/48"},
            "ipv4",
            LocalDetector("cidr", "10.1.0.0/16", True),
        ),
        (
            {"clusterCIDR": "10.1.0.0/16,10.2.0.0/16,fd00::/48"},
            "ipv6",
            LocalDetector("cidr", "fd00::/48", True),
        ),
        ({"clusterCIDR": "10.1.0.0/16"}, "ipv6", LocalDetector("cidr", "", False)),
        ({"detectLocalMode": "NodeCIDR"}, "ipv4", LocalDetector("cidr", "10.244.1.0/24", True)),
        (
            {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "br"}},
            "ipv6",
            LocalDetector("bridge", "br", True),
        ),
        (
            {"detectLocalMode": "InterfaceNamePrefix", "detectLocal": {"interfaceNamePrefix": "veth"}},
            "ipv4",
            LocalDetector("prefix", "veth", True),
        ),
    ],
)
def test_local_detectors(fields: dict[str, Any], family: IpFamily, detector: LocalDetector) -> None:
    assert config(**fields).detector(family, NODE) == detector


def test_node_facts_default_to_the_kernels() -> None:
    facts = NodeFacts.build(NODE)
    assert (facts.tcp_be_liberal, facts.nfacct) == (False, True)
    assert facts.node_port_ips(("172.0.0.0/8", "127.0.0.0/8"), "ipv4") == ("127.0.0.1", "172.18.0.2")
    assert NodeFacts.build(NODE, {"tcp_be_liberal": "1", "nfacct": False}).tcp_be_liberal


def test_the_node_ip_is_the_bind_address_where_it_is_one() -> None:
    facts = NodeFacts.build(NODE)
    assert facts.node_ip("ipv4", config(bindAddress="0.0.0.0")) == "172.18.0.2"
    assert facts.node_ip("ipv4", config(bindAddress="192.0.2.1")) == "192.0.2.1"
    assert facts.node_ip("ipv6", config(bindAddress="192.0.2.1")) == "fc00::2"


def test_the_node_ip_is_an_external_one_or_localhost_where_there_is_no_other() -> None:
    facts = NodeFacts.build(Node("n", internal_ips=("172.18.0.2",), external_ips=("192.0.2.1", "fc00::3")))
    assert (facts.node_ip("ipv4", config()), facts.node_ip("ipv6", config())) == ("172.18.0.2", "fc00::3")
    assert NodeFacts.build(Node("n")).node_ip("ipv6", config()) == "::1"


@pytest.mark.parametrize("text", ["v1.37.2", "1.37.2", "Kubernetes v1.37.2\n", "v1.37.2-rc.1+abc"])
def test_versions_are_read(text: str) -> None:
    assert Version.parse(text) == Version(1, 37, 2)


@pytest.mark.parametrize("text", ["", "v1", "newest", "v1.x"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        Version.parse(text)


@pytest.mark.parametrize(
    ("version", "gate", "feature", "off", "unset", "on"),
    [
        ("1.29.6", "LoadBalancerIPMode", "load-balancer-ip-mode", False, False, True),
        ("1.31.0", "LoadBalancerIPMode", "load-balancer-ip-mode", False, True, True),
        ("1.32.2", "LoadBalancerIPMode", "load-balancer-ip-mode", True, True, True),
        ("1.29.6", "ServiceTrafficDistribution", "traffic-distribution", False, False, False),
        ("1.30.4", "ServiceTrafficDistribution", "traffic-distribution", False, False, True),
        ("1.33.13", "PreferSameTrafficDistribution", "prefer-same-node", False, False, True),
        ("1.35.4", "PreferSameTrafficDistribution", "prefer-same-node", True, True, True),
        ("1.37.2", "AllowServiceExternalIPs", "external-ips", False, True, True),
        ("1.37.2", "KubeProxyNFTablesLocalhostNodePorts", "nft-localhost-node-ports", False, False, True),
        ("1.36.3", "KubeProxyNFTablesLocalhostNodePorts", "nft-localhost-node-ports", False, False, False),
    ],
)
def test_a_gate_says_otherwise_where_it_can_be_set(
    version: str, gate: str, feature: str, off: bool, unset: bool, on: bool
) -> None:
    plain = Version.parse(version)
    got = [has(plain.gated(gates), feature) for gates in ({gate: False}, {}, {gate: True})]
    assert got == [off, unset, on]


def test_features_come_with_a_patch_of_each_minor() -> None:
    FEATURES["test"] = Feature((Version(1, 33, 5), Version(1, 34, 0)), "", "")
    try:
        having = [
            text
            for text in ("v1.32.9", "v1.33.4", "v1.33.5", "v1.34.0", "v1.40.1")
            if has(Version.parse(text), "test")
        ]
    finally:
        del FEATURES["test"]
    assert having == ["v1.33.5", "v1.34.0", "v1.40.1"]
    with pytest.raises(KeyError):
        has(Version(1, 37), "no such feature")
