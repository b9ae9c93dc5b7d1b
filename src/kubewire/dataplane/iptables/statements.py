"""One iptables rule as a trace sees it: its saved text read strictly, and what it does to a packet."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from kubewire.dataplane.core.packet import NEVER, SURE, Action, NotModelled, Packet, Result, as_number
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.core.translate import address_and_port, destination_nat, masquerade, source_nat
from kubewire.dataplane.iptables.matches import Test, basic, negated, option_of, unknown
from kubewire.dataplane.iptables.spec import words

HARMLESS = frozenset(("", "LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "TCPMSS", "CHECKSUM", "DSCP", "TOS"))
"""Targets after which the packet goes on as before, whether the rule matched or not."""
_VERDICTS = {"ACCEPT": Action.ACCEPT, "DROP": Action.DROP, "RETURN": Action.RETURN, "REJECT": Action.REJECT}
_ENDS = ("-m", "-j", "-g")
_NAT_FLAGS = frozenset(("--random", "--random-fully", "--persistent"))


@dataclass(frozen=True, slots=True)
class ParsedRule:
    """A rule's tests, its target with that target's own words, and whether it is a goto."""

    tests: tuple[Test, ...]
    target: str = ""
    options: tuple[str, ...] = ()
    goto: bool = False


@lru_cache(maxsize=65536)
def parse_rule(text: str) -> ParsedRule:
    """Read all that follows `-A CHAIN `; what is not modelled becomes a test that says so when it decides."""
    parts = words(text)
    tests: list[Test] = []
    module, index = "", 0
    while index < len(parts):
        sign = parts[index] == "!"
        index += sign
        option = parts[index] if index < len(parts) else ""
        if not option:
            tests.append(unknown("!"))
            break
        if option in ("-j", "-g"):
            target, *options = parts[index + 1 :] or [""]
            return ParsedRule(tuple(tests), target, tuple(options), goto=option == "-g")
        if option == "-m" and not sign:
            module = parts[index + 1] if index + 1 < len(parts) else ""
            index += 2
            if index >= len(parts) or parts[index] in _ENDS:
                tests += () if module in ("tcp", "udp", "sctp") else (unknown(f"-m {module}"),)
            continue
        test, index = _test(parts, index, module)
        tests.append(negated(test) if sign else test)
    return ParsedRule(tuple(tests))


def _test(parts: Sequence[str], index: int, module: str) -> tuple[Test, int]:
    """The test that starts at a word, and the index after it."""
    option = parts[index]
    try:
        if not module and option in ("-s", "-d", "-i", "-o", "-p"):
            return basic(option, parts[index + 1]), index + 2
        known = option_of(module, option)
        if known is not None:
            count, make = known
            values = parts[index + 1 : index + 1 + count]
            if len(values) == count:
                return make(values), index + 1 + count
    except (ValueError, IndexError):
        pass
    end = next((i for i in range(index + 1, len(parts)) if parts[i] in _ENDS), len(parts))
    return unknown(" ".join((f"-m {module}" if module else "", *parts[index:end])).strip()), end


def results(text: str, packet: Packet, routing: Routing, chains: Container[str]) -> list[Result]:
    """What the rule does; `chains` are the table's own, to jump to. Raises NotModelled."""
    rule = parse_rule(text)
    chance = _chance(rule, packet, routing)
    missed = [Result(SURE - chance, packet, Action.MISS)] if chance < SURE else []
    return [replace(_target(rule, packet, routing, chains), chance=chance), *missed] if chance else missed


def _chance(rule: ParsedRule, packet: Packet, routing: Routing) -> Fraction:
    """The probability that all tests pass; what isn't modelled counts only if nothing else decides."""
    chance, doubt = SURE, None
    for test in rule.tests:
        try:
            chance *= test(packet, routing)
        except NotModelled as error:
            doubt = doubt or error
        if not chance:
            return NEVER
    if doubt is None:
        return chance
    if rule.target in HARMLESS:
        return NEVER
    raise doubt


def _target(rule: ParsedRule, packet: Packet, routing: Routing, chains: Container[str]) -> Result:
    target, options = rule.target, rule.options
    if target in chains and not options:
        return Result(SURE, packet, Action.GOTO if rule.goto else Action.JUMP, target)
    if target in HARMLESS or target == "REJECT" or (target in _VERDICTS and not options):
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
