"""Address translation as both iptables and nft do it, on the first packet of a connection."""

from __future__ import annotations

from ipaddress import ip_address

from kubewire.dataplane.core.packet import SURE, Action, Address, Packet, Result
from kubewire.dataplane.core.routing import Routing


def masquerade(packet: Packet, routing: Routing) -> Result:
    """The source becomes an address of the interface that the packet leaves by; without one it is dropped.

    Source: net/netfilter/nf_nat_masquerade.c.
    """
    route = routing.lookup(packet.destination)
    hop = packet.destination if route is None else route.next_hop(packet.destination)
    address = routing.address_on(packet.out_interface, hop)
    if address is None:
        said = f"{packet.out_interface} has no address to masquerade with"
        return Result(SURE, packet, Action.DROP, said=said)
    return source_nat(packet, address)


def source_nat(packet: Packet, address: Address) -> Result:
    """Another source; the port is any free one."""
    said = f"source {packet.source} → {address}"
    return Result(SURE, packet.from_source(address), Action.ACCEPT, said=said)


def destination_nat(packet: Packet, address: Address, port: int | None) -> Result:
    """Another destination; a port of None stays."""
    changed = packet.translated(address, port)
    return Result(SURE, changed, Action.ACCEPT, said=f"destination {packet.to} → {changed.to}")


def redirect(packet: Packet, routing: Routing, port: int | None) -> Result:
    """The destination becomes the node itself; by an interface without an address the packet is dropped.

    Source: net/netfilter/nf_nat_redirect.c.
    """
    address: Address | None = ip_address("::1" if packet.family == "ipv6" else "127.0.0.1")
    if packet.in_interface:
        address = routing.address_on(packet.in_interface, packet.source)
    if address is None:
        return Result(SURE, packet, Action.DROP, said=f"{packet.in_interface} has no address")
    return destination_nat(packet, address, port)


def address_and_port(text: str) -> tuple[Address, int | None]:
    """`10.0.0.1`, `10.0.0.1:80`, `[fd00::1]:80`. Raises ValueError for a range or anything else."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(text)
        return ip_address(host), _port(port[1:]) if port else None
    host, colon, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
    return ip_address(host), _port(port) if colon else None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(text)
    return int(text)
