"""The kube-proxy configurations that the real proxies run with, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kubewire.dataplane.core.features import Version, has

BOTH = "10.244.0.0/16,fd00:10:244::/56"
KUBECONFIG = "/run/kubeconfig"


class Variant(NamedTuple):
    """`settings` go to the top of the configuration, `section` into the section that has the mode's mark.

    `ipvs` goes into the section of that name; `foreign` are virtual servers that are there before kube-proxy.
    """

    name: str
    node: str = "node-a"
    settings: Mapping[str, Any] = {}
    section: Mapping[str, Any] = {}
    ipvs: Mapping[str, Any] = {}
    foreign: tuple[str, ...] = ()


def variants(version: Version, mode: str) -> tuple[Variant, ...]:
    """Every configuration that a version and mode knows."""
    loopback = (
        ["localhost", "172.20.0.0/24"] if has(version, "node-port-localhost-keyword") else ["127.0.0.0/8"]
    )
    found = [
        Variant("default", settings={"clusterCIDR": BOTH}),
        Variant(
            "masqueradeAll, bit 15",
            "node-b",
            {"clusterCIDR": BOTH},
            {"masqueradeAll": True, "masqueradeBit": 15},
        ),
        Variant(
            "nodePortAddresses",
            settings={"clusterCIDR": BOTH, "nodePortAddresses": ["172.20.0.0/24", "fd00:20::/64"]},
        ),
        Variant(
            "BridgeInterface",
            "node-b",
            {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "cni0"}},
        ),
        Variant("NodeCIDR, bit 0", settings={"detectLocalMode": "NodeCIDR"}, section={"masqueradeBit": 0}),
        Variant(
            "one family",
            "node-b",
            {"clusterCIDR": "10.244.0.0/16", "nodePortAddresses": ["172.20.0.0/30", "172.20.0.10/32"]},
        ),
        Variant("loopback node ports", settings={"clusterCIDR": BOTH, "nodePortAddresses": loopback}),
        Variant(
            "bindAddress, liberal",
            settings={
                "clusterCIDR": BOTH,
                "bindAddress": "198.51.100.7",
                "conntrack": {"tcpBeLiberal": True},
            },
            section={"masqueradeBit": 31},
        ),
        Variant("no detector", "node-c", {"nodePortAddresses": ["0.0.0.0/0", "::/0"]}),
        Variant("an IPv4 node", "node-d", {"detectLocalMode": "NodeCIDR"}),
    ]
    if has(version, "node-port-primary-keyword"):
        found.append(_node_ports("primary", node="node-c"))
    if has(version, "node-port-localhost-keyword"):
        found += [_node_ports("all"), _node_ports("primary", "localhost", node="node-d")]
    gates = _GATES.get((version.major, version.minor))
    if gates:
        found.append(Variant("feature gates", "node-b", {"clusterCIDR": BOTH, "featureGates": gates}))
    if mode != "nftables" or has(version, "nft-iifname"):  # before, nft looked for an interface of that name
        prefix = {"detectLocal": {"interfaceNamePrefix": "veth"}}
        settings = {"detectLocalMode": "InterfaceNamePrefix", **prefix}
        found.append(Variant("InterfaceNamePrefix", "node-c", settings))
    if mode == "iptables":
        found.append(
            Variant(
                "no localhost node ports",
                settings={"clusterCIDR": BOTH},
                section={"localhostNodePorts": False},
            )
        )
    elif mode == "ipvs":
        found += _IPVS
    elif has(version, "nft-localhost-node-ports"):
        gate = {"featureGates": {"KubeProxyNFTablesLocalhostNodePorts": True}}
        found.append(Variant("localhost node ports gate", settings={"clusterCIDR": BOTH, **gate}))
    return tuple(found)


def _node_ports(*keywords: str, node: str = "node-a") -> Variant:
    name = f"node ports at {' and '.join(keywords)}"
    return Variant(name, node, {"clusterCIDR": BOTH, "nodePortAddresses": list(keywords)})


# Feature gates that change rules, against their defaults.
_GATES = {
    (1, 29): {"LoadBalancerIPMode": True, "TopologyAwareHints": False},
    (1, 30): {"LoadBalancerIPMode": False, "ServiceTrafficDistribution": True},
    (1, 31): {"LoadBalancerIPMode": False, "ServiceTrafficDistribution": False},
    (1, 32): {"TopologyAwareHints": False},
    (1, 33): {"MultiCIDRServiceAllocator": False, "PreferSameTrafficDistribution": True},
    (1, 34): {"PreferSameTrafficDistribution": False},
    (1, 36): {"AllowServiceExternalIPs": False},
    (1, 37): {"AllowServiceExternalIPs": False, "NFTablesNetlink": False},
}
_IPVS = (
    Variant("strictARP, sh", settings={"clusterCIDR": BOTH}, ipvs={"strictARP": True, "scheduler": "sh"}),
    Variant("mh", "node-b", {"clusterCIDR": BOTH}, ipvs={"scheduler": "mh"}),
    Variant(
        "excludeCIDRs, lc",
        settings={"clusterCIDR": BOTH},
        ipvs={"scheduler": "lc", "excludeCIDRs": ["203.0.113.0/24", "2001:db8:ffff::/48"]},
        foreign=("203.0.113.200:80", "[2001:db8:ffff::1]:80"),
    ),
)


def document(variant: Variant, version: Version, mode: str) -> dict[str, Any]:
    """The KubeProxyConfiguration; it syncs at once, and leaves the host's conntrack limits alone."""
    gates = dict(variant.settings.get("featureGates", {}))
    if mode == "nftables" and version < Version(1, 31):
        gates["NFTablesProxyMode"] = True
    conntrack = {"maxPerCore": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"}
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        **variant.settings,
        "mode": mode,
        "hostnameOverride": variant.node,
        "clientConnection": {"kubeconfig": KUBECONFIG, "qps": 100, "burst": 200},
        "conntrack": conntrack | variant.settings.get("conntrack", {}),
        **({"featureGates": gates} if gates else {}),
        **_sections(variant, mode),
    }


def _sections(variant: Variant, mode: str) -> dict[str, Any]:
    """ipvs mode takes the mark from the section `iptables`."""
    at_once = {"minSyncPeriod": "10ms"}
    if mode == "ipvs":
        return {"iptables": dict(variant.section), "ipvs": {**at_once, **variant.ipvs}}
    if mode == "iptables":
        at_once["syncPeriod"] = "10m"  # in large clusters stale chains are left for so long
    return {mode: {**at_once, **variant.section}}
