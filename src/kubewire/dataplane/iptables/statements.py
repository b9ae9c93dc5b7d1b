"""What an iptables rule does to a packet; raises where something decides that isn't modelled.

Each match is a test that answers with a probability. Source: the options as iptables-save prints them
(iptables-extensions(8)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from ipaddress import ip_network

from kubewire.dataplane.core.packet import (
    NEVER,
    SURE,
    Action,
    NotModelled,
    Packet,
    Result,
    as_number,
    within,
)
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.core.translate import (
    address_and_port,
    destination_nat,
    masquerade,
    redirect,
    source_nat,
)
from kubewire.dataplane.iptables.spec import UNCHANGED, Match, Spec, parse_rule, port_ranges

Test = Callable[[Packet, Routing], Fraction]
"""The probability that the packet passes; raises NotModelled where it is unknown."""

_PROTOCOLS = {"6": "tcp", "17": "udp", "132": "sctp"}
_NEW_STATES = frozenset(("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT", "SNAT"))
_KINDS = frozenset(("LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT"))
_DECIMAL = re.compile(r"0\.\d{1,20}|1\.0{1,20}")
_VERDICTS = {"ACCEPT": Action.ACCEPT, "DROP": Action.DROP, "RETURN": Action.RETURN, "REJECT": Action.REJECT}
_NAT_FLAGS = frozenset(("--random", "--random-fully", "--persistent"))


Sets = Mapping[str, Callable[[Packet, Sequence[str]], bool]]
"""Whether a packet is in each ipset; the words say for each part of a member which side is meant."""
_NO_SETS: Sets = {}


def results(
    text: str, packet: Packet, routing: Routing, chains: Container[str], sets: Sets = _NO_SETS
) -> list[Result]:
    """What the rule does; `chains` are the table's own, to jump to. Raises NotModelled."""
    rule = parse_rule(text)
    chance = _chance(rule, packet, routing, sets)
    missed = [Result(SURE - chance, packet, Action.MISS)] if chance < SURE else []
    return [replace(_target(rule, packet, routing, chains), chance=chance), *missed] if chance else missed


def _chance(rule: Spec, packet: Packet, routing: Routing, sets: Sets) -> Fraction:
    """The probability that all tests pass; what isn't modelled counts only if nothing else decides."""
    chance, doubt = SURE, None
    for test in (
        *_tests(rule.matches),
        *(_in_set(match, sets) for match in rule.matches if _asks_set(match)),
    ):
        try:
            chance *= test(packet, routing)
        except NotModelled as error:
            doubt = doubt or error
        if not chance:
            return NEVER
    if doubt is None:
        return chance
    if rule.target in UNCHANGED:
        return NEVER
    raise doubt


def _target(rule: Spec, packet: Packet, routing: Routing, chains: Container[str]) -> Result:
    target, options = rule.target, rule.options
    if target in chains and not options:
        return Result(SURE, packet, Action.GOTO if rule.goto else Action.JUMP, target)
    if target in UNCHANGED or target == "REJECT" or (target in _VERDICTS and not options):
        return Result(SURE, packet, _VERDICTS.get(target, Action.NEXT))
    try:
        return _change(target, options, packet, routing)
    except ValueError as error:
        raise NotModelled(f"its target {' '.join((target, *options))!r} is not modelled") from error


def _change(target: str, options: tuple[str, ...], packet: Packet, routing: Routing) -> Result:
    """Targets that change the packet. Raises ValueError for others and for forms that aren't modelled."""
    match target, options:
        case "MARK", ("--set-xmark", value):
            return _set_mark(packet, value)
        case "DNAT", ("--to-destination", where, *flags) if set(flags) <= _NAT_FLAGS:
            return destination_nat(packet, *address_and_port(where))
        case "SNAT", ("--to-source", where, *flags) if set(flags) <= _NAT_FLAGS:
            return source_nat(packet, address_and_port(where)[0])
        case "REDIRECT", ("--to-ports", port, *flags) if set(flags) <= _NAT_FLAGS:
            return redirect(packet, routing, int(port))
        case "MASQUERADE", flags if set(flags) <= _NAT_FLAGS:
            return masquerade(packet, routing)
    raise ValueError(target)


def _set_mark(packet: Packet, value: str) -> Result:
    bits, _, mask = value.partition("/")
    keep = ~as_number(mask) if mask else 0
    mark = (packet.mark & keep & 0xFFFFFFFF) ^ as_number(bits)
    return Result(SURE, replace(packet, mark=mark), Action.NEXT, said=f"mark {mark:#x}")


@lru_cache(maxsize=65536)
def _tests(matches: tuple[Match, ...]) -> tuple[Test, ...]:
    """The tests of a rule; after an option that isn't modelled, the rest of its module isn't either."""
    tests: list[Test] = []
    unknown: dict[str, Match] = {}
    for match in matches:
        if _asks_set(match):
            continue
        test = None if match.module in unknown else _test(match)
        tests.append(test or _unknown(unknown.setdefault(match.module, match)))
    return tuple(tests)


@lru_cache(maxsize=65536)
def _test(match: Match) -> Test | None:
    count, make = _OPTIONS.get((match.module, match.option), (-1, _always))
    try:
        test = make(match.values) if len(match.values) == count else None
    except ValueError:
        return None
    return (lambda packet, routing: SURE - test(packet, routing)) if test and match.negated else test


def _unknown(match: Match) -> Test:
    def test(_: Packet, __: Routing) -> Fraction:
        raise NotModelled(f"its match {str(match)!r} is not modelled")

    return test


