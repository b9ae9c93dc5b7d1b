"""Other owners' nft tables: which of their rules can end or divert a packet, and what they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kubewire.dataplane.core.harm import Scope
from kubewire.dataplane.core.model import Chain, Rule
from kubewire.dataplane.nftables.names import TABLE

_ENDS = re.compile(r"\b(drop|reject|dnat|snat|redirect|tproxy|queue|notrack|fwd|dup)\b")
_QUOTED = re.compile(r'"[^"]*"')
_MATCH = re.compile(r"\b(ip6? [sd]addr|(?:tcp|udp|sctp|th) [sd]port|[io]if(?:name)?) (\{[^}]*\}|[^\s{]+)")
_ADDRESS = re.compile(r"[0-9a-fA-F:.]+(?:/\d+)?")


def may_end(rule: Rule) -> bool:
    """Whether a rule that matches may end or divert a packet; one that wasn't understood may."""
    return not rule.understood or _ENDS.search(_QUOTED.sub('""', rule.text)) is not None


def biting(chains: Iterable[Chain]) -> Iterator[Scope]:
    """What the rules of other tables ask for that may end or divert a packet; a policy asks for nothing."""
    for chain in chains:
        if chain.table == TABLE:
            continue
        if chain.hook is not None and chain.hook.policy == "drop":
            yield Scope()
        yield from (
            scope(rule.text) if rule.understood else Scope() for rule in chain.rules() if may_end(rule)
        )


def scope(text: str) -> Scope:
    """The addresses, ports and interfaces that a rule names; a negated match and a named set name none."""
    networks: list[tuple[str, ...]] = []
    ports: list[tuple[int, int]] = []
    interfaces: list[str] = []
    for what, value in _MATCH.findall(text):
        words = [word.strip() for word in value.strip("{}").split(",")]
        if value.startswith(("@", "!")):
            continue
        if what.endswith("addr"):
            group = tuple(word for word in words if _ADDRESS.fullmatch(word))
            networks += [group] if len(group) == len(words) else []
        elif what.endswith("port"):
            found = [_range(word) for word in words]
            ports += [each for each in found if each]
        else:
            interfaces += [word.strip('"') for word in words]
    return Scope(tuple(networks), tuple(ports), tuple(interfaces))


def _range(word: str) -> tuple[int, int] | None:
    first, dash, last = word.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        return None
    return int(first), int(last if dash else first)
