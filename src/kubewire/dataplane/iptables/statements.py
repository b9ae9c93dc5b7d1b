"""What an iptables rule does to a packet; raises where something decides that isn't modelled."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from fractions import Fraction

from kubewire.dataplane.core.packet import NEVER, SURE, Action, NotModelled, Packet, Result, as_number
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.core.translate import address_and_port, destination_nat, masquerade, source_nat
from kubewire.dataplane.iptables.matches import tests_of
from kubewire.dataplane.iptables.spec import UNCHANGED, Spec, parse_rule

_VERDICTS = {"ACCEPT": Action.ACCEPT, "DROP": Action.DROP, "RETURN": Action.RETURN, "REJECT": Action.REJECT}
_NAT_FLAGS = frozenset(("--random", "--random-fully", "--persistent"))


def results(text: str, packet: Packet, routing: Routing, chains: Container[str]) -> list[Result]:
    """What the rule does; `chains` are the table's own, to jump to. Raises NotModelled."""
    rule = parse_rule(text)
    chance = _chance(rule, packet, routing)
    missed = [Result(SURE - chance, packet, Action.MISS)] if chance < SURE else []
    return [replace(_target(rule, packet, routing, chains), chance=chance), *missed] if chance else missed


def _chance(rule: Spec, packet: Packet, routing: Routing) -> Fraction:
    """The probability that all tests pass; what isn't modelled counts only if nothing else decides."""
    chance, doubt = SURE, None
    for test in tests_of(rule.matches):
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
            return _mark(packet, value)
        case "DNAT", ("--to-destination", where, *flags) if set(flags) <= _NAT_FLAGS:
            return destination_nat(packet, *address_and_port(where))
        case "SNAT", ("--to-source", where, *flags) if set(flags) <= _NAT_FLAGS:
            return source_nat(packet, address_and_port(where)[0])
        case "MASQUERADE", flags if set(flags) <= _NAT_FLAGS:
            return masquerade(packet, routing)
    raise ValueError(target)


def _mark(packet: Packet, value: str) -> Result:
    bits, _, mask = value.partition("/")
    keep = ~as_number(mask) if mask else 0
    mark = (packet.mark & keep & 0xFFFFFFFF) ^ as_number(bits)
    return Result(SURE, replace(packet, mark=mark), Action.NEXT, said=f"mark {mark:#x}")
