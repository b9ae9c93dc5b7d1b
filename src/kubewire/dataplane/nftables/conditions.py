"""What nft's expressions match: comparisons, lookups in sets and verdict maps, random choices.

Source: nft(8), in the text that `nft list` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from kubewire.dataplane.core.model import Element
from kubewire.dataplane.core.packet import EPHEMERAL, SURE, Action, NotModelled, Packet, Result, as_number
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.nftables.lookups import Lookup, Value, matches
from kubewire.dataplane.nftables.text import member_text
from kubewire.dataplane.nftables.words import JUMPS, VERDICTS, Reader

_STATES = frozenset(("new", "established", "related", "invalid", "untracked"))
_STATUSES = frozenset(("dnat", "snat", "expected", "seen-reply", "assured", "confirmed", "dying"))
_KINDS = frozenset(("local", "unicast", "broadcast", "multicast", "blackhole", "unreachable", "prohibit"))


@dataclass(frozen=True)
class Sets:
    """The named sets and maps of a table; kube-proxy's that only packets fill are empty for a new client."""

    lookups: Mapping[str, Lookup] = field(default_factory=dict)

    def find(self, name: str, values: Sequence[Value]) -> Element | None:
        if name not in self.lookups:
            raise NotModelled(f"there is no set or map {name!r}, or it was not understood")
        return self.lookups[name].find(values)


Statement = Callable[[Packet, Routing, Sets], list[Result]]
"""What a statement does; NEXT: the following one runs, MISS: the rule does not match."""
Field = Callable[[Packet, Routing], Value | None]
"""A value of the packet; None means that the rule does not match."""


def verdict(text: str) -> tuple[Action, str]:
    """What a verdict does, and the chain that it leads to. Raises ValueError for anything else."""
    word, _, chain = text.partition(" ")
    if word not in (JUMPS if chain else VERDICTS):
        raise ValueError(text)
    return Action.NEXT if word == "continue" else Action(word), chain


def condition(reader: Reader) -> Statement:
    """A match or a lookup of a verdict. Raises ValueError for what isn't known."""
    if reader.peek() == "numgen":
        return _random_verdict(choice(reader, "vmap"))
    if reader.accept("ct"):
        return _conntrack(reader)
    fields = [_field(reader)]
    while reader.accept("."):
        fields.append(_field(reader))
    if reader.accept("vmap"):
        return _vmap(fields, reader)
    mask = as_number(reader.take()) if reader.accept("&") else None
    unequal = reader.accept("!=")
    if not unequal:
        reader.accept("==")
    holds = _operand(reader)

    def statement(packet: Packet, routing: Routing, sets: Sets) -> list[Result]:
        values = _values(fields, packet, routing)
        if values is not None and mask is not None:
            values = [value & mask for value in values if isinstance(value, int)]
        hit = values is not None and holds(values, sets) != unequal
        return [Result(SURE, packet, Action.NEXT if hit else Action.MISS)]

    return statement


def choice(reader: Reader, kind: str) -> list[tuple[str, str]]:
    """`numgen random mod N map|vmap { … }`: for each number what is chosen, ("", "") for nothing."""
    for word in ("numgen", "random", "mod"):
        reader.need(word)
    count = int(reader.take())
    offset = int(reader.take()) if reader.accept("offset") else 0
    reader.need(kind)
    known = {int(entry.key): entry for entry in reader.elements()}
    if not 0 < count <= 65536:
        raise ValueError(str(count))
    found = [known.get(number + offset) for number in range(count)]
    return [(entry.key, entry.value) if entry else ("", "") for entry in found]


def _random_verdict(entries: Sequence[tuple[str, str]]) -> Statement:
    share = Fraction(1, len(entries))
    chosen = [(f"{number} : {text}", verdict(text)) for number, text in entries if text]

    def statement(packet: Packet, _: Routing, __: Sets) -> list[Result]:
        hits = [Result(share, packet, *to, said) for said, to in chosen]
        rest = SURE - share * len(hits)
        return [*hits, Result(rest, packet, Action.MISS)] if rest else hits

    return statement


def _state(packet: Packet, _: Routing) -> Value:
    if not packet.tracked:
        return "invalid"
    return "established" if packet.established else "new"


