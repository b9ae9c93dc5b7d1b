"""What a foreign rule asks of a packet, and what it does to those on their way to a Service."""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from msgspec import Struct

from kubewire.dataplane.core.findings import Check, Place
from kubewire.dataplane.core.model import Chain
from kubewire.dataplane.core.packet import Address

MOST_DOUBTS = 5
"""Rules of one base chain of which it is told what they may do."""
_Group = tuple[frozenset[int], list[tuple[int, int]]]
"""Single addresses, and networks by their first and last address."""


class Harm(Struct, frozen=True):
    """A foreign rule's or policy's effect on packets on their way to a Service.

    `label` names the base chain that they pass (`iptables filter FORWARD`), `line` is the rule as the tool
    prints it, `owner` "" if unknown; `text` says what it does to which packets. Not `sure`: something decides
    that can't be evaluated.
    """

    label: str
    line: str
    owner: str
    service: str
    text: str
    sure: bool = True

    def __str__(self) -> str:
        policy = self.line.startswith((":", "policy "))
        who = "the policy" if policy else f"a rule of {self.owner or 'an unknown owner'}"
        return f"{who} {self.text}"


class Effects(Struct, frozen=True):
    """What all foreign rules and policies of a node do; `unknown` says why not all ways could be followed."""

    harms: tuple[Harm, ...] = ()
    unknown: str = ""

    @property
    def left(self) -> str:
        """What is said of a rule that no harm is known of."""
        return "its effect is not known" if self.unknown else "left alone"

    def check(self, place: Place, check: str, label: str, jumps: Sequence[str] = ()) -> Check:
        """The check of one base chain: it fails by the harms that are sure, and by jumps to the
        chains of kube-proxy that it does not write.
        """
        bad = [harm for harm in self.harms if harm.label == label and harm.sure]
        why = "no foreign rule or policy may end or divert a packet on its way to a Service"
        if self.unknown and not bad and not jumps:
            return place.skip(check, label, f"{why}; not followed: {self.unknown}", "(nothing)")
        services = {harm.service for harm in bad}
        left = dict.fromkeys(filter(None, (leftover(harm.owner) for harm in bad)))
        return place.check(
            check,
            label,
            "; ".join([*map(str, bad), *left, *([_JUMPS] if jumps else []), why]),
            "(nothing)",
            "\n".join([*(harm.line for harm in bad), *jumps]) or "(nothing)",
            service=services.pop() if len(services) == 1 else "",
        )

    def doubts(self, label: str) -> list[str]:
        """What may happen in a base chain, in words: by its first rules, and by how many more."""
        unsure = [harm for harm in self.harms if harm.label == label and not harm.sure]
        said = [
            f"{label}: {harm}: {harm.line}" + (f" ({left})" if (left := leftover(harm.owner)) else "")
            for harm in unsure[:MOST_DOUBTS]
        ]
        more = len(unsure) - MOST_DOUBTS
        return [*said, *([f"{label}: {more} more rules may end or divert packets"] if more > 0 else [])]

    def lines(self, label: str) -> set[str]:
        """The rules and the policy of which something is said."""
        return {harm.line for harm in self.harms if harm.label == label}


def nft_label(chain: Chain) -> str:
    """A chain of an nft table as findings name it."""
    return f"nft table {chain.table} chain {chain.name}"


def nft_owner(table: str) -> str:
    """Whose an nft table is, named with its family; kube-proxy's only on a node in another mode."""
    left = table in ("ip kube-proxy", "ip6 kube-proxy")
    return OTHER_MODE.format("nftables") if left else f"table {table}"


OTHER_MODE = "kube-proxy's {} mode"
"""The owner of what kube-proxy writes in another mode than the node's."""


def leftover(owner: str) -> str:
    """Who left rules of such an owner, and what removes them; "" for all other owners."""
    mode = owner.removeprefix("kube-proxy's ")
    return "" if mode == owner else f"left by a kube-proxy in {mode}; `kube-proxy --cleanup` removes it"


_JUMPS = "kube-proxy writes no such jump to its chain"


class Scope(Struct, frozen=True, dict=True):
    """The addresses, ports and interfaces that a rule asks for by name; an empty field asks for nothing.

    Each group of `networks` is for one address of the packet, the source or the destination.
    """

    networks: tuple[tuple[str, ...], ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    interfaces: tuple[str, ...] = ()

    @cached_property
    def _groups(self) -> list[_Group]:
        groups = []
        for texts in self.networks:
            found = list(map(_network, texts))
            ends = [(number_of(net.network_address), number_of(net.broadcast_address)) for net in found]
            single = frozenset(low for low, high in ends if low == high)
            groups.append((single, [(low, high) for low, high in ends if low < high]))
        return groups

    def names_port(self, numbers: Collection[int]) -> bool:
        """Whether it asks for one of these ports, or for none."""
        return not self.ports or any(low <= number <= high for low, high in self.ports for number in numbers)

    def names_addresses(self, addresses: Set[int], others: Set[int] = frozenset()) -> bool:
        """Whether a packet between one of these addresses and one of them or of the others can have what it
        asks for, so that the addresses matter; also if it asks for none. Each is a number by `number_of`.
        """
        groups = self._groups
        mine = [_holds(group, addresses) for group in groups]
        return any(mine or (True,)) and all(
            hit or _holds(group, others) for hit, group in zip(mine, groups, strict=True)
        )

    def strangers(self, known: Set[int]) -> list[Address]:
        """An address of each group that holds none of the known ones, a single one if it can be."""
        return [
            min(map(_network, texts), key=lambda net: -net.prefixlen).network_address
            for texts, group in zip(self.networks, self._groups, strict=True)
            if texts and not _holds(group, known)
        ]

    def names_interface(self, name: str) -> bool:
        """Whether it asks for this interface."""
        return any(
            name.startswith(wanted[:-1]) if wanted[-1:] in ("+", "*") else name == wanted
            for wanted in self.interfaces
        )


def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)


def number_of(address: Address | str) -> int:
    """An address, or its canonical text, as a number; those of IPv6 lie behind all of IPv4."""
    if isinstance(address, str) and ":" not in address:
        return int.from_bytes(map(int, address.split(".")), "big")
    ip = ip_address(address)
    return int(ip) if ip.version == 4 else int(ip) + 2**32


def _holds(group: _Group, addresses: Set[int]) -> bool:
    single, networks = group
    return not single.isdisjoint(addresses) or any(
        low <= ip <= high for low, high in networks for ip in addresses
    )
