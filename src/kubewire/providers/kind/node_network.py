"""Each node container's network: what Docker, kind and the pod network wrote there, and putting it back."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING

from kubewire.dataplane.node_network import NodeNetwork
from kubewire.providers import masquerade, node_network
from kubewire.providers.base import Change
from kubewire.providers.kind.engine import Engine
from kubewire.providers.kind.node import prefix
from kubewire.providers.kind.records import NodeContainer

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab
    from kubewire.providers.kind.state import ClusterState

KNOWN = ("docker.io/kubewire/empty:", "docker.io/kindest/kindnetd:")
"""Pod networks that write KIND-MASQ-AGENT in this one form and connect pods by the CNI plugin ptp: that of
our own node images, and every kindnetd of kind since 0.11.

Source: images/kindnetd/cmd/kindnetd of kind v0.11 to v0.33, masq.go and cni.go. kindnetd itself appends, each
60 s, masquerade rules that are missing, so that a deleted one may come back behind the last, without effect;
each 10 s it puts routes to other nodes' pod CIDRs back. Ours writes the rules once, and a route when its Node
changes."""
_SYSCTLS = {
    4: {"net.ipv4.ip_forward": "1"},
    6: {"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.all.forwarding": "1"},
}
"""By IP version. Source: IPv4's is Docker's and ptp's (plugins/main/ptp/ptp.go), IPv6's are those that kind
gives the containers (pkg/cluster/internal/providers/docker/provision.go). What a node image's sysctl.d has is
left out: it differs from image to image, and kube-proxy writes some of it too."""


def declared(lab: Lab, state: ClusterState, containers: Sequence[NodeContainer]) -> dict[str, NodeNetwork]:
    """By node, what was written into its network namespace. Addresses and the way out are those that the
    engine gave the container, in the lab's address families.
    """
    versions = {subnet.version for subnet in lab.pod_subnet}
    known = state.pod_network.startswith(KNOWN)
    unknown = (
        f"what the pod network {state.pod_network} writes isn't known"
        if state.pod_network
        else "the lab's record doesn't tell its pod network: `kubewire up --recreate` makes one that does"
    )
    found = {}
    for node in containers:
        if node.role == "other":
            continue
        interfaces = [i for i in map(ip_interface, node.interfaces) if i.version in versions]
        gateways = [gateway for gateway in node.gateways if ip_address(gateway).version in versions]
        found[node.name] = NodeNetwork(
            links=("lo", "eth0"),
            addresses={"eth0": tuple(map(str, interfaces))},
            routes=(
                *(f"{interface.network} dev eth0" for interface in interfaces),
                *(f"default via {gateway}" for gateway in gateways),
            ),
            sysctls={key: value for v in sorted(versions) for key, value in _SYSCTLS[v].items()},
            masquerade=masquerade.declared(map(str, lab.pod_subnet)) if known else (),
            pod_gateways=known,
            unknown="" if known else unknown,
        )
    return found


def hint(
    lab: Lab, state: ClusterState, engine: Engine, containers: Sequence[NodeContainer], *, check: bool = False
) -> list[Change]:
    """Restore what `declared` has on each of these running containers; with `check` only name differences.

    Only Docker can make eth0 again: a container without it is restarted.
    """
    networks = declared(lab, state, containers)
    running = [node for node in containers if node.state == "running" and node.name in networks]

    def mend(node: NodeContainer) -> list[Change]:
        wanted = networks[node.name]
        inside = prefix(node.name)
        seen = node_network.look(inside, node.name, wanted)
        if seen.link is None:
            if not check:
                engine.restart(node)
            return [Change(node.name, "node container restarted", "its link eth0 was deleted", afresh=True)]
        calls = node_network.mends(wanted, seen) + node_network.masquerade_mends(wanted, seen)
        return node_network.carry_out(calls, inside, node.name, check=check)

    with ThreadPoolExecutor(max_workers=4) as pool:
        return [change for changes in pool.map(mend, running) for change in changes]
