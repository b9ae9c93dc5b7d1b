"""A node with many Services, without a cluster: what kube-proxy must have written, loaded into the kernel
by its tools, in a network namespace of its own, and read back from them as a snapshot does.

ipvs needs a kernel with ip_vs: its virtual servers are printed instead, all else is the tools' own text.
"""

from __future__ import annotations

import json
import os
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.snapshot import NodeSnapshot
from kubewire.dataplane.ipvs.names import INTERFACE
from kubewire.dataplane.nftables.compare import element_text, hook_text, set_text
from kubewire.dataplane.node import expected_dataplane, read_inputs
from printed_dumps import print_ipset_save, print_iptables_save, print_ipvsadm_save

NODE = "node"
UPLINK = {
    "ifname": "eth0",
    "flags": ["BROADCAST", "UP"],
    "addr_info": [{"family": "inet", "local": "172.18.0.2", "prefixlen": 16, "scope": "global"}],
}
ROUTES = [
    {"dst": "default", "gateway": "172.18.0.1", "dev": "eth0", "flags": []},
    {"dst": "172.18.0.0/16", "dev": "eth0", "scope": "link", "flags": []},
]
FOREIGN = (
    *(f"-A INPUT -s 198.51.100.{number}/32 -j DROP" for number in range(20)),
    *(f"-A INPUT -p tcp -m tcp --dport {9000 + number} -j REJECT" for number in range(15)),
    *(f"-A FORWARD -d 10.245.0.{number}/32 -p tcp -m tcp --dport 9000 -j DROP" for number in range(1, 11)),
    *(f"-A FORWARD -i br-{number:012x} ! -o br-{number:012x} -j DROP" for number in range(5)),
)
"""50 rules as other owners write them: bans, closed ports, a policy between pods, isolated bridges."""
VERSION = "v1.37.2"


def make_snapshot(folder: Path, mode: str, services: int, *, foreign: bool = False) -> None:
    """Write a snapshot folder of one node that holds; in iptables mode also `iptables -L -n` as listing.txt.

    `foreign`: with FOREIGN, the rules of other owners, which harm no packet to a Service.

    Raises CalledProcessError where a tool refuses, and KeyError for a mode that is none of the three.
    """
    cluster = {"apiVersion": "v1", "kind": "List", "items": state(services)}
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "clusterCIDR": "10.244.0.0/15",
    }
    files = {
        "kube-proxy.yaml": json.dumps(config),
        "kube-proxy-version": VERSION,
        "facts.json": '{"ipv6": "disabled", "nfacct": false}',
        "ip-addr.json": json.dumps([UPLINK]),
        "ip-route.json": json.dumps(ROUTES),
    }
    inputs = read_inputs(NodeSnapshot(NODE, files), ClusterState.from_list(cluster))
    expected = expected_dataplane(inputs, ClusterState.from_list(cluster), "ipv4")
    node = folder / "nodes" / NODE
    node.mkdir(parents=True)
    (folder / "cluster.json").write_text(json.dumps(cluster, indent=1))
    for name, text in {**files, **_INPUT[mode](expected)}.items():
        (node / name).write_text(text)
    if foreign:
        (node / "foreign").write_text("\n".join(["*filter", *FOREIGN, "COMMIT", ""]))
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    subprocess.run(["unshare", *user, "-n", "sh", "-ec", _LOAD[mode]], cwd=node, check=True)


def _iptables(expected: Dataplane) -> dict[str, str]:
    return {"load": _tables(expected)}


def _tables(expected: Dataplane) -> str:
    """With a policy for the built-in chains, of which kube-proxy only has its jumps."""
    return print_iptables_save(expected).replace("  [0:0]", " ACCEPT [0:0]")


def _nftables(expected: Dataplane) -> dict[str, str]:
    lines = ["table ip kube-proxy {", 'comment "rules for kube-proxy";']
    lines += [f"counter {counter.name} {{ }}" for counter in expected.counters]
    lines += [f"chain {chain.name} {{ }}" for chain in expected.chains if not chain.hook]
    for item in expected.sets:
        kind = "map" if item.value_type else "set"
        lines.append(f"{kind} {item.name} {{ {set_text(item)};")
        if item.elements:
            lines.append(f"elements = {{ {', '.join(map(element_text, item.elements))} }};")
        lines.append("}")
    for chain in expected.chains:
        head = [hook_text(chain.hook)] if chain.hook else []
        comment = [f'comment "{chain.comment}";'] if chain.comment else []
        lines += [f"chain {chain.name} {{", *head, *comment]
        lines += [*(rule.text for rule in chain.rules()), "}"]
    return {"load": "\n".join([*lines, "}", ""]), "iptables-save.txt": "", "ip6tables-save.txt": ""}


def _ipvs(expected: Dataplane) -> dict[str, str]:
    addresses = [
        {"family": "inet", "local": str(ip_address(element.key.partition("/")[0])), "prefixlen": 32}
        for link in expected.links
        for element in link.addresses
    ]
    return {
        "load": _tables(expected),
        "sets": print_ipset_save(expected),
        "ipvsadm-save.txt": print_ipvsadm_save(expected),
        "ip-addr.json": json.dumps([UPLINK, {"ifname": INTERFACE, "flags": [], "addr_info": addresses}]),
    }


_INPUT = {"iptables": _iptables, "nftables": _nftables, "ipvs": _ipvs}
_SAVE = """
[ ! -e foreign ] || iptables-restore -n foreign
iptables-save > iptables-save.txt
rm -f foreign load
"""
_TABLES = f"iptables-restore load; {_SAVE}"
_LOAD = {
    "iptables": f"{_TABLES} for t in nat filter; do iptables -n -t $t -L; echo; done > ../../listing.txt",
    "nftables": f"nft -f load; nft -j list table ip kube-proxy > nft-ip.json; {_SAVE}",
    "ipvs": f"ipset restore < sets; ipset save > ipset-save.txt; {_TABLES} rm sets",
}


def state(services: int) -> list[dict[str, Any]]:
    """Services without selector, each with an EndpointSlice of three ready endpoints, as the API has them."""
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE},
        "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]},
    }
    cidrs = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": ["10.96.0.0/12"]},
    }
    numbers = range(services)
    return [node, cidrs, *map(_service, numbers), *map(_slice, numbers)]


def _metadata(number: int, **more: Any) -> dict[str, Any]:
    return {
        "name": f"bench-{number:05d}",
        "namespace": "default",
        "uid": f"00000000-0000-4000-8000-{number:012d}",
        "resourceVersion": str(1000 + number),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **more,
    }


def _service(number: int) -> dict[str, Any]:
    address = str(ip_address("10.96.1.0") + number)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(number),
        "spec": {
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
            "clusterIP": address,
            "clusterIPs": [address],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


def _slice(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _metadata(number, labels={"kubernetes.io/service-name": f"bench-{number:05d}"}),
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [
            {"addresses": [str(ip_address("10.245.0.1") + number * 3 + i)], "conditions": {"ready": True}}
            for i in range(3)
        ],
    }
