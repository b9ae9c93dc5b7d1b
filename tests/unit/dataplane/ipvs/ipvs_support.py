"""Cases of ipvs mode written by hand, and whole snapshots as a healthy node would give them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from msgspec.structs import replace

from kubewire.dataplane.check import Checked, check_snapshot
from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import Check, IpFamily
from kubewire.dataplane.core.model import Chain, Dataplane, Hook
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.dataplane.ipvs import names
from kubewire.dataplane.ipvs.expected import expected_ipvs
from printed_dumps import print_ipset_save, print_iptables_save, print_ipvsadm_save
from repository import GOLDEN

FAMILIES: tuple[IpFamily, ...] = ("ipv4", "ipv6")
BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}
NODE = "test-node"


def cases() -> list[tuple[str, dict[str, Any]]]:
    """Every case of every file, with a name to find it by."""
    return [
        (f"{path.stem}: {case['name']}", case)
        for path in sorted((GOLDEN / "dataplane_ipvs").glob("*.yaml"))
        for case in yaml.safe_load(path.read_text())
    ]


def expected_of(case: Mapping[str, Any]) -> Dataplane:
    cluster, node = objects(case)
    addresses = [{"ifname": "eth0", "addr_info": [{"local": ip} for ip in case.get("node", ["192.0.2.1"])]}]
    if "node" not in case:
        addresses[0]["addr_info"] = [{"local": "127.0.0.1"}, {"local": "::1"}]
    config = {"kind": "KubeProxyConfiguration", "mode": "ipvs", **case.get("config", {})}
    state = ClusterState.from_list(cluster)
    return expected_ipvs(
        state,
        ProxyConfig.from_mapping(config),
        NodeFacts.build(state.node(node), ip_addr=addresses),
        Version.parse(case.get("version", "v1.37.2")),
        case.get("family", "ipv4"),
    )


def objects(case: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A case's services and slices as the API gives them, and its node."""
    items: list[dict[str, Any]] = []
    for number, entry in enumerate(case["services"]):
        meta = {"namespace": "ns1", "name": entry.get("name", f"svc{number + 1}")}
        ports = [{"protocol": "TCP", **port} for port in entry["spec"].get("ports", ())]
        status = {"loadBalancer": {"ingress": entry.get("ingress", [])}}
        items.append(
            {"kind": "Service", "metadata": meta, "spec": {**entry["spec"], "ports": ports}, "status": status}
        )
        for entries in entry.get("slices", ()):
            endpoints = [_endpoint(endpoint) for endpoint in entries["endpoints"]]
            six = ":" in endpoints[0]["addresses"][0]
            items.append(
                {
                    "kind": "EndpointSlice",
                    "metadata": {
                        "namespace": "ns1",
                        "name": f"{meta['name']}-{len(items)}",
                        "labels": {"kubernetes.io/service-name": meta["name"]},
                    },
                    "addressType": "IPv6" if six else "IPv4",
                    "ports": [{"protocol": "TCP", **port} for port in entries["ports"]],
                    "endpoints": endpoints,
                }
            )
    addresses = [{"type": "InternalIP", "address": case["nodeIP"]}] if "nodeIP" in case else []
    labels = {"topology.kubernetes.io/zone": case["zone"]} if "zone" in case else {}
    node = {"kind": "Node", "metadata": {"name": NODE, "labels": labels}, "status": {"addresses": addresses}}
    return {"kind": "List", "items": [*items, node]}, NODE


def _endpoint(entry: Mapping[str, Any]) -> dict[str, Any]:
    endpoint: dict[str, Any] = {
        "addresses": [entry["ip"]],
        "conditions": entry.get("conditions", {"ready": True}),
    }
    if "node" in entry:
        endpoint["nodeName"] = entry["node"]
    if "zones" in entry:
        endpoint["hints"] = {"forZones": [{"name": zone} for zone in entry["zones"]]}
    return endpoint


