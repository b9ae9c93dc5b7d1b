"""Other owners' nft tables: which of their rules can end or divert a packet, and what they ask for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network, summarize_address_range
from itertools import chain as chained

from kubewire.dataplane.core.harm import Scope
from kubewire.dataplane.core.model import Dataplane, Rule
from kubewire.dataplane.nftables.names import TABLE

MOST_MEMBERS = 4096
"""A named set with more counts as one that names nothing."""
Members = Callable[[str], Sequence[str] | None]
"""The members of a table's set by its name; None if they aren't known, or are too many."""

_ENDS = re.compile(r"\b(drop|reject|dnat|snat|redirect|tproxy|queue|notrack|fwd|dup)\b")
_QUOTED = re.compile(r'"[^"]*"')
_MATCH = re.compile(r"\b(ip6? [sd]addr|(?:tcp|udp|sctp|th) [sd]port|[io]if(?:name)?) (\{[^}]*\}|[^\s{]+)")


def may_end(rule: Rule) -> bool:
    """Whether a rule that matches may end or divert a packet; one that wasn't understood may."""
    return not rule.understood or _ENDS.search(_QUOTED.sub('""', rule.text)) is not None


def biting(dataplane: Dataplane) -> Iterator[Scope]:
    """What the rules of other tables ask for that may end or divert a packet; a policy asks for nothing."""
    sets = {
        (item.table, item.name): [element.key for element in item.elements]
        for item in dataplane.sets
        if " . " not in item.key_type and len(item.elements) <= MOST_MEMBERS
    }
    for chain in dataplane.chains:
        if chain.table == TABLE:
            continue
        if chain.hook is not None and chain.hook.policy == "drop":
            yield Scope()

        def members(name: str, table: str = chain.table) -> Sequence[str] | None:
            return sets.get((table, name))

        yield from (
            scope(rule.text, members) if rule.understood else Scope()
            for rule in chain.rules()
            if may_end(rule)
        )


def scope(text: str, members: Members = lambda _: None) -> Scope:
    """The addresses, ports and interfaces that a rule names; a negated match names none."""
    networks: list[tuple[str, ...]] = []
    ports: list[tuple[int, int]] = []
    interfaces: list[str] = []
    for what, value in _MATCH.findall(text):
        listed = [word.strip() for word in value.strip("{}").split(",")]
        words = members(value[1:]) if value.startswith("@") else listed
        if words is None or value.startswith("!"):
            continue
        if what.endswith("addr"):
            group = [_networks(word) for word in words]
            networks += [tuple(chained.from_iterable(group))] if all(group) else []
        elif what.endswith("port"):
            found = [_range(word) for word in words]
            ports += [each for each in found if each]
        else:
            interfaces += [word.strip('"') for word in words]
    return Scope(tuple(networks), tuple(ports), tuple(interfaces))


def _networks(word: str) -> list[str]:
    """An address, a network, or a range as networks; none of anything else."""
    first, dash, last = word.partition("-")
    try:
        if not dash:
            return [str(ip_network(word, strict=False))]
        return [str(net) for net in summarize_address_range(ip_address(first), ip_address(last))]
    except (TypeError, ValueError):
        return []


def _range(word: str) -> tuple[int, int] | None:
    first, dash, last = word.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        return None
    return int(first), int(last if dash else first)