def _asks_set(match: Match) -> bool:
    return match.option == "--match-set" and len(match.values) == 2


def _in_set(match: Match, sets: Sets) -> Test:
    name, sides = match.values

    def test(packet: Packet, _: Routing) -> Fraction:
        if name not in sets:
            raise NotModelled(f"its match {str(match)!r} is not modelled")
        return _sure(sets[name](packet, sides.split(",")) != match.negated)

    return test


def _sure(answer: bool) -> Fraction:
    return SURE if answer else NEVER


def _source(words: Sequence[str]) -> Test:
    network = ip_network(words[0], strict=False)
    return lambda packet, _: _sure(packet.source in network)


def _destination(words: Sequence[str]) -> Test:
    network = ip_network(words[0], strict=False)
    return lambda packet, _: _sure(packet.destination in network)


def _protocol(words: Sequence[str]) -> Test:
    wanted = _PROTOCOLS.get(words[0], words[0])
    return lambda packet, _: _sure(wanted in (packet.protocol, "all", "0"))


def _in_interface(words: Sequence[str]) -> Test:
    return lambda packet, _: _sure(_is_interface(packet.in_interface, words[0]))


def _out_interface(words: Sequence[str]) -> Test:
    return lambda packet, _: _sure(_is_interface(packet.out_interface, words[0]))


def _is_interface(name: str, wanted: str) -> bool:
    return name.startswith(wanted[:-1]) if wanted.endswith("+") else name == wanted


def _always(_: Sequence[str]) -> Test:
    return lambda _, __: SURE


def _never(_: Sequence[str]) -> Test:
    return lambda _, __: NEVER


def _destination_port(words: Sequence[str]) -> Test:
    ranges = port_ranges(words[0])
    return lambda packet, _: max(within(packet.destination_ports, *ports) for ports in ranges)


def _source_port(words: Sequence[str]) -> Test:
    ranges = port_ranges(words[0])
    return lambda packet, _: max(within(packet.source_ports, *ports) for ports in ranges)


def _flags(words: Sequence[str]) -> Test:
    looked_at, wanted = (frozenset(word.split(",")) for word in words)
    everything, wanted = "ALL" in looked_at, wanted - {"NONE"}
    return lambda packet, _: _sure(
        (packet.tcp_flags if everything else packet.tcp_flags & looked_at) == wanted
    )


def _kind(side: str) -> Callable[[Sequence[str]], Test]:
    def make(words: Sequence[str]) -> Test:
        wanted = set(words[0].split(","))
        if not wanted <= _KINDS:
            raise ValueError(words[0])
        if side == "source":
            return lambda packet, routing: _sure(routing.kind_of(packet.source) in wanted)
        return lambda packet, routing: _sure(routing.kind_of(packet.destination) in wanted)

    return make


def _mark(words: Sequence[str]) -> Test:
    value, _, mask = words[0].partition("/")
    wanted, bits = as_number(value), as_number(mask) if mask else 0xFFFFFFFF
    return lambda packet, _: _sure(packet.mark & bits == wanted)


def _state(words: Sequence[str]) -> Test:
    wanted = set(words[0].split(","))
    if not wanted <= _NEW_STATES:
        raise ValueError(words[0])
    return lambda packet, _: _sure(
        "INVALID" in wanted
        if not packet.tracked
        else ("ESTABLISHED" if packet.established else "NEW") in wanted
        or (packet.dnat and "DNAT" in wanted)
        or (packet.snat and "SNAT" in wanted)
    )


def _mode(words: Sequence[str]) -> Test:
    if words[0] != "random":
        raise ValueError(words[0])
    return _always(words)


def _probability(words: Sequence[str]) -> Test:
    if not _DECIMAL.fullmatch(words[0]):
        raise ValueError(words[0])
    chance = Fraction(round(Fraction(words[0]) * 2**31), 2**31)
    return lambda _, __: chance


_OPTIONS: Mapping[tuple[str, str], tuple[int, Callable[[Sequence[str]], Test]]] = {
    ("", "-s"): (1, _source),
    ("", "-d"): (1, _destination),
    ("", "-p"): (1, _protocol),
    ("", "-i"): (1, _in_interface),
    ("", "-o"): (1, _out_interface),
    ("comment", "--comment"): (1, _always),
    ("nfacct", "--nfacct-name"): (1, _always),
    ("tcp", "--tcp-flags"): (2, _flags),
    **{(module, ""): (0, _always) for module in ("tcp", "udp", "sctp")},
    **{(module, "--dport"): (1, _destination_port) for module in ("tcp", "udp", "sctp")},
    **{(module, "--sport"): (1, _source_port) for module in ("tcp", "udp", "sctp")},
    ("multiport", "--dports"): (1, _destination_port),
    ("multiport", "--sports"): (1, _source_port),
    ("addrtype", "--src-type"): (1, _kind("source")),
    ("addrtype", "--dst-type"): (1, _kind("destination")),
    ("mark", "--mark"): (1, _mark),
    ("conntrack", "--ctstate"): (1, _state),
    ("state", "--state"): (1, _state),
    ("statistic", "--mode"): (1, _mode),
    ("statistic", "--probability"): (1, _probability),
    # as for a client that is in no list yet
    ("recent", "--rcheck"): (0, _never),
    ("recent", "--update"): (0, _never),
    ("recent", "--set"): (0, _always),
    **{("recent", name): (1, _always) for name in ("--seconds", "--hitcount", "--name", "--mask")},
    **{("recent", name): (0, _always) for name in ("--reap", "--rttl", "--rsource", "--rdest")},
}