def healthy(expected: Dataplane, family: IpFamily) -> Dataplane:
    """What a node would have if kube-proxy did its duty and nobody else did anything."""
    wanted = {(chain.table, chain.name): chain for chain in expected.chains}
    base = [
        replace(
            wanted.get((table, name), Chain(family, table, name)),
            hook=Hook(name, policy="ACCEPT"),
            shared=False,
        )
        for table, members in BUILT_IN.items()
        for name in members
    ]
    return replace(expected, chains=(*base, *(chain for chain in expected.chains if not chain.shared)))


@dataclass(frozen=True)
class Bench:
    """A snapshot whose only node can be damaged file by file."""

    snapshot: Snapshot

    @property
    def files(self) -> Mapping[str, str]:
        return self.snapshot.nodes[0].files

    def checked(self, **changed: str | None) -> Checked:
        """Judge with other texts for some files (None: without the file); `-` and `.` as `_` in names."""
        names = (*self.files, "ip-route.json")
        by_word = {name.replace("-", "_").replace(".", "_"): name for name in names}
        files = dict(self.files)
        for word, text in changed.items():
            if text is None:
                del files[by_word[word]]
            else:
                files[by_word[word]] = text
        node = NodeSnapshot(self.snapshot.nodes[0].name, files)
        return check_snapshot(replace(self.snapshot, nodes=(node,)))

    def failed(self, **changed: str | None) -> list[Check]:
        return [check for check in self.checked(**changed).checks if check.status == "failed"]


CONFIG = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "ipvs",
    "clusterCIDR": "10.244.0.0/16,fd00:10:244::/56",
    "ipvs": {"strictARP": True, "excludeCIDRs": ["198.51.100.0/24"]},
}


@cache
def rich(node: str = "rich-worker", version: str = "v1.37.2") -> Bench:
    """The cluster with every Service feature that real kube-proxies were recorded with, in ipvs mode.

    The dumps are printed from the expected state, which the kernel's own tools confirm elsewhere.
    """
    recorded = GOLDEN / "dataplane" / "rich-iptables-v1.37.2"
    cluster = json.loads((recorded / "cluster.json").read_text())
    addresses = json.loads((recorded / "nodes" / node / "ip-addr.json").read_text())
    return Bench(Snapshot(cluster, (node_snapshot(cluster, node, addresses, CONFIG, version),)))


def node_snapshot(
    cluster: Mapping[str, Any],
    node: str,
    addresses: list[dict[str, Any]],
    config: Mapping[str, Any],
    release: str = "v1.37.2",
) -> NodeSnapshot:
    state = ClusterState.from_list(cluster)
    facts = NodeFacts.build(state.node(node), ip_addr=addresses)
    version = Version.parse(release)
    planes = {
        family: expected_ipvs(state, ProxyConfig.from_mapping(config), facts, version, family)
        for family in FAMILIES
    }
    both = Dataplane(
        sets=tuple(item for plane in planes.values() for item in plane.sets),
        servers=tuple(server for plane in planes.values() for server in plane.servers if not server.optional),
    )
    interface = {
        "ifname": names.INTERFACE,
        "flags": ["BROADCAST", "NOARP"],
        "addr_info": [
            {
                "family": inet,
                "local": element.key.partition("/")[0],
                "prefixlen": int(element.key.partition("/")[2]),
            }
            for family, inet in (("ipv4", "inet"), ("ipv6", "inet6"))
            for element in planes[family].links[0].addresses  # type: ignore[index]
        ],
    }
    sysctls = {item.name: item.value for item in planes["ipv4"].sysctls}
    return NodeSnapshot(
        node,
        {
            "kube-proxy.yaml": yaml.safe_dump(config),
            "kube-proxy-version": f"{release}\n",
            "facts.json": json.dumps({"sysctls": sysctls}),
            "iptables-save.txt": print_iptables_save(healthy(planes["ipv4"], "ipv4")),
            "ip6tables-save.txt": print_iptables_save(healthy(planes["ipv6"], "ipv6")),
            "ipset-save.txt": print_ipset_save(both),
            "ipvsadm-save.txt": print_ipvsadm_save(both),
            "ip-addr.json": json.dumps([*addresses, interface]),
        },
    )
