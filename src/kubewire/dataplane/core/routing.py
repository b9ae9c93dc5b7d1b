"""A node's addresses and main routing table, from `ip -j addr` and `ip -j route`; no policy routing.

Source: the kernel's fib_lookup, inet_select_addr (net/ipv4/devinet.c) and its local table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from kubewire.core.errors import LabError
from kubewire.dataplane.core.iproute import (
    ADDRESSES,
    ROUTES,
    WRONG,
    InterfaceAddress,
    Route,
    read_addresses,
    read_routes,
)
from kubewire.dataplane.core.packet import Address, NotModelled

LOOPBACK = "lo"


class Routing:
    """Answers what the kernel's routing decides; `addresses` are in the order of the interfaces."""

    def __init__(self, addresses: Sequence[InterfaceAddress], routes: Sequence[Route]) -> None:
        self.addresses = tuple(addresses)
        self._routes = tuple(routes)
        self._local: dict[Address, str] = {entry.address: entry.device for entry in addresses}
        self._local_networks = [
            e.interface.network for e in addresses if e.device == LOOPBACK and e.interface.version == 4
        ]

    @classmethod
    def parse(cls, ip_addr: str, ip_route: str) -> Routing:
        """Read the two dumps. Raises LabError for what is no such dump."""
        return cls(_read(ip_addr, ADDRESSES, read_addresses), _read(ip_route, ROUTES, read_routes))

    def is_local(self, address: Address) -> bool:
        """Whether the node itself is meant; all of 127.0.0.0/8 is, as the kernel's table `local` has it."""
        return address in self._local or any(address in network for network in self._local_networks)

    def kind_of(self, address: Address) -> str:
        """The address type as iptables' addrtype and nft's fib name it, in capitals."""
        if self.is_local(address):
            return "LOCAL"
        if address.is_multicast:
            return "MULTICAST"
        broadcasts = (e.interface.network for e in self.addresses if e.interface.version == 4)
        if any(
            address == net.broadcast_address and net.prefixlen < 31
            for net in broadcasts
            if net.version == address.version
        ):
            return "BROADCAST"
        route = self.lookup(address)
        return "UNREACHABLE" if route is None else route.kind.upper()

    def device_of(self, address: Address) -> str:
        """The interface that has the address, "" if none has."""
        return self._local.get(address, "")

    def lookup(self, destination: Address) -> Route | None:
        """The longest matching route of the lowest metric, the local table first; None if there is none."""
        if self.is_local(destination):
            return _local_route(destination)
        fitting = [
            route
            for route in self._routes
            if route.network.version == destination.version and destination in route.network
        ]
        if not fitting:
            return None
        best = min(fitting, key=lambda route: (-route.network.prefixlen, route.metric))
        if best.several:
            raise NotModelled(f"the route has several next hops: {best.text}")
        return best

    def source_for(self, destination: Address, route: Route) -> Address | None:
        """The source address that a local process gets which names none."""
        if route.kind == "local":
            mine = self.device_of(destination)
            return destination if mine else next((e.address for e in self._on(LOOPBACK, destination)), None)
        return route.source or self.address_on(route.device, route.next_hop(destination))

    def address_on(self, device: str, next_hop: Address) -> Address | None:
        """The address that masquerading and source selection take on an interface, None if it has none.

        One in the next hop's network first, then the interface's first, then another interface's.
        """
        mine = [entry for entry in self._on(device, next_hop) if entry.scope == "global"]
        near = [entry for entry in mine if next_hop in entry.interface.network]
        other = [e for e in self.addresses if e.scope == "global" and e.interface.version == next_hop.version]
        return next((entry.address for entry in (*near, *mine, *other)), None)

    def _on(self, device: str, like: Address) -> list[InterfaceAddress]:
        return [e for e in self.addresses if e.device == device and e.interface.version == like.version]


@lru_cache(maxsize=4096)
def _local_route(address: Address) -> Route:
    network = ip_network(address)
    return Route(network, "local", f"local {address} dev {LOOPBACK}", devices=(LOOPBACK,))


def _read(text: str, where: str, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(text)
    except WRONG as error:
        raise LabError(f"not the output of ip -j: {error!r}", where=where) from error
