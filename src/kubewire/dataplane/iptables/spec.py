"""What an iptables rule asks of a packet, as far as it can be told from its saved text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from msgspec import Struct

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_OPTIONS = {
    "-s": "source",
    "-d": "destination",
    "-i": "in_interface",
    "-o": "out_interface",
    "-p": "protocol",
    "--dport": "dports",
    "--dports": "dports",
    "--ctstate": "states",
    "--state": "states",
    "--comment": "comment",
    "-j": "target",
    "-g": "target",
}


class Match(Struct, frozen=True):
    """One option's value and whether it is negated."""

    value: str
    negated: bool = False


class Spec(Struct, frozen=True):
    """The options of a rule that decide which packets it can concern; others are ignored, never dropped."""

    source: Match | None = None
    destination: Match | None = None
    in_interface: Match | None = None
    out_interface: Match | None = None
    protocol: Match | None = None
    dports: Match | None = None
    states: Match | None = None
    comment: str = ""
    target: str = ""

    def may_go_to(self, networks: Sequence[str]) -> bool:
        """Whether a packet to one of the networks can match `-d`."""
        return _may_be(self.destination, networks)

    def may_come_from(self, networks: Sequence[str]) -> bool:
        """Whether a packet from one of the networks can match `-s`."""
        return _may_be(self.source, networks)

    def may_use(self, protocol: str, port: int) -> bool:
        """Whether a packet of that protocol (lower case) to that port can match."""
        if self.protocol is not None:
            same = self.protocol.value in (protocol, "all")
            if same == self.protocol.negated:
                return False
        return self.dports is None or _holds(self.dports.value, port) != self.dports.negated


def words(text: str) -> list[str]:
    """The words of a saved rule, quotes resolved as iptables-save writes them."""
    return [
        re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain
        for quoted, plain in _WORD.findall(text)
    ]


def parse_spec(text: str) -> Spec:
    """Read a rule's text (all that follows `-A CHAIN `)."""
    found: dict[str, Match] = {}
    negated = False
    parts = words(text)
    for index, part in enumerate(parts):
        if part == "!":
            negated = True
            continue
        name = _OPTIONS.get(part)
        if name and index + 1 < len(parts):
            found.setdefault(name, Match(parts[index + 1], negated))
        negated = False
    comment, target = found.pop("comment", Match("")), found.pop("target", Match(""))
    return Spec(**found, comment=comment.value, target=target.value)


def _may_be(match: Match | None, networks: Sequence[str]) -> bool:
    if match is None:
        return True
    try:
        wanted = ip_network(match.value, strict=False)
    except ValueError:
        return True
    for text in networks:
        network = ip_network(text, strict=False)
        if match.negated and not _within(network, wanted):
            return True
        if not match.negated and network.version == wanted.version and network.overlaps(wanted):
            return True
    return False


def _within(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    return (
        inner.version == outer.version and inner.network_address in outer and inner.broadcast_address in outer
    )


def _holds(ports: str, port: int) -> bool:
    """Whether `80`, `80:90` or `80,443,8000:8010` holds the port; what is no number may hold it."""
    for part in ports.split(","):
        first, _, last = part.partition(":")
        if not (first or "0").isdigit() or not (last or "0").isdigit():
            return True
        low = int(first or 0)
        high = int(last or 65535) if ":" in part else low
        if low <= port <= high:
            return True
    return False
