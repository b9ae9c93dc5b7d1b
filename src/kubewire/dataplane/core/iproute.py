"""What `ip -j address` and `ip -j route` print: links, their addresses, routes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Element, Link
from kubewire.dataplane.core.objects import canonical

if TYPE_CHECKING:
    from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

    from kubewire.dataplane.core.packet import Address

ADDRESSES = "ip-addr.json"
ROUTES = "ip-route.json"
"""The files of a snapshot."""
WRONG = (ValueError, KeyError, TypeError, AttributeError)
"""What the readers raise for what `ip` doesn't print."""
_WORDS: dict[IpFamily, str] = {"ipv4": "inet", "ipv6": "inet6"}


class InterfaceAddress(Struct, frozen=True):
    """An address of an interface; `scope` is `global`, `link` or `host`."""

    device: str
    interface: IPv4Interface | IPv6Interface
    scope: str

    @property
    def address(self) -> Address:
        return self.interface.ip


class Route(Struct, frozen=True):
    """Where packets to a network go; `kind` is `unicast`, `local`, `blackhole`, `unreachable`, …"""

    network: IPv4Network | IPv6Network
    kind: str
    text: str
    gateways: tuple[Address, ...] = ()
    devices: tuple[str, ...] = ()
    source: Address | None = None
    metric: int = 0
    several: bool = False

    @property
    def device(self) -> str:
        return next(iter(self.devices), "")

    @property
    def gateway(self) -> Address | None:
        return next(iter(self.gateways), None)

    def next_hop(self, destination: Address) -> Address:
        """The address that the packet is handed to on the link."""
        return self.gateway or destination


def read_addresses(text: str) -> list[InterfaceAddress]:
    """Every address, in the order of the interfaces."""
    return [
        InterfaceAddress(
            link["ifname"], ip_interface(f"{info['local']}/{info['prefixlen']}"), info.get("scope", "global")
        )
        for link in json.loads(text)
        for info in local_addresses(link)
    ]


def local_addresses(link: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The entries of a link that have an address of this node."""
    return (info for info in link.get("addr_info", ()) if "local" in info)


def links_down(text: str) -> frozenset[str]:
    """The links that `ip -j address` shows without UP; empty for what is not understood.

    Setting a link down leaves its routes of scope host in place (fib_sync_down_dev in net/ipv4).
    """
    try:
        links = json.loads(text)
        return frozenset(str(link["ifname"]) for link in links if link and "UP" not in link["flags"])
    except (ValueError, KeyError, TypeError):
        return frozenset()


def parse_link(entries: Iterable[Mapping[str, Any]], name: str, family: IpFamily) -> Link | None:
    """The interface of that name, None if there is none. Raises ValueError for what `ip` doesn't print."""
    try:
        entry = next((entry for entry in entries if entry.get("ifname") == name), None)
        if entry is None:
            return None
        flags = entry.get("flags")
        addresses = [
            Element(f"{canonical(info['local'])}/{int(info['prefixlen'])}")
            for info in entry.get("addr_info", ())
            if info.get("family") == _WORDS[family]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not as ip -j addr prints it: {error!r}") from error
    return Link(family, name, tuple(addresses), None if flags is None else "UP" in flags)


def address_text(element: Element, family: IpFamily) -> str:
    """An address as `ip addr` prints it: `inet 10.96.0.1/32`."""
    return f"{_WORDS[family]} {element.key}"


def read_routes(text: str) -> list[Route]:
    """The routes of one or both families that decide about a packet's way."""
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise ValueError("not a JSON list")  # noqa: TRY004
    return [_route(entry) for entry in entries if entry.get("type") not in ("multicast", "throw")]


def _route(entry: Mapping[str, Any]) -> Route:
    hops = [entry, *(entry.get("nexthops") or ())]
    gateways = [hop.get("gateway") or (hop.get("via") or {}).get("host") for hop in hops]
    destination = str(entry["dst"])
    if destination == "default":
        six = ":" in str(gateways[0] or entry.get("prefsrc") or "") or "pref" in entry
        destination = "::/0" if six else "0.0.0.0/0"
    return Route(
        network=ip_network(destination, strict=False),
        kind=str(entry.get("type", "unicast")),
        text=route_text(entry),
        gateways=tuple(ip_address(gateway) for gateway in gateways if gateway),
        devices=tuple(str(hop["dev"]) for hop in hops if "dev" in hop),
        source=ip_address(entry["prefsrc"]) if "prefsrc" in entry else None,
        metric=int(entry.get("metric", 0)),
        several=bool(entry.get("nexthops")),
    )


def route_text(entry: Mapping[str, Any]) -> str:
    """A route as `ip route` prints it."""
    words = [str(entry.get("dst", ""))]
    words += _hop_words(entry)
    for key, word in (("protocol", "proto"), ("scope", "scope"), ("prefsrc", "src"), ("metric", "metric")):
        if key in entry:
            words += [word, str(entry[key])]
    words += [str(flag) for flag in entry.get("flags") or ()]
    for hop in entry.get("nexthops") or ():
        words += ["nexthop", *_hop_words(hop), "weight", str(hop.get("weight", 1))]
    return " ".join(words)


def _hop_words(entry: Mapping[str, Any]) -> list[str]:
    words = ["via", str(entry["gateway"])] if "gateway" in entry else []
    if isinstance(entry.get("via"), Mapping):
        words = ["via", str(entry["via"].get("family", "")), str(entry["via"].get("host", ""))]
    return [*words, "dev", str(entry["dev"])] if "dev" in entry else words
