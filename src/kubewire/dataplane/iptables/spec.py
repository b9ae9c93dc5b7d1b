"""A rule parsed from the text that iptables-save prints: its matches and its target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from msgspec import Struct

UNCHANGED = frozenset(("", "LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "TCPMSS", "CHECKSUM", "DSCP", "TOS"))
"""Targets that don't change the packet."""
HARMLESS = UNCHANGED | {"TTL", "HL"}
"""Targets that leave a packet on its way."""
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_WHOLE = re.compile(rf'(?:(?:[^\s"]+|{_QUOTED})(?: +(?:[^\s"]+|{_QUOTED}))* *)?')
_WORD = re.compile(rf"({_QUOTED})|(\S+)")
_ESCAPED = re.compile(r"\\(.)")
_ENDS = ("-m", "-j", "-g")
_NAMES = frozenset(("--comment", "--name", "--nfacct-name"))
"""Options that take the next word, even one that looks like an option."""


class Match(Struct, frozen=True, gc=False):
    """One option of a match with its values; `module` is "" for the options that need none (`-s`).

    A module without options is a match with the option "".
    """

    module: str
    option: str
    values: tuple[str, ...] = ()
    negated: bool = False

    @property
    def value(self) -> str:
        return self.values[0]

    def __str__(self) -> str:
        module = (f"-m {self.module}",) if self.module else ()
        return " ".join((*module, *filter(None, (self.option,)), *self.values))


class Spec(Struct, frozen=True, dict=True):
    """A rule's matches, and its target with the target's options."""

    matches: tuple[Match, ...] = ()
    target: str = ""
    options: tuple[str, ...] = ()
    goto: bool = False

    def match(self, *options: str) -> Match | None:
        """The first match with a value by one of these options."""
        return next((each for each in self.matches if each.option in options and each.values), None)

    @cached_property
    def source(self) -> Match | None:
        return self.match("-s")

    @cached_property
    def destination(self) -> Match | None:
        return self.match("-d")

    @cached_property
    def interfaces(self) -> tuple[Match, ...]:
        return tuple(each for each in self.matches if each.option in ("-i", "-o") and each.values)

    @cached_property
    def protocol(self) -> Match | None:
        return self.match("-p")

    @cached_property
    def ports(self) -> Match | None:
        return self.match("--dport", "--dports")

    @property
    def chains(self) -> tuple[str, ...]:
        """Where the rule leads, if that is a chain."""
        return (self.target,)

    @property
    def sets(self) -> tuple[str, ...]:
        """The ipsets that the rule looks something up in."""
        return tuple(each.value for each in self.matches if each.option == "--match-set" and each.values)

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
        return self.ports is None or _holds(self.ports.value, port) != self.ports.negated


def is_whole(text: str) -> bool:
    """Whether a rule's text consists of words and closed quotes, as iptables-save prints it."""
    return _WHOLE.fullmatch(text) is not None


def words(text: str) -> list[str]:
    """The words of a saved rule, quotes resolved as iptables-save writes them."""
    return [_ESCAPED.sub(r"\1", quoted[1:-1]) if quoted else plain for quoted, plain in _WORD.findall(text)]


@lru_cache(maxsize=65536)
def parse_rule(text: str) -> Spec:
    """Read a rule's text (all that follows `-A CHAIN `)."""
    parts = words(text)
    matches: list[Match] = []
    module, index, end = "", 0, len(parts)
    parts += ("", "")
    while index < end:
        negated = parts[index] == "!"
        index += negated
        option, following = parts[index] or "!", parts[index + 1]
        index += 1
        if option in ("-j", "-g"):
            return Spec(tuple(matches), following, tuple(parts[index + 1 : end]), option == "-g")
        if option == "-m" and not negated:
            module = following
            index += 1
            if index >= end or parts[index] in _ENDS:
                matches.append(Match(module, ""))
            continue
        first = index
        index += option in _NAMES
        while index < end and parts[index] != "!" and not parts[index].startswith("-"):
            index += 1
        matches.append(Match(module, option, tuple(parts[first : min(index, end)]), negated))
    return Spec(tuple(matches))


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
    """Whether the ports hold that one; what is no number may hold it."""
    try:
        return any(low <= port <= high for low, high in port_ranges(ports))
    except ValueError:
        return True


def port_ranges(ports: str) -> list[tuple[int, int]]:
    """`80`, `80:90` or `80,443,8000:8010` as first and last ports. Raises ValueError for anything else."""
    ranges = []
    for part in ports.split(","):
        first, colon, last = part.partition(":")
        ranges.append((int(first or 0), int(last or 65535)) if colon else (int(first), int(first)))
    return ranges
