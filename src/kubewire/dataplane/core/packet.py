"""The packet that is traced, and what one rule does to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.objects import with_port

Address = IPv4Address | IPv6Address
EPHEMERAL = (32768, 60999)
"""The ports that a client's kernel chooses from by default: net.ipv4.ip_local_port_range."""
OUTSIDE: Mapping[IpFamily, str] = {"ipv4": "203.0.113.77", "ipv6": "2001:db8:ffff::77"}
"""An address of a client outside, from the networks reserved for documentation (RFC 5737, RFC 3849)."""
SURE, NEVER = Fraction(1), Fraction(0)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of a connection, at one point of its path; by default the first one.

    `protocol` is lower case; `port` is the server's, the client's is any of EPHEMERAL. `dnat` and `snat` say
    that conntrack changes that side, `destination_set` and `source_set` that NAT has decided on it;
    interfaces are "" where there is none. `established`: a later packet; `reply`: one from the server to the
    client; not `tracked`: conntrack has not seen it yet.
    """

    source: Address
    destination: Address
    protocol: str
    port: int
    in_interface: str = ""
    out_interface: str = ""
    mark: int = 0
    dnat: bool = False
    snat: bool = False
    destination_set: bool = False
    source_set: bool = False
    established: bool = False
    reply: bool = False
    tracked: bool = True

    @property
    def family(self) -> IpFamily:
        return "ipv6" if self.destination.version == 6 else "ipv4"

    @property
    def destination_ports(self) -> tuple[int, int]:
        """The range that its destination port lies in."""
        return EPHEMERAL if self.reply else (self.port, self.port)

    @property
    def source_ports(self) -> tuple[int, int]:
        """The range that its source port lies in."""
        return (self.port, self.port) if self.reply else EPHEMERAL

    @property
    def tcp_flags(self) -> frozenset[str]:
        """The flags of a TCP packet: of the handshake, in a later one of the client ACK."""
        if self.reply:
            return frozenset(("SYN", "ACK"))
        return frozenset(("ACK" if self.established else "SYN",))

    @property
    def to(self) -> str:
        """`10.96.0.1:443`, `[fd00::1]:443`."""
        return with_port(self.destination, self.port)

    def translated(self, destination: Address, port: int | None) -> Packet:
        """With another destination; a port of None stays."""
        changed = (destination, port or self.port) != (self.destination, self.port)
        return replace(
            self,
            destination=destination,
            port=port or self.port,
            dnat=self.dnat or changed,
            destination_set=True,
        )

    def from_source(self, source: Address) -> Packet:
        """With another source address."""
        changed = self.snat or source != self.source
        return replace(self, source=source, snat=changed, source_set=True)


class Action(StrEnum):
    """What happens to the packet after a rule."""

    MISS = auto()
    NEXT = auto()
    JUMP = auto()
    GOTO = auto()
    RETURN = auto()
    ACCEPT = auto()
    DROP = auto()
    REJECT = auto()


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that a rule can do, and how likely; all results of a rule add up to 1.

    MISS: the rule does not match. `chain` is where JUMP and GOTO lead; `said` is what the rule's text
    doesn't show: the new address, the map element that was found.
    """

    chance: Fraction
    packet: Packet
    action: Action
    chain: str = ""
    said: str = ""


class NotModelled(ValueError):  # noqa: N818
    """A condition that decides about the packet and can't be evaluated; the text names it."""


def within(number: tuple[int, int], first: int, last: int) -> Fraction:
    """Whether a number known only as lying in a range lies in another; NotModelled where both can be."""
    low, high = number
    if first <= low and high <= last:
        return SURE
    if high < first or last < low:
        return NEVER
    raise NotModelled(f"the client's port may be any of {low} to {high}")


def as_number(text: str) -> int:
    """`0x4000` or `80`."""
    return int(text, 16) if text.startswith("0x") else int(text)
