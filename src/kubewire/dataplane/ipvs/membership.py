"""Whether a packet is in an ipset, as iptables' match `set` asks it (ipset(8), iptables-extensions(8))."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from kubewire.dataplane.core.model import Set
from kubewire.dataplane.core.packet import EPHEMERAL, NotModelled, Packet

Key = tuple[object, ...]


def membership(item: Set) -> Callable[[Packet, Sequence[str]], bool]:
    """The test for one set, which raises NotModelled for a type, a side or a member that isn't understood."""
    parts = item.key_type.partition(":")[2].split(",")

    @cache
    def members() -> tuple[set[Key], list[tuple[Key, IPv4Network | IPv6Network]]]:
        exact: set[Key] = set()
        networks: list[tuple[Key, IPv4Network | IPv6Network]] = []
        for element in item.elements:
            *first, last = _key(element.key, parts)
            if isinstance(last, IPv4Network | IPv6Network):
                networks.append((tuple(first), last))
            else:
                exact.add((*first, last))
        return exact, networks

    @cache
    def may_be_clients() -> bool:
        exact, networks = members()
        heads = (*exact, *(head for head, _ in networks))
        return any(_may_be_clients(value) for head in heads for value in head)

    def test(packet: Packet, sides: Sequence[str]) -> bool:
        if len(sides) != len(parts):
            raise NotModelled(f"ipset {item.name} has {len(parts)} parts")
        exact, networks = members()
        if any(p == "port" and _asks_client(packet, side) for p, side in zip(parts, sides, strict=True)):
            if may_be_clients():
                raise NotModelled("the client's port is not known")
            return False
        key = tuple(
            _value(packet, part, side, alone=len(parts) == 1) for part, side in zip(parts, sides, strict=True)
        )
        *first, last = key
        return key in exact or any(
            head == tuple(first) and last in network
            for head, network in networks
            if not isinstance(last, int)
        )

    return test


def _key(text: str, parts: Sequence[str]) -> Key:
    words = text.partition(" ")[0].split(",")
    if len(words) != len(parts) or " nomatch" in text:
        raise NotModelled(f"the member {text!r} is not understood")
    return tuple(_part(part, word) for part, word in zip(parts, words, strict=True))


def _part(part: str, word: str) -> object:
    try:
        if part == "port":
            protocol, colon, number = word.rpartition(":")
            return (protocol, int(number)) if colon else int(number)
        return ip_network(word, strict=False) if part == "net" else ip_address(word)
    except ValueError as error:
        raise NotModelled(f"the member {word!r} is not understood") from error


def _asks_client(packet: Packet, side: str) -> bool:
    return side in ("src", "dst") and (side == "src") != packet.reply


def _may_be_clients(value: object) -> bool:
    """Whether a part of a member is a port that a client's kernel may choose."""
    port = value[1] if isinstance(value, tuple) else value
    return isinstance(port, int) and EPHEMERAL[0] <= port <= EPHEMERAL[1]


def _value(packet: Packet, part: str, side: str, *, alone: bool) -> object:
    if side not in ("src", "dst"):
        raise NotModelled(f"the side {side!r} is not modelled")
    if part in ("ip", "net"):
        return packet.source if side == "src" else packet.destination
    if part != "port":
        raise NotModelled(f"an ipset's {part!r} is not modelled")
    return packet.port if alone else (packet.protocol, packet.port)
