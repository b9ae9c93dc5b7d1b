"""Node ports on a node's loopback addresses: what kube-proxy does with them, and which sockets listen there.

Source: pkg/proxy/iptables/proxier.go (localhostNodePorts, of IPv4 only), pkg/proxy/nftables/proxier.go and
localnodeportproxy (KEP-6032, from 1.37 on behind a gate); in ipvs mode loopback addresses have no node ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Any, Literal

from msgspec import Struct

from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.objects import Node, with_port

LOOPBACK: dict[IpFamily, str] = {"ipv4": "127.0.0.1", "ipv6": "::1"}
MOST_LISTENERS = 1000
KUBE_PROXY = "kube-proxy"
_NAME = 32
Handling = Literal["", "translated", "listener", "refused"]
"""By rules, by a socket of kube-proxy's own, refused by a rule, or not at all."""


def on_localhost(
    config: ProxyConfig, node: Node, version: Version, family: IpFamily, protocol: str
) -> Handling:
    """What the node's kube-proxy does with what is sent to a node port of that protocol on loopback."""
    cidrs = config.node_port_cidrs(family, node, version)
    if config.mode == "iptables":
        return "translated" if family == "ipv4" and _translated(config, cidrs) else ""
    if config.mode == "ipvs" or not has(version, "nft-localhost-node-ports"):
        return ""
    served = any(ip_network(cidr).network_address.is_loopback for cidr in cidrs)
    return "listener" if served and protocol == "TCP" else "refused"


def _translated(config: ProxyConfig, cidrs: tuple[str, ...]) -> bool:
    """Source: ContainsIPv4Loopback in pkg/proxy/util/nodeport_addresses.go."""
    networks = map(IPv4Network, cidrs)
    return config.localhost_node_ports and any(
        net.is_loopback or IPv4Address("127.0.0.0") in net for net in networks
    )


class Listener(Struct, frozen=True):
    """A socket that waits for connections or datagrams; `process` and `pid` are "" and 0 where unknown.

    `address` is `*` for all of both families, as ss prints it.
    """

    protocol: str
    address: str
    port: int
    process: str = ""
    pid: int = 0

    @property
    def owner(self) -> str:
        return f"{self.process} (pid {self.pid})" if self.process else "an unknown process"

    def __str__(self) -> str:
        return f"{self.owner} listens on {with_port(self.address, self.port)}/{self.protocol}"

    def takes(self, protocol: str, address: str, port: int) -> bool:
        """Whether what is sent there comes to it."""
        if (self.protocol, self.port) != (protocol, port):
            return False
        if self.address in ("*", address):
            return True
        mine = ip_address(self.address)
        return mine.is_unspecified and mine.version == ip_address(address).version


def listeners_of(facts: Mapping[str, Any]) -> tuple[Listener, ...] | None:
    """facts.json's `listeners`; None where it doesn't tell all: a node script reads MOST_LISTENERS at most.

    What is no listener is passed over.
    """
    told = facts.get("listeners")
    if not isinstance(told, list) or len(told) >= MOST_LISTENERS:
        return None
    return tuple(filter(None, map(_listener, told)))


def _listener(item: object) -> Listener | None:
    if not isinstance(item, dict):
        return None
    protocol, address, process = (str(item.get(key, "")) for key in ("protocol", "address", "process"))
    port, pid = (item.get(key, 0) for key in ("port", "pid"))
    if protocol not in ("tcp", "udp") or type(port) is not int or type(pid) is not int:
        return None
    try:
        where = address if address == "*" else str(ip_address(address.partition("%")[0]))
    except ValueError:
        return None
    printable = "".join(char for char in process[:_NAME] if char.isprintable())
    return Listener(protocol, where, port, printable, pid)
