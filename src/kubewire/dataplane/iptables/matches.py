"""What iptables' matches ask of a packet: each option as a test that answers with a probability.

Source: the options as iptables-save prints them (iptables-extensions(8)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from ipaddress import ip_network

from kubewire.dataplane.core.packet import EPHEMERAL, NEVER, SURE, NotModelled, Packet, as_number, within
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.iptables.spec import Match, port_ranges

Test = Callable[[Packet, Routing], Fraction]
"""The probability that the packet passes; raises NotModelled where it is unknown."""

_PROTOCOLS = {"6": "tcp", "17": "udp", "132": "sctp"}
_NEW_STATES = frozenset(("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT", "SNAT"))
_KINDS = frozenset(("LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT"))
_SYN = frozenset(("SYN",))
_DECIMAL = re.compile(r"0\.\d{1,20}|1\.0{1,20}")


@lru_cache(maxsize=65536)
def tests_of(matches: tuple[Match, ...]) -> tuple[Test, ...]:
    """The tests of a rule; after an option that isn't modelled, the rest of its module isn't either."""
    tests: list[Test] = []
    unknown: dict[str, Match] = {}
    for match in matches:
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
    return lambda packet, _: _sure(any(low <= packet.port <= high for low, high in ranges))


def _source_port(words: Sequence[str]) -> Test:
    ranges = port_ranges(words[0])
    return lambda _, __: max(within(EPHEMERAL, low, high) for low, high in ranges)


def _flags(words: Sequence[str]) -> Test:
    """TCP flags: the first packet of a connection has SYN alone."""
    looked_at, wanted = (frozenset(word.split(",")) for word in words)
    if "ALL" in looked_at or "NONE" in wanted:
        looked_at, wanted = looked_at | _SYN, wanted - {"NONE"}
    return lambda _, __: _sure(_SYN & looked_at == wanted)


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
        "NEW" in wanted or (packet.dnat and "DNAT" in wanted) or (packet.snat and "SNAT" in wanted)
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