def _vmap(fields: Sequence[Field], reader: Reader) -> Statement:
    name = ""
    anonymous = None
    if reader.peek() == "{":
        anonymous = Lookup(reader.elements())
    elif reader.peek().startswith("@"):
        name = reader.take()[1:]
    else:
        raise ValueError(reader.peek())

    def statement(packet: Packet, routing: Routing, sets: Sets) -> list[Result]:
        values = _values(fields, packet, routing)
        found = None
        if values is not None:
            found = sets.find(name, values) if anonymous is None else anonymous.find(values)
        if found is None:
            return [Result(SURE, packet, Action.MISS)]
        text = member_text(found.key, found.value)
        try:
            action, chain = verdict(found.value)
        except ValueError as error:
            raise NotModelled(f"{text!r} in {name} is not modelled") from error
        return [Result(SURE, packet, action, chain, f"{name}: {text}".removeprefix(": "))]

    return statement


def _conntrack(reader: Reader) -> Statement:
    key = reader.take()
    known = {"state": _STATES, "status": _STATUSES}.get(key, frozenset[str]())
    if key == "state" and reader.accept("vmap"):
        return _vmap([_state], reader)
    unequal = reader.accept("!=")
    if not unequal:
        reader.accept("==")
    if reader.peek() == "{":
        wanted = {element.key for element in reader.elements()}
    else:
        wanted = {reader.take()}
        while reader.accept(","):
            wanted.add(reader.take())
    if not wanted <= known:
        raise ValueError(key)

    def statement(packet: Packet, routing: Routing, __: Sets) -> list[Result]:
        if key == "status" and not packet.tracked:
            return [Result(SURE, packet, Action.MISS)]
        mine = {word for word, on in (("dnat", packet.dnat), ("snat", packet.snat)) if on}
        hit = bool((mine if key == "status" else {_state(packet, routing)}) & wanted)
        return [Result(SURE, packet, Action.NEXT if hit != unequal else Action.MISS)]

    return statement


def _values(fields: Sequence[Field], packet: Packet, routing: Routing) -> list[Value] | None:
    values = [field(packet, routing) for field in fields]
    return None if None in values else [value for value in values if value is not None]


def _operand(reader: Reader) -> Callable[[Sequence[Value], Sets], bool]:
    word = reader.peek()
    if word == "{":
        anonymous = Lookup(reader.elements())
        return lambda values, _: anonymous.find(values) is not None
    reader.take()
    if word.startswith("@"):
        return lambda values, sets: sets.find(word[1:], values) is not None
    if word.startswith('"'):
        name = word.strip('"')
        return lambda values, _: (
            values == [name] or (name.endswith("*") and str(values[0]).startswith(name[:-1]))
        )
    if word.isalpha() and word not in (*_KINDS, "tcp", "udp", "sctp", "icmp", "icmpv6"):
        raise ValueError(word)
    return lambda values, _: len(values) == 1 and matches(values[0], word)


def _field(reader: Reader) -> Field:
    """One expression: `ip daddr`, `meta l4proto`, `th dport`, `fib daddr type`, `iifname`."""
    word = reader.take()
    if word in ("ip", "ip6"):
        return _address(reader.take(), 6 if word == "ip6" else 4)
    if word == "fib":
        side = reader.take()
        reader.need("type")
        return _kind(side)
    if word in ("th", "tcp", "udp", "sctp"):
        return _port(word, reader.take())
    key = reader.take() if word == "meta" else word
    if key not in _META:
        raise ValueError(key)
    return _META[key]


def _address(side: str, version: int) -> Field:
    if side == "saddr":
        return lambda packet, _: packet.source if packet.source.version == version else None
    if side == "daddr":
        return lambda packet, _: packet.destination if packet.destination.version == version else None
    raise ValueError(side)


def _port(header: str, side: str) -> Field:
    if side not in ("sport", "dport"):
        raise ValueError(side)

    def value(packet: Packet, _: Routing) -> Value | None:
        if header not in ("th", packet.protocol):
            return None
        if (side == "sport") != packet.reply:
            raise NotModelled(f"the client's port may be any of {EPHEMERAL[0]} to {EPHEMERAL[1]}")
        return packet.port

    return value


def _kind(side: str) -> Field:
    if side == "saddr":
        return lambda packet, routing: routing.kind_of(packet.source).lower()
    if side == "daddr":
        return lambda packet, routing: routing.kind_of(packet.destination).lower()
    raise ValueError(side)


_META: Mapping[str, Field] = {
    "l4proto": lambda packet, _: packet.protocol,
    "mark": lambda packet, _: packet.mark,
    **{word: lambda packet, _: packet.in_interface for word in ("iif", "iifname")},
    **{word: lambda packet, _: packet.out_interface for word in ("oif", "oifname")},
}
