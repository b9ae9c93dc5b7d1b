"""A lab's nodes and their addresses, assigned as in kind's Docker network."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from typing import Literal

from kubewire.lab.schema import IpFamily, Lab, Network, node_names

NODE_NETWORKS = {
    IpFamily.IPV4: (ip_network("172.18.0.0/16"),),
    IpFamily.IPV6: (ip_network("fc00:f853:ccd:e793::/64"),),
    IpFamily.DUAL: (ip_network("172.18.0.0/16"), ip_network("fc00:f853:ccd:e793::/64")),
}


@dataclass(frozen=True)
class Node:
    """A node of the lab; `interfaces` are eth0's addresses with their network, primary family first."""

    name: str
    role: Literal["control-plane", "worker"]
    interfaces: tuple[IPv4Interface | IPv6Interface, ...]
    tainted: bool

    @property
    def ips(self) -> tuple[str, ...]:
        return tuple(str(interface.ip) for interface in self.interfaces)


def gateways(lab: Lab) -> tuple[IPv4Interface | IPv6Interface, ...]:
    """The bridge's addresses: the first of each node network."""
    return tuple(_interface(network, 1) for network in _networks(lab))


def nodes(lab: Lab) -> tuple[Node, ...]:
    """The lab's nodes, control planes first, addresses from .2 on."""
    control_planes = lab.nodes.control_planes
    return tuple(
        Node(
            name=name,
            role="control-plane" if index < control_planes else "worker",
            interfaces=tuple(_interface(network, index + 2) for network in _networks(lab)),
            tainted=index < control_planes and lab.nodes.workers > 0,
        )
        for index, name in enumerate(node_names(lab))
    )


def service_ip(lab: Lab, index: int) -> str:
    """The index-th address of the primary Service subnet: 1 is default/kubernetes, 10 is kube-dns."""
    return str(lab.service_subnet[0][index])


def url_host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _networks(lab: Lab) -> tuple[Network, ...]:
    networks = NODE_NETWORKS[lab.ip_family]
    primary = lab.service_subnet[0].version
    return tuple(sorted(networks, key=lambda network: network.version != primary))


def _interface(network: Network, index: int) -> IPv4Interface | IPv6Interface:
    return ip_interface(f"{network[index]}/{network.prefixlen}")
